//! The refresh: ahead of time, once, and never at the cost of the session.

use std::time::Duration;

use sealgate::demo::idp::{Fault, Faults, IdTokenFault, Rotation, TokenFault};
use serde_json::json;

use crate::support::process::eventually;
use crate::support::{Browser, Request, Response, TestBff};

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
    // A24, B34, G11: lifetime 300 s, refresh_ahead 60 s = a fifth, of which each session uses half or more
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
    bff.clock.advance(SECOND * 45);
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
        bff.clock.advance(SECOND * 275);
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
    // A26, G7: where another replica may have spent it
    let bff = TestBff::spawn();
    let replica = bff.replica();
    let mut browser = bff.signed_in();
    browser.resolve("shop.test", replica.addr);
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let first = browser.fetch("GET", "/api/echo/x");
    assert_eq!(
        (first.status, first.problem().as_str()),
        (401, "session-refresh-conflict")
    );
    assert_eq!(first.header("retry-after"), Some("0"));
    assert!(
        browser.cookie("__Host-Http-shop").is_some(),
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
    // G7: at a replica that did not get their refresh token itself
    let bff = TestBff::spawn();
    let replica = bff.replica();
    let mut browser = bff.signed_in();
    browser.resolve("shop.test", replica.addr);
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let cookies = browser.api_cookie_line("/api/echo");
    let addr = replica.addr;
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
        let written = answer.headers("set-cookie");
        assert!(
            written
                .iter()
                .all(|line| line.starts_with("__Host-Http-shop-out=")),
            "nothing is deleted: {written:?}"
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

#[test]
fn a_slow_answer_that_began_before_a_refresh_does_not_roll_it_back() {
    // G9
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    // So that `-seen` is due as well.
    bff.clock.advance(SECOND * 200);
    let mut slow = bff.browser();
    slow.jar = browser.jar.clone();
    let answer = std::thread::scope(|scope| {
        let slow = scope.spawn(move || slow.fetch("GET", "/api/root/slow?ms=3000"));
        while bff.api_calls() == 0 {
            std::thread::sleep(SECOND / 100);
        }
        bff.clock.advance(SECOND * 101);
        assert_eq!(call(&mut browser), 200);
        assert_eq!(bff.token_calls("refresh_token"), 1);
        slow.join().unwrap()
    });
    assert_eq!(answer.status, 200);
    let written = answer.headers("set-cookie");
    assert!(
        written
            .iter()
            .all(|line| line.starts_with("__Host-Http-shop-seen=")),
        "activity only: {written:?}"
    );
    assert_eq!(call(&mut browser), 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn a_session_that_the_provider_has_ended_dies_with_its_access_token() {
    // G1, A26, V10: no sooner, and no later
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.idp.sign_off_all();
    bff.clock.advance(SECOND * 299);
    assert_eq!(call(&mut browser), 200);
    bff.clock.advance(SECOND);
    let first = browser.fetch("GET", "/api/echo/x");
    assert_eq!(first.problem(), "login-required");
    assert_eq!(browser.fetch("GET", "/bff/session").json()["active"], false);
    assert_eq!(
        bff.token_calls("refresh_token"),
        1,
        "the refusal is remembered"
    );
}

#[test]
fn while_nobody_needs_new_tokens_an_outage_is_not_hammered() {
    // G6, B40: five seconds of rest, until the access token has ended
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 280);
    let (status, body) = (503, String::new());
    bff.idp
        .faults()
        .inject(Faults::ALWAYS, TokenFault::Answer { status, body });
    for (after, calls) in [(0, 1), (4, 1), (1, 2), (4, 2), (1, 3)] {
        bff.clock.advance(SECOND * after);
        assert_eq!(call(&mut browser), 200);
        assert_eq!(call(&mut browser), 200);
        assert_eq!(bff.token_calls("refresh_token"), calls);
    }
    bff.clock.advance(SECOND * 10);
    for calls in [4, 5] {
        assert_eq!(call(&mut browser), 503, "each request that needs it asks");
        assert_eq!(bff.token_calls("refresh_token"), calls);
    }
}

#[test]
fn each_session_is_refreshed_at_its_own_moment_and_expiry_is_never_seen_upstream() {
    // G11: lifetime 300 s, refresh_ahead 60 s: between 240 and 270 s, the same for every refresh of a session
    let bff = TestBff::spawn();
    let mut browsers: Vec<Browser> = (0..5).map(|_| bff.signed_in()).collect();
    let mut moments = vec![Vec::new(); browsers.len()];
    let mut last = vec![0; browsers.len()];
    for at in 1..=560_u64 {
        bff.clock.advance(SECOND);
        if !(230..=280).contains(&(at % 300)) && at < 470 {
            continue;
        }
        for (n, browser) in browsers.iter_mut().enumerate() {
            let before = bff.token_calls("refresh_token");
            assert_eq!(call(browser), 200);
            if bff.token_calls("refresh_token") > before {
                moments[n].push(at - last[n]);
                last[n] = at;
            }
        }
    }
    for of_session in &moments {
        let [first, second] = of_session[..] else {
            panic!("two refreshes: {moments:?}")
        };
        assert!((240..=270).contains(&first), "{moments:?}");
        assert_eq!(first, second, "{moments:?}");
    }
    let first = &moments[0];
    assert!(moments.iter().any(|other| other != first), "{moments:?}");
}

#[test]
fn a_refresh_that_fails_after_the_end_of_its_token_lets_nothing_through() {
    // G6, G7, B40: it began while the token lived; its answer came when the token had ended
    for (fault, problem) in [
        (TokenFault::InvalidGrant, "session-refresh-conflict"),
        (
            TokenFault::Answer {
                status: 503,
                body: String::new(),
            },
            "identity-provider-unavailable",
        ),
    ] {
        let bff = TestBff::spawn();
        let browser = bff.signed_in();
        bff.clock.advance(SECOND * 295);
        bff.idp.faults().inject(1, TokenFault::Delay(SECOND));
        bff.idp.faults().inject(1, fault);
        let call = Request::new("GET", "/api/echo")
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .header("cookie", &browser.api_cookie_line("/api/echo"));
        let asking = [(); 3].map(|()| call.begin(bff.addr));
        eventually("the token call", || {
            (bff.token_calls("refresh_token") == 1).then_some(())
        });
        bff.clock.advance(SECOND * 6);
        for stream in asking {
            assert_eq!(Response::receive(stream, "GET").problem(), problem);
        }
        assert_eq!(bff.api_calls(), 0, "no ended token goes upstream");
        assert_eq!(bff.token_calls("refresh_token"), 1);
    }
}
