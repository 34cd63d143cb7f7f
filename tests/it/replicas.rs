//! Running processes and the one thing they share: the keys.

use std::time::Duration;

use crate::support::process::{chmod, eventually};
use crate::support::slow_directory::SlowDirectory;
use crate::support::{Browser, Initiator, Site, TestBff};

#[test]
fn a_rotation_lets_old_sessions_live_and_seals_new_ones_with_the_new_key() {
    // E18
    let site = Site::new();
    let old = site.place.kids("keys").remove(0);
    let server = site.serve();
    let mut early = site.signed_in(&server);
    let new = site.place.rotate(&["--now"]);
    server.reload("ok");
    assert_eq!(server.metric("sealgate_keyring_keys"), 2);
    assert_eq!(early.fetch("GET", "/api/x").status, 200);
    let opened = |kid: &str| server.metric(&format!("sealgate_open_total{{kid=\"{kid}\"}}"));
    assert_eq!((opened(&old), opened(&new)), (2, 0));
    let mut late = site.signed_in(&server);
    assert_eq!((opened(&old), opened(&new)), (2, 1));

    let outcome = site
        .place
        .run(&["--rotate-keys", "--keys", "keys", "--drop", &old]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(early.fetch("GET", "/api/x").status, 200, "until it reloads");
    server.reload("ok");
    let over = early.fetch("GET", "/api/x");
    assert_eq!((over.status, &*over.problem()), (401, "login-required"));
    assert_eq!(late.fetch("GET", "/api/x").status, 200);
    assert_eq!(server.metric("sealgate_keyring_keys"), 1);
}

#[test]
fn a_bad_new_file_keeps_the_old_ring() {
    // E21
    let site = Site::new();
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let kid = site.place.rotate(&["--now"]);
    let path = site.place.path(&format!("keys/{kid}.toml"));
    let whole = std::fs::read_to_string(&path).unwrap();
    let (before, secret) = whole.split_once("secret = \"").unwrap();
    let other = if secret.starts_with('A') { 'B' } else { 'A' };
    let another = format!("{before}secret = \"{other}{}", &secret[1..]);
    for (text, mode, flaw) in [
        (&*whole, 0o644, "has mode 0644"),
        (&whole[..140], 0o600, "is no valid TOML"),
        (&another, 0o600, "must be named"),
    ] {
        std::fs::write(&path, text).unwrap();
        chmod(&path, mode);
        server.reload("rejected");
        eventually("the log", || {
            let log = server.process.stderr.text();
            let said =
                |line: &str| line.contains("ERROR") && line.contains(&kid) && line.contains(flaw);
            log.lines().any(said).then_some(())
        });
        assert_eq!(server.metric("sealgate_keyring_keys"), 1);
        assert_eq!(browser.fetch("GET", "/api/x").status, 200);
        site.signed_in(&server);
    }
    let misnamed = site.place.path("keys/0123456789abcdef.toml");
    std::fs::write(&path, &whole).unwrap();
    std::fs::rename(&path, &misnamed).unwrap();
    server.reload("rejected");
    std::fs::rename(&misnamed, &path).unwrap();
    server.reload("ok");
    assert_eq!(server.metric("sealgate_keyring_keys"), 2);
    server.reload("unchanged");
}

#[test]
fn a_dropped_key_opens_nothing_although_another_file_is_bad() {
    // E21, G17
    let site = Site::new();
    let first = site.place.kids("keys").remove(0);
    let server = site.serve();
    let mut early = site.signed_in(&server);
    let second = site.place.rotate(&["--now"]);
    server.reload("ok");
    let mut late = site.signed_in(&server);
    let bad = site.place.write("keys/00112233445566ff.toml", "version");
    let drop = |kid: &str| {
        let args = ["--rotate-keys", "--keys", "keys", "--drop", kid];
        assert_eq!(site.place.run(&args).code, Some(1));
        server.reload("rejected");
    };
    drop(&second);
    assert_eq!(server.metric("sealgate_keyring_keys"), 1);
    assert_eq!(late.fetch("GET", "/api/x").problem(), "login-required");
    assert_eq!(early.fetch("GET", "/api/x").status, 200);
    site.signed_in(&server);
    drop(&first);
    assert_eq!(early.fetch("GET", "/api/x").status, 200, "its last key");
    std::fs::remove_file(bad).unwrap();
    server.reload("ok");
    assert_eq!(early.fetch("GET", "/api/x").problem(), "login-required");
    site.signed_in(&server);
}

#[test]
fn replicas_share_nothing_but_the_keys() {
    let site = Site::new();
    let (one, two) = (site.serve(), site.serve());
    let mut browser = site.signed_in(&one);
    browser.resolve("shop.test", two.addr);
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    assert_eq!(browser.fetch("GET", "/bff/session").json()["active"], true);
    let fingerprint = |text: String| {
        let line = text
            .lines()
            .find(|line| line.starts_with("sealgate_keyring_fingerprint_info"));
        line.map(str::to_owned)
    };
    let of_one = fingerprint(one.admin("/metrics").text());
    assert!(of_one.is_some() && of_one == fingerprint(two.admin("/metrics").text()));
    // A login may begin at one and end at the other.
    let mut browser = site.browser(&one);
    let form = browser.navigate("/bff/login", Initiator::User);
    browser.resolve("shop.test", two.addr);
    browser.fill_in(&form, "bob", "builder");
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
}

#[test]
fn a_replica_that_lags_behind_deletes_nothing_and_catches_up_by_itself() {
    // E19
    let site = Site::new();
    let copy = |kid: &str| {
        let (from, to) = (format!("keys/{kid}.toml"), format!("copy/{kid}.toml"));
        std::fs::copy(site.place.path(&from), site.place.path(&to)).unwrap()
    };
    std::fs::create_dir(site.place.path("copy")).unwrap();
    copy(&site.place.kids("keys")[0]);
    let ahead = site.serve();
    let behind = site.serve_as(|command| {
        command.env("SEALGATE__KEYS__DIR", "copy");
    });
    let kid = site.place.rotate(&["--now"]);
    ahead.reload("ok");
    let mut browser = site.signed_in(&ahead);
    browser.resolve("shop.test", behind.addr);
    let answer = browser.fetch("GET", "/api/x");
    assert_eq!(answer.problem(), "login-required");
    assert!(answer.headers("set-cookie").is_empty(), "{answer:?}");
    assert!(behind.metric("sealgate_session_open_total{result=\"unknown-key\"}") > 0);

    // Half a key has arrived: the look at the directory is counted like any other.
    site.place
        .write(&format!("copy/{kid}.toml"), "version = 1\n");
    let rejected = "sealgate_keyring_reload_total{result=\"rejected\"}";
    eventually("a look at the directory", || {
        let answer = browser.fetch("GET", "/api/x");
        assert!(answer.headers("set-cookie").is_empty(), "{answer:?}");
        (behind.metric(rejected) > 0).then_some(())
    });
    copy(&kid);
    eventually("the key", || {
        let answer = browser.fetch("GET", "/api/x");
        assert!(answer.headers("set-cookie").is_empty(), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    assert_eq!(behind.metric("sealgate_keyring_keys"), 2);
    assert!(behind.metric("sealgate_keyring_reload_total{result=\"ok\"}") > 0);
}

#[test]
fn a_login_that_begins_before_a_replica_has_read_the_key_ends_there() {
    let site = Site::new();
    let ahead = site.serve();
    let behind = site.serve();
    site.place.rotate(&["--now"]);
    ahead.reload("ok");
    let mut browser = site.browser(&ahead);
    let form = browser.navigate("/bff/login", Initiator::User);
    browser.resolve("shop.test", behind.addr);
    // It reads the directory at most once a second, and may have just begun.
    std::thread::sleep(Duration::from_millis(1100));
    browser.fill_in(&form, "alice", "wonderland");
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
}

#[test]
fn a_key_directory_that_hangs_holds_up_neither_the_worker_nor_the_request() {
    // E19, issue 10: the one worker reads the directory for a kid that it does not know
    let site = Site::new();
    let slow = SlowDirectory::new(&site.place);
    let ahead = site.serve();
    let mut behind = site.serve_as(|command| slow.give_to(command));
    let mut early = site.signed_in(&behind);
    site.place.rotate(&["--now"]);
    ahead.reload("ok");
    let mut late = site.signed_in(&ahead);
    late.resolve("shop.test", behind.addr);
    slow.hang();
    for _ in 0..3 {
        let answer = late.fetch("GET", "/api/x");
        assert_eq!(answer.problem(), "login-required");
        assert!(answer.headers("set-cookie").is_empty(), "{answer:?}");
        assert_eq!(early.fetch("GET", "/api/x").status, 200);
    }
    slow.answer();
    eventually("the key", || {
        (late.fetch("GET", "/api/x").status == 200).then_some(())
    });
    // Nor does it keep the process from ending.
    slow.hang();
    behind.process.signal("HUP");
    behind
        .process
        .wait_for_log("SIGHUP: looking at the key directory");
    behind.process.signal("TERM");
    behind.assert_ends_soon();
}

#[test]
fn a_session_of_the_next_format_is_neither_opened_nor_deleted() {
    // E19: during a rolling upgrade a process of the old release meets cookies of the new one.
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let name = "__Host-Http-shop";
    let sealed = browser.cookie(name).unwrap().value.clone();
    // The first byte is the version, in base64url.
    let rest = sealed.strip_prefix("AQ").expect("version 1");
    let next = format!("Ag{rest}");
    let set = |browser: &mut Browser, value: &str| {
        let mut jar = browser.jar.iter_mut();
        let cookie = jar.find(|cookie| cookie.name == name).unwrap();
        value.clone_into(&mut cookie.value);
    };
    set(&mut browser, &next);
    let refused = browser.fetch("GET", "/api/echo");
    assert_eq!(
        (refused.status, &*refused.problem()),
        (401, "login-required")
    );
    assert_eq!(browser.cookie(name).unwrap().value, next);
    let unknown = bff.metric("sealgate_session_open_total{result=\"unknown-key\"}");
    assert_eq!(unknown, 1);
    // Back at a process of the new release, nobody has to sign in.
    set(&mut browser, &sealed);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}
