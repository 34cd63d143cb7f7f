//! A refresh whose answer never comes: the provider may have spent the refresh token, or never have seen it (G8).

use std::time::Duration;

use sealgate::demo::idp::{Faults, Rotation, TokenFault};

use crate::support::{Browser, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

const AUTO: &str = "repeat_refresh = \"auto\"";

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

fn bff(rotation: Rotation, oidc: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.rotation = rotation;
        setup.oidc = oidc.to_owned();
    })
}

/// One refresh that goes well: the provider shows whether it rotates.
fn refresh_once(bff: &TestBff, browser: &mut Browser) {
    bff.clock.advance(SECOND * 301);
    assert_eq!(call(browser).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

/// Answers after which nobody knows whether the refresh token is spent. With each of them it is.
fn lost() -> [TokenFault; 2] {
    [TokenFault::DropConnection, TokenFault::TruncatedJson]
}

/// A refresh that is due, whose answer is lost: what the request is told that wanted it.
fn lose_one(bff: &TestBff, browser: &mut Browser, how: &TokenFault) -> (u16, String) {
    refresh_once(bff, browser);
    bff.clock.advance(SECOND * 301);
    bff.idp.faults().inject(1, how.clone());
    let told = call(browser);
    // Nothing is deleted. That a refresh was refused may be marked.
    let is_mark = |line: &&str| line.starts_with("__Host-Http-shop-out=") && !line.contains("=;");
    let written = told.headers("set-cookie");
    assert!(written.iter().all(is_mark), "{how:?}: {written:?}");
    assert_eq!(bff.token_calls("refresh_token"), 2, "{how:?}: one call");
    (told.status, told.problem())
}

#[test]
fn told_to_mind_rotation_a_token_that_may_be_spent_is_not_presented_again() {
    // G8, G7
    for fault in lost() {
        let bff = bff(Rotation::Rotate, AUTO);
        let mut browser = bff.signed_in();
        let (status, told) = lose_one(&bff, &mut browser, &fault);
        let conflict = (401, "session-refresh-conflict");
        assert_eq!((status, told.as_str()), conflict, "{fault:?}");
        bff.clock.advance(SECOND * 30);
        let second = call(&mut browser);
        assert_eq!(second.problem(), "login-required", "{fault:?}");
        assert!(browser.cookie("__Host-Http-shop").is_none(), "{fault:?}");
        assert_eq!(bff.token_calls("refresh_token"), 2, "{fault:?}: no retry");
        bff.log_in(&mut browser, "/bff/login");
        assert_eq!(call(&mut browser).status, 200, "its family still lives");
    }
}

#[test]
fn a_token_that_is_not_rotated_is_presented_again_by_the_next_request() {
    // G8: with reuse nothing is spent, and without a second call the session would be lost
    for fault in lost() {
        let bff = bff(Rotation::Reuse, AUTO);
        let mut browser = bff.signed_in();
        let (status, told) = lose_one(&bff, &mut browser, &fault);
        let outage = (503, "identity-provider-unavailable");
        assert_eq!((status, told.as_str()), outage, "{fault:?}");
        assert_eq!(call(&mut browser).status, 200, "{fault:?}");
        assert_eq!(bff.token_calls("refresh_token"), 3, "{fault:?}");
    }
}

#[test]
fn the_configuration_may_forbid_a_second_presentation_and_by_default_it_takes_place() {
    // G8
    let strict = bff(Rotation::Reuse, "repeat_refresh = \"never\"");
    let mut browser = strict.signed_in();
    strict.clock.advance(SECOND * 301);
    strict.idp.faults().inject(1, TokenFault::DropConnection);
    assert_eq!(call(&mut browser).problem(), "session-refresh-conflict");
    assert_eq!(call(&mut browser).problem(), "login-required");
    assert_eq!(strict.token_calls("refresh_token"), 1);

    let lenient = bff(Rotation::RotateWithLeeway(SECOND * 30), "");
    let mut browser = lenient.signed_in();
    refresh_once(&lenient, &mut browser);
    lenient.clock.advance(SECOND * 301);
    lenient.idp.faults().inject(1, TokenFault::DropConnection);
    assert_eq!(
        call(&mut browser).problem(),
        "identity-provider-unavailable"
    );
    lenient.clock.advance(SECOND * 10);
    assert_eq!(call(&mut browser).status, 200, "within the leeway");
}

#[test]
fn a_refusal_to_connect_and_an_error_answer_leave_the_token_good() {
    // G8, B40: nothing was processed, so nothing is spent, whatever the provider does with tokens
    let mut bff = bff(Rotation::Rotate, "");
    let mut browser = bff.signed_in();
    refresh_once(&bff, &mut browser);
    bff.clock.advance(SECOND * 301);
    for status in [500, 502, 503, 429] {
        let body = String::new();
        bff.idp
            .faults()
            .inject(1, TokenFault::Answer { status, body });
        assert_eq!(
            call(&mut browser).problem(),
            "identity-provider-unavailable",
            "{status}"
        );
    }
    assert_eq!(call(&mut browser).status, 200);
    bff.clock.advance(SECOND * 301);
    bff.idp.stop();
    for _ in 0..2 {
        let refused = call(&mut browser);
        assert_eq!(refused.problem(), "identity-provider-unavailable");
        assert!(refused.headers("set-cookie").is_empty());
    }
}

#[test]
fn inside_the_ahead_window_a_lost_answer_is_not_felt() {
    // G6, G8
    let bff = bff(Rotation::Rotate, AUTO);
    let mut browser = bff.signed_in();
    refresh_once(&bff, &mut browser);
    bff.clock.advance(SECOND * 280);
    bff.idp
        .faults()
        .inject(Faults::ALWAYS, TokenFault::DropConnection);
    let cookie = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    for _ in 0..4 {
        let answer = call(&mut browser);
        assert_eq!(answer.status, 200);
        assert_eq!(browser.cookie("__Host-Http-shop").unwrap().value, cookie);
        bff.clock.advance(SECOND * 4);
    }
    assert_eq!(bff.token_calls("refresh_token"), 2, "presented once");
    bff.clock.advance(SECOND * 10);
    assert_eq!(call(&mut browser).problem(), "session-refresh-conflict");
    assert_eq!(bff.token_calls("refresh_token"), 2);
}
