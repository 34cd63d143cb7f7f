//! The mistakes that operators make, as a list. None is silent, and each message says where it is, what is wrong and what
//! to do.
//!
//! Most are rows of `tests/corpus/mistakes.toml`, which `--check` finds. Those that need a neighbour stand here, for
//! `--check --online`. What shows only in a process that serves has its tests elsewhere: certificates in `tls`, clocks in
//! `outages`, sizes of sessions in `login`, addresses in use in `cli`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use serde::Deserialize;
use socket2::{Domain, Socket, Type};

use crate::cli::sound_place;
use crate::support::process::{Outcome, Place, Process, chmod};
use crate::support::upstream::{RawUpstream, tls_upstream};
use crate::support::{ORIGIN, Site};

/// A route beside the sound configuration, so that rows can change one.
const ROUTE: &str = r#"
[upstream.orders]
url = "http://127.0.0.1:1/v1"
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "orders"
"#;

#[derive(Deserialize)]
struct List {
    mistake: Vec<Mistake>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    name: String,
    #[serde(default)]
    lines: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    modes: BTreeMap<String, String>,
    #[serde(default)]
    gone: Vec<String>,
    is: Ending,
    #[serde(rename = "where")]
    place: String,
    says: String,
    #[serde(rename = "do")]
    remedy: String,
    never: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ending {
    Refused,
    Warned,
    Noted,
}

impl Mistake {
    /// What `--check` says of it. `key` is a key file that is fine.
    fn check(&self, key: &(String, String)) -> Outcome {
        let place = sound_place();
        let sound = std::fs::read_to_string(place.path("sealgate.toml")).unwrap();
        place.write("sealgate.toml", &format!("{sound}{ROUTE}"));
        place.write(&format!("keys/{}", key.0), &key.1);
        let mut args = vec!["--check", "-c", "sealgate.toml"];
        if !self.lines.is_empty() {
            place.write("more.toml", &self.lines);
            args.extend(["-c", "more.toml"]);
        }
        for (name, text) in &self.files {
            place.write(name, text);
        }
        for (name, mode) in &self.modes {
            chmod(&place.path(name), u32::from_str_radix(mode, 8).unwrap());
        }
        for name in &self.gone {
            let path = place.path(name);
            let removed = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            removed.unwrap();
        }
        args.extend(self.args.iter().map(String::as_str));
        let mut command = place.sealgate(&args);
        command.envs(&self.env);
        Process::spawn(command).outcome()
    }

