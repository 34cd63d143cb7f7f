//! The refresh: ahead of time, once, and never at the cost of the session.

use std::time::Duration;

use sealgate::demo::idp::{Fault, Faults, IdTokenFault, Rotation, TokenFault};
use serde_json::json;

use crate::support::{Browser, TestBff};

const SECOND: Duration = Duration::from_secs(1);

fn bearer_of_last_call(bff: &TestBff) -> String {
    bff.api
        .requests()
        .pop()
        .unwrap()
        .header("authorization")
        .unwrap()
        .to_owned()
}

fn call(browser: &mut Browser) -> u16 {
    browser.fetch("GET", "/api/echo/x").status
}

#[test]
fn a_token_is_refreshed_ahead_of_its_end_and_not_before() {
    // A24, B34: lifetime 300 s, refresh_ahead 60 s = a fifth
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    call(&mut browser);
    let first = bearer_of_last_call(&bff);
    let cookie = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    bff.clock.advance(SECOND * 230);
    call(&mut browser);
    assert_eq!(bearer_of_last_call(&bff), first);
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(
        browser.cookie("__Host-Http-shop").unwrap().value,
        cookie,
        "G9: no other write"
    );
    bff.clock.advance(SECOND * 20);
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_ne!(
        bearer_of_last_call(&bff),
        first,
        "the new token goes upstream at once"
    );
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "D27");
    assert_ne!(browser.cookie("__Host-Http-shop").unwrap().value, cookie);
    for _ in 0..3 {
        // Three rotations in a row: each time the newest refresh token is the one that is spent.
        bff.clock.advance(SECOND * 290);
        assert_eq!(call(&mut browser), 200);
    }
    assert_eq!(bff.token_calls("refresh_token"), 4);
}

#[test]
fn the_old_refresh_token_stays_when_none_comes() {
    // B34
    let bff = TestBff::with(|setup| setup.rotation = Rotation::Reuse);
    bff.idp.faults().inject(0, TokenFault::DropConnection);
    let mut browser = bff.signed_in();
    for n in 1..=3 {
        bff.idp
            .faults()
            .inject(1, TokenFault::Without("refresh_token"));
        bff.clock.advance(SECOND * 290);
        assert_eq!(call(&mut browser), 200);
        assert_eq!(bff.token_calls("refresh_token"), n);
    }
}

#[test]
fn parallel_requests_at_the_end_of_a_token_make_one_token_call() {
    // G4, G5
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    let cookies = browser.api_cookie_line("/api/echo");
    let addr = bff.addr;
    let threads: Vec<_> = (0..20)
        .map(|n| {
            let cookies = cookies.clone();
            std::thread::spawn(move || {
                crate::support::Request::new("GET", &format!("/api/echo/{n}"))
                    .header("host", "shop.test")
                    .header("x-csrf", "1")
                    .header("cookie", &cookies)
                    .send(addr)
            })
        })
        .collect();
    for thread in threads {
        let answer = thread.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer
                .headers("set-cookie")
                .iter()
                .any(|line| line.starts_with("__Host-Http-shop=")),
            "everyone who waited gets the new session"
        );
    }
    assert_eq!(bff.token_calls("refresh_token"), 1);
    // And so does one who comes late with the old cookie.
    let late = crate::support::Request::new("GET", "/api/echo/late")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &cookies)
        .send(addr);
    assert_eq!(late.status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn a_client_that_hangs_up_loses_no_refresh_token() {
    // G8
    use std::io::Write as _;
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    let cookies = browser.api_cookie_line("/api/echo");
    let mut stream = std::net::TcpStream::connect(bff.addr).unwrap();
    write!(
        stream,
        "GET /api/echo HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\n\r\n"
    )
    .unwrap();
    std::thread::sleep(SECOND / 5);
    drop(stream);
    std::thread::sleep(SECOND);
    assert_eq!(call(&mut browser), 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn while_the_access_token_lives_a_failed_refresh_costs_nothing() {
    // G6
    for fault in [
        TokenFault::Answer {
            status: 500,
            body: String::new(),
        },
        TokenFault::InvalidGrant,
        TokenFault::TruncatedJson,
        TokenFault::DropConnection,
    ] {
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        let cookie = browser.cookie("__Host-Http-shop").unwrap().value.clone();
        bff.clock.advance(SECOND * 250);
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, Fault::Token(fault.clone()));
        let answer = browser.fetch("GET", "/api/echo/x");
        assert_eq!(answer.status, 200, "{fault:?}");
        assert!(
            !answer
                .headers("set-cookie")
                .iter()
                .any(|line| line.starts_with("__Host-Http-shop=")),
            "{fault:?}: no session cookie is written"
        );
        assert_eq!(browser.cookie("__Host-Http-shop").unwrap().value, cookie);
    }
}

#[test]
fn a_provider_that_is_down_ends_no_session() {
    // B40
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(
        Faults::ALWAYS,
        TokenFault::Answer {
            status: 503,
            body: String::new(),
        },
    );
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "identity-provider-unavailable")
    );
    assert!(answer.header("retry-after").is_some());
    assert!(answer.headers("set-cookie").is_empty(), "cookies are kept");
    bff.idp.faults().clear();
    assert_eq!(call(&mut browser), 200);
}

