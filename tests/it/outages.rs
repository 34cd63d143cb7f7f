//! The identity provider's bad days: live sessions go on, new logins get a clear page, readiness tells the truth.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sealgate::demo::idp::{DiscoveryFault, EndpointFault, Fault, Faults, IdTokenFault, TokenFault};
use serde_json::json;

use crate::support::{Browser, Initiator, NOON, Request, Response, TestBff, logs};

const SECOND: Duration = Duration::from_secs(1);

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

fn ready(bff: &TestBff) -> String {
    let answer = Request::new("GET", "/readyz")
        .header("host", "localhost")
        .send(bff.admin);
    assert_eq!(answer.status, 200, "the process itself is ready");
    answer.text()
}

/// A sealgate that has not heard of its provider yet, though that is up.
fn before_discovery() -> TestBff {
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    bff.idp.faults().clear();
    bff.clock.advance(SECOND * 60);
    bff
}

/// Everything that can fail answers 503.
fn take_down(bff: &TestBff) {
    let faults = bff.idp.faults();
    let down = EndpointFault::Down;
    faults.inject(Faults::ALWAYS, DiscoveryFault::Endpoint(down));
    faults.inject(Faults::ALWAYS, Fault::Jwks(down));
    faults.inject(Faults::ALWAYS, Fault::Revocation(down));
    let (status, body) = (503, String::new());
    faults.inject(Faults::ALWAYS, TokenFault::Answer { status, body });
}

#[track_caller]
fn assert_clear_page(response: &Response, code: &str) {
    let page = response.text();
    assert!(page.contains(&format!("<code>{code}</code>")), "{page}");
    assert!(!page.contains("oops") && !page.contains("127.0.0.1"));
}

#[test]
fn ten_minutes_without_the_provider_are_not_noticed_by_sessions_with_a_valid_access_token() {
    // B40, G6, G11
    let mut bff = TestBff::with(|setup| {
        setup.access_token_lifetime = SECOND * 900;
    });
    let mut browsers: Vec<Browser> = Vec::new();
    for _ in 0..10 {
        browsers.push(bff.signed_in());
        bff.clock.advance(SECOND * 20);
    }
    bff.idp.stop();
    for _ in 0..20 {
        bff.clock.advance(SECOND * 30);
        for browser in &mut browsers {
            let session = browser.cookie("__Host-Http-shop").unwrap().value.clone();
            assert_eq!(call(browser).status, 200);
            assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
            let after = &browser.cookie("__Host-Http-shop").unwrap().value;
            assert_eq!(*after, session, "G9: nothing changed, nothing is written");
        }
    }
    assert!(ready(&bff).contains("shop: known"));
    // The first of them is the last to have noticed nothing: its access token ends now.
    bff.clock.advance(SECOND * 100);
    let answer = call(&mut browsers[0]);
    assert_eq!(answer.problem(), "identity-provider-unavailable");
    assert!(answer.headers("set-cookie").is_empty());
    assert!(ready(&bff).contains("shop: known, but it did not answer last"));
}

#[test]
fn a_provider_that_goes_down_later_ends_nothing_and_is_taken_up_again() {
    // B40
    let bff = TestBff::spawn();
    let mut old = bff.signed_in();
    assert!(ready(&bff).contains("shop: known\n"));
    take_down(&bff);
    let mut new = bff.browser();
    let visit = bff.log_in(&mut new, "/bff/login");
    assert_eq!(visit.response.status, 503);
    assert_clear_page(&visit.response, "identity-provider-unavailable");
    assert_eq!(new.cookie_names(), Vec::<String>::new());
    assert!(ready(&bff).contains("shop: known, but it did not answer last"));
    // For longer than metadata stays fresh: what was good last is good still.
    bff.clock.advance(SECOND * 290);
    assert_eq!(call(&mut old).status, 200);
    for _ in 0..3 {
        bff.clock.advance(SECOND * 1_500);
        assert_eq!(old.fetch("GET", "/bff/user").status, 200);
        let answer = call(&mut old);
        assert_eq!(answer.problem(), "identity-provider-unavailable");
    }
    bff.idp.faults().clear();
    assert_eq!(call(&mut old).status, 200);
    assert!(ready(&bff).contains("shop: known\n"));
    bff.log_in(&mut new, "/bff/login");
    assert_eq!(call(&mut new).status, 200);
}

