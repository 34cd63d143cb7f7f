//! Coordination and back-channel logout as far as they go without a store. With one: `tests/node/coordination.test.mjs`.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealgate::demo::idp::{DiscoveryFault, EndpointFault, Faults, IdTokenFault, Idp, Secret};
use serde_json::json;

use crate::support::process::{Place, eventually};
use crate::support::{Browser, Request, Response, Site, TestBff, logs};

/// Nobody listens on the port for TCP port multiplexing.
const NOBODY: &str = "redis://:canary-password@127.0.0.1:1/";

fn backchannel(addr: std::net::SocketAddr, body: &str) -> Response {
    Request::new("POST", "/bff/backchannel")
        .header("host", "shop.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send(addr)
}

fn site(on_failure: &str) -> Site {
    site_with("", on_failure)
}

fn site_with(server: &str, on_failure: &str) -> Site {
    let section = "[coordination]\nurl = { file = \"store.url\" }\n";
    let section = format!("{section}on_failure = \"{on_failure}\"");
    let site = Site::with(crate::support::ORIGIN, server, &section);
    site.place.write("store.url", NOBODY);
    site
}

#[test]
fn without_coordination_there_is_no_such_endpoint() {
    // B63
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let answer = backchannel(bff.addr, "logout_token=x");
    assert_eq!((answer.status, &*answer.problem()), (404, "not-found"));
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}

#[cfg(feature = "redis")]
#[test]
fn a_store_that_was_never_there_stops_nobody_when_on_failure_is_open() {
    // G14
    let site = site("open");
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits");
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert_eq!(browser.fetch("GET", "/api/x").problem(), "login-required");
    assert_eq!(server.metric("sealgate_coordination_up"), 0);
    let said = "the store for coordination is not reached";
    let log = eventually("the log", || {
        let log = server.process.stderr.text();
        log.contains(said).then_some(log)
    });
    assert_eq!(log.matches(said).count(), 1, "once, not for each request");
    assert!(!log.contains("canary-password"));
}

#[cfg(feature = "redis")]
#[test]
fn a_store_that_was_never_there_stops_sessions_when_on_failure_is_closed() {
    // G14
    let site = site("closed");
    let server = site.serve();
    let mut browser = site.browser(&server);
    assert_eq!(browser.fetch("GET", "/api/x").problem(), "login-required");
    browser.log_in("/bff/login");
    for path in ["/api/x", "/bff/user", "/bff/session"] {
        let answer = browser.fetch("GET", path);
        assert_eq!(answer.problem(), "identity-provider-unavailable", "{path}");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.headers("set-cookie").is_empty(), "cookies are kept");
    }
    assert!(browser.cookie("__Host-Http-shop").is_some());
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
}

#[cfg(feature = "redis")]
#[test]
fn a_provider_is_never_told_of_a_success_that_was_none() {
    // B63, B65
    let site = site("open");
    let server = site.serve();
    let too_long = format!("logout_token={}", "x".repeat(1024 * 1024));
    for body in [
        "",
        "logout_token=",
        "logout_token=a.b.c",
        "logout_token=x&logout_token=x",
        &too_long,
    ] {
        let answer = backchannel(server.addr, body);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["error"].is_string());
    }
    let refused = "sealgate_coordination_backchannel_total{result=\"refused\"}";
    assert_eq!(server.metric(refused), 5);
    let got = Request::new("GET", "/bff/backchannel").header("host", "shop.test");
    assert_eq!(got.send(server.addr).status, 405);
}

/// A token that this provider signed for this client, as a logout token is: an ID token in which all is so.
#[cfg(feature = "redis")]
fn logout_token(idp: &Idp, mut browser: Browser) -> String {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let faults = idp.faults();
    faults.inject(1, IdTokenFault::WithoutClaim("nonce"));
    faults.inject(1, IdTokenFault::Claim("jti", json!("of-the-token")));
    faults.inject(1, IdTokenFault::Claim("events", json!({ event: {} })));
    browser.log_in("/bff/login");
    let tokens = idp.minted_of(Secret::IdToken);
    tokens.last().expect("one was minted").clone()
}

/// Well-formed, and signed by nobody.
#[cfg(feature = "redis")]
fn unknown_key() -> String {
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let head = part(json!({"alg": "ES256", "kid": "of-nobody"}));
    format!("logout_token={head}.{}.{}", part(json!({})), "A".repeat(86))
}

