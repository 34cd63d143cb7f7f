//! Who says when a session ends: the configuration, and the provider if it says earlier. Never a cookie's attributes.

use std::time::Duration;

use sealgate::demo::idp::{Faults, IdTokenFault, TokenFault};
use serde_json::{Value, json};

use crate::support::{Browser, NOON, Request, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

fn session(browser: &mut Browser) -> Value {
    browser.fetch("GET", "/bff/session").json()
}

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

/// A client that keeps cookies whatever it is told.
fn replay(bff: &TestBff, cookies: &str, path: &str) -> Response {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", cookies)
        .send(bff.addr)
}

/// Whether these cookies still are a session, to the frontend and, once they are none, to an API too.
fn serves(bff: &TestBff, cookies: &str) -> bool {
    let answer = replay(bff, cookies, "/bff/user?slide=false");
    if answer.status == 200 {
        return true;
    }
    for answer in [answer, replay(bff, cookies, "/api/echo/x")] {
        assert_eq!(answer.problem(), "login-required");
    }
    false
}

fn limited_to(session: &str) -> TestBff {
    TestBff::with(|setup| setup.session = session.to_owned())
}

#[test]
fn a_lifetime_of_the_refresh_token_caps_the_session() {
    // A25: whatever the provider calls it
    for name in [
        "refresh_expires_in",
        "refresh_token_expires_in",
        "refresh_token_timeout",
    ] {
        for value in [json!(1_000), json!("1000")] {
            let bff = TestBff::spawn();
            bff.idp
                .faults()
                .inject(1, TokenFault::With(name, value.clone()));
            let mut browser = bff.signed_in();
            let before = session(&mut browser);
            assert_eq!(before["session_ends_at"], NOON + 1_000, "{name} {value}");
            assert_eq!(before["idle_ends_at"], NOON + 1_000, "{name} {value}");
            assert_eq!(before["refresh_possible"], true);
            let cookies = browser.api_cookie_line("/api/echo");
            bff.clock.advance(SECOND * 999);
            assert_eq!(session(&mut browser)["active"], true);
            bff.clock.advance(SECOND);
            assert_eq!(session(&mut browser), json!({"active": false}));
            assert_eq!(call(&mut browser).problem(), "login-required");
            let replayed = replay(&bff, &cookies, "/api/echo/x");
            assert_eq!(replayed.problem(), "login-required", "{name}");
            assert_eq!(bff.token_calls("refresh_token"), 0, "{name}");
        }
    }
}

#[test]
fn the_smallest_lifetime_wins_and_none_stretches_the_configured_one() {
    // A25, F1
    let bff = limited_to("absolute_timeout = \"1h\"");
    for (name, value) in [
        ("refresh_expires_in", 2_000),
        ("refresh_token_expires_in", 1_500),
        ("refresh_token_timeout", 1_800),
        ("authorization_expires_in", 100_000),
    ] {
        bff.idp
            .faults()
            .inject(1, TokenFault::With(name, json!(value)));
    }
    let mut browser = bff.signed_in();
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 1_500);
    let bff = limited_to("absolute_timeout = \"1h\"");
    bff.idp
        .faults()
        .inject(1, TokenFault::With("refresh_expires_in", json!(100_000)));
    bff.idp.faults().inject(
        1,
        IdTokenFault::Claim("session_expiry", json!(NOON + 100_000)),
    );
    let mut browser = bff.signed_in();
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 3_600);
}

#[test]
fn a_lifetime_that_is_none_caps_nothing() {
    // A25, B33. Keycloak says 0 for a refresh token without an end (`offline_access`).
    for value in [json!(0), json!(-1), json!("soon"), json!(null), json!({})] {
        for name in ["refresh_expires_in", "authorization_expires_in"] {
            let bff = TestBff::spawn();
            bff.idp
                .faults()
                .inject(1, TokenFault::With(name, value.clone()));
            let mut browser = bff.signed_in();
            let session = session(&mut browser);
            assert_eq!(session["session_ends_at"], NOON + 8 * 3600, "{name}");
            assert_eq!(session["refresh_possible"], true, "{name} {value}");
        }
    }
}

#[test]
fn a_lifetime_that_rolls_with_each_refresh_ends_no_session_in_use() {
    // A25: as Keycloak says it, the time its session may rest. F1: the absolute end stays where it was.
    let bff = limited_to("absolute_timeout = \"1h\"");
    bff.idp.faults().inject(
        Faults::ALWAYS,
        TokenFault::With("refresh_expires_in", json!(600)),
    );
    let mut browser = bff.signed_in();
    for n in 1..=11 {
        bff.clock.advance(SECOND * 310);
        assert_eq!(call(&mut browser).status, 200, "{n}");
        let ends = (NOON + n * 310 + 600).min(NOON + 3_600);
        assert_eq!(session(&mut browser)["session_ends_at"], ends, "{n}");
    }
    bff.clock.advance(SECOND * 190);
    assert_eq!(call(&mut browser).problem(), "login-required");
}

