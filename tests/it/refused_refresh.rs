//! A refresh that the provider refuses: who is told to sign in, who to try again, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use sealgate::demo::idp::{Faults, Rotation, TokenFault};
use serde_json::{Value, json};

use crate::support::{Browser, NOON, Replica, Request, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

/// They speak of this session, or of nothing that is known.
const OF_THE_SESSION: [&str; 10] = [
    "invalid_grant",
    "invalid_request",
    "invalid_token",
    "access_denied",
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
    "bad_refresh_token",
    "INVALID_GRANT",
];

/// They hit every session at once.
const OF_ALL: [&str; 8] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
];

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

fn session(browser: &mut Browser) -> Value {
    browser.fetch("GET", "/bff/session").json()
}

fn answer(status: u16, body: impl Into<String>) -> TokenFault {
    TokenFault::Answer {
        status,
        body: body.into(),
    }
}

fn error(code: &str) -> String {
    json!({"error": code, "error_description": "no more"}).to_string()
}

/// A session whose access token has ended, at a provider that says this from now on.
fn ended(bff: &TestBff, fault: TokenFault) -> Browser {
    bff.idp.faults().clear();
    let browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(Faults::ALWAYS, fault);
    browser
}

/// The session is over, and the person is told so at once.
#[track_caller]
fn assert_over(bff: &TestBff, browser: &mut Browser, what: &str) {
    let calls = bff.token_calls("refresh_token");
    let first = call(browser);
    assert_eq!(first.problem(), "login-required", "{what}");
    assert_eq!(first.json()["login_url"], "/bff/login", "{what}");
    assert!(browser.cookie("__Host-Http-shop").is_none(), "{what}");
    assert_eq!(bff.token_calls("refresh_token"), calls + 1, "{what}");
    assert_eq!(session(browser), json!({"active": false}), "{what}");
}

/// Nothing is lost, and the session goes on once the provider does.
#[track_caller]
fn assert_outage(bff: &TestBff, browser: &mut Browser, what: &str) {
    for _ in 0..3 {
        let answer = call(browser);
        assert_eq!(answer.problem(), "identity-provider-unavailable", "{what}");
        assert!(answer.headers("set-cookie").is_empty(), "{what}");
    }
    bff.idp.faults().clear();
    assert_eq!(call(browser).status, 200, "{what}");
}

