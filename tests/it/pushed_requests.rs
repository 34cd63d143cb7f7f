//! Pushed authorization requests (RFC 9126): `oidc.par`.

use sealgate::demo::idp::{
    DiscoveryFault, EndpointFault, Faults, IdpOptions, PushedFault, PushedRequests,
};
use serde_json::json;

use crate::support::{Initiator, TestBff};

const P256: &str = include_str!("../client-keys/p-256.pem");

fn bff(oidc: &str, provider: fn(&mut IdpOptions)) -> TestBff {
    TestBff::with(|setup| {
        setup.oidc = oidc.to_owned();
        setup.provider = provider;
    })
}

const OFFERED: fn(&mut IdpOptions) = |options| options.pushed = PushedRequests::Offered;
const REQUIRED: fn(&mut IdpOptions) = |options| options.pushed = PushedRequests::Required;

/// What browsers have carried to the authorization endpoint.
fn carried(bff: &TestBff) -> Vec<Vec<String>> {
    bff.idp.observed().carried
}

#[test]
fn a_browser_carries_a_reference_and_nothing_else() {
    // B11, RFC 9126 §4
    for provider in [OFFERED, REQUIRED] {
        let bff = bff("extra_params = { audience = \"orders\" }", provider);
        let mut browser = bff.browser();
        let visit = bff.log_in(
            &mut browser,
            "/bff/login?returnUrl=/welcome&login_hint=alice&max_age=60",
        );
        assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
        assert_eq!(carried(&bff), [["client_id", "request_uri"]]);
        let pushed = &bff.idp.observed().pushed[0];
        for (name, expected) in [
            ("client_id", "shop"),
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
            ("audience", "orders"),
            ("login_hint", "alice"),
            ("max_age", "60"),
        ] {
            let mut values = pushed.iter().filter(|(known, _)| known == name);
            let value = values.next().map(|(_, value)| value.as_str());
            assert_eq!((value, values.next()), (Some(expected), None), "{name}");
        }
        assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    }
}

#[test]
fn each_login_pushes_a_request_of_its_own() {
    let bff = bff("", OFFERED);
    bff.signed_in();
    bff.signed_in();
    let pushed = bff.idp.observed().pushed;
    assert_eq!(pushed.len(), 2);
    let value = |n: usize, name: &str| {
        let mut pairs = pushed[n].iter();
        pairs.find(|(known, _)| known == name).unwrap().1.clone()
    };
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(value(0, name), value(1, name), "{name}");
    }
}

#[test]
fn the_client_authenticates_as_it_does_for_tokens() {
    // RFC 9126 §2
    let post = TestBff::with(|setup| {
        setup.provider = REQUIRED;
        setup.credentials =
            "client_auth = \"client_secret_post\"\nclient_secret = { file = \"{dir}/secret\" }"
                .to_owned();
    });
    post.signed_in();
    let key = TestBff::with(|setup| {
        setup.provider = REQUIRED;
        setup.files.push(("client.pem", P256.to_owned()));
        setup.credentials =
            "client_auth = \"private_key_jwt\"\nclient_key = { file = \"client.pem\" }".to_owned();
    });
    let refused = key.browser().navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(refused.response.status, 400, "{}", refused.response.text());
    let jwks = key.browser().fetch("GET", "/bff/jwks").json();
    key.idp.set_client_keys("shop", jwks);
    key.signed_in();
}

#[test]
fn never_pushes_nothing_and_always_wants_an_endpoint() {
    let never = bff("par = \"never\"", OFFERED);
    never.signed_in();
    assert!(never.idp.observed().pushed.is_empty());
    assert!(carried(&never)[0].contains(&"state".to_owned()));

    let always = bff("par = \"always\"", OFFERED);
    always.signed_in();
    assert_eq!(carried(&always), [["client_id", "request_uri"]]);

    let without = bff("par = \"always\"", |_| {});
    let visit = without
        .browser()
        .navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(visit.response.status, 503);
    assert_eq!(without.idp.observed().authorize, 0);
    let configured = bff(
        "par = \"always\"\nendpoints = { par = \"{issuer}/par\" }",
        OFFERED,
    );
    let unlisted = DiscoveryFault::Without("pushed_authorization_request_endpoint");
    configured.idp.faults().inject(Faults::ALWAYS, unlisted);
    configured
        .clock
        .advance(std::time::Duration::from_secs(3_601));
    configured.signed_in();
    assert_eq!(carried(&configured), [["client_id", "request_uri"]]);
}

#[test]
fn a_request_that_is_refused_fails_the_login_and_no_browser_carries_it_instead() {
    // RFC 9126 §2.3
    let answer = |status, body: &str| PushedFault::Answer {
        status,
        body: body.to_owned(),
    };
    let without = json!({ "expires_in": 60 }).to_string();
    let long = json!({ "request_uri": "u".repeat(3000) }).to_string();
    for (fault, code, status) in [
        (
            answer(400, r#"{"error":"invalid_request"}"#),
            "login-failed",
            400,
        ),
        (
            answer(401, r#"{"error":"invalid_client"}"#),
            "login-failed",
            400,
        ),
        (answer(403, ""), "login-failed", 400),
        (answer(405, ""), "login-failed", 400),
        (answer(413, "<html>"), "login-failed", 400),
        (answer(201, "no JSON"), "login-failed", 400),
        (answer(201, &without), "login-failed", 400),
        (answer(201, r#"{"request_uri":7}"#), "login-failed", 400),
        (answer(201, r#"{"request_uri":""}"#), "login-failed", 400),
        (answer(201, &long), "login-failed", 400),
        (
            answer(400, r#"{"error":"temporarily_unavailable"}"#),
            "identity-provider-unavailable",
            503,
        ),
        (answer(429, ""), "identity-provider-unavailable", 503),
        (
            PushedFault::Endpoint(EndpointFault::Down),
            "identity-provider-unavailable",
            503,
        ),
    ] {
        let bff = bff("", OFFERED);
        bff.idp.faults().inject(1, fault.clone());
        let mut browser = bff.browser();
        let visit = browser.navigate("/bff/login?returnUrl=/x", Initiator::SameOrigin);
        assert_eq!(visit.response.status, status, "{fault:?}");
        let text = visit.response.text();
        assert!(text.contains(&format!("<code>{code}</code>")), "{text}");
        assert_eq!(bff.idp.observed().authorize, 0, "{fault:?}");
        assert!(browser.cookie_names().is_empty(), "{fault:?}");
        // The next one succeeds.
        bff.log_in(&mut browser, "/bff/login");
        assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    }
}

#[test]
fn a_refused_request_leads_to_the_page_for_failed_logins() {
    let bff = TestBff::with(|setup| {
        setup.provider = OFFERED;
        setup.frontend = "error_page = \"/signin-error\"".to_owned();
    });
    let refused = PushedFault::Answer {
        status: 400,
        body: r#"{"error":"invalid_scope"}"#.to_owned(),
    };
    bff.idp.faults().inject(1, refused);
    let visit = bff
        .browser()
        .navigate("/bff/login?returnUrl=/x", Initiator::SameOrigin);
    assert_eq!(visit.url.path(), "/signin-error");
    let query = visit.url.query().unwrap_or_default();
    assert_eq!(query, "code=login-failed&returnUrl=%2Fx");
    let failed = "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"provider\"}";
    assert_eq!(bff.metric(failed), 1);
}
