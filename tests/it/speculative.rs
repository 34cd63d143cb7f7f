//! Loads that run ahead of what the person does: they are served where that changes nothing (D44).

use std::time::Duration;

use crate::support::{Browser, Initiator, Request, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

/// What browsers send, and have sent.
const SIGNS: [(&str, &str); 6] = [
    ("sec-purpose", "prefetch"),
    ("sec-purpose", "prefetch;prerender"),
    ("sec-purpose", "prerender"),
    ("purpose", "prefetch"),
    ("x-moz", "prefetch"),
    ("x-purpose", "preview"),
];

/// What a page's `<link rel=prefetch>` makes the browser send.
fn prefetch(browser: &mut Browser, path: &str, (name, value): (&str, &str)) -> Response {
    let request = Request::new("GET", path)
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "no-cors")
        .header("sec-fetch-dest", "empty")
        .header(name, value);
    browser.send_bare(request)
}

/// What a speculation rule makes it send: a navigation ahead of time.
fn prerender(browser: &mut Browser, path: &str, (name, value): (&str, &str)) -> Response {
    let request = Request::new("GET", path)
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header(name, value);
    browser.send_bare(request)
}

#[test]
fn they_spend_no_refresh_token() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/api/echo");
    bff.clock.advance(SECOND * 290);
    for sign in SIGNS {
        for path in ["/api/echo/x", "/api/maybe"] {
            let answer = prefetch(&mut browser, path, sign);
            assert_eq!(answer.status, 200, "{sign:?}: while its token lives");
            assert!(answer.headers("set-cookie").is_empty(), "{sign:?}");
        }
    }
    let calls = bff.api_calls();
    bff.clock.advance(SECOND * 11);
    for sign in SIGNS {
        for path in ["/api/echo/x", "/api/maybe"] {
            let answer = prefetch(&mut browser, path, sign);
            assert_eq!(answer.status, 503, "{sign:?}");
            assert_eq!(answer.problem(), "bad-request");
            assert!(answer.header("retry-after").is_some());
            assert!(answer.headers("set-cookie").is_empty(), "{sign:?}");
        }
    }
    assert_eq!(bff.api_calls(), calls, "no ended token goes upstream");
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(browser.api_cookie_line("/api/echo"), cookies);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200, "for real");
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn they_spend_none_for_a_token_that_an_api_refuses() {
    // D21
    let upstream = crate::support::upstream::RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let tables = upstream.route("");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    assert_eq!(prefetch(&mut browser, "/raw", SIGNS[0]).status, 401);
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(browser.fetch("GET", "/raw").status, 401);
    assert_eq!(bff.token_calls("refresh_token"), 1, "what is meant does");
}

#[test]
fn they_are_no_activity() {
    // F2
    let bff = TestBff::with(|setup| setup.session = "idle_timeout = \"200s\"".to_owned());
    let mut browser = bff.signed_in();
    for sign in SIGNS {
        bff.clock.advance(SECOND * 30);
        for path in ["/api/echo/x", "/bff/user", "/bff/session"] {
            let answer = prefetch(&mut browser, path, sign);
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.headers("set-cookie").is_empty(), "{path}");
        }
    }
    bff.clock.advance(SECOND * 21);
    let over = browser.fetch("GET", "/bff/user");
    assert_eq!(over.problem(), "login-required");
}

#[test]
fn they_begin_no_login() {
    // B21
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for sign in SIGNS {
        let answer = prerender(&mut browser, "/bff/login", sign);
        assert_eq!(answer.status, 400, "{sign:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // Its parent page waits for a message.
        let answer = prerender(&mut browser, "/bff/silent-login", sign);
        assert_eq!(answer.status, 200, "{sign:?}");
        assert!(answer.text().contains("isLoggedIn:false"), "{sign:?}");
    }
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    assert_eq!(
        bff.metric("sealgate_logins_total{frontend=\"shop\",result=\"started\"}"),
        0
    );
    bff.log_in(&mut browser, "/bff/login");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
}

#[test]
fn they_redeem_no_code_and_lead_to_no_error_page() {
    // B21
    for frontend in ["", "error_page = \"/signin-error\""] {
        let bff = TestBff::with(|setup| setup.frontend = frontend.to_owned());
        let mut browser = bff.browser();
        let form = browser.navigate("/bff/login?returnUrl=/there", Initiator::SameOrigin);
        let names = browser.cookie_names();
        assert_eq!(names.len(), 1, "{names:?}");
        let mut asked = form.chain[1].0.query_pairs();
        let (_, state) = asked.find(|(name, _)| name == "state").unwrap();
        let target = format!("/bff/callback?code=some-code&state={state}");
        for sign in SIGNS {
            let answer = prerender(&mut browser, &target, sign);
            assert_eq!(answer.status, 400, "{sign:?}");
            assert_eq!(answer.header("location"), None);
            assert!(answer.headers("set-cookie").is_empty(), "{sign:?}");
        }
        assert_eq!(bff.token_calls("authorization_code"), 0);
        let visit = bff.fill_in(&mut browser, &form, "alice", "wonderland");
        assert_eq!(
            visit.url.path(),
            "/there",
            "none of these spent the attempt"
        );
    }
}

#[test]
fn they_end_no_session() {
    // B60: a page may let the link to its logout be prerendered
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let claims = browser.fetch("GET", "/bff/user").json();
    let claims = claims.as_array().unwrap();
    let logout = claims.iter().find(|c| c["type"] == "bff:logout_url");
    let logout = logout.unwrap()["value"].as_str().unwrap().to_owned();
    for sign in SIGNS {
        for path in [&*logout, "/bff/logged-out"] {
            assert_eq!(prerender(&mut browser, path, sign).status, 400);
        }
    }
    assert!(bff.revoked().is_empty());
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    browser.navigate(&logout, Initiator::SameOrigin);
    assert_eq!(
        browser.fetch("GET", "/bff/user").problem(),
        "login-required"
    );
}

#[test]
fn other_purposes_are_nobodys_business() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    let answer = prefetch(&mut browser, "/api/echo", ("purpose", "payment"));
    assert_eq!(answer.status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}
