//! The client modules of the OpenID Foundation's plan `fapi2-security-profile-final-client-test-plan` (`private_key_jwt`, `DPoP`, OpenID
//! Connect), each by its name, against the demo's provider with the module's fault. What the suite checks of every request,
//! [`assert_every_request_is_as_the_profile_wants`] checks.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealgate::demo::dpop::Wants;
use sealgate::demo::idp::{
    AuthorizationFault, DiscoveryFault, Fault, Faults, IdTokenFault, KeyAlgorithm, PushedRequests,
    Secret, TokenFault,
};
use serde_json::{Value, json};

use crate::support::{Browser, Initiator, NOON, TestBff};

const P256: &str = include_str!("../client-keys/p-256.pem");

/// A client with the profile, at a provider and an API that want proofs so.
fn client(wants: Wants) -> TestBff {
    let bff = TestBff::with(|setup| {
        setup.files.push(("client.pem", P256.to_owned()));
        setup.credentials =
            "profile = \"fapi2\"\nclient_key = { file = \"client.pem\" }".to_owned();
        setup.provider = |options| options.pushed = PushedRequests::Required;
    });
    let jwks = bff.browser().fetch("GET", "/bff/jwks").json();
    bff.idp.set_client_keys("shop", jwks);
    bff.idp.proofs().want(wants);
    bff.api.proofs().want(wants);
    bff
}

/// Signs in, calls the API, refreshes, calls again.
fn succeeds(bff: &TestBff) -> Browser {
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    bff.clock.advance(Duration::from_secs(290));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    // The nonce was learned as the request was pushed.
    assert_eq!(bff.token_calls("authorization_code"), 1);
    browser
}

fn header_and_claims(jws: &str) -> (Value, Value) {
    let mut parts = jws.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

fn assert_every_request_is_as_the_profile_wants(bff: &TestBff) {
    let observed = bff.idp.observed();
    for carried in &observed.carried {
        assert_eq!(*carried, ["client_id", "request_uri"]);
    }
    for pushed in &observed.pushed {
        let names: BTreeSet<&str> = pushed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), pushed.len(), "each parameter once");
        for (name, expected) in [("response_type", "code"), ("code_challenge_method", "S256")] {
            assert!(pushed.contains(&(name.to_owned(), expected.to_owned())));
        }
        for name in ["redirect_uri", "code_challenge", "state", "nonce"] {
            assert!(names.contains(name), "{name}");
        }
        assert!(!names.contains("client_secret"));
    }
    let assertions = bff.idp.minted_of(Secret::ClientAssertion);
    let ids: BTreeSet<String> = assertions
        .iter()
        .map(|assertion| {
            let (header, claims) = header_and_claims(assertion);
            assert_eq!(header["alg"], "ES256");
            assert_eq!(claims["aud"], json!(bff.idp.issuer()), "one string");
            let parties = (&claims["iss"], &claims["sub"]);
            assert_eq!(parties, (&json!("shop"), &json!("shop")));
            let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap());
            assert!(exp > iat && exp - iat <= 60);
            claims["jti"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), assertions.len(), "no jti comes twice");
    assert!(!bff.idp.proofs().taken().is_empty(), "tokens are bound");
}

/// With this fault no code may be redeemed, and a login without a fault must succeed afterwards.
fn stops_before_the_token_request(fault: impl Into<Fault>) {
    let bff = client(Wants::Proofs);
    let fault = fault.into();
    bff.idp.faults().inject(1, fault.clone());
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.response.status, 400, "{fault:?}");
    assert!(visit.response.text().contains("<code>login-failed</code>"));
    assert_eq!(bff.token_calls("authorization_code"), 0, "{fault:?}");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 401);
    succeeds(&bff);
}

/// With this ID token there may be no session, and its access token may go nowhere.
fn stops_at_the_id_token(fault: IdTokenFault) {
    let bff = client(Wants::Proofs);
    bff.idp.faults().inject(1, fault);
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.response.status, 400, "{}", visit.response.text());
    assert!(visit.response.text().contains("<code>login-failed</code>"));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 401);
    assert_eq!(bff.api_calls(), 0);
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    assert_every_request_is_as_the_profile_wants(&bff);
}

#[test]
fn happy_path() {
    let bff = client(Wants::Nonces);
    let mut browser = succeeds(&bff);
    assert!(bff.idp.proofs().refused().contains(&"use_dpop_nonce"));
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert_every_request_is_as_the_profile_wants(&bff);
}

#[test]
fn happy_path_no_dpop_nonce() {
    let bff = client(Wants::Proofs);
    succeeds(&bff);
    assert!(bff.idp.proofs().refused().is_empty());
    assert_every_request_is_as_the_profile_wants(&bff);
}

