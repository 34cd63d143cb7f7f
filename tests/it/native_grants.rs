//! What an app's OAuth requests must be, and how they are refused: RFC 6749, 7636, 8252, 9207.

use std::time::Duration;

use crate::support::native::{App, REDIRECT_URI, Tokens, form, oauth_error, param};
use crate::support::{Browser, Initiator, Request, TestBff};

const SECOND: Duration = Duration::from_secs(1);
const VERIFIER: &str = "a-verifier-of-the-app-that-is-43-letters-long";

fn refused(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

#[test]
fn without_the_client_and_its_address_nobody_is_sent_anywhere() {
    // RFC 6749 §4.1.2.1, RFC 9700 §4.11
    let bff = TestBff::with_apps("");
    for changes in [
        [("client_id", "")],
        [("client_id", "other")],
        [("client_id", "Shop")],
        [("redirect_uri", "")],
        [("redirect_uri", "https://shop.test/app/cb/")],
        [("redirect_uri", "https://shop.test/app/cb?x=1")],
        [("redirect_uri", "https://evil.test/app/cb")],
        [("redirect_uri", "http://127.0.0.1.evil.test/cb")],
        [("redirect_uri", "http://localhost/cb")],
        [("redirect_uri", "com.example.shop2:/cb")],
    ] {
        let path = App::authorize_path(&changes);
        let visit = bff.browser().navigate(&path, Initiator::User);
        assert_eq!(visit.chain.len(), 1, "{changes:?}");
        assert_eq!(visit.response.status, 400, "{changes:?}");
        assert!(visit.response.text().starts_with("<!doctype html>"));
    }
    let twice = format!(
        "{}&redirect_uri=https%3A%2F%2Fevil.test",
        App::authorize_path(&[])
    );
    assert_eq!(
        bff.browser()
            .navigate(&twice, Initiator::User)
            .response
            .status,
        400
    );
    bff.signed_in();
}

#[test]
fn only_an_app_that_its_address_identifies_signs_in_unseen() {
    // RFC 8252 §8.6
    let bff = TestBff::with_apps("");
    let mut browser = bff.browser();
    App::authorize(&mut browser, &[]);
    let silent = |browser: &mut Browser, uri: &str, prompt: &str| {
        App::authorize(browser, &[("redirect_uri", uri), ("prompt", prompt)])
    };
    for uri in ["com.example.shop:/cb", "http://127.0.0.1:4711/cb"] {
        for prompt in ["none", "none login", " none"] {
            let visit = silent(&mut browser, uri, prompt);
            let error = param(&visit.url, "error");
            assert_eq!(error.as_deref(), Some("interaction_required"), "{uri}");
            assert_eq!(param(&visit.url, "state").as_deref(), Some("app-state"));
            assert!(visit.chain.len() <= 1, "the provider is not asked");
        }
        let visit = App::authorize(&mut browser, &[("redirect_uri", uri)]);
        assert!(param(&visit.url, "code").is_some(), "{uri}: {}", visit.url);
    }
    let visit = silent(&mut browser, REDIRECT_URI, "none");
    assert!(param(&visit.url, "code").is_some(), "{}", visit.url);
}

#[test]
fn an_apps_login_is_a_navigation_that_the_person_sees() {
    let bff = TestBff::with_apps("");
    let ask = |dest: &str, mode: &str| {
        Request::new("GET", &App::authorize_path(&[]))
            .header("host", "shop.test")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("accept", "text/html")
            .send(bff.addr)
    };
    for (dest, mode) in [
        ("iframe", "navigate"),
        ("frame", "navigate"),
        ("object", "navigate"),
        ("embed", "navigate"),
        ("fencedframe", "navigate"),
        ("empty", "cors"),
        ("image", "no-cors"),
        ("script", "no-cors"),
    ] {
        let answer = ask(dest, mode);
        assert_eq!(answer.status, 400, "{dest} {mode}");
        assert!(answer.headers("set-cookie").is_empty(), "{dest} {mode}");
    }
    // A service worker passes a navigation on as `empty`.
    for dest in ["document", "empty"] {
        assert_eq!(ask(dest, "navigate").status, 302, "{dest}");
    }
}

#[test]
fn what_else_is_wrong_the_app_hears_before_the_provider_is_asked() {
    let bff = TestBff::with_apps("");
    for (changes, error) in [
        ([("response_type", "")], "invalid_request"),
        ([("response_type", "token")], "unsupported_response_type"),
        ([("response_mode", "fragment")], "invalid_request"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("dpop_jkt", "short")], "invalid_request"),
        ([("request", "x")], "request_not_supported"),
        ([("request_uri", "urn:x")], "request_uri_not_supported"),
        ([("max_age", "soon")], "invalid_request"),
    ] {
        let path = App::authorize_path(&changes);
        let visit = bff.browser().navigate(&path, Initiator::User);
        assert_eq!(visit.chain.len(), 2, "straight to the app: {changes:?}");
        assert!(
            visit.url.as_str().starts_with(REDIRECT_URI),
            "{}",
            visit.url
        );
        assert_eq!(
            param(&visit.url, "error").as_deref(),
            Some(error),
            "{changes:?}"
        );
        assert_eq!(param(&visit.url, "state").as_deref(), Some("app-state"));
        assert_eq!(
            param(&visit.url, "iss").as_deref(),
            Some("https://shop.test/bff/native")
        );
    }
    bff.signed_in();
}