#[test]
fn an_end_that_came_with_the_old_refresh_token_goes_with_it() {
    // A25: a new refresh token of which nothing is said; an old one that stays keeps its end.
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, TokenFault::With("refresh_expires_in", json!(600)));
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 310);
    bff.idp
        .faults()
        .inject(1, TokenFault::Without("refresh_token"));
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 610);
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, TokenFault::With("refresh_expires_in", json!(600)));
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 310);
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 8 * 3600);
}

#[test]
fn the_end_of_the_authorization_is_the_end_of_the_session() {
    // A25, B69: hard ends. A later answer may move them earlier, never later.
    let bff = TestBff::spawn();
    bff.idp.faults().inject(
        1,
        TokenFault::With("authorization_expires_in", json!(2_000)),
    );
    let mut browser = bff.signed_in();
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 2_000);
    let cookies_at = |browser: &Browser| browser.api_cookie_line("/api/echo");
    bff.clock.advance(SECOND * 310);
    bff.idp.faults().inject(
        1,
        TokenFault::With("authorization_expires_in", json!(9_000)),
    );
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 2_000);
    bff.clock.advance(SECOND * 310);
    bff.idp
        .faults()
        .inject(1, TokenFault::With("authorization_expires_in", json!(100)));
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 720);
    let cookies = cookies_at(&browser);
    bff.clock.advance(SECOND * 100);
    let calls = bff.token_calls("refresh_token");
    assert_eq!(
        replay(&bff, &cookies, "/api/echo/x").problem(),
        "login-required",
        "though its access token would live on"
    );
    assert_eq!(bff.token_calls("refresh_token"), calls);
}

#[test]
fn session_expiry_in_the_id_token_is_a_hard_end() {
    // B69
    let bff = TestBff::spawn();
    bff.idp.faults().inject(
        1,
        IdTokenFault::Claim("session_expiry", json!(NOON + 2_000)),
    );
    let mut browser = bff.signed_in();
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 2_000);
    bff.clock.advance(SECOND * 310);
    bff.idp
        .faults()
        .inject(1, IdTokenFault::Claim("session_expiry", json!(NOON + 900)));
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(session(&mut browser)["session_ends_at"], NOON + 900);
    bff.clock.advance(SECOND * 590);
    assert_eq!(call(&mut browser).problem(), "login-required");

    // One that is over already begins nothing.
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, IdTokenFault::Claim("session_expiry", json!(NOON)));
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
}

#[test]
fn without_a_refresh_token_none_is_possible_and_the_answer_says_so() {
    // A25: `refresh_possible` tells the truth
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, TokenFault::Without("refresh_token"));
    let mut browser = bff.signed_in();
    assert_eq!(session(&mut browser)["refresh_possible"], false);
    assert_eq!(call(&mut browser).status, 200);
    bff.clock.advance(SECOND * 301);
    assert_eq!(call(&mut browser).problem(), "login-required");

    // One that ends before its access token: good for nothing then, and never presented.
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, TokenFault::With("refresh_expires_in", json!(200)));
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 295);
    assert_eq!(session(&mut browser)["refresh_possible"], false);
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 0);
}

#[test]
fn the_absolute_end_holds_for_a_client_that_keeps_its_cookies_and_a_refresh_token_that_lives() {
    // F1, C14, B36: no Max-Age, no refresh and no activity moves it
    let bff = limited_to("absolute_timeout = \"20m\"\nidle_timeout = \"20m\"");
    let mut browser = bff.signed_in();
    let of_login = browser.api_cookie_line("/api/echo");
    bff.clock.advance(SECOND * 1_190);
    assert_eq!(call(&mut browser).status, 200, "refreshed just before");
    assert_eq!(bff.token_calls("refresh_token"), 1);
    let newest = browser.api_cookie_line("/api/echo");
    assert_ne!(newest, of_login);
    bff.clock.advance(SECOND * 9);
    assert!(serves(&bff, &newest));
    bff.clock.advance(SECOND);
    for cookies in [&newest, &of_login] {
        assert!(!serves(&bff, cookies));
        let inactive = replay(&bff, cookies, "/bff/session");
        assert_eq!(inactive.json(), json!({"active": false}));
    }
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(bff.api_calls(), 1, "nothing went upstream");
}

#[test]
fn the_idle_end_holds_for_a_client_that_keeps_its_cookies() {
    // F2, C14, E14: an old cookie works within its own bounds and no longer
    let bff = limited_to("idle_timeout = \"10m\"");
    let mut browser = bff.signed_in();
    let of_login = browser.api_cookie_line("/api/echo");
    bff.clock.advance(SECOND * 200);
    assert_eq!(call(&mut browser).status, 200);
    let with_seen = browser.api_cookie_line("/api/echo");
    assert!(with_seen.contains("-seen="), "{with_seen}");
    bff.clock.advance(SECOND * 400);
    assert!(serves(&bff, &of_login));
    bff.clock.advance(SECOND);
    assert!(!serves(&bff, &of_login));
    assert!(serves(&bff, &with_seen));
    bff.clock.advance(SECOND * 200);
    assert!(!serves(&bff, &with_seen));
    assert_eq!(bff.token_calls("refresh_token"), 0);
}