#[test]
fn discovery_issuer_mismatch() {
    let bff = TestBff::with(|setup| {
        setup.files.push(("client.pem", P256.to_owned()));
        setup.credentials =
            "profile = \"fapi2\"\nclient_key = { file = \"client.pem\" }".to_owned();
        setup.provider = |options| options.pushed = PushedRequests::Required;
        setup.provider_is_down = true;
    });
    bff.idp.faults().clear();
    let issuer = DiscoveryFault::With("issuer", json!("https://evil.test"));
    bff.idp.faults().inject(Faults::ALWAYS, issuer);
    bff.clock.advance(Duration::from_secs(60));
    let visit = bff.browser().navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(visit.response.status, 503);
    let observed = bff.idp.observed();
    assert_eq!((observed.authorize, observed.pushed.len()), (0, 0));
}

#[test]
fn invalid_iss() {
    stops_at_the_id_token(IdTokenFault::Claim("iss", json!("https://evil.test")));
}

#[test]
fn invalid_aud() {
    stops_at_the_id_token(IdTokenFault::Claim("aud", json!("another client")));
}

#[test]
fn invalid_secondary_aud() {
    stops_at_the_id_token(IdTokenFault::Claim(
        "aud",
        json!(["shop", "another client"]),
    ));
}

#[test]
fn invalid_null_alg() {
    stops_at_the_id_token(IdTokenFault::AlgNone);
}

#[test]
fn invalid_alternate_alg() {
    // Good signatures, with an algorithm that the profile does not allow, and one under another name.
    stops_at_the_id_token(IdTokenFault::Header("alg", json!("PS256")));
    let bff = client(Wants::Proofs);
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_eq!(browser.fetch("GET", "/bff/user").status, 401);
}

#[test]
fn invalid_expired_exp() {
    stops_at_the_id_token(IdTokenFault::Claim("exp", json!(NOON - 300)));
}

#[test]
fn invalid_missing_exp() {
    stops_at_the_id_token(IdTokenFault::WithoutClaim("exp"));
}

#[test]
fn invalid_missing_aud() {
    stops_at_the_id_token(IdTokenFault::WithoutClaim("aud"));
}

#[test]
fn invalid_missing_iss() {
    stops_at_the_id_token(IdTokenFault::WithoutClaim("iss"));
}

#[test]
fn valid_aud_as_array() {
    let bff = client(Wants::Proofs);
    let array = IdTokenFault::Claim("aud", json!(["shop"]));
    bff.idp.faults().inject(Faults::ALWAYS, array);
    succeeds(&bff);
}

#[test]
fn invalid_nonce() {
    stops_at_the_id_token(IdTokenFault::Claim("nonce", json!("another login's")));
}

#[test]
fn invalid_missing_nonce() {
    stops_at_the_id_token(IdTokenFault::WithoutClaim("nonce"));
}

#[test]
fn invalid_authorization_response_iss() {
    let evil = "https://evil.test".to_owned();
    stops_before_the_token_request(AuthorizationFault::With("iss", evil));
}

#[test]
fn remove_authorization_response_iss() {
    stops_before_the_token_request(AuthorizationFault::NoIss);
    // The profile requires it, whatever the metadata says.
    let bff = client(Wants::Proofs);
    let silent = DiscoveryFault::Without("authorization_response_iss_parameter_supported");
    bff.idp.faults().inject(Faults::ALWAYS, silent);
    bff.clock.advance(Duration::from_secs(3_601));
    bff.idp.faults().inject(1, AuthorizationFault::NoIss);
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_eq!(bff.token_calls("authorization_code"), 0);
    bff.signed_in();
}

#[test]
fn ensure_authorization_response_with_invalid_state_fails() {
    let invalid = "another login's".to_owned();
    stops_before_the_token_request(AuthorizationFault::With("state", invalid));
}

#[test]
fn ensure_authorization_response_with_invalid_missing_state_fails() {
    stops_before_the_token_request(AuthorizationFault::Without("state"));
}

#[test]
fn token_endpoint_response_without_expires_in() {
    let bff = client(Wants::Proofs);
    let without = TokenFault::Without("expires_in");
    bff.idp.faults().inject(Faults::ALWAYS, without);
    succeeds(&bff);
}

#[test]
fn token_type_case_insensitivity() {
    for spelled in ["dPoP", "DPOP", "dpop"] {
        let bff = client(Wants::Proofs);
        let other = TokenFault::With("token_type", json!(spelled));
        bff.idp.faults().inject(Faults::ALWAYS, other);
        succeeds(&bff);
    }
    // B52: a token that is not bound is not used.
    let bff = client(Wants::Proofs);
    let bearer = TokenFault::With("token_type", json!("Bearer"));
    bff.idp.faults().inject(Faults::ALWAYS, bearer);
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn rs_dpop_auth_scheme_case_insensitivity() {
    for spelled in ["dPoP", "DPOP", "dpop"] {
        let bff = client(Wants::Nonces);
        bff.api.proofs().spell(spelled);
        succeeds(&bff);
        assert!(bff.api.proofs().refused().contains(&"use_dpop_nonce"));
    }
}