#[test]
fn a_code_that_speaks_of_the_session_ends_it() {
    // P01, lua-resty-openidc#50: 400 `interaction_required` was 503 for ever. V1: so was Dex's `invalid_request`.
    let bff = TestBff::spawn();
    for code in OF_THE_SESSION {
        for status in [400, 401, 403] {
            let mut browser = ended(&bff, answer(status, error(code)));
            assert_over(&bff, &mut browser, &format!("{status} {code}"));
        }
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn a_code_that_hits_every_session_ends_none() {
    // P01, V1: what an operator has to mend, or waiting
    let bff = TestBff::with(|setup| setup.rotation = Rotation::Reuse);
    for code in OF_ALL {
        for status in [400, 401] {
            let mut browser = ended(&bff, answer(status, error(code)));
            assert_outage(&bff, &mut browser, &format!("{status} {code}"));
        }
    }
    for status in [408, 425, 429, 500, 503] {
        let mut browser = ended(&bff, answer(status, error("invalid_grant")));
        assert_outage(&bff, &mut browser, &status.to_string());
    }
}

#[test]
fn a_refusal_without_a_code_is_judged_by_its_status() {
    // V1's kind: what waiting cannot cure is never "try again"
    let bff = TestBff::with(|setup| setup.rotation = Rotation::Reuse);
    for (status, body) in [
        (400, String::new()),
        (400, "<html>Bad Request</html>".to_owned()),
        (400, json!({"error": {"code": "E7"}}).to_string()),
        (413, String::new()),
        (414, String::new()),
        (422, String::new()),
        (431, String::new()),
        (200, error("bad_refresh_token")),
    ] {
        let mut browser = ended(&bff, answer(status, body.clone()));
        assert_over(&bff, &mut browser, &format!("{status} {body}"));
    }
    for status in [302, 401, 403, 404, 405] {
        let mut browser = ended(&bff, answer(status, "<html>"));
        assert_outage(&bff, &mut browser, &status.to_string());
    }
}

#[test]
fn where_another_replica_may_have_spent_it_every_code_is_a_conflict_once_and_then_the_end() {
    // P01, V1, G7: replicas that share nothing but the keys
    let bff = TestBff::spawn();
    let replica = bff.replica();
    for code in OF_THE_SESSION {
        let mut browser = ended(&bff, answer(400, error(code)));
        browser.resolve("shop.test", replica.addr);
        let first = call(&mut browser);
        assert_eq!(first.problem(), "session-refresh-conflict", "{code}");
        assert_eq!(first.header("retry-after"), Some("0"));
        assert_only_marked(&first);
        assert_eq!(session(&mut browser)["active"], true, "{code}");
        let second = call(&mut browser);
        assert_eq!(second.problem(), "login-required", "{code}");
        assert!(browser.cookie("__Host-Http-shop").is_none(), "{code}");
    }
    assert_eq!(
        bff.token_calls("refresh_token"),
        u32::try_from(OF_THE_SESSION.len()).unwrap(),
        "a refused token is not presented again"
    );
}

/// Nothing is deleted: another replica's cookies may be under way.
#[track_caller]
fn assert_only_marked(answer: &Response) {
    let written = answer.headers("set-cookie");
    let is_mark = |line: &&str| line.starts_with("__Host-Http-shop-out=") && !line.contains("=;");
    assert!(
        written.len() == 1 && written.iter().all(is_mark),
        "{written:?}"
    );
}

#[test]
fn the_second_try_is_the_last_whichever_replica_it_reaches() {
    // V1: three replicas that share nothing but the keys, asked in turns
    let bff = TestBff::spawn();
    let (second, third) = (bff.replica(), bff.replica());
    let mut browser = ended(&bff, answer(400, error("invalid_request")));
    let mut beside = bff.browser();
    beside.jar.clone_from(&browser.jar);
    browser.resolve("shop.test", second.addr);
    let first = call(&mut browser);
    assert_eq!(first.problem(), "session-refresh-conflict");
    assert_only_marked(&first);
    browser.resolve("shop.test", third.addr);
    let last = call(&mut browser);
    assert_eq!(last.problem(), "login-required");
    assert!(browser.cookie("__Host-Http-shop").is_none());
    assert_eq!(bff.token_calls("refresh_token"), 1, "not presented again");
    // A request that was sent beside the first one, before its answer, says nothing of it.
    beside.resolve("shop.test", third.addr);
    assert_eq!(call(&mut beside).problem(), "session-refresh-conflict");
    // Signed in again, nothing of that is left to matter.
    bff.idp.faults().clear();
    browser.log_in("/bff/login");
    assert_eq!(call(&mut browser).status, 200);
    bff.clock.advance(SECOND * 301);
    assert_eq!(call(&mut browser).status, 200);
}

#[test]
fn who_won_the_race_serves_even_a_browser_that_was_told_to_try_again() {
    // G5, G7: the winner's answer was cut off, and the second try reaches the winner
    let bff = TestBff::spawn();
    let (winner, loser) = (bff.replica(), bff.replica());
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    let mut cut_off = bff.browser();
    cut_off.jar.clone_from(&browser.jar);
    cut_off.resolve("shop.test", winner.addr);
    assert_eq!(call(&mut cut_off).status, 200);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    browser.resolve("shop.test", loser.addr);
    assert_eq!(call(&mut browser).problem(), "session-refresh-conflict");
    browser.resolve("shop.test", winner.addr);
    assert_eq!(call(&mut browser).status, 200);
}

#[test]
fn a_process_knows_whether_it_alone_could_have_spent_the_token() {
    // V10
    let bff = TestBff::spawn();
    let mut own = bff.signed_in();
    let mut of_a_predecessor = bff.signed_in();
    bff.idp.sign_off_all();
    bff.clock.advance(SECOND * 301);
    let restarted = bff.replica();
    of_a_predecessor.resolve("shop.test", restarted.addr);
    assert_eq!(
        call(&mut of_a_predecessor).problem(),
        "session-refresh-conflict",
        "who had the token before may be there still"
    );
    assert_eq!(call(&mut own).problem(), "login-required");

    // Alone, a second refresh token is as much its own as the first.
    bff.idp.faults().clear();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    assert_eq!(call(&mut browser).status, 200);
    bff.idp.sign_off_all();
    bff.clock.advance(SECOND * 301);
    assert_eq!(call(&mut browser).problem(), "login-required");
}

/// Two replicas spend one token, and the second is refused: it says so, and the first one's cookies win.
#[track_caller]
fn assert_conflict_is_survived(bff: &TestBff, other: SocketAddr, mut browser: Browser) {
    bff.clock.advance(SECOND * 301);
    let mut elsewhere = bff.browser();
    elsewhere.jar.clone_from(&browser.jar);
    elsewhere.resolve("shop.test", other);
    assert_eq!(call(&mut elsewhere).status, 200);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let refused = call(&mut browser);
    assert_eq!(refused.problem(), "session-refresh-conflict");
    assert_only_marked(&refused);
    browser.jar.clone_from(&elsewhere.jar);
    assert_eq!(call(&mut browser).status, 200);
}

#[test]
fn the_first_sign_of_another_replica_makes_a_process_careful() {
    // V10, G7: whatever it got itself may be spent elsewhere from then on
    let bff = TestBff::spawn();
    let replica = bff.replica();
    let browser = bff.signed_in();
    let mut of_the_other = bff.browser();
    of_the_other.resolve("shop.test", replica.addr);
    of_the_other.log_in("/bff/login");
    assert_eq!(call(&mut of_the_other).status, 200);
    of_the_other.resolve("shop.test", bff.addr);
    assert_eq!(call(&mut of_the_other).status, 200);
    assert_conflict_is_survived(&bff, replica.addr, browser);

    // A login that begins at one and ends at the other is such a sign.
    let bff = TestBff::spawn();
    let replica = bff.replica();
    let mut browser = bff.browser();
    browser.resolve("shop.test", replica.addr);
    let form = browser.navigate("/bff/login", crate::support::Initiator::User);
    browser.resolve("shop.test", bff.addr);
    browser.fill_in(&form, "bob", "builder");
    assert_conflict_is_survived(&bff, replica.addr, browser);
}

#[test]
fn what_was_refused_ahead_of_time_shows_in_the_session_s_times() {
    // V10, N1: `/bff/session` and `/bff/user` say what the API routes will do
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.idp.sign_off_all();
    bff.clock.advance(SECOND * 280);
    assert_eq!(session(&mut browser)["refresh_possible"], true);
    assert_eq!(call(&mut browser).status, 200, "the access token lives");
    let known = session(&mut browser);
    assert_eq!(known["refresh_possible"], false);
    assert_eq!(known["session_ends_at"], NOON + 300);
    assert_eq!(known["idle_ends_at"], NOON + 300);
    bff.clock.advance(SECOND * 20);
    assert_eq!(session(&mut browser), json!({"active": false}));
    assert_eq!(
        browser.fetch("GET", "/bff/user").problem(),
        "login-required"
    );
    assert_eq!(call(&mut browser).problem(), "login-required");
    assert_eq!(bff.token_calls("refresh_token"), 1, "not presented again");
}

#[test]
fn a_page_that_calls_now_and_then_is_not_told_to_try_again_each_time() {
    // V1's kind: the refusal is remembered for longer than such a page rests
    let bff = TestBff::with(|setup| setup.session = "idle_timeout = \"2h\"".to_owned());
    let replica = bff.replica();
    let mut browser = ended(&bff, TokenFault::InvalidGrant);
    browser.resolve("shop.test", replica.addr);
    assert_eq!(call(&mut browser).problem(), "session-refresh-conflict");
    bff.clock.advance(SECOND * 3_500);
    assert_eq!(call(&mut browser).problem(), "login-required");
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

/// Sends a call with each of these cookie lines before it reads the first answer.
fn at_once(addr: SocketAddr, cookies: &[String]) -> Vec<Response> {
    let sent = cookies.iter().map(|cookies| {
        Request::new("GET", "/api/echo")
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .header("cookie", cookies)
            .begin(addr)
    });
    let sent: Vec<_> = sent.collect();
    let received = sent.into_iter();
    received
        .map(|stream| Response::receive(stream, "GET"))
        .collect()
}

/// From now on the provider refuses one refresh, and not before all requests of [`at_once`] have come in.
fn refuse_slowly(bff: &TestBff) {
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
}

#[test]
fn requests_that_wait_for_a_refusal_share_it() {
    // V10, G7: who sends several requests at once may have sent one to another replica
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    refuse_slowly(&bff);
    let cookies = browser.api_cookie_line("/api/echo");
    for answer in at_once(bff.addr, &vec![cookies.clone(); 8]) {
        assert_eq!(answer.problem(), "session-refresh-conflict");
        assert_eq!(answer.header("retry-after"), Some("0"));
        assert_only_marked(&answer);
    }
    let again = at_once(bff.addr, &[cookies]);
    assert_eq!(again[0].problem(), "login-required");
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

/// A session that this process made, and that another replica has just refreshed: the cookies before and after.
fn refreshed_elsewhere(bff: &TestBff, other: &Replica) -> (String, Browser) {
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    let old = browser.api_cookie_line("/api/echo");
    browser.resolve("shop.test", other.addr);
    assert_eq!(call(&mut browser).status, 200);
    browser.resolve("shop.test", bff.addr);
    (old, browser)
}

#[test]
fn who_made_the_session_and_loses_the_race_ends_nothing() {
    // G7: nothing has shown this process that there is another
    let bff = TestBff::spawn();
    let other = bff.replica();
    let (old, mut browser) = refreshed_elsewhere(&bff, &other);
    refuse_slowly(&bff);
    for answer in at_once(bff.addr, &vec![old; 8]) {
        assert_eq!(answer.problem(), "session-refresh-conflict");
        assert_only_marked(&answer);
    }
    assert_eq!(call(&mut browser).status, 200);
}

#[test]
fn new_cookies_of_another_replica_that_come_meanwhile_are_a_sign() {
    // G7
    let bff = TestBff::spawn();
    let other = bff.replica();
    let (old, browser) = refreshed_elsewhere(&bff, &other);
    refuse_slowly(&bff);
    let answers = at_once(bff.addr, &[old, browser.api_cookie_line("/api/echo")]);
    assert_eq!(answers[0].problem(), "session-refresh-conflict");
    assert_only_marked(&answers[0]);
    assert_eq!(answers[1].status, 200);
}
