//! An app without a cookie jar, from the metadata to the end of its session.

use std::time::Duration;

use sealgate::demo::idp::{Fault, Secret, TokenFault};
use serde_json::{Value, json};

use crate::support::native::{
    App, NATIVE, REDIRECT_URI, Tokens, challenge, form, oauth_error, param,
};
use crate::support::{Initiator, Request, TestBff};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: u64 = 86_400;
/// The demo's person, as its provider calls her.
const ALICE: &str = "8f2c1d7e-alice";

fn get(bff: &TestBff, path: &str) -> crate::support::Response {
    Request::new("GET", path)
        .header("host", "shop.test")
        .send(bff.addr)
}

const METADATA: &str = "/.well-known/oauth-authorization-server/bff/native";

#[test]
fn a_library_finds_all_it_needs_in_the_metadata() {
    // RFC 8414
    let bff = TestBff::with_apps("");
    let answer = get(&bff, METADATA);
    assert_eq!(answer.status, 200);
    let issuer = "https://shop.test/bff/native";
    let said = answer.json();
    for (name, value) in [
        ("issuer", json!(issuer)),
        (
            "authorization_endpoint",
            json!(format!("{issuer}/authorize")),
        ),
        ("token_endpoint", json!(format!("{issuer}/token"))),
        ("revocation_endpoint", json!(format!("{issuer}/revoke"))),
        ("response_types_supported", json!(["code"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("token_endpoint_auth_methods_supported", json!(["none"])),
        ("dpop_signing_alg_values_supported", json!(["ES256"])),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    assert_eq!(get(&bff, "/bff/native/metadata").status, 404);
    let post = Request::new("POST", METADATA).header("host", "shop.test");
    assert_eq!(post.send(bff.addr).status, 405);
    bff.signed_in();
}

#[test]
fn without_the_section_there_is_nothing_of_it() {
    let bff = TestBff::spawn();
    for path in [METADATA, "/bff/native/authorize", "/bff/native/token"] {
        assert_eq!(get(&bff, path).status, 404, "{path}");
    }
    // `Authorization` says nothing, and proves nothing.
    let answer = Request::new("GET", "/api/echo")
        .header("host", "shop.test")
        .header("authorization", "Bearer x")
        .send(bff.addr);
    assert_eq!(answer.problem(), "cross-site-request");
    bff.signed_in();
}

#[test]
fn an_app_signs_in_calls_refreshes_and_signs_out() {
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let visit = App::authorize(&mut bff.browser(), &[("dpop_jkt", &app.thumbprint())]);
    assert!(
        visit.url.as_str().starts_with(REDIRECT_URI),
        "{}",
        visit.url
    );
    assert_eq!(param(&visit.url, "state").as_deref(), Some("app-state"));
    assert_eq!(
        param(&visit.url, "iss").as_deref(),
        Some("https://shop.test/bff/native"),
        "RFC 9207"
    );
    assert_eq!(
        bff.token_calls("authorization_code"),
        0,
        "the provider's code is unredeemed"
    );
    let answer = app.redeem(&param(&visit.url, "code").unwrap());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let said = answer.json();
    assert_eq!(
        (&said["token_type"], &said["expires_in"]),
        (&json!("DPoP"), &json!(300))
    );
    let tokens = Tokens::of(&answer);

    let echoed = app.call("GET", "/api/echo/7?x=1", &tokens.access);
    assert_eq!(echoed.status, 200, "{}", echoed.text());
    let echoed = echoed.json();
    assert_eq!(echoed["authorization"]["token_claims"]["sub"], ALICE);
    let seen = bff.api.requests().pop().unwrap();
    assert!(seen.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(seen.header("dpop"), None, "the app's proof goes nowhere");
    assert_eq!(app.call("POST", "/api/echo", &tokens.access).status, 200);

    let user = app.call("GET", "/bff/user", &tokens.access).json();
    assert!(
        user.as_array()
            .unwrap()
            .contains(&json!({"type": "sub", "value": ALICE}))
    );
    let session = app.call("GET", "/bff/session", &tokens.access).json();
    assert_eq!(
        (&session["active"], &session["refresh_possible"]),
        (&json!(true), &json!(true))
    );
    let now = session["server_now"].as_u64().unwrap();
    assert_eq!(session["session_ends_at"], now + 30 * DAY);
    assert_eq!(session["idle_ends_at"], now + 14 * DAY);

    let newer = Tokens::of(&app.refresh(&tokens.refresh));
    assert_ne!(newer.access, tokens.access);
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(app.call("GET", "/api/echo", &newer.access).status, 200);

    assert_eq!(
        app.post("revoke", &form(&[("token", &newer.refresh)]))
            .status,
        200
    );
    assert_eq!(bff.revoked().len(), 1, "at the provider too");
    let refused = app.call("GET", "/api/echo", &newer.access);
    let (status, said) = challenge(&refused);
    assert_eq!(status, 401);
    assert!(said.starts_with("DPoP error=\"invalid_token\""), "{said}");
    assert_eq!(
        oauth_error(&app.refresh(&newer.refresh)),
        (400, "invalid_grant".to_owned())
    );
}

#[test]
fn an_api_route_never_refreshes_an_app() {
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    bff.clock.advance(SECOND * 299);
    app.nonce = None;
    assert_eq!(
        challenge(&app.call("GET", "/api/echo", &tokens.access)).0,
        401,
        "a nonce"
    );
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
    bff.clock.advance(SECOND);
    for path in ["/api/echo", "/bff/user", "/bff/session", "/api/maybe"] {
        let refused = app.call("GET", path, &tokens.access);
        assert_eq!(refused.problem(), "invalid-token", "{path}");
        let (status, said) = challenge(&refused);
        assert!(said.starts_with("DPoP error=\"invalid_token\""), "{said}");
        assert_eq!(status, 401, "{path}");
    }
    assert_eq!(bff.token_calls("refresh_token"), 0);
    let newer = Tokens::of(&app.refresh(&tokens.refresh));
    assert_eq!(app.call("GET", "/api/echo", &newer.access).status, 200);
    assert_eq!(
        bff.metric("sealgate_session_open_total{result=\"expired\"}"),
        4
    );
}

#[test]
fn a_spent_refresh_token_works_as_an_old_cookie_does() {
    // G8
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let first = Tokens::of(&app.refresh(&tokens.refresh));
    let again = Tokens::of(&app.refresh(&tokens.refresh));
    assert_eq!(bff.token_calls("refresh_token"), 1, "one call for both");
    for token in [&first.access, &again.access] {
        assert_eq!(app.call("GET", "/api/echo", token).status, 200);
    }
    // When the result is forgotten, the provider decides. This one knows that its token is spent.
    bff.clock.advance(SECOND * 301);
    app.nonce = None;
    assert_eq!(
        oauth_error(&app.refresh(&tokens.refresh)),
        (400, "invalid_grant".to_owned())
    );
}

#[test]
fn a_session_ends_at_its_own_times() {
    let bff = TestBff::with(|setup| {
        setup.tables = format!("{NATIVE}absolute_timeout = \"3h\"\nidle_timeout = \"2h\"\n");
    });
    let mut app = bff.app();
    let idle = app.sign_in(&bff);
    let mut busy = app.sign_in(&bff);
    for _ in 0..2 {
        bff.clock.advance(HOUR + SECOND);
        app.nonce = None;
        busy = Tokens::of(&app.refresh(&busy.refresh));
    }
    assert_eq!(
        oauth_error(&app.refresh(&idle.refresh)),
        (400, "invalid_grant".to_owned()),
        "two hours and two seconds without a refresh"
    );
    bff.clock.advance(SECOND * 3_538);
    app.nonce = None;
    let last = app.refresh(&busy.refresh);
    assert_eq!(last.json()["expires_in"], 60, "no longer than the session");
    let last = Tokens::of(&last);
    bff.clock.advance(SECOND * 60);
    assert_eq!(app.call("GET", "/api/echo", &last.access).status, 401);
    assert_eq!(
        oauth_error(&app.refresh(&last.refresh)),
        (400, "invalid_grant".to_owned())
    );
}

#[test]
fn an_outage_of_the_provider_ends_nothing() {
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let code = App::code(&bff, &[]);
    let down = || {
        let fault = TokenFault::Answer {
            status: 503,
            body: String::new(),
        };
        bff.idp.faults().inject(1, Fault::Token(fault));
    };
    down();
    let answer = app.redeem(&code);
    assert_eq!(
        oauth_error(&answer),
        (503, "temporarily_unavailable".to_owned())
    );
    assert!(answer.header("retry-after").is_some());
    let tokens = Tokens::of(&app.redeem(&code));
    down();
    assert_eq!(
        oauth_error(&app.refresh(&tokens.refresh)),
        (503, "temporarily_unavailable".to_owned())
    );
    Tokens::of(&app.refresh(&tokens.refresh));
}

#[test]
fn either_token_ends_the_session() {
    // RFC 7009
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let other = app.sign_in(&bff);
    for body in [
        "token=junk",
        "token=junk&client_id=shop&token_type_hint=refresh_token",
    ] {
        assert_eq!(app.post("revoke", body).status, 200, "{body}");
    }
    for (body, error) in [
        ("", "invalid_request"),
        ("token=", "invalid_request"),
        ("token=a&token=b", "invalid_request"),
        ("token=a&client_id=other", "invalid_client"),
    ] {
        let answer = app.post("revoke", body);
        assert_eq!(oauth_error(&answer), (400, error.to_owned()), "{body}");
    }
    assert_eq!(bff.revoked(), [""; 0]);
    assert_eq!(
        app.post("revoke", &form(&[("token", &tokens.access)]))
            .status,
        200
    );
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 401);
    assert_eq!(
        oauth_error(&app.refresh(&tokens.refresh)),
        (400, "invalid_grant".to_owned())
    );
    assert_eq!(app.call("GET", "/api/echo", &other.access).status, 200);
    assert_eq!(bff.idp.minted_of(Secret::Code).len(), 2);
}

#[test]
fn the_browser_that_signed_the_app_in_has_no_session_of_it() {
    let bff = TestBff::with_apps("");
    let mut browser = bff.signed_in();
    let before = browser.cookie_names();
    let user = |browser: &mut crate::support::Browser| browser.fetch("GET", "/bff/user").json();
    let said: Value = user(&mut browser);
    let visit = App::authorize(&mut browser, &[]);
    assert!(param(&visit.url, "code").is_some());
    assert_eq!(
        browser.cookie_names(),
        before,
        "its own session is as it was"
    );
    assert_eq!(user(&mut browser), said);
}

#[test]
fn a_token_and_a_session_cookie_do_not_come_together() {
    let bff = TestBff::with_apps("");
    let (mut app, browser) = (bff.app(), bff.signed_in());
    let tokens = app.sign_in(&bff);
    for scheme in ["DPoP", "dpop", "Bearer"] {
        let request = Request::new("GET", "/api/echo")
            .header("cookie", &browser.api_cookie_line("/api/echo"))
            .header("authorization", &format!("{scheme} {}", tokens.access));
        assert_eq!(app.send(request).problem(), "bad-request", "{scheme}");
    }
    let other = Request::new("GET", "/api/echo")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/api/echo"))
        .header("authorization", "Basic YWxhZGRpbg==");
    assert_eq!(app.send(other).status, 200, "other schemes are nobody's");
}

#[test]
fn a_cancelled_login_goes_back_to_the_app() {
    use sealgate::demo::idp::AuthorizationFault;
    let bff = TestBff::with_apps("");
    for (fault, error) in [
        (AuthorizationFault::AccessDenied, "access_denied"),
        (
            AuthorizationFault::Error("login_required"),
            "login_required",
        ),
        (AuthorizationFault::Error("invalid_scope"), "server_error"),
        (
            AuthorizationFault::Error("temporarily_unavailable"),
            "temporarily_unavailable",
        ),
    ] {
        bff.idp.faults().inject(1, Fault::Authorization(fault));
        let visit = App::authorize(&mut bff.browser(), &[]);
        assert!(
            visit.url.as_str().starts_with(REDIRECT_URI),
            "{}",
            visit.url
        );
        assert_eq!(param(&visit.url, "error").as_deref(), Some(error));
        assert_eq!(param(&visit.url, "state").as_deref(), Some("app-state"));
        assert!(param(&visit.url, "iss").is_some());
    }
    bff.signed_in();
}

#[test]
fn an_answer_counts_only_in_the_browser_where_the_login_was_begun() {
    let bff = TestBff::with_apps("");
    let visit = App::authorize(&mut bff.browser(), &[]);
    let callback = visit
        .chain
        .iter()
        .map(|(url, _)| url)
        .find(|url| url.path() == "/bff/callback")
        .unwrap();
    let mut other = bff.browser();
    other.leaves_to = Some(REDIRECT_URI.to_owned());
    let other = other.navigate(callback.as_str(), Initiator::CrossSite);
    assert_eq!(param(&other.url, "error").as_deref(), Some("access_denied"));
    assert_eq!(param(&other.url, "code"), None);
    bff.signed_in();
}