    /// What is wrong with what was said, if anything is.
    fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let begins = |output: &str, word: &str| {
            let lines = output.lines().filter(|line| line.starts_with(word));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let (code, said) = match self.is {
            Ending::Refused => (78, vec![outcome.stderr.clone()]),
            Ending::Warned => (0, begins(&outcome.stderr, "warning: ")),
            Ending::Noted => (0, begins(&outcome.stdout, "note: ")),
        };
        let wanted = [&self.place, &self.says, &self.remedy];
        if wanted.iter().any(|words| words.is_empty()) {
            return Err("the row does not tell where, what, and what to do".to_owned());
        }
        // Of several warnings and notes, one is about this.
        let is_named = said
            .iter()
            .any(|said| wanted.iter().all(|words| said.contains(*words)));
        if outcome.code != Some(code) || !is_named {
            return Err(format!("not {code} with {wanted:?}"));
        }
        let stderr = &outcome.stderr;
        if stderr.matches('→').count() > 1 || begins(stderr, "warning: ").len() > 1 {
            return Err("one mistake is said to be more".to_owned());
        }
        let never = self.never.as_ref();
        if never.is_some_and(|never| stderr.contains(never) || outcome.stdout.contains(never)) {
            return Err("a secret is shown".to_owned());
        }
        Ok(())
    }
}

/// A key file: its name and its text.
fn key_file() -> (String, String) {
    let place = Place::new();
    let name = format!("{}.toml", place.rotate(&[]));
    let text = std::fs::read_to_string(place.path(&format!("keys/{name}"))).unwrap();
    (name, text)
}

#[test]
fn no_mistake_in_the_configuration_is_silent() {
    let list = include_str!("../corpus/mistakes.toml");
    let List { mistake: rows } = toml::from_str(list).unwrap();
    assert!(rows.len() >= 130, "{} rows", rows.len());
    let key = key_file();
    let judge = |row: &Mistake| {
        let outcome = row.check(&key);
        let verdict = row.judge(&outcome);
        verdict.map_err(|why| format!("{}: {why}\n{outcome:#?}", row.name))
    };
    // Most of the time the program is being started.
    let faults: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = rows
            .chunks(rows.len().div_ceil(4))
            .map(|rows| scope.spawn(|| rows.iter().filter_map(|row| judge(row).err()).collect()))
            .collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.collect::<Vec<Vec<String>>>().concat()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn the_sound_configuration_of_these_rows_is_sound() {
    let sound = Mistake {
        name: String::new(),
        lines: "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        modes: BTreeMap::new(),
        gone: Vec::new(),
        is: Ending::Noted,
        place: String::new(),
        says: String::new(),
        remedy: String::new(),
        never: None,
    };
    let outcome = sound.check(&key_file());
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
}

/// A certificate that is its own authority.
fn certificate(name: &str, until: i32) -> (rcgen::Certificate, rcgen::KeyPair) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2010, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

/// An address that refuses connections for as long as the socket is held: nobody else can listen there.
fn deaf_address() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// `--check --online` fails at this key, and says these words.
#[track_caller]
fn fails_online(site: &Site, key: &str, words: &[&str]) {
    let outcome = Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
    outcome.assert_refused(1, &[&[key, "→"], words].concat());
}

#[test]
fn an_upstream_that_cannot_be_called_is_named_with_the_cause() {
    let upstream = |lines: &str| Site::with(ORIGIN, "", &format!("[upstream.other]\n{lines}\n"));
    let key = "upstream.other.url";
    let plain = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let (_held, nobody) = deaf_address();
    let nowhere = format!("url = \"http://{nobody}\"");
    fails_online(&upstream(&nowhere), key, &["refused"]);
    fails_online(
        &upstream("url = \"http://no-such-host.invalid\""),
        key,
        &["no-such-host.invalid"],
    );
    // It does not speak TLS.
    let plain = format!("url = \"https://{}\"", plain.addr);
    fails_online(&upstream(&plain), key, &[]);
    for (name, until, ca, word) in [
        ("localhost", 2090, "", "UnknownIssuer"),
        ("other.test", 2090, "ca = \"own.pem\"", "not valid for name"),
        ("localhost", 2020, "ca = \"own.pem\"", "expired"),
    ] {
        let (certificate, its_key) = certificate(name, until);
        let port = tls_upstream(&certificate, &its_key).port();
        let lines = format!("url = \"https://localhost:{port}\"\n{ca}");
        // The file must be there when the configuration is read, not before.
        let site = upstream(&lines);
        site.place.write("own.pem", &certificate.pem());
        fails_online(&site, key, &[word]);
        // It speaks nothing else.
        let plain = upstream(&format!("url = \"http://localhost:{port}\""));
        fails_online(&plain, key, &[]);
    }
}

#[test]
fn a_provider_that_is_not_one_is_named_with_the_cause() {
    let key = "frontend.shop.oidc.issuer";
    // A page where metadata should be: the path of a realm is wrong, or another program answers.
    let answers = |status: &'static str, body: &'static str| {
        let provider = RawUpstream::start(move |mut talk| {
            while talk.head().is_some() {
                let length = body.len();
                talk.say(&format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                ));
            }
        });
        format!("http://{}", provider.addr)
    };
    let nowhere = answers("404 Not Found", "");
    fails_online(&Site::with_issuer(&nowhere), key, &[&nowhere, "404"]);
    let page = answers("200 OK", "<!doctype html>");
    fails_online(&Site::with_issuer(&page), key, &[&page]);
    // It does not speak TLS.
    let tls = page.replace("http:", "https:");
    fails_online(&Site::with_issuer(&tls), key, &[&tls]);
    // Nobody vouches for its certificate.
    let (own, its_key) = certificate("localhost", 2090);
    let untrusted = format!("https://localhost:{}", tls_upstream(&own, &its_key).port());
    let site = Site::with_issuer(&untrusted);
    fails_online(&site, key, &[&untrusted, "UnknownIssuer"]);
    // It is another realm of the same provider.
    let other = answers(
        "200 OK",
        r#"{"issuer": "https://id.test/realms/other", "authorization_endpoint": "https://id.test/a",
            "token_endpoint": "https://id.test/t", "jwks_uri": "https://id.test/k"}"#,
    );
    fails_online(
        &Site::with_issuer(&other),
        key,
        &["https://id.test/realms/other"],
    );
}

