//! Configurations that would work and should not: sealgate refuses them or warns before it binds a socket.

use crate::cli::sound_place;
use crate::support::Site;
use crate::support::process::{Outcome, Place, Process};

/// `--check` of a sound configuration with these lines in a second file.
fn check(place: &Place, lines: &str) -> Outcome {
    place.write("more.toml", lines);
    place.run(&["-c", "sealgate.toml", "-c", "more.toml", "--check"])
}

#[test]
fn a_directory_of_public_files_holds_no_private_file() {
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
        (files("keys"), "contains keys.dir"),
        (files("ring"), "keys.dir"),
        (files("keys/public"), "lies in keys.dir"),
        (files("ring/public"), "lies in keys.dir"),
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
    // Neighbours are fine: the documents do it.
    let outcome = check(&place, &files("dist"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // A configuration file among the app's files.
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
    // F2: a file may have the name of another layer.
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
    // Paths in variables begin at the working directory, wherever a file called `environment` lies.
    place.write("deep/environment", "");
    let files = ["-c", "sealgate.toml", "-c", "deep/environment", "--check"];
    let mut command = place.sealgate(&files);
    command.env("SEALGATE__KEYS__DIR", "keys");
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn a_header_that_others_also_send_is_refused() {
    // K
    let place = sound_place();
    place.rotate(&[]);
    let with = |name: &str| {
        check(
            &place,
            &format!("[frontend.shop]\ncsrf_header = \"{name}\"\n"),
        )
    };
    for name in [
        "Accept",
        "Accept-Datetime",
        "Content-Language",
        "Range",
        "DPR",
        "Save-Data",
        "Priority",
        "TE",
        "Trailer",
        "DNT",
        "Ping-From",
        "Sec-GPC",
        "If-Modified-Since",
        "Authorization",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "X-Request-ID",
        "X-Amzn-Trace-Id",
        "Cf-Connecting-Ip",
        "traceparent",
        "not a header",
    ] {
        with(name).assert_refused(78, &["frontend.shop.csrf_header (more.toml:2)", "X-CSRF"]);
    }
    for (name, is_warned) in [
        ("X-CSRF", false),
        ("X-XSRF-Token", false),
        ("Test", false),
        ("X-Requested-With", true),
    ] {
        let outcome = with(name);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
        let warning = outcome.stderr.contains("csrf_header");
        assert_eq!(warning, is_warned, "{name}: {}", outcome.stderr);
    }
}

#[test]
fn a_login_that_never_begins_is_warned_about() {
    let place = sound_place();
    place.rotate(&[]);
    for (lines, is_warned) in [
        ("token = \"user\"", false),
        ("token = \"none\"", true),
        ("token = \"client\"", true),
        ("token = \"user_or_none\"", true),
        (
            "token = \"user_or_none\"\nrequire_claims = { role = [\"buyer\"] }",
            false,
        ),
    ] {
        let outcome = check(
            &place,
            &format!(
                "[upstream.web]\nurl = \"http://127.0.0.1:1\"\n[frontend.shop.route.site]\npath = \"/\"\n\
                 upstream = \"web\"\ndocuments = true\nlogin = \"redirect\"\n{lines}\n"
            ),
        );
        assert_eq!(outcome.code, Some(0), "{lines}: {}", outcome.stderr);
        let warning = "warning: frontend.shop.route.site.login (more.toml:7): no page of this route needs a user";
        assert_eq!(
            outcome.stderr.contains(warning),
            is_warned,
            "{lines}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn settings_that_trust_or_show_too_much_are_warned_about() {
    // K
    let place = sound_place();
    place.rotate(&[]);
    let proxies = "server.trusted_proxies";
    for (line, key) in [
        ("admin_bind = \"0.0.0.0:9090\"", Some("server.admin_bind")),
        ("admin_bind = \"[::]:9090\"", Some("server.admin_bind")),
        (
            "admin_bind = \"203.0.113.7:9090\"",
            Some("server.admin_bind"),
        ),
        ("admin_bind = \"10.1.2.3:9090\"", None),
        ("admin_bind = \"[fd00::1]:9090\"", None),
        ("trusted_proxies = [\"0.0.0.0/0\"]", Some(proxies)),
        (
            "trusted_proxies = [\"128.0.0.0/1\", \"0.0.0.0/1\"]",
            Some(proxies),
        ),
        (
            "trusted_proxies = [\"::/2\", \"4000::/2\", \"8000::/1\", \"10.0.0.0/8\"]",
            Some(proxies),
        ),
        ("trusted_proxies = [\"2000::/3\"]", Some(proxies)),
        ("trusted_proxies = [\"64.0.0.0/2\"]", Some(proxies)),
        (
            "trusted_proxies = [\"10.0.0.0/8\", \"fc00::/7\", \"192.0.2.0/24\", \"127.0.0.1\"]",
            None,
        ),
    ] {
        let outcome = check(&place, &format!("[server]\n{line}\n"));
        assert_eq!(outcome.code, Some(0), "{line}: {}", outcome.stderr);
        let warnings: Vec<_> = outcome
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .collect();
        match key {
            None => assert!(warnings.is_empty(), "{line}: {warnings:?}"),
            Some(key) => assert!(
                warnings.len() == 1 && warnings[0].contains(&format!("{key} (more.toml:2)")),
                "{line}: {warnings:?}"
            ),
        }
    }
    for (hosts, word) in [
        ("[\"*\"]", "not a host name"),
        ("[\"sealgate:9090\"]", "without scheme and port"),
        ("[\"http://sealgate\"]", "not a host name"),
        ("[\"127.0.0.1\"]", "does not need an entry"),
    ] {
        check(&place, &format!("[server]\nadmin_hosts = {hosts}\n"))
            .assert_refused(78, &["server.admin_hosts (more.toml:2)", word]);
    }
}

#[test]
fn a_star_that_would_stand_for_itself_is_refused() {
    // N11
    let place = sound_place();
    place.rotate(&[]);
    let route = |lines: &str| {
        let tables = "[upstream.api]\nurl = \"http://127.0.0.1:1\"\n[frontend.shop.route.api]\nupstream = \"api\"\n";
        check(&place, &format!("{tables}{lines}\n"))
    };
    for (lines, key, remedy) in [
        ("path = \"/api/*\"", "path", "write \"/api\""),
        ("path = \"/api/**/\"", "path", "write \"/api\""),
        ("path = \"/api*\"", "path", "write \"/api\""),
        ("path = \"/*\"", "path", "write \"/\""),
        ("path = \"/api/*/items\"", "path", "name the path above it"),
        (
            "path = \"/a\"\nmethods = [\"*\"]",
            "methods",
            "remove the key",
        ),
        ("path = \"/a\"\ncookies = [\"*\"]", "cookies", "each cookie"),
        (
            "path = \"/a\"\nset_cookies = [\"*\"]",
            "set_cookies",
            "each cookie",
        ),
    ] {
        let key = format!("frontend.shop.route.api.{key} (");
        route(lines).assert_refused(78, &[&key, "star", remedy]);
    }
    for (lines, is_warned) in [
        ("path = \"/api/%2A\"", false),
        ("path = \"/api/:id\"", true),
    ] {
        let outcome = route(lines);
        assert_eq!(outcome.code, Some(0), "{lines}: {}", outcome.stderr);
        assert_eq!(
            outcome.stderr.contains("route.api.path"),
            is_warned,
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn unread_variables_and_unknown_levels_are_warned_about() {
    // N11
    let site = Site::new();
    let mut command = site.sealgate(&["--check"]);
    command
        .env("RUST_LOG", "verbose")
        .env("SEALGATE_SERVER_BIND", "127.0.0.1:1")
        .env("SEALGATE_FRONTEND_SHOP_BASE_PATH", "/auth")
        .env("SEALGATE_SERVER_PORT", "tcp://10.0.0.1:8080");
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for warning in [
        "warning: RUST_LOG: \"verbose\" is no level",
        "warning: SEALGATE_SERVER_BIND: sealgate does not read this variable: did you mean SEALGATE__SERVER__BIND?",
        "did you mean SEALGATE__FRONTEND__SHOP__BASE_PATH?",
    ] {
        assert!(
            outcome.stderr.contains(warning),
            "no {warning} in\n{}",
            outcome.stderr
        );
    }
    assert!(
        !outcome.stderr.contains("SERVER_PORT"),
        "{}",
        outcome.stderr
    );
    // The process logs all the same, and its log has the warning.
    for level in ["verbose", "", "hyper=debug"] {
        let server = site.serve_as(|command| {
            command.env("RUST_LOG", level);
        });
        let log = server.process.stderr.text();
        let is_warning = |line: &str| line.contains(" WARN ") && line.contains(": RUST_LOG: ");
        assert_eq!(log.lines().any(is_warning), !level.is_empty(), "{log}");
    }
}

#[test]
fn an_https_origin_without_tls_and_without_proxies_is_noted() {
    // N11
    let place = sound_place();
    place.rotate(&[]);
    let note = "note: server.trusted_proxies (default): an origin is https://";
    for (lines, is_noted) in [
        ("", true),
        ("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n", false),
        (
            "[frontend.shop]\norigin = \"http://localhost:8080\"\n",
            false,
        ),
    ] {
        let outcome = check(&place, lines);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(
            outcome.stdout.contains(note),
            is_noted,
            "{lines}: {}",
            outcome.stdout
        );
    }
}
