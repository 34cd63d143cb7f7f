//! The program's own pages: what a person reads when something went wrong.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealgate::demo::idp::{AuthorizationFault, Fault, Faults, TokenFault};
use sha2::{Digest as _, Sha256};

use crate::support::{Initiator, Response, TestBff};

/// What lies between two marks, once.
#[track_caller]
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let mut parts = text.split(begin).skip(1);
    let (Some(rest), None) = (parts.next(), parts.next()) else {
        panic!("not exactly one {begin} in {text}");
    };
    rest.split(end).next().unwrap()
}

/// Whatever the problem, these hold; gives the heading and what is said below it.
#[track_caller]
fn assert_is_a_page(answer: &Response, code: &str) -> (String, String) {
    let page = answer.text();
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.starts_with("<!doctype html><html lang=\"en\">"));
    let main = between(&page, "<main>", "</main>");
    let heading = between(main, "<h1>", "</h1>").to_owned();
    assert_eq!(between(&page, "<title>", "</title>"), heading);
    // N7: the request id is the reference, and the same that the header and the log have.
    let id = answer.header("x-request-id").unwrap();
    let reference = between(main, "<p class=\"reference\">", "</p>");
    assert!(reference.contains(&format!("<code>{id}</code>")), "{page}");
    assert!(
        reference.contains(&format!("<code>{code}</code>")),
        "{page}"
    );
    // N7: styled by exactly the style that the policy allows, in both schemes, and no script.
    let style = between(&page, "<style>", "</style>");
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with(&format!(
            "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'"
        )),
        "{policy}"
    );
    assert!(style.contains("prefers-color-scheme:dark"));
    for forbidden in ["<script", "style=", " on", "javascript:", "http:", "https:"] {
        let markup = page.replace(style, "");
        let tags: Vec<_> = markup.split('<').skip(1).collect();
        let found = tags
            .iter()
            .any(|tag| format!("<{}", tag.split('>').next().unwrap()).contains(forbidden));
        assert!(!found, "{forbidden} in {page}");
    }
    let text = main
        .split("</h1>")
        .nth(1)
        .unwrap()
        .split("<p class=\"")
        .next()
        .unwrap();
    (heading, text.to_owned())
}

#[test]
fn a_failed_login_says_so_and_offers_another() {
    // N7
    let bff = TestBff::spawn();
    bff.idp.faults().inject(
        1,
        Fault::Authorization(AuthorizationFault::Error("server_error")),
    );
    let mut browser = bff.browser();
    let answer = bff.log_in(&mut browser, "/bff/login").response;
    assert_eq!(answer.status, 400);
    let (heading, text) = assert_is_a_page(&answer, "login-failed");
    assert_eq!(heading, "You are not signed in");
    assert!(text.contains("refused the login"), "{text}");
    let page = answer.text();
    assert!(
        page.contains("href=\"/bff/login\">Sign in again</a>"),
        "{page}"
    );
    assert!(
        page.contains("href=\"/\">Back to the application</a>"),
        "{page}"
    );
    browser.navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(
        browser.fetch("GET", "/bff/user").status,
        200,
        "the link works"
    );
}

#[test]
fn nobody_is_told_to_sign_in_again_while_the_provider_is_down() {
    // N7
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    let mut browser = bff.browser();
    let answer = browser
        .navigate("/bff/login", Initiator::SameOrigin)
        .response;
    assert_eq!(answer.status, 503);
    assert_is_a_page(&answer, "identity-provider-unavailable");
    let page = answer.text();
    assert!(page.contains("href=\"/bff/login\">Try again</a>"), "{page}");
    assert!(!page.contains("Sign in"), "{page}");
}

#[test]
fn a_sign_out_link_that_does_not_fit_is_explained() {
    // N7
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for target in ["/bff/logout?sid=wrong", "/bff/logout"] {
        let answer = browser.navigate(target, Initiator::SameOrigin).response;
        assert_eq!(answer.status, 400);
        let (_, text) = assert_is_a_page(&answer, "bad-request");
        assert!(text.contains("signed out already"), "{text}");
        assert!(!answer.text().contains("Sign in"), "{}", answer.text());
    }
}

#[test]
fn a_session_that_does_not_fit_is_told_to_the_person_and_measured_for_the_operator() {
    // N7
    let bff = TestBff::spawn();
    bff.idp.faults().pad_tokens(40 * 1024);
    let mut browser = bff.browser();
    let answer = bff.log_in(&mut browser, "/bff/login").response;
    assert_eq!(answer.status, 500);
    let (_, text) = assert_is_a_page(&answer, "session-too-large");
    assert!(
        text.contains("Your") || text.contains("your account"),
        "{text}"
    );
    assert!(!text.contains("token") && !text.contains("bytes"), "{text}");
    assert!(!answer.text().contains("Sign in again"));
}

#[test]
fn a_refused_navigation_is_told_to_whom_it_met() {
    // N7, B17: somebody who typed an address did nothing wrong; somebody whom another website sent should know.
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    bff.log_in(&mut browser, "/bff/login");
    for (initiator, want) in [
        (Initiator::User, "This address is not a page"),
        (Initiator::CrossSite, "This was not done"),
    ] {
        let answer = browser.navigate("/api/echo", initiator).response;
        assert_eq!(answer.status, 403);
        let (heading, _) = assert_is_a_page(&answer, "cross-site-request");
        assert_eq!(heading, want);
        let page = answer.text();
        assert!(!page.contains("Sign in"), "it would not help: {page}");
    }
    let mut nobody = bff.browser();
    let answer = nobody.navigate("/api/echo", Initiator::SameOrigin).response;
    assert_eq!(answer.status, 401);
    assert_is_a_page(&answer, "login-required");
}

#[test]
fn a_page_that_waits_for_the_provider_says_that_the_session_is_kept() {
    // N7
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    bff.log_in(&mut browser, "/bff/login");
    let down = Fault::Token(TokenFault::Answer {
        status: 503,
        body: String::new(),
    });
    bff.idp.faults().inject(Faults::ALWAYS, down);
    bff.clock.advance(Duration::from_secs(400));
    let answer = browser
        .navigate("/api/echo?page=2", Initiator::SameOrigin)
        .response;
    assert_eq!(answer.status, 503);
    let (_, text) = assert_is_a_page(&answer, "identity-provider-unavailable");
    assert!(text.contains("Your session is kept"), "{text}");
    let page = answer.text();
    assert!(
        page.contains("href=\"/api/echo?page=2\">Try again</a>"),
        "{page}"
    );
    assert!(!page.contains("Sign in"), "{page}");
}