/// A provider whose authorization endpoint sends every login to this place.
fn provider_that_sends_logins_to(place: &'static str) -> RawUpstream {
    let json = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let answer = move |path: &str, issuer: &str| match path {
        "/.well-known/openid-configuration" => json(
            "200 OK",
            &format!(
                r#"{{"issuer": "{issuer}", "authorization_endpoint": "{issuer}/auth", "token_endpoint": "{issuer}/token",
                    "jwks_uri": "{issuer}/keys"}}"#
            ),
        ),
        "/keys" => json(
            "200 OK",
            r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        ),
        "/token" => json("400 Bad Request", r#"{"error": "invalid_grant"}"#),
        _ => format!("HTTP/1.1 303 See Other\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n"),
    };
    RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            let mut headers = head.lines().filter_map(|line| line.split_once(": "));
            let (_, host) = headers
                .find(|(name, _)| name.eq_ignore_ascii_case("host"))
                .unwrap();
            let path = head.split(' ').nth(1).unwrap();
            talk.say(&answer(path, &format!("http://{}", host.trim())));
        }
    })
}

#[test]
fn a_redirect_uri_that_the_provider_complains_of_on_its_own_page_is_named() {
    // Ory Hydra redirects to the error page of its operator.
    let provider = provider_that_sends_logins_to("/error?error=invalid_request");
    let site = Site::with_issuer(&format!("http://{}", provider.addr));
    let words = ["error page of its own", "/bff/callback", "invalid_request"];
    fails_online(&site, "frontend.shop.oidc.client_id", &words);
}

#[test]
fn a_provider_that_does_not_say_whether_it_knows_the_redirect_uri_is_told_of() {
    // Spring Authorization Server sends a login that it refuses to its login page.
    let provider = provider_that_sends_logins_to("/login");
    let site = Site::with_issuer(&format!("http://{}", provider.addr));
    let outcome = Process::spawn(site.sealgate(&["--check", "--online"])).outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let note = "note: frontend.shop.oidc.client_id";
    let note = outcome.stdout.lines().find(|line| line.contains(note));
    let callback = format!("{ORIGIN}/bff/callback");
    assert!(
        note.is_some_and(|line| line.contains(&callback)),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_clock_far_from_the_providers_is_named_with_what_sets_it() {
    // Ten years ago. It knows every client, and issued none of the codes that it is sent.
    const DATE: &str = "Sun, 06 Nov 2016 08:49:37 GMT";
    let provider = RawUpstream::start(|mut talk| {
        if let Some(head) = talk.head() {
            let lines = head.to_ascii_lowercase();
            let mut lines = lines.lines();
            let own = lines
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap_or_default();
            let path = head.split([' ', '?']).nth(1).unwrap_or_default();
            let (status, body) = match path {
                "/.well-known/openid-configuration" => (
                    "200 OK",
                    format!(
                        r#"{{"issuer": "http://{own}", "authorization_endpoint": "http://{own}/login",
                        "token_endpoint": "http://{own}/token", "jwks_uri": "http://{own}/keys",
                        "id_token_signing_alg_values_supported": ["ES256"]}}"#
                    ),
                ),
                // RFC 7517 §A.1
                "/keys" => (
                    "200 OK",
                    r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
                        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#
                        .to_owned(),
                ),
                "/token" => (
                    "400 Bad Request",
                    r#"{"error": "invalid_grant"}"#.to_owned(),
                ),
                _ => ("200 OK", String::new()),
            };
            let length = body.len();
            talk.say(&format!(
                "HTTP/1.1 {status}\r\ndate: {DATE}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
        }
    });
    let site = Site::with_issuer(&format!("http://{}", provider.addr));
    let words = ["s apart (the provider's is behind)", "clock_skew", "NTP"];
    fails_online(&site, "frontend.shop.oidc.issuer", &words);
}

#[test]
fn a_store_that_does_not_answer_is_named() {
    let (_held, nobody) = deaf_address();
    let site = Site::with(ORIGIN, "", "[coordination]\nurl = { env = \"STORE\" }\n");
    let mut command = site.sealgate(&["--check", "--online"]);
    command.env("STORE", format!("redis://{nobody}"));
    let outcome = Process::spawn(command).outcome();
    outcome.assert_refused(1, &["coordination.url", "→", "takes writes"]);
}