#[cfg(feature = "redis")]
#[test]
fn junk_of_one_address_is_limited_and_a_good_token_never_is() {
    // B65, F17
    let site = site_with("trusted_proxies = [\"127.0.0.0/8\"]", "open");
    let server = site.serve();
    let good = logout_token(&site.idp, site.browser(&server));
    let from = |address: &str, token: &str| {
        Request::new("POST", "/bff/backchannel")
            .header("host", "shop.test")
            .header("x-forwarded-for", address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"))
            .send(server.addr)
    };
    let is_taken = |address: &str| {
        let answer = from(address, &good);
        // There is no store here, and that it would be asked says that the token is good.
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    };
    // A provider that logs everybody out.
    for _ in 0..150 {
        is_taken("192.0.2.1");
    }
    for _ in 0..100 {
        assert_eq!(from("192.0.2.1", "a.b.c").status, 400);
    }
    // One a second comes back while this goes on.
    let limited = (0..100)
        .map(|_| from("192.0.2.1", "a.b.c"))
        .find(|answer| answer.status != 400)
        .expect("a limit");
    assert_eq!(limited.status, 429);
    assert_eq!(limited.problem(), "rate-limited");
    assert!(limited.header("retry-after").is_some());
    assert_eq!(limited.header("cache-control"), Some("no-store"));
    is_taken("192.0.2.1");
    assert_eq!(from("192.0.2.2", "a.b.c").status, 400, "another address");
}

#[cfg(feature = "redis")]
#[test]
fn junk_does_not_make_a_token_under_a_new_key_junk() {
    // B28, B65
    let begun = logs::install();
    let place = Place::new();
    let url = place.write("store.url", NOBODY);
    let store = format!("[coordination]\nurl = {{ file = {url:?} }}\n");
    let bff = TestBff::with(|setup| setup.tables = store);
    drop(bff.signed_in());
    let answer = backchannel(bff.addr, &unknown_key());
    assert_eq!(answer.json()["error"], "invalid_request");
    bff.idp.rotate_keys().unwrap();
    let good = logout_token(&bff.idp, bff.browser());
    let asked = bff.idp.observed().jwks;
    let of = |result: &str| {
        bff.metric(&format!(
            "sealgate_coordination_backchannel_total{{result=\"{result}\"}}"
        ))
    };
    let said = || {
        let answer = backchannel(bff.addr, &format!("logout_token={good}"));
        assert_eq!(answer.status, 400);
        let said = answer.json();
        assert_eq!(said["error"], "temporarily_unavailable");
        said["error_description"].as_str().unwrap().to_owned()
    };
    assert!(said().contains("no keys"));
    assert_eq!((of("refused"), of("failed")), (1, 1));
    assert_eq!(bff.idp.observed().jwks, asked, "the window is closed");
    bff.clock.advance(Duration::from_secs(30));
    // There is no store here, and that it would be asked says that the token is good.
    assert!(said().contains("the store"));
    assert_eq!(bff.idp.observed().jwks, asked + 1);
    assert_eq!((of("refused"), of("failed")), (1, 2));
    logs::search(begun, |lines| {
        let audit: Vec<&str> = lines
            .lines()
            .filter(|line| line.contains("sealgate::audit back-channel logout"))
            .collect();
        assert_eq!(audit.len(), 3, "{audit:?}");
        assert!(audit[0].contains("no key of the provider fits it"));
        assert!(!audit.concat().contains("ID token"), "{audit:?}");
    });
}

#[cfg(feature = "redis")]
#[test]
fn a_flood_is_not_logged_beyond_the_limit_while_there_are_no_keys_to_tell_it_by() {
    // F17
    let site = site("open");
    let down = DiscoveryFault::Endpoint(EndpointFault::Down);
    site.idp.faults().inject(Faults::ALWAYS, down);
    let server = site.serve();
    let junk = unknown_key();
    for _ in 0..400 {
        let answer = backchannel(server.addr, &junk);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    }
    let log = server.process.stderr.text();
    let lines = log.lines().filter(|line| line.contains("logout")).count();
    assert!((100..300).contains(&lines), "{lines} lines");
}

#[cfg(feature = "redis")]
#[test]
fn a_check_reaches_for_the_store() {
    let site = site("open");
    let check =
        |args: &[&str]| crate::support::process::Process::spawn(site.sealgate(args)).outcome();
    assert_eq!(check(&["--check"]).code, Some(0));
    let online = check(&["--check", "--online"]);
    assert_ne!(online.code, Some(0), "{online:?}");
    let said = format!("{}{}", online.stdout, online.stderr);
    assert!(said.contains("coordination.url"), "{said}");
    assert!(!said.contains("canary-password"), "{said}");
}
