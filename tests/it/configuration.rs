//! Configuration through `--check`, `--print-config` and `--example-config`.

use std::net::TcpListener;

use crate::cli::sound_place;
use crate::support::process::{Place, Process};
use crate::support::site::SECRET;
use crate::support::{ORIGIN, Site};

/// A configuration with one mistake of each kind: syntax of values, unknown names, missing files, impossible pairs.
const MISTAKES: &str = r#"
[server]
shutdwon_delay = "5s"
[upstream.orders]
url = "ftp://orders"
[frontend.shop]
origin = "http://shop.example.com"
[frontend.shop.oidc]
issuer = "https://id.example.com"
client_secret = { file = "missing.secret" }
[frontend.shop.session]
idle_timeout = "soon"
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "nobody"
"#;

const THEIR_KEYS: [&str; 7] = [
    "server.shutdwon_delay (bad.toml:3)",
    "upstream.orders.url (bad.toml:5)",
    "frontend.shop.origin (bad.toml:7)",
    "frontend.shop.oidc.client_id",
    "missing.secret",
    "frontend.shop.session.idle_timeout (bad.toml:12)",
    "frontend.shop.route.orders.upstream (bad.toml:15)",
];

#[test]
fn all_mistakes_are_reported_at_once_before_a_socket_is_bound() {
    let place = Place::new();
    // An attempt to bind it would fail with another code and another message.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    place.write("bad.toml", MISTAKES);
    place.rotate(&[]);
    let mut command = place.sealgate(&["-c", "bad.toml"]);
    command.env("SEALGATE__SERVER__BIND", bind.to_string());
    let outcome = Process::spawn(command).outcome();
    outcome.assert_refused(78, &THEIR_KEYS);
    assert!(
        !outcome.stderr.contains("cannot listen"),
        "{}",
        outcome.stderr
    );
    place
        .run(&["-c", "bad.toml", "--check"])
        .assert_refused(78, &THEIR_KEYS);
    let mut command = place.sealgate(&["--print-config"]);
    command.env("SEALGATE__SERVER__BNID", "127.0.0.1:1");
    Process::spawn(command)
        .outcome()
        .assert_refused(78, &["SEALGATE__SERVER__BNID", "bind"]);
}

#[test]
fn a_missing_file_is_named() {
    let place = sound_place();
    place.rotate(&[]);
    for mode in [&[][..], &["--check"], &["--print-config"]] {
        let args = [&["-c", "sealgate.toml", "-c", "nowhere.toml"], mode].concat();
        place.run(&args).assert_refused(78, &["nowhere.toml"]);
    }
    std::fs::remove_file(place.path("shop.secret")).unwrap();
    place
        .run(&["-c", "sealgate.toml"])
        .assert_refused(78, &["frontend.shop.oidc.client_secret", "shop.secret"]);
    let outcome = place.run(&[]);
    outcome.assert_refused(78, &["frontend"]);
}