#[test]
fn metadata_or_keys_that_cannot_be_read_are_a_clear_page_until_they_can() {
    // B39, B40: 500, truncated, two MiB, and none of it hammered
    let endpoint = |fault| Fault::Discovery(DiscoveryFault::Endpoint(fault));
    let wrong = [
        endpoint(EndpointFault::Status(500)),
        endpoint(EndpointFault::Status(404)),
        endpoint(EndpointFault::Truncated),
        endpoint(EndpointFault::Huge),
        Fault::Discovery(DiscoveryFault::With("issuer", json!("https://evil.test"))),
        Fault::Discovery(DiscoveryFault::IssuerCase),
        Fault::Discovery(DiscoveryFault::IssuerSlash),
        Fault::Discovery(DiscoveryFault::Without("token_endpoint")),
        Fault::Jwks(EndpointFault::Down),
        Fault::Jwks(EndpointFault::Truncated),
        Fault::Jwks(EndpointFault::Huge),
    ];
    for fault in wrong {
        let bff = before_discovery();
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        let asked = bff.idp.observed().discovery;
        for _ in 0..10 {
            let visit = bff.browser().navigate("/bff/login", Initiator::SameOrigin);
            assert_eq!(visit.response.status, 503, "{fault:?}");
            assert_clear_page(&visit.response, "identity-provider-unavailable");
        }
        assert_eq!(bff.idp.observed().discovery, asked + 1, "{fault:?}");
        assert!(ready(&bff).contains("shop: not reached yet"), "{fault:?}");
        bff.idp.faults().clear();
        bff.clock.advance(SECOND * 60);
        bff.signed_in();
    }
}

#[test]
fn a_provider_without_an_answer_holds_up_only_who_needs_it() {
    // B40, A24: the limit of ten seconds is real time here
    let bff = TestBff::spawn();
    let mut waiting = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    let mut other = bff.signed_in();
    let slow = TokenFault::Delay(SECOND * 30);
    bff.idp.faults().inject(1, slow);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| call(&mut waiting));
        for _ in 0..20 {
            assert_eq!(call(&mut other).status, 200);
        }
        assert!(!hanging.is_finished(), "the others were not behind it");
        let answer = hanging.join().unwrap();
        assert_eq!(answer.problem(), "identity-provider-unavailable");
        assert!(answer.headers("set-cookie").is_empty());
    });
    assert_eq!(bff.token_calls("refresh_token"), 1, "G8: not repeated");
    assert_eq!(call(&mut waiting).status, 200);
}

#[test]
fn a_refresh_answered_with_nonsense_costs_the_session_nothing_while_it_may_be_better_next_time() {
    // B33, G6, G8: five MiB, half an answer, no answer; first with a live access token, then without one
    for fault in [
        TokenFault::Answer {
            status: 200,
            body: "x".repeat(5 << 20),
        },
        TokenFault::Answer {
            status: 500,
            body: "oops".to_owned(),
        },
        TokenFault::TruncatedJson,
    ] {
        let bff = TestBff::with(|setup| setup.rotation = sealgate::demo::idp::Rotation::Reuse);
        let mut browser = bff.signed_in();
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        bff.clock.advance(SECOND * 280);
        assert_eq!(call(&mut browser).status, 200, "{fault:?}");
        bff.clock.advance(SECOND * 20);
        let answer = call(&mut browser);
        assert_eq!(answer.problem(), "identity-provider-unavailable");
        assert!(answer.headers("set-cookie").is_empty(), "{fault:?}");
        bff.idp.faults().clear();
        assert_eq!(call(&mut browser).status, 200, "{fault:?}");
    }
}

#[test]
fn a_refresh_whose_whole_answer_is_of_no_use_is_refused_once_as_it_is() {
    // P05b, B33: asked again with the same refresh token it would say the same
    for fault in [
        TokenFault::Without("access_token"),
        TokenFault::With("token_type", json!("DPoP")),
        TokenFault::With("access_token", json!("a\r\nb")),
    ] {
        let bff = TestBff::with(|setup| setup.rotation = sealgate::demo::idp::Rotation::Reuse);
        let mut browser = bff.signed_in();
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        bff.clock.advance(SECOND * 280);
        assert_eq!(call(&mut browser).status, 200, "G6 {fault:?}");
        bff.clock.advance(SECOND * 20);
        let answer = call(&mut browser);
        assert_eq!(answer.problem(), "login-required", "{fault:?}");
        assert!(browser.cookie("__Host-Http-shop").is_none(), "{fault:?}");
        assert_eq!(bff.token_calls("refresh_token"), 1, "{fault:?}");
    }
}

#[test]
fn keys_that_change_before_and_during_use_are_found_with_one_fetch() {
    // B28, B40, V9
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let fetched = bff.idp.observed().jwks;
    bff.idp.rotate_keys().unwrap();
    bff.signed_in();
    assert_eq!(bff.idp.observed().jwks, fetched + 1, "between logins");
    bff.clock.advance(SECOND * 301);
    bff.idp.rotate_keys().unwrap();
    assert_eq!(call(&mut browser).status, 200, "in use, at a refresh");
    assert_eq!(bff.idp.observed().jwks, fetched + 2);
    // A second new key within the window is found, a third is not.
    bff.idp.rotate_keys().unwrap();
    bff.clock.advance(SECOND * 20);
    bff.signed_in();
    assert_eq!(bff.idp.observed().jwks, fetched + 3);
    bff.idp.rotate_keys().unwrap();
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_clear_page(&visit.response, "login-failed");
    assert_eq!(bff.idp.observed().jwks, fetched + 3);
    bff.clock.advance(SECOND * 31);
    bff.signed_in();
    assert_eq!(bff.idp.observed().jwks, fetched + 4);
}

