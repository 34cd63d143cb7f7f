//! Coordination and back-channel logout as far as they go without a store. With one: `tests/node/coordination.test.mjs`.

use std::time::{Duration, Instant};

use sealgate::demo::idp::{IdTokenFault, Secret};
use serde_json::json;

use crate::support::process::{Server, eventually};
use crate::support::{Request, Response, Site, TestBff};

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
fn logout_token(site: &Site, server: &Server) -> String {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let faults = site.idp.faults();
    faults.inject(1, IdTokenFault::WithoutClaim("nonce"));
    faults.inject(1, IdTokenFault::Claim("jti", json!("of-the-token")));
    faults.inject(1, IdTokenFault::Claim("events", json!({ event: {} })));
    site.browser(server).log_in("/bff/login");
    let tokens = site.idp.minted_of(Secret::IdToken);
    tokens.last().expect("one was minted").clone()
}

#[cfg(feature = "redis")]
#[test]
fn junk_of_one_address_is_limited_and_a_good_token_never_is() {
    // B65, F17
    let site = site_with("trusted_proxies = [\"127.0.0.0/8\"]", "open");
    let server = site.serve();
    let good = logout_token(&site, &server);
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
