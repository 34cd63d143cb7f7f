//! `sealgate --rotate-keys`: which files come, which go, and that none is ever written again.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::cli::sound_place;
use crate::support::Site;
use crate::support::process::{Place, Process, chmod, eventually};

/// Names, bytes and modes of the key files.
fn files(place: &Place, dir: &str) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let read = |kid: String| {
        let path = place.path(&format!("{dir}/{kid}.toml"));
        let modified = path.metadata().unwrap().modified().unwrap();
        (kid, (std::fs::read(path).unwrap(), modified))
    };
    place.kids(dir).into_iter().map(read).collect()
}

/// The state of each key in the ring that a rotation prints.
fn states(stdout: &str) -> BTreeMap<String, String> {
    let rows = stdout.lines().skip(1).take_while(|line| line.contains('Z'));
    rows.map(|row| {
        let (kid, rest) = row.split_once("  ").unwrap();
        let state = rest.rsplit("  ").next().unwrap();
        (kid.to_owned(), state.to_owned())
    })
    .collect()
}

#[test]
fn the_first_key_is_made_with_its_directory_and_is_active_at_once() {
    let place = Place::new();
    let outcome = place.run(&["--rotate-keys", "--keys", "deep/keys"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    let kids = place.kids("deep/keys");
    let [kid] = &kids[..] else {
        panic!("one key: {kids:?}");
    };
    assert_eq!(states(&outcome.stdout)[kid], "primary");
    let path = place.path(&format!("deep/keys/{kid}.toml"));
    assert_eq!(
        path.metadata().unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let names: Vec<_> = table.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["activates_at", "alg", "created_at", "secret", "version"]
    );
    assert_eq!(table["version"].as_integer(), Some(1));
    assert_eq!(table["alg"].as_str(), Some("XAES-256-GCM"));
    assert_eq!(table["created_at"], table["activates_at"]);
    let secret = table["secret"].as_str().unwrap();
    let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(secret.len() == 43 && secret.chars().all(base64url));
    assert!(
        !outcome.stdout.contains(secret),
        "the ring is printed without secrets"
    );
}

#[test]
fn the_next_key_waits_and_no_file_is_ever_written_again() {
    let place = Place::new();
    let first = place.rotate(&[]);
    let before = files(&place, "keys");
    let outcome = place.run(&[
        "--rotate-keys",
        "--keys",
        "keys",
        "--alg",
        "XChaCha20-Poly1305",
    ]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let ring = states(&outcome.stdout);
    assert_eq!(ring.len(), 2, "{}", outcome.stdout);
    assert_eq!(ring[&first], "primary");
    let next = ring.keys().find(|kid| **kid != first).unwrap();
    assert_eq!(ring[next], "next");
    let after = files(&place, "keys");
    assert_eq!(after[&first], before[&first]);
    let text = String::from_utf8(after[next].0.clone()).unwrap();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["alg"].as_str(), Some("XChaCha20-Poly1305"));
    let at = |name: &str| {
        table[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let delay = at("activates_at").duration_since(at("created_at"));
    assert_eq!(delay.as_secs(), 300, "keys.activation_delay");

    let now = place.rotate(&["--now"]);
    let ring = states(
        &place
            .run(&[
                "--rotate-keys",
                "--keys",
                "keys",
                "--activate-in",
                "2h",
                "--force",
            ])
            .stdout,
    );
    assert_eq!(
        (ring.len(), &*ring[&now], &*ring[&first]),
        (4, "primary", "opens only")
    );
    assert_eq!(files(&place, "keys")[next], after[next]);
}

#[test]
fn keys_that_no_session_can_need_are_dropped() {
    let place = Place::new();
    let first = place.rotate(&[]);
    let second = place.rotate(&["--now"]);
    let third = place.rotate(&["--now"]);
    assert_eq!(place.kids("keys").len(), 3, "a day has not passed");
    // A moment later the successors have been active for longer than that.
    eventually("the clock's next second", || {
        let outcome = place.run(&[
            "--rotate-keys",
            "--keys",
            "keys",
            "--retire-after",
            "0s",
            "--force",
        ]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let left = place.kids("keys");
        (!left.contains(&first) && !left.contains(&second)).then_some(())
    });
    assert!(place.kids("keys").contains(&third), "the primary stays");
}

/// Makes a key one that has been active for so many hours.
fn age(place: &Place, kid: &str, hours: i64) {
    activate(place, kid, jiff::SignedDuration::from_hours(-hours));
}

/// Makes a key one that activates after so long.
fn activate(place: &Place, kid: &str, after: jiff::SignedDuration) {
    let path = place.path(&format!("keys/{kid}.toml"));
    let at = jiff::Timestamp::now() + after;
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |line: &str| match line.split_once(" = ") {
        Some((name @ ("created_at" | "activates_at"), _)) => format!("{name} = \"{at:.0}\"\n"),
        _ => format!("{line}\n"),
    };
    std::fs::write(path, text.lines().map(line).collect::<String>()).unwrap();
}

#[test]
fn a_key_is_kept_as_long_as_the_longest_session() {
    const SHOP: &str = r#"
[frontend.shop]
origin = "https://shop.example.com"
[frontend.shop.oidc]
issuer = "https://id.example.com"
client_id = "shop"
client_secret = { env = "NOT_SET_HERE" }
[frontend.shop.session]
absolute_timeout = "#;
    for (config, successor_is_active_for, is_dropped) in [
        (format!("{SHOP}\"8h\"\n"), 7, false),
        (format!("{SHOP}\"8h\"\n"), 9, true),
        (format!("{SHOP}\"2d\"\n"), 47, false),
        (
            format!("{SHOP}\"8h\"\n[keys]\nretire_after = \"12h\"\n"),
            9,
            false,
        ),
        (String::new(), 23, false),
        (String::new(), 25, true),
    ] {
        let place = Place::new();
        place.write("sealgate.toml", &config);
        let (old, new) = (place.rotate(&[]), place.rotate(&["--now"]));
        age(&place, &old, 1000);
        age(&place, &new, successor_is_active_for);
        let outcome = place.run(&["-c", "sealgate.toml", "--rotate-keys"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let what = format!("{successor_is_active_for} h with {config}");
        let is_there = place.kids("keys").contains(&old);
        assert_eq!(!is_there, is_dropped, "{what}");
        // Whoever forgot the configuration may have ended sessions.
        let is_warned = outcome.stderr.contains("built-in default");
        assert_eq!(is_warned, is_dropped && config.is_empty(), "{what}");
        assert!(place.kids("keys").contains(&new), "{what}");
    }
}

#[test]
fn the_directory_is_the_options_then_the_configurations() {
    let place = Place::new();
    place.write(
        "etc/sealgate.toml",
        "[keys]\ndir = \"ring\"\nactivation_delay = \"1h\"\n",
    );
    let rotate = ["-c", "etc/sealgate.toml", "--rotate-keys"];
    for _ in 0..2 {
        let outcome = place.run(&rotate);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    // A relative path in a file starts at the file's directory.
    assert_eq!(place.kids("etc/ring").len(), 2);
    let outcome = place.run(&[&rotate[..], &["--keys", "other"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(
        (place.kids("other").len(), place.kids("etc/ring").len()),
        (1, 2)
    );
    let next = |hours: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(hours * 60 - 5);
        let read =
            |kid: String| std::fs::read_to_string(place.path(&format!("etc/ring/{kid}.toml")));
        let texts = place
            .kids("etc/ring")
            .into_iter()
            .map(|kid| read(kid).unwrap());
        let tables = texts.map(|text| text.parse::<toml::Table>().unwrap());
        let times = tables.map(|table| table["activates_at"].as_str().unwrap().to_owned());
        times
            .map(|text| text.parse::<jiff::Timestamp>().unwrap())
            .filter(|time| *time > at)
            .count()
    };
    assert_eq!((next(1), next(2)), (1, 0), "keys.activation_delay");
}

#[test]
fn dropping_ends_one_key_and_adds_one_only_if_it_must() {
    let place = Place::new();
    let old = place.rotate(&[]);
    let primary = place.rotate(&["--now"]);
    let next = place.rotate(&["--activate-in", "1h"]);
    let drop = |kid: &str| place.run(&["--rotate-keys", "--keys", "keys", "--drop", kid]);
    let before = files(&place, "keys");
    let unknown = drop("0123456789abcdef");
    unknown.assert_refused(1, &["0123456789abcdef", "keys"]);
    assert_eq!(files(&place, "keys"), before, "nothing changed");

    let outcome = drop(&old);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    let said = format!("removed {old}: dropped, its sessions are over once every process has read");
    assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
    let mut left = vec![primary.clone(), next.clone()];
    left.sort();
    assert_eq!(place.kids("keys"), left, "an old key is not replaced");
    let outcome = drop(&primary);
    let ring = states(&outcome.stdout);
    let new = ring.keys().find(|kid| **kid != next).unwrap();
    assert_eq!(
        (ring.len(), &*ring[new], &*ring[&next]),
        (2, "primary", "next")
    );
    assert_eq!(drop(&next).code, Some(0));
    assert_eq!(place.kids("keys"), [&**new]);
    assert_eq!(drop(new).code, Some(0));
    let kids = place.kids("keys");
    assert!(kids.len() == 1 && kids[0] != *new, "there is always a key");
}

#[test]
fn a_key_can_be_dropped_whatever_its_file_and_others_are_like() {
    // E21, G17
    let place = Place::new();
    let old = place.rotate(&[]);
    let primary = place.rotate(&["--now"]);
    let path = |kid: &str| place.path(&format!("keys/{kid}.toml"));
    let rotate = |more: &[&str]| place.run(&[&["--rotate-keys", "--keys", "keys"], more].concat());
    chmod(&path(&primary), 0o644);
    place.write("keys/00112233445566ff.toml", "version = 1\n");
    let before = files(&place, "keys");
    rotate(&[]).assert_refused(1, &["00112233445566ff.toml", "`alg` is missing"]);
    assert_eq!(files(&place, "keys"), before, "nothing changed");

    // Its own file is bad, and another one too.
    let outcome = rotate(&["--drop", &primary]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(!path(&primary).exists());
    let ring = states(&outcome.stdout);
    let new = ring.keys().find(|kid| **kid != old).unwrap();
    assert_eq!((ring.len(), &*ring[new]), (2, "primary"), "{outcome:?}");
    assert!(outcome.stdout.contains(&format!("\nremoved {primary}: ")));
    for word in ["00112233445566ff.toml", "`alg` is missing", "current keys"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains(&primary), "{}", outcome.stderr);

    // What is no key at all goes by its name too.
    let outcome = rotate(&["--drop", "00112233445566ff"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    assert_eq!(rotate(&[]).code, Some(0));
}

#[test]
fn a_machine_whose_clock_is_behind_starts_with_the_first_key() {
    let place = sound_place();
    let kid = place.rotate(&[]);
    for (minutes, code) in [(4, 0), (9, 78)] {
        activate(&place, &kid, jiff::SignedDuration::from_mins(minutes));
        let outcome = place.run(&["-c", "sealgate.toml", "--check"]);
        assert_eq!(outcome.code, Some(code), "{minutes}: {}", outcome.stderr);
    }
}

#[test]
fn a_rotation_that_hangs_stops_no_emergency_unseen() {
    let place = Place::new();
    let kid = place.rotate(&[]);
    let lock = place.path("keys/.lock");
    let mode = lock.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    std::fs::write(&lock, "4711\n").unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let args = ["--rotate-keys", "--keys", "keys", "--drop", &kid];
    let mut rotation = Process::spawn(place.sealgate(&args));
    // It waits for ten seconds by itself, on a busy machine for longer.
    let mut polls = (0..1200).map(|_| std::thread::sleep(Duration::from_millis(50)));
    while rotation.has_ended().is_none() {
        polls.next().expect("it ends by itself");
    }
    let refusal = ["keys/.lock", "process 4711", "nothing was changed"];
    rotation.outcome().assert_refused(1, &refusal);
    assert_eq!(place.kids("keys"), [&*kid]);
    drop(held);
    assert_eq!(place.run(&args).code, Some(0));
}

#[test]
fn what_a_crash_left_is_cleared_by_the_next_rotation() {
    let place = Place::new();
    place.rotate(&[]);
    for (name, is_old, is_cleared) in [
        (".0011223344556677.draft", true, true),
        (".0011223344556688.draft", false, false),
        ("0011223344556699.draft", true, false),
        (".note.draft", true, false),
    ] {
        let path = place.write(&format!("keys/{name}"), "secret");
        if is_old {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - Duration::from_hours(1))
                .unwrap();
        }
        place.rotate(&["--force"]);
        assert_eq!(path.exists(), !is_cleared, "{name}");
    }
}

#[test]
fn a_pipe_in_the_directory_holds_nobody_up() {
    let place = sound_place();
    let kid = place.rotate(&[]);
    let path = place.path("keys/00112233445566ff.toml");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let words = ["00112233445566ff.toml", "not a regular file"];
    let check = ["-c", "sealgate.toml", "--check"];
    place.run(&check).assert_refused(78, &words);
    let rotate = ["--rotate-keys", "--keys", "keys"];
    place.run(&rotate).assert_refused(1, &words);
    let outcome = place.run(&[&rotate[..], &["--drop", "00112233445566ff"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(!path.exists() && place.kids("keys").contains(&kid));
}

#[test]
fn a_key_file_of_a_stranger_seals_and_opens_nothing() {
    // J
    let site = Site::new();
    let kids = || site.place.kids("keys");
    let own = kids().remove(0);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let check = || Process::spawn(site.sealgate(&["--check"])).outcome();
    assert!(!check().stderr.contains("belongs to"));
    let foreign = site.place.rotate(&["--now"]);
    let path = |kid: &str| site.place.path(&format!("keys/{kid}.toml"));
    if let Err(why) = std::os::unix::fs::chown(path(&foreign), Some(4711), None) {
        // Only root may give files away; the unit test of `keyring::directory` has the rule itself.
        assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied);
        println!("SKIPPED the rest, which needs root: {why}");
        return;
    }
    let outcome = check();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for word in ["belongs to user 4711", &foreign, "neither seals nor opens"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    server.reload("ok");
    server.process.wait_for_log("belongs to user 4711");
    assert_eq!(server.metric("sealgate_keyring_keys"), 1);
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    let login = site.signed_in(&server);
    assert_eq!(
        server.metric(&format!("sealgate_open_total{{kid=\"{foreign}\"}}")),
        0
    );
    drop(login);

    // A rotation is refused as with a bad file, and an emergency is not.
    let rotate = ["--rotate-keys", "--keys", "keys"];
    let before = kids();
    site.place
        .run(&rotate)
        .assert_refused(1, &[&foreign, "belongs to user 4711"]);
    assert_eq!(kids(), before);
    let outcome = site
        .place
        .run(&[&rotate[..], &["--drop", &foreign]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(kids(), [&*own]);

    // Nothing but keys of strangers is no ring.
    std::os::unix::fs::chown(path(&own), Some(4711), None).unwrap();
    check().assert_refused(78, &[&own, "belongs to user 4711"]);
    server.reload("rejected");
    assert_eq!(browser.fetch("GET", "/api/x").status, 200, "the old ring");
}

#[test]
fn a_key_directory_that_others_can_write_is_refused() {
    // J
    let place = sound_place();
    place.rotate(&[]);
    let check = || place.run(&["-c", "sealgate.toml", "--check"]);
    let dir = place.path("keys");
    for mode in [0o777, 0o775, 0o702] {
        chmod(&dir, mode);
        let shown = format!("mode {mode:04o}");
        let words = ["key directory", &shown, "chmod 0700"];
        check().assert_refused(78, &words);
        place
            .run(&["-c", "sealgate.toml"])
            .assert_refused(78, &words);
        let rotate = ["--rotate-keys", "--keys", "keys"];
        place.run(&rotate).assert_refused(1, &words);
    }
    // As orchestrators mount them.
    for mode in [0o700, 0o755, 0o1777, 0o3777, 0o2775] {
        chmod(&dir, mode);
        let outcome = check();
        assert_eq!(outcome.code, Some(0), "{mode:o}: {}", outcome.stderr);
    }
    if std::os::unix::fs::chown(&dir, Some(4711), None).is_ok() {
        check().assert_refused(78, &["belongs to user 4711", "chown"]);
    }
}

#[test]
fn a_directory_that_others_can_write_is_sound_behind_a_read_only_mount() {
    // J: a Secret of Kubernetes, a volume `:ro`
    let place = sound_place();
    place.rotate(&[]);
    chmod(&place.path("keys"), 0o777);
    let mounted = |command: &[&str]| {
        let mount = "mount --bind keys keys && mount -o remount,bind,ro keys && exec \"$@\"";
        let mut unshare = place.program("unshare");
        let script = ["--mount", "sh", "-c", mount, "sh"];
        unshare.args(script).args(command);
        Process::spawn(unshare).outcome()
    };
    if mounted(&["true"]).code != Some(0) {
        // It takes root, and a container may keep even root from it.
        println!("SKIPPED: nothing can be mounted here");
        return;
    }
    let check = [
        env!("CARGO_BIN_EXE_sealgate"),
        "-c",
        "sealgate.toml",
        "--check",
    ];
    let outcome = mounted(&check);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    place
        .run(&check[1..])
        .assert_refused(78, &["key directory", "mode 0777"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_what_to_do_and_left_whole() {
    let place = Place::new();
    place.rotate(&[]);
    std::fs::create_dir(place.path("full")).unwrap();
    std::fs::write(place.path("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere/at/all", place.path("dangling")).unwrap();
    let before = files(&place, "keys");
    let rotation = |dir| {
        let program = env!("CARGO_BIN_EXE_sealgate");
        let options = ["--now", "--retire-after", "0s"];
        [&[program, "--rotate-keys", "--keys", dir], &options[..]].concat()
    };
    for (dir, words) in [
        ("file", ["key directory", "name a directory"]),
        ("dangling", ["key directory", "name a directory"]),
    ] {
        let outcome = place.run(&rotation(dir)[1..]);
        outcome.assert_refused(1, &words);
    }
    let within = |script: &str, command: &[&str]| {
        let mut unshare = place.program("unshare");
        unshare.args(["--mount", "sh", "-c", script, "sh"]);
        unshare.args(command);
        Process::spawn(unshare).outcome()
    };
    if within("mount --bind keys keys", &[]).code != Some(0) {
        // It takes root, and a container may keep even root from it.
        println!("SKIPPED the rest: nothing can be mounted here");
        return;
    }
    let keys = place.path("keys").display().to_string();
    let cases: [(&str, &str, &[&str]); 3] = [
        (
            "mount --bind keys keys && mount -o remount,bind,ro keys",
            "keys",
            &["key directory", &keys, "mounted read-only", "rotate where"],
        ),
        (
            // One page, which the key takes that is there.
            "mount -t tmpfs -o size=4k,mode=0700 tmpfs full && cp -p keys/*.toml full",
            "full",
            &[
                "key file",
                "cannot be written",
                "no key was deleted",
                "make room",
            ],
        ),
        (
            "chmod 0500 keys",
            "keys",
            &[
                "key file",
                &keys,
                "cannot be written",
                "ermission denied",
                "chown",
            ],
        ),
    ];
    for (script, dir, words) in cases {
        // Root may write anywhere, unless it is told not to.
        let script = format!(
            "{script} || exit 99; setpriv --bounding-set -all \"$@\"; code=$?; \
             echo \"keys left: $(ls {dir} | grep -c toml)\" >&2; exit $code"
        );
        let outcome = within(&script, &rotation(dir));
        outcome.assert_refused(1, words);
        outcome.assert_refused(1, &["keys left: 1"]);
        assert_eq!(files(&place, "keys"), before, "{script}");
    }
    chmod(&place.path("keys"), 0o700);
    place.rotate(&[]);
}

#[test]
fn root_rotates_for_the_owner_of_the_directory() {
    // J: `sudo sealgate --rotate-keys` in the directory of the service's user.
    use std::os::unix::fs::MetadataExt as _;

    let place = Place::new();
    let first = place.rotate(&[]);
    let path = |name: &str| place.path("keys").join(name);
    let give = |name: &str| std::os::unix::fs::chown(path(name), Some(4711), Some(4712));
    if let Err(why) = give("") {
        // Only root may give files away, and only root acts for others.
        assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied);
        println!("SKIPPED the rest, which needs root: {why}");
        return;
    }
    give(&format!("{first}.toml")).unwrap();
    std::fs::remove_file(path(".lock")).unwrap();
    let next = place.rotate(&[]);
    for name in [format!("{next}.toml"), ".lock".to_owned()] {
        let metadata = path(&name).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712), "{name}");
    }
    // An emergency adds a key only if it must.
    let drop = |kid: &str| {
        let outcome = place.run(&["--rotate-keys", "--keys", "keys", "--drop", kid]);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
        place.kids("keys")
    };
    assert_eq!(drop(&next), [&*first]);
    let kids = drop(&first);
    assert!(kids.len() == 1 && kids[0] != first);
}

#[test]
fn a_second_rotation_within_the_delay_is_refused_unless_forced() {
    // N16
    let place = Place::new();
    let first = place.rotate(&[]);
    let next = place.rotate(&[]);
    let before = files(&place, "keys");
    let rotate = |more: &[&str]| place.run(&[&["--rotate-keys", "--keys", "keys"], more].concat());
    rotate(&[]).assert_refused(1, &[&next, "--force", "Nothing was changed"]);
    rotate(&["--activate-in", "1h"]).assert_refused(1, &[&next]);
    assert_eq!(files(&place, "keys"), before);
    for more in [&["--force"][..], &["--now"], &["--drop", &first]] {
        let outcome = rotate(more);
        assert_eq!(outcome.code, Some(0), "{more:?}: {}", outcome.stderr);
    }
    assert_eq!(place.kids("keys").len(), 3);
}