#[test]
fn a_refresh_whose_key_is_not_published_yet_ends_no_session() {
    // B28, B35, B40: keys that changed twice within the window, or while their endpoint is down
    for fault in [None, Some(Fault::Jwks(EndpointFault::Down))] {
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        bff.clock.advance(SECOND * 290);
        bff.idp.rotate_keys().unwrap();
        bff.signed_in();
        bff.idp.rotate_keys().unwrap();
        if let Some(fault) = fault {
            bff.clock.advance(SECOND * 31);
            bff.idp.faults().inject(Faults::ALWAYS, fault);
        }
        assert_eq!(call(&mut browser).status, 200);
        assert_eq!(bff.token_calls("refresh_token"), 1);
        bff.clock.advance(SECOND * 200);
        assert_eq!(call(&mut browser).status, 200, "its tokens were adopted");
        // Unverified, it still has to be about the same person.
        bff.clock.advance(SECOND * 100);
        bff.idp.rotate_keys().unwrap();
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, Fault::Jwks(EndpointFault::Down));
        bff.idp
            .faults()
            .inject(1, IdTokenFault::Claim("sub", json!("mallory")));
        assert_eq!(call(&mut browser).problem(), "login-required");
        assert!(browser.cookie("__Host-Http-shop").is_none());
    }
}

#[test]
fn unknown_keys_cause_two_fetches_and_do_not_disturb_the_others() {
    // B28, V9; a thousand of them are in `oidc::tests::discovery`
    const LOGINS: usize = 200;
    let bff = TestBff::spawn();
    let mut live = bff.signed_in();
    let fetched = bff.idp.observed().jwks;
    bff.idp
        .faults()
        .inject(Faults::ALWAYS, IdTokenFault::UnknownKid);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut browser = bff.browser();
                for _ in 0..LOGINS / 4 {
                    let visit = bff.log_in(&mut browser, "/bff/login");
                    assert_eq!(visit.response.status, 400);
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(refused.into_inner(), LOGINS);
    assert_eq!(
        bff.idp.observed().jwks,
        fetched + 2,
        "two at once, and then one a window"
    );
    bff.idp.faults().clear();
    assert_eq!(call(&mut live).status, 200);
    bff.signed_in();
}

#[test]
fn clocks_may_differ_by_the_configured_skew_and_no_more() {
    // B31, G18
    for (skew, fits, breaks) in [("30s", 30, 31), ("60s", 60, 61), ("0s", 0, 1)] {
        for (name, is_ahead) in [("iat", true), ("nbf", true), ("exp", false)] {
            for (apart, accepted) in [(fits, true), (breaks, false)] {
                let bff = TestBff::with(|setup| {
                    setup.oidc = format!("clock_skew = \"{skew}\"");
                });
                // A token is over at its `exp`, not after it (RFC 7519 §4.1.4).
                let value = if is_ahead {
                    NOON + apart
                } else {
                    NOON + 1 - apart
                };
                bff.idp
                    .faults()
                    .inject(1, IdTokenFault::Claim(name, json!(value)));
                let mut browser = bff.browser();
                bff.log_in(&mut browser, "/bff/login");
                let status = browser.fetch("GET", "/bff/user").status;
                assert_eq!(status == 200, accepted, "{name} {skew} {apart}");
            }
        }
    }
}

#[test]
fn a_clock_far_from_the_providers_is_said_in_the_log() {
    // G18: the demo's HTTP server dates its answers by the machine's clock, the test's stands at a noon
    // Another test's provider may have had the same port before.
    let begun = logs::install();
    let bff = TestBff::spawn();
    bff.signed_in();
    bff.signed_in();
    let issuer = format!("{:?}: its clock and the one here are", bff.idp.issuer());
    let said = logs::search(begun, |lines| {
        assert!(lines.contains(&issuer) && lines.contains("NTP"));
        lines.matches(&issuer).count()
    });
    assert_eq!(said, 1, "once an hour");
}

#[test]
fn a_login_that_fails_by_the_clock_says_what_sets_it() {
    let begun = logs::install();
    let bff = TestBff::spawn();
    let late = json!(NOON + 3600);
    bff.idp.faults().inject(1, IdTokenFault::Claim("iat", late));
    let page = bff.log_in(&mut bff.browser(), "/bff/login");
    let said = "iat is in the future, by the clock here: see that NTP";
    let id = page.response.header("x-request-id").expect("an id");
    logs::search(begun, |lines| {
        let mut lines = lines.lines();
        let line = lines.find(|line| line.contains(id) && line.contains(said));
        assert!(line.is_some(), "one line says why");
    });
}