#[test]
fn check_reports_mistakes_of_configuration_and_key_ring_together() {
    let place = sound_place();
    place.rotate(&[]);
    let outcome = place.run(&["-c", "sealgate.toml", "--check"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(!outcome.stdout.is_empty());
    std::fs::remove_dir_all(place.path("keys")).unwrap();
    place.write(
        "more.toml",
        "[server]\nbind = \"nowhere\"\nadmin_bind = \"127.0.0.1\"\n",
    );
    let args = ["-c", "sealgate.toml", "-c", "more.toml", "--check"];
    let words = [
        "server.bind (more.toml:2)",
        "server.admin_bind (more.toml:3)",
        "sealgate --rotate-keys",
    ];
    place.run(&args).assert_refused(78, &words);
}

#[test]
fn check_online_reaches_the_neighbours() {
    let mut site = Site::new();
    let check = |site: &Site| Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
    let outcome = check(&site);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    site.idp.stop();
    check(&site).assert_refused(1, &["frontend.shop.oidc.issuer", site.idp.issuer()]);
    site.api.stop();
    check(&site).assert_refused(
        1,
        &[
            "frontend.shop.oidc.issuer",
            "upstream.api.url",
            &site.api.url(),
        ],
    );
    // Without --online the configuration is still valid.
    let outcome = Process::spawn(site.sealgate(&["--check"])).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// `--check --online` with one text of the configuration replaced.
fn check_changed(from: &str, to: &str) -> (Site, crate::support::process::Outcome) {
    let site = Site::new();
    let path = site.place.path("sealgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in\n{text}");
    site.place.write("sealgate.toml", &text.replace(from, to));
    let outcome = Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
    (site, outcome)
}

#[test]
fn check_online_finds_what_fails_at_the_first_login() {
    // The secret is another one.
    let site = Site::new();
    site.place.write("shop.secret", "another-secret\n");
    let outcome = Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
    outcome.assert_refused(1, &["frontend.shop.oidc.client_secret", "invalid_client"]);
    assert!(!outcome.stderr.contains("another-secret"));
    // The redirect URI is not registered: the origin is another one.
    let (_site, outcome) = check_changed(ORIGIN, "https://elsewhere.test");
    outcome.assert_refused(
        1,
        &[
            "frontend.shop.oidc.client_id",
            "https://elsewhere.test/bff/callback",
        ],
    );
    // A scope that the provider does not list is a note.
    let (_site, outcome) = check_changed(
        "[frontend.shop.oidc]\n",
        "[frontend.shop.oidc]\nscopes = [\"openid\", \"nobody.lists.this\"]\n",
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let note = "note: frontend.shop.oidc.scopes";
    let note = outcome.stdout.lines().find(|line| line.contains(note));
    assert!(
        note.unwrap().contains("nobody.lists.this"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn check_online_says_how_an_issuer_is_written() {
    let other = |rest: &str| {
        let site = Site::new();
        let issuer = site.idp.issuer().to_owned();
        let path = site.place.path("sealgate.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let written = format!("{issuer}{rest}");
        let text = text.replace(&format!("\"{issuer}\""), &format!("\"{written}\""));
        site.place.write("sealgate.toml", &text);
        let outcome = Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
        (issuer, outcome)
    };
    // A slash too many.
    let (issuer, outcome) = other("/");
    let named = format!("issuer is {issuer:?} and not \"{issuer}/\"");
    let remedy = "write the issuer exactly as the provider spells it, to the last slash";
    outcome.assert_refused(1, &["frontend.shop.oidc.issuer", &named, remedy]);
    // Another path.
    let (issuer, outcome) = other("/realms/shop");
    let address = format!("{issuer}/realms/shop/.well-known/openid-configuration");
    outcome.assert_refused(1, &["frontend.shop.oidc.issuer", &address, "discovery_url"]);
}

#[test]
fn check_online_shakes_hands_with_upstreams() {
    // N3
    use crate::support::upstream::RawUpstream;
    // Whatever it answers, it is there.
    let failing = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let check = |url: &str| {
        let table = format!("[upstream.other]\nurl = \"{url}\"\n");
        let site = Site::with(ORIGIN, "", &table);
        Process::spawn(site.sealgate(&["--check", "--online"])).outcome()
    };
    let outcome = check(&format!("http://{}", failing.addr));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // It takes connections, and does not speak TLS.
    let url = format!("https://{}", failing.addr);
    check(&url).assert_refused(1, &["upstream.other.url", &url, "write http://"]);
    // It takes connections, and does not speak HTTP.
    let other = RawUpstream::start(|mut talk| talk.say("220 mail ready\r\n"));
    let url = format!("http://{}", other.addr);
    check(&url).assert_refused(1, &["upstream.other.url", &url, "write https://"]);
    // It speaks TLS, with a certificate that nobody here trusts.
    let (site, _) = crate::tls::site();
    let server = site.serve();
    let url = format!("https://localhost:{}", server.addr.port());
    let words = [
        "upstream.other.url",
        "certificate",
        "into upstream.other.ca",
    ];
    check(&url).assert_refused(1, &words);
    // And is asked for something without it.
    let url = format!("http://localhost:{}", server.addr.port());
    check(&url).assert_refused(1, &["upstream.other.url", &url, "write https://"]);
}

#[test]
fn print_config_shows_origins_and_no_secret() {
    // F19
    let place = sound_place();
    place.write(
        "later.toml",
        "[frontend.shop.session]\nidle_timeout = \"10m\"\n",
    );
    let mut command =
        place.sealgate(&["-c", "sealgate.toml", "-c", "later.toml", "--print-config"]);
    command
        .env("SEALGATE__SERVER__BIND", "127.0.0.1:1234")
        .env("OTHER_SECRET", SECRET);
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let origin = |key: &str| {
        let line = outcome.stdout.lines().find(|line| line.starts_with(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in\n{}", outcome.stdout));
        let (value, origin) = line.split_once("  # ").unwrap();
        (value.trim_end().to_owned(), origin.to_owned())
    };
    for (key, value, from) in [
        (
            "server.bind",
            "\"127.0.0.1:1234\"",
            "SEALGATE__SERVER__BIND",
        ),
        ("server.shutdown_delay", "\"5s\"", "default"),
        (
            "frontend.shop.session.idle_timeout",
            "\"10m\"",
            "later.toml:2",
        ),
        (
            "frontend.shop.origin",
            "\"https://shop.example.com\"",
            "sealgate.toml:3",
        ),
        (
            "frontend.shop.oidc.client_secret.file",
            "\"shop.secret\"",
            "sealgate.toml:7",
        ),
    ] {
        let expect = (format!("{key} = {value}"), from.to_owned());
        assert_eq!(origin(key), expect);
    }
    assert!(!outcome.stdout.contains(SECRET) && !outcome.stderr.contains(SECRET));
    assert!(
        outcome.stdout.parse::<toml::Table>().is_ok(),
        "it is TOML again"
    );
}

#[test]
fn the_example_configuration_loads_and_lacks_only_secret_and_key_ring() {
    let place = Place::new();
    let example = place.run(&["--example-config"]);
    assert_eq!(example.code, Some(0), "{}", example.stderr);
    place.write("example.toml", &example.stdout);
    let print = place.run(&["-c", "example.toml", "--print-config"]);
    assert_eq!(print.code, Some(0), "{}", print.stderr);
    let outcome = place.run(&["-c", "example.toml", "--check"]);
    outcome.assert_refused(78, &["SHOP_CLIENT_SECRET", "sealgate --rotate-keys"]);
    assert!(
        outcome.stderr.contains("a mistake"),
        "only one: {}",
        outcome.stderr
    );
    place.rotate(&[]);
    let mut command = place.sealgate(&["-c", "example.toml", "--check"]);
    command.env("SHOP_CLIENT_SECRET", SECRET);
    let outcome = Process::spawn(command).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn files_are_layered_in_order_and_may_come_from_the_environment() {
    let place = sound_place();
    place.write(
        "one.toml",
        "[server]\nworkers = 3\nbind = \"127.0.0.1:1111\"\n",
    );
    place.write("two.toml", "[server]\nworkers = 4\n");
    for (list, workers) in [("one.toml:two.toml", 4), ("two.toml:one.toml", 3)] {
        let mut command = place.sealgate(&["--print-config"]);
        command.env("SEALGATE_CONFIG", format!("sealgate.toml:{list}"));
        let outcome = Process::spawn(command).outcome();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        for line in [
            format!("server.workers = {workers} "),
            "server.bind = \"127.0.0.1:1111\" ".to_owned(),
            "frontend.shop.origin = ".to_owned(),
        ] {
            assert!(outcome.stdout.contains(&line), "{line}: {}", outcome.stdout);
        }
    }
}