#[test]
fn each_kind_of_redirect_uri_gets_its_code() {
    // RFC 8252 §7
    let bff = TestBff::with_apps("");
    for uri in [
        REDIRECT_URI,
        "com.example.shop:/cb",
        "http://127.0.0.1:51004/cb",
    ] {
        let asked = [("redirect_uri", uri), ("state", "")];
        let visit = App::authorize(&mut bff.browser(), &asked);
        let location = visit.response.header("location").unwrap();
        assert_eq!(visit.response.status, 303);
        assert!(location.starts_with(&format!("{uri}?code=")), "{location}");
        assert!(!location.contains("state="), "none was sent: {location}");
    }
}

#[test]
fn a_code_is_for_the_app_that_asked_for_it() {
    // RFC 6749 §4.1.3, §5.2; RFC 7636 §4.6
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let code = App::code(&bff, &[]);
    let good = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    let other = "another-verifier-of-the-app-43-letters-long";
    for (name, value, error) in [
        ("code", "", "invalid_request"),
        ("code", "x", "invalid_grant"),
        ("redirect_uri", "", "invalid_request"),
        ("redirect_uri", "com.example.shop:/cb", "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("code_verifier", "short", "invalid_grant"),
        ("code_verifier", other, "invalid_grant"),
        ("grant_type", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "client_credentials", "unsupported_grant_type"),
    ] {
        let mut pairs = good.to_vec();
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        assert_eq!(
            oauth_error(&app.token(&pairs)),
            refused(error),
            "{name}={value}"
        );
    }
    assert_eq!(
        bff.token_calls("authorization_code"),
        0,
        "nothing was spent"
    );
    let tokens = Tokens::of(&app.redeem(&code));
    assert_eq!(
        oauth_error(&app.redeem(&code)),
        refused("invalid_grant"),
        "once"
    );
    assert_eq!(bff.token_calls("authorization_code"), 1);
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
}

#[test]
fn a_code_is_good_for_a_minute() {
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let (early, late) = (App::code(&bff, &[]), App::code(&bff, &[]));
    bff.clock.advance(SECOND * 59);
    Tokens::of(&app.redeem(&early));
    bff.clock.advance(SECOND * 2);
    assert_eq!(oauth_error(&app.redeem(&late)), refused("invalid_grant"));
}

#[test]
fn an_app_is_a_public_client() {
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    for (body, error) in [
        ("grant_type=authorization_code", "invalid_request"),
        ("grant_type=refresh_token&client_id=other", "invalid_client"),
        ("grant_type=refresh_token&client_secret=x", "invalid_client"),
        (
            "grant_type=refresh_token&client_assertion=x",
            "invalid_client",
        ),
        (
            "grant_type=refresh_token&grant_type=refresh_token",
            "invalid_request",
        ),
        ("", "invalid_request"),
        ("grant_type=refresh_token", "invalid_dpop_proof"),
    ] {
        let answer = app.post("token", body);
        assert_eq!(oauth_error(&answer), refused(error), "{body}");
    }
    let json = crate::support::Request::new("POST", "/bff/native/token")
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(oauth_error(&app.send(json)), refused("invalid_request"));
    let get = crate::support::Request::new("GET", "/bff/native/token");
    assert_eq!(app.send(get).status, 405);
    bff.signed_in();
}

#[test]
fn no_sealed_value_opens_as_another() {
    // E2
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let code = App::code(&bff, &[]);
    let tokens = app.sign_in(&bff);
    let browser = bff.signed_in();
    let cookie = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    for wrong in [&code, &tokens.access, &cookie] {
        assert_eq!(oauth_error(&app.refresh(wrong)), refused("invalid_grant"));
    }
    for wrong in [&tokens.refresh, &tokens.access, &cookie] {
        assert_eq!(oauth_error(&app.redeem(wrong)), refused("invalid_grant"));
    }
    for wrong in [&code, &tokens.refresh, &cookie] {
        assert_eq!(
            app.call("GET", "/api/echo", wrong).problem(),
            "invalid-token"
        );
    }
    for wrong in [&code, &tokens.refresh, &tokens.access] {
        let mut browser = bff.signed_in();
        let jar = browser.jar.iter_mut();
        for cookie in jar.filter(|cookie| cookie.name == "__Host-Http-shop") {
            cookie.value.clone_from(wrong);
        }
        assert_eq!(
            browser.fetch("GET", "/api/echo").problem(),
            "login-required"
        );
    }
}

#[test]
fn a_refresh_asks_for_no_more_than_there_is() {
    // RFC 6749 §6
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let mut ask = |scope: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &*tokens.refresh),
            ("scope", scope),
        ];
        app.token(&pairs)
    };
    assert_eq!(oauth_error(&ask("openid admin")), refused("invalid_scope"));
    assert_eq!(ask("openid").status, 200);
    assert_eq!(
        oauth_error(&app.token(&[("grant_type", "refresh_token")])),
        refused("invalid_request")
    );
    assert_eq!(form(&[]), "");
}