#[test]
fn a_refused_refresh_token_is_a_conflict_first_and_the_end_when_it_comes_again() {
    // A26, G7
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let first = browser.fetch("GET", "/api/echo/x");
    assert_eq!(
        (first.status, first.problem().as_str()),
        (401, "session-refresh-conflict")
    );
    assert_eq!(first.header("retry-after"), Some("0"));
    assert!(
        first.headers("set-cookie").is_empty(),
        "nothing is deleted the first time"
    );
    let second = browser.fetch("GET", "/api/echo/x");
    assert_eq!(second.problem(), "login-required");
    assert!(browser.cookie("__Host-Http-shop").is_none());
    assert_eq!(
        bff.token_calls("refresh_token"),
        1,
        "a spent token is not presented again"
    );
}

#[test]
fn another_users_id_token_after_a_refresh_ends_the_session() {
    // B35
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 290);
    bff.idp
        .faults()
        .inject(1, IdTokenFault::Claim("sub", json!("mallory")));
    assert_eq!(
        browser.fetch("GET", "/api/echo/x").problem(),
        "login-required"
    );
    assert!(browser.cookie("__Host-Http-shop").is_none());
}

#[test]
fn a_refresh_never_stretches_the_session() {
    // F1, B36, C14
    let bff = TestBff::with(|setup| {
        setup.session = "absolute_timeout = \"1h\"\nidle_timeout = \"30m\"".to_owned();
    });
    let mut browser = bff.signed_in();
    for _ in 0..11 {
        bff.clock.advance(SECOND * 300);
        assert_eq!(call(&mut browser), 200);
    }
    let old = browser.api_cookie_line("/api/echo");
    bff.clock.advance(SECOND * 301);
    assert_eq!(
        browser.fetch("GET", "/api/echo/x").problem(),
        "login-required"
    );
    assert!(
        browser.cookie("__Host-Http-shop").is_none(),
        "the cookies are cleared"
    );
    let replay = crate::support::Request::new("GET", "/api/echo/x")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &old)
        .send(bff.addr);
    assert_eq!(replay.problem(), "login-required");
}

#[test]
fn a_session_at_rest_ends() {
    // F2, A23
    let bff = TestBff::with(|setup| setup.session = "idle_timeout = \"10m\"".to_owned());
    let mut browser = bff.signed_in();
    for _ in 0..5 {
        bff.clock.advance(SECOND * 500);
        assert_eq!(
            browser.fetch("GET", "/bff/user").status,
            200,
            "use keeps it alive"
        );
    }
    let mut polling = bff.signed_in();
    for _ in 0..2 {
        bff.clock.advance(SECOND * 290);
        assert_eq!(polling.fetch("GET", "/bff/user?slide=false").status, 200);
        assert_eq!(polling.fetch("GET", "/bff/session").json()["active"], true);
    }
    bff.clock.advance(SECOND * 30);
    assert_eq!(
        polling.fetch("GET", "/bff/user?slide=false").problem(),
        "login-required"
    );
}

#[test]
fn requests_sent_beside_a_conflict_do_not_end_the_session() {
    // G7
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let cookies = browser.api_cookie_line("/api/echo");
    let addr = bff.addr;
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let cookies = cookies.clone();
            std::thread::spawn(move || {
                crate::support::Request::new("GET", "/api/echo")
                    .header("host", "shop.test")
                    .header("x-csrf", "1")
                    .header("cookie", &cookies)
                    .send(addr)
            })
        })
        .collect();
    for thread in threads {
        let answer = thread.join().unwrap();
        assert_eq!(answer.problem(), "session-refresh-conflict");
        assert!(
            answer.headers("set-cookie").is_empty(),
            "nothing is deleted"
        );
    }
    let again = browser.fetch("GET", "/api/echo");
    assert_eq!(again.problem(), "login-required");
    assert!(
        browser
            .cookie_names()
            .iter()
            .all(|name| !name.ends_with("-out")),
        "another replica's answer may still win"
    );
}
