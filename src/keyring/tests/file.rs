//! Which files are keys, and which are refused, and how.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::NOW;
use crate::clock::UnixTime;
use crate::keyring::file::{parse, path, read, text, write};
use crate::keyring::{Alg, Key, KeyRing, KeyRingError};

/// A directory with one key.
fn one_key() -> (tempfile::TempDir, PathBuf, Key) {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::generate(Alg::default(), NOW, NOW).unwrap();
    write(dir.path(), &key).unwrap();
    let path = path(dir.path(), key.kid());
    (dir, path, key)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal(dir: &Path) -> String {
    KeyRing::load(dir, NOW).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_back() {
    for alg in Alg::ALL {
        let dir = tempfile::tempdir().unwrap();
        let later = UnixTime::from_secs(NOW.as_secs() + 300);
        let key = Key::generate(alg, NOW, later).unwrap();
        write(dir.path(), &key).unwrap();
        let path = path(dir.path(), key.kid());
        let (read, _) = read(&path).unwrap();
        assert_eq!(read.secret(), key.secret());
        assert_eq!((read.alg(), read.kid()), (alg, key.kid()));
        assert_eq!((read.created_at(), read.activates_at()), (NOW, later));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("activates_at = \"2026-11-21T08:05:00Z\"\n"),
            "{text}"
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }
}

#[test]
fn a_file_that_others_reach_is_refused() {
    // E21
    let (dir, path, _) = one_key();
    for (mode, fine) in [
        (0o600, true),
        (0o400, true),
        (0o440, true),
        (0o640, true),
        (0o644, false),
        (0o660, false),
        (0o602, false),
        (0o604, false),
        (0o777, false),
    ] {
        chmod(&path, mode);
        let loaded = KeyRing::load(dir.path(), NOW);
        assert_eq!(loaded.is_ok(), fine, "{mode:o}");
    }
    chmod(&path, 0o644);
    let refusal = refusal(dir.path());
    assert!(
        refusal.contains("mode 0644") && refusal.contains("chmod 0600"),
        "{refusal}"
    );
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
}

#[test]
fn a_file_that_is_not_exactly_a_key_is_refused_without_quoting_it() {
    // E17, E26
    let (dir, path, key) = one_key();
    let good = fs::read_to_string(&path).unwrap();
    let secret = good.split('"').nth(7).unwrap().to_owned();
    let edit = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let secret_line = format!("secret = \"{secret}\"");
    let rows = [
        (String::new(), "`version` is missing"),
        (good[..good.len() / 2].to_owned(), "no valid TOML"),
        (edit("version = 1", "version = 2"), "version 1"),
        (edit("version = 1", "version = \"1\""), "version 1"),
        (edit("version = 1", &secret_line), "no valid TOML in line 6"),
        (edit("version = 1", "vers = 1"), "`version` is missing"),
        (
            edit("version = 1", "version = 1\nversion = 1"),
            "no valid TOML in line 3",
        ),
        (
            edit("version = 1", "version = 1\nactive = true"),
            "a field that",
        ),
        (edit("alg =", "# alg ="), "`alg` is missing"),
        (edit("XAES-256-GCM", "AES-256-GCM"), "cipher"),
        (edit("XAES-256-GCM", &secret), "cipher"),
        (
            edit("2026-11-21T08:00:00Z", "yesterday"),
            "`created_at` must be an RFC 3339",
        ),
        (
            edit("2026-11-21T08:00:00Z", "2026-11-21T08:00:00"),
            "RFC 3339",
        ),
        (
            edit("2026-11-21T08:00:00Z", "1926-11-21T08:00:00Z"),
            "RFC 3339",
        ),
        (edit("2026-11-21T08:00:00Z", &secret), "RFC 3339"),
        (edit(&secret, ""), "`secret` must be 32 bytes"),
        (edit(&secret, &secret[1..]), "`secret` must be 32 bytes"),
        (
            edit(&secret, &format!("{secret}AAAA")),
            "`secret` must be 32 bytes",
        ),
        (
            edit(&secret, &format!("{secret}=")),
            "`secret` must be 32 bytes",
        ),
        (
            edit(&secret, &secret.repeat(3)),
            "`secret` must be 32 bytes",
        ),
        (edit(&secret, &"A".repeat(43)), "weak"),
        (
            edit(
                &secret,
                &URL_SAFE_NO_PAD.encode(b"password123 correct horse batter"),
            ),
            "weak",
        ),
        (
            edit(&secret_line, "secret = 5"),
            "`secret` must be 32 bytes",
        ),
        (
            edit(&secret_line, &format!("secret = \"{secret}")),
            "no valid TOML in line 6",
        ),
        (format!("{good}{}", "#".repeat(4096)), "over 4096 bytes"),
    ];
    for (text, expected) in rows {
        fs::write(&path, &text).unwrap();
        let error = KeyRing::load(dir.path(), NOW).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(expected), "{shown}\n{text}");
        assert!(
            shown.contains(&key.kid().to_string()),
            "names the file: {shown}"
        );
        assert!(!shown.contains(&secret[1..20]), "{shown}");
    }
    fs::write(&path, b"version = 1\n\xff").unwrap();
    assert!(refusal(dir.path()).contains("line 2"));
}

#[test]
fn both_spellings_of_a_time_are_read() {
    let (dir, path, key) = one_key();
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\"2026-11-21T08:00:00Z\"", "2026-11-21T09:00:00+01:00");
    fs::write(&path, text).unwrap();
    let ring = KeyRing::load(dir.path(), NOW).unwrap();
    assert_eq!(ring.key(key.kid()).unwrap().activates_at(), NOW);
}

