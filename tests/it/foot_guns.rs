//! Configurations that work and should not: refused or warned about before a socket is bound.

use crate::cli::sound_place;
use crate::support::process::{Outcome, Place, Process};

/// `--check` of a sound configuration with these lines on top, written as a file of their own.
fn check(place: &Place, lines: &str) -> Outcome {
    place.write("more.toml", lines);
    place.run(&["-c", "sealgate.toml", "-c", "more.toml", "--check"])
}

#[test]
fn what_everybody_may_read_holds_nothing_private() {
    // H
    let place = sound_place();
    place.rotate(&[]);
    for file in [
        "dist/index.html",
        "dist/secrets/shop",
        "dist/tls.key",
        "dist/store.url",
        "keys/public/index.html",
    ] {
        place.write(file, "redis://127.0.0.1:1\n");
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(place.path(target), place.path(name)).unwrap();
    };
    link("dist", "linked");
    link("dist/secrets", "secrets");
    link("keys", "ring");
    let files = |dir: &str| format!("[frontend.shop.assets]\ndir = \"{dir}\"\n");
    for (lines, what) in [
        (files("."), "keys.dir"),
        (files(""), "the configuration"),
        (files("keys"), "has keys.dir"),
        (files("ring"), "keys.dir"),
        (files("keys/public"), "is in keys.dir"),
        (files("ring/public"), "is in keys.dir"),
        (
            files("dist") + "[keys]\ndir = \"dist/not/there/yet\"\n",
            "keys.dir",
        ),
        (
            files("linked") + "[frontend.shop.oidc]\nclient_secret = { file = \"secrets/shop\" }\n",
            "frontend.shop.oidc.client_secret.file",
        ),
        (
            files("dist") + "[coordination]\nurl = { file = \"dist/store.url\" }\n",
            "coordination.url.file",
        ),
        (
            files("dist") + "[server]\ntls = { cert = \"x\", key = \"linked/tls.key\" }\n",
            "server.tls.key",
        ),
    ] {
        let outcome = check(&place, &lines);
        outcome.assert_refused(78, &["frontend.shop.assets.dir (more.toml:2)", what]);
    }
    // Beside each other is as README has it.
    let outcome = check(&place, &files("dist"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // A file of the configuration that lies among the app's.
    place.write("dist/sealgate.toml", &files("."));
    let args = ["-c", "sealgate.toml", "-c", "dist/sealgate.toml"];
    place
        .run(&args)
        .assert_refused(78, &["dist/sealgate.toml:2", "the configuration"]);
}

#[test]
fn a_later_secret_replaces_an_earlier_one_wherever_it_stands() {
    // F2
    let place = sound_place();
    place.rotate(&[]);
    place.write("store.url", "not read\n");
    place.write(
        "store.toml",
        "[coordination]\nurl = { file = \"store.url\" }\n",
    );
    let files = ["-c", "sealgate.toml", "-c", "store.toml"];
    let mut command = place.sealgate(&[&files[..], &["--check"]].concat());
    command
        .env("SEALGATE__COORDINATION__URL__ENV", "STORE")
        .env("STORE", "redis://127.0.0.1:1");
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    place.write("later.toml", "[coordination]\nurl = { env = \"STORE\" }\n");
    let mut command =
        place.sealgate(&[&files[..], &["-c", "later.toml", "--print-config"]].concat());
    command.env("STORE", "redis://127.0.0.1:1");
    let printed = Process::spawn(command).outcome().stdout;
    for line in [
        "coordination.url.env = \"STORE\"",
        "coordination.on_failure = \"open\"",
        "coordination.prefix = \"sealgate\"",
    ] {
        assert!(printed.contains(line), "no {line} in\n{printed}");
    }
    assert!(!printed.contains("coordination.url.file"), "{printed}");
}

#[test]
fn every_layer_keeps_its_own_provenance_whatever_it_is_called() {
    // F2: a file may bear the name of another layer.
    let place = sound_place();
    place.rotate(&[]);
    place.write("environment", "[server]\nbind = \"nowhere\"\n");
    place.write(
        "deep/command line",
        "[frontend.shop.assets]\ndir = \"dist\"\n",
    );
    place.write("deep/dist/index.html", "");
    let files = [
        "-c",
        "sealgate.toml",
        "-c",
        "environment",
        "-c",
        "deep/command line",
        "--check",
    ];
    let mut command = place.sealgate(&files);
    command
        .env("SEALGATE__SERVER__ADMIN_BIND", "nobody")
        .env("SEALGATE__SERVER__TRUSTED_PROXIES", "[\"x\"]");
    let outcome = Process::spawn(command).outcome();
    let origins = [
        "server.bind (environment:2)",
        "server.admin_bind (SEALGATE__SERVER__ADMIN_BIND)",
        "server.trusted_proxies (SEALGATE__SERVER__TRUSTED_PROXIES)",
    ];
    outcome.assert_refused(78, &origins);
    assert!(!outcome.stderr.contains("assets"), "{}", outcome.stderr);
    // Paths of variables begin at the working directory, wherever a file called `environment` lies.
    place.write("deep/environment", "");
    let files = ["-c", "sealgate.toml", "-c", "deep/environment", "--check"];
    let mut command = place.sealgate(&files);
    command.env("SEALGATE__KEYS__DIR", "keys");
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}
