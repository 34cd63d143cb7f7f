//! Signed authorization requests (JAR, RFC 9101): `oidc.request_object`.

use std::collections::BTreeSet;

use sealgate::demo::idp::PushedRequests;
use serde_json::{Value, json};

use crate::support::{NOON, TestBff};

const RSA: &str = include_str!("../client-keys/rsa-2048.pem");
const P256: &str = include_str!("../client-keys/p-256.pem");
const ED25519: &str = include_str!("../client-keys/ed25519.pem");

fn bff(pem: &str, pushed: bool) -> TestBff {
    let bff = TestBff::with(|setup| {
        setup.files.push(("client.pem", pem.to_owned()));
        setup.credentials =
            "client_auth = \"private_key_jwt\"\nclient_key = { file = \"client.pem\" }".to_owned();
        setup.oidc =
            "request_object = true\nresources = [\"https://a.test/\", \"https://b.test/\"]"
                .to_owned();
        if pushed {
            setup.provider = |options| options.pushed = PushedRequests::Required;
        }
    });
    let jwks = bff.browser().fetch("GET", "/bff/jwks").json();
    bff.idp.set_client_keys("shop", jwks);
    bff
}

fn names(claims: &Value) -> BTreeSet<&str> {
    claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_request_object_is_signed_for_the_provider_and_good_for_minutes() {
    // B12
    for (pem, alg) in [(RSA, "PS256"), (P256, "ES256"), (ED25519, "EdDSA")] {
        for pushed in [true, false] {
            let bff = bff(pem, pushed);
            let mut browser = bff.browser();
            let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome&max_age=60");
            assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
            let observed = bff.idp.observed();
            let (header, claims) = &observed.request_objects[0];
            let jwk = &browser.fetch("GET", "/bff/jwks").json()["keys"][0];
            let expected = json!({ "alg": alg, "kid": jwk["kid"], "typ": "oauth-authz-req+jwt" });
            assert_eq!(*header, expected);
            for (name, expected) in [
                ("iss", json!("shop")),
                ("client_id", json!("shop")),
                ("aud", json!(bff.idp.issuer())),
                ("iat", json!(NOON)),
                ("nbf", json!(NOON)),
                ("max_age", json!(60)),
                ("response_type", json!("code")),
                ("resource", json!(["https://a.test/", "https://b.test/"])),
            ] {
                assert_eq!(claims[name], expected, "{name}");
            }
            let lifetime = claims["exp"].as_u64().unwrap() - NOON;
            assert!((1..=3600).contains(&lifetime));
            assert!(!names(claims).contains("sub"));
            assert!(names(claims).is_superset(&BTreeSet::from([
                "state",
                "nonce",
                "code_challenge",
                "code_challenge_method",
                "redirect_uri",
                "scope",
                "jti",
            ])));
            // Nothing that matters stands outside.
            let carried: Vec<&str> = observed.carried[0].iter().map(String::as_str).collect();
            if pushed {
                assert_eq!(carried, ["client_id", "request_uri"]);
                let pushed = observed.pushed[0].iter().map(|(name, _)| name.as_str());
                let pushed: Vec<&str> =
                    pushed.filter(|name| !name.starts_with("client_")).collect();
                assert_eq!(pushed, ["request"]);
            } else {
                assert_eq!(carried, ["client_id", "request", "response_type", "scope"]);
            }
        }
    }
}

#[test]
fn no_two_requests_share_an_identifier() {
    let bff = bff(P256, true);
    for _ in 0..5 {
        bff.signed_in();
    }
    let objects = bff.idp.observed().request_objects;
    let ids: BTreeSet<String> = objects
        .iter()
        .map(|(_, claims)| claims["jti"].to_string())
        .collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn signed_requests_and_signed_answers_go_together() {
    // FAPI 2.0 Message Signing
    let bff = TestBff::with(|setup| {
        setup.files.push(("client.pem", P256.to_owned()));
        setup.credentials =
            "client_auth = \"private_key_jwt\"\nclient_key = { file = \"client.pem\" }".to_owned();
        setup.oidc = "request_object = true\nresponse_mode = \"jwt\"\npar = \"always\"".to_owned();
        setup.provider = |options| options.pushed = PushedRequests::Required;
    });
    let jwks = bff.browser().fetch("GET", "/bff/jwks").json();
    bff.idp.set_client_keys("shop", jwks);
    bff.signed_in();
    let (_, claims) = &bff.idp.observed().request_objects[0];
    assert_eq!(claims["response_mode"], "jwt");
}