#[test]
fn a_file_bears_the_name_of_its_key() {
    let (dir, path, key) = one_key();
    let other = dir.path().join("00112233445566ff.toml");
    fs::rename(&path, &other).unwrap();
    let shown = refusal(dir.path());
    assert!(
        shown.contains(&format!("must be named {}.toml", key.kid())),
        "{shown}"
    );
    for name in ["key.toml", "00112233445566FF.toml", "0x.toml", "é.toml"] {
        let (dir, path, _) = one_key();
        fs::rename(&path, dir.path().join(name)).unwrap();
        assert!(
            refusal(dir.path()).contains("is not named after a key"),
            "{name}"
        );
    }
}

#[test]
fn kubernetes_links_are_followed_and_other_files_ignored() {
    // E21. A Secret volume: ..data → ..2026_11_21; <kid>.toml → ..data/<kid>.toml
    let (dir, path, key) = one_key();
    let name = path.file_name().unwrap();
    let data = dir.path().join("..2026_11_21");
    fs::create_dir(&data).unwrap();
    fs::rename(&path, data.join(name)).unwrap();
    symlink("..2026_11_21", dir.path().join("..data")).unwrap();
    symlink(Path::new("..data").join(name), &path).unwrap();
    for other in ["README.md", ".gitignore", ".lock", ".0011223344556677.toml"] {
        fs::write(dir.path().join(other), "nothing").unwrap();
    }
    // A link whose key is gone is a key that is gone.
    symlink("..data/gone", dir.path().join("00112233445566ff.toml")).unwrap();
    let ring = KeyRing::load(dir.path(), NOW).unwrap();
    assert!(ring.kids().eq([key.kid()]));
    // The mode that counts is that of the file.
    chmod(&data.join(name), 0o644);
    assert!(refusal(dir.path()).contains("mode 0644"));
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let (dir, ..) = one_key();
    fs::create_dir(dir.path().join("00112233445566ff.toml")).unwrap();
    assert!(refusal(dir.path()).contains("not a regular file"));
    let (dir, ..) = one_key();
    symlink("/dev/zero", dir.path().join("00112233445566ff.toml")).unwrap();
    assert!(refusal(dir.path()).contains("not a regular file"));
}

#[test]
fn no_directory_and_no_key_name_the_command() {
    let dir = tempfile::tempdir().unwrap();
    for missing in [dir.path().to_owned(), dir.path().join("keys")] {
        let shown = refusal(&missing);
        let command = format!("`sealgate --rotate-keys --keys {}`", missing.display());
        assert!(shown.contains(&command), "{shown}");
    }
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("cannot be used"));
}

#[test]
fn a_key_is_never_written_over_another() {
    let (dir, path, key) = one_key();
    let before = fs::metadata(&path).unwrap().ino();
    assert!(matches!(
        write(dir.path(), &key),
        Err(KeyRingError::Write { .. })
    ));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_time_that_no_file_can_hold_is_refused_before_writing() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::generate(Alg::default(), NOW, UnixTime::from_secs(u64::MAX)).unwrap();
    assert!(matches!(
        write(dir.path(), &key),
        Err(KeyRingError::FarFuture)
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_example_in_the_readme_is_a_key_file() {
    let readme = include_str!("../../../keys/README.md");
    let example = readme.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let secret = URL_SAFE_NO_PAD.encode(Key::generate(Alg::default(), NOW, NOW).unwrap().secret());
    let key = parse(example.replace("…43 characters…", &secret).as_bytes()).unwrap();
    assert_eq!((key.created_at(), key.alg()), (NOW, Alg::default()));
    assert_eq!(*text(&key).unwrap(), {
        let head = text(&key).unwrap().lines().next().unwrap().to_owned();
        format!("{head}\n{}", example.replace("…43 characters…", &secret))
    });
}
