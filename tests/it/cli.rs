//! The command line as an operator uses it: exit codes, and messages with their places.

use std::net::TcpListener;

use crate::support::Site;
use crate::support::process::{Place, Process, chmod, eventually};
use crate::support::site::SECRET;

/// The smallest configuration, with the secret in a file.
const SOUND: &str = r#"
[frontend.shop]
origin = "https://shop.example.com"
[frontend.shop.oidc]
issuer = "https://id.example.com"
client_id = "shop"
client_secret = { file = "shop.secret" }
"#;

pub fn sound_place() -> Place {
    let place = Place::new();
    place.write("shop.secret", SECRET);
    place.write("sealgate.toml", SOUND);
    place
}

#[test]
fn wrong_usage_is_64_and_named() {
    let place = Place::new();
    for (args, word) in [
        (&["--bogus"][..], "--bogus"),
        (&["serve"], "serve"),
        (&["-c"], "--config"),
        (&["--online"], "--check"),
        (&["--now"], "--rotate-keys"),
        (&["--keys", "k"], "--rotate-keys"),
        (&["--check", "--print-config"], "--print-config"),
        (&["--demo", "--check"], "--demo"),
        (
            &["--rotate-keys", "--alg", "AES-128-ECB"],
            "XChaCha20-Poly1305",
        ),
        (&["--rotate-keys", "--activate-in", "soon"], "--activate-in"),
        (&["--rotate-keys", "--retire-after", "5"], "--retire-after"),
        (&["--rotate-keys", "--drop", "../../etc/passwd"], "--drop"),
        (&["--rotate-keys", "--now", "--activate-in", "5m"], "--now"),
    ] {
        place.run(args).assert_refused(64, &[word]);
    }
    assert!(!place.path("keys").exists(), "wrong usage changes nothing");
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let place = Place::new();
    let version = place.run(&["--version"]);
    assert_eq!((version.code, &*version.stderr), (Some(0), ""));
    let expect = format!("sealgate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.stdout, expect);
    let help = place.run(&["--help"]);
    assert_eq!((help.code, &*help.stderr), (Some(0), ""));
    assert!(help.stdout.contains("Usage:"), "{}", help.stdout);
}

#[test]
fn without_a_key_ring_it_names_the_command_that_makes_one() {
    // E21
    let place = sound_place();
    // Wherever the reader is: the whole path, and the key that says it.
    let keys = place.path("keys").display().to_string();
    let command = format!("sealgate --rotate-keys --keys {keys}");
    let refusal = [&*command, "keys.dir"];
    place
        .run(&["-c", "sealgate.toml"])
        .assert_refused(78, &refusal);
    place
        .run(&["-c", "sealgate.toml", "--check"])
        .assert_refused(78, &refusal);
    std::fs::create_dir(place.path("keys")).unwrap();
    place
        .run(&["-c", "sealgate.toml"])
        .assert_refused(78, &refusal);
}

#[test]
fn a_file_that_was_not_named_is_pointed_out() {
    let place = sound_place();
    place.rotate(&[]);
    for args in [&["--check"][..], &[]] {
        place
            .run(args)
            .assert_refused(78, &["there is no frontend", "-c sealgate.toml"]);
    }
    std::fs::remove_file(place.path("sealgate.toml")).unwrap();
    place
        .run(&["--check"])
        .assert_refused(78, &["there is no frontend", "--example-config"]);
}

#[test]
fn a_bad_key_file_is_named_and_its_secret_is_not() {
    // E21
    let place = sound_place();
    let kid = place.rotate(&[]);
    let name = format!("{kid}.toml");
    let path = place.path(&format!("keys/{name}"));
    let text = std::fs::read_to_string(&path).unwrap();
    let secret = text.split('"').rev().nth(1).unwrap().to_owned();
    assert_eq!(secret.len(), 43, "{text}");
    let cases = [
        (text.clone(), 0o644, "chmod 0600"),
        (text[..text.len() / 2].to_owned(), 0o600, "no valid TOML"),
        (
            text.replace("version = 1", "version = 2"),
            0o600,
            "version 1",
        ),
        (text.replace("XAES-256-GCM", "ROT13"), 0o600, "cipher"),
        (text.replace(&secret, &"A".repeat(43)), 0o600, "weak"),
        (
            format!("{text}canary = \"{secret}\"\n"),
            0o600,
            "a field that key files do not have",
        ),
        (String::new(), 0o600, "missing"),
    ];
    for (text, mode, word) in cases {
        std::fs::write(&path, text).unwrap();
        chmod(&path, mode);
        for args in [
            &["-c", "sealgate.toml"][..],
            &["-c", "sealgate.toml", "--check"],
        ] {
            let outcome = place.run(args);
            outcome.assert_refused(78, &[&name, word]);
            assert!(!outcome.stderr.contains(&secret), "{}", outcome.stderr);
        }
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("SEALGATE__SERVER__BIND", "server.bind: "),
        ("SEALGATE__SERVER__ADMIN_BIND", "server.admin_bind: "),
    ] {
        let mut command = site.sealgate(&[]);
        command.env(variable, &address);
        let outcome = Process::spawn(command).outcome();
        outcome.assert_refused(1, &[key, "cannot listen", &address, "→"]);
    }
}

#[test]
fn the_environment_overrides_where_it_listens() {
    let site = Site::new();
    let server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__BIND", "127.0.0.2:0");
    });
    assert_eq!(server.addr.ip().to_string(), "127.0.0.2");
    assert_eq!(site.browser(&server).fetch("GET", "/bff/user").status, 401);
}

#[test]
fn health_asks_the_running_process() {
    let site = Site::new();
    let server = site.serve();
    let health = || {
        let mut command = site.sealgate(&["--health"]);
        command.env("SEALGATE__SERVER__ADMIN_BIND", server.admin.to_string());
        Process::spawn(command).outcome()
    };
    let alive = health();
    assert_eq!(alive.code, Some(0), "{}", alive.stderr);
    server.process.signal("TERM");
    let dead = eventually("it ends", || {
        Some(health()).filter(|health| health.code != Some(0))
    });
    dead.assert_refused(1, &[&server.admin.to_string()]);
}

#[test]
fn a_health_check_and_a_rotation_need_no_secret_of_a_client() {
    let place = sound_place();
    std::fs::remove_file(place.path("shop.secret")).unwrap();
    let rotation = place.run(&["-c", "sealgate.toml", "--rotate-keys"]);
    assert_eq!(rotation.code, Some(0), "{}", rotation.stderr);
    let mut command = place.sealgate(&["-c", "sealgate.toml", "--health"]);
    command.env("SEALGATE__SERVER__ADMIN_BIND", "127.0.0.1:9");
    let health = Process::spawn(command).outcome();
    health.assert_refused(1, &["127.0.0.1:9"]);
}
