//! Who says when a session ends: the configuration, and the provider if it says earlier. Never a cookie's attributes.

use std::time::Duration;

use sealgate::demo::idp::{Faults, IdTokenFault, TokenFault};
use serde_json::{Value, json};

use crate::support::process::eventually;
use crate::support::{Browser, NOON, Request, Response, Site, TestBff};

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

const EITHER: &str = r#"
[frontend.shop.route.either]
path = "/api/either"
upstream = "api"
token = "user_or_client"
"#;

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
    // A25, N1, P04 (envoy#14542): all of it ends with the access token, and says why; `expires_in` named or not
    for nameless in [&[][..], &["expires_in"]] {
        let bff = TestBff::with(|setup| {
            setup.tables = EITHER.to_owned();
        });
        for member in ["refresh_token"].iter().chain(nameless) {
            bff.idp.faults().inject(1, TokenFault::Without(member));
        }
        let mut browser = bff.signed_in();
        let known = session(&mut browser);
        assert_eq!(known["refresh_possible"], false);
        for time in ["session_ends_at", "idle_ends_at", "access_token_expires_at"] {
            assert_eq!(known[time], NOON + 300, "{time}");
        }
        let user = browser.fetch("GET", "/bff/user").json();
        let claims = user.as_array().unwrap();
        let left = claims
            .iter()
            .find(|claim| claim["type"] == "bff:session_expires_in");
        assert_eq!(left.unwrap()["value"], 300);
        bff.clock.advance(SECOND * 299);
        assert_eq!(call(&mut browser).status, 200);
        assert_eq!(session(&mut browser)["active"], true);
        bff.clock.advance(SECOND);
        assert_eq!(session(&mut browser), json!({"active": false}));
        for n in 1..=3 {
            for path in ["/bff/user", "/api/echo/x"] {
                let answer = browser.fetch("GET", path);
                assert_eq!(answer.problem(), "login-required", "{path}");
                let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains("no refresh token"), "{path}: {detail}");
            }
            let impossible = bff.metric("sealgate_refresh_total{result=\"impossible\"}");
            assert_eq!(impossible, n);
        }
        let calls = bff.api_calls();
        for path in ["/api/maybe", "/api/either"] {
            let answer = browser.fetch("GET", path);
            assert_eq!(answer.problem(), "login-required", "F23: {path}");
        }
        assert_eq!(bff.api_calls(), calls);
        bff.clock.advance(SECOND * 8 * 3600);
        call(&mut browser);
        assert!(browser.cookie("__Host-Http-shop").is_none());
    }

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
fn whoever_runs_it_is_told_once_an_hour_why_sessions_are_short() {
    // N1: Entra ID, Auth0 and Okta give no refresh token without `offline_access`
    let site = Site::new();
    let server = site.serve();
    site.idp
        .faults()
        .inject(Faults::ALWAYS, TokenFault::Without("refresh_token"));
    for _ in 0..3 {
        site.signed_in(&server);
    }
    let said = |log: &str| {
        log.lines()
            .filter(|line| line.contains("no refresh token"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines = eventually("the warning", || {
        let lines = said(&server.process.stderr.text());
        (!lines.is_empty()).then_some(lines)
    });
    let [line] = &lines[..] else {
        panic!("once: {lines:?}")
    };
    for part in ["WARN", "offline_access", "shop"] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_stream_ends_with_a_session_that_cannot_be_refreshed() {
    // N1, D37: no request could go on either
    let bff = TestBff::spawn();
    bff.idp
        .faults()
        .inject(1, TokenFault::Without("refresh_token"));
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/api/root");
    let addr = bff.addr;
    let stream = std::thread::spawn(move || {
        Request::new("GET", "/api/root/events")
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .header("cookie", &cookies)
            .send(addr)
    });
    eventually("the stream", || (bff.api_calls() == 1).then_some(()));
    bff.clock.advance(SECOND * 301);
    assert_eq!(stream.join().unwrap().status, 200);
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
