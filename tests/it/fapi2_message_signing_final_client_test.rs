//! The client modules of the OpenID Foundation's plan `fapi2-message-signing-final-client-test-plan` about signed authorization
//! responses (JARM), each by its name, against the demo's provider with the module's fault.

use sealgate::demo::idp::{Fault, IdTokenFault};
use serde_json::json;

use crate::support::{NOON, TestBff};

fn bff() -> TestBff {
    TestBff::with(|setup| setup.oidc = "response_mode = \"jwt\"".to_owned())
}

/// The client must not use the code of such a response, and must accept a good one afterwards.
fn refuses(fault: &IdTokenFault) {
    let bff = bff();
    bff.idp
        .faults()
        .inject(1, Fault::SignedResponse(fault.clone()));
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.response.status, 400, "{fault:?}");
    let text = visit.response.text();
    assert!(text.contains("<code>login-failed</code>"), "{text}");
    assert_eq!(bff.token_calls("authorization_code"), 0, "{fault:?}");
    assert_eq!(browser.cookie_names(), Vec::<String>::new(), "{fault:?}");
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
}

#[test]
fn ensure_jarm_without_iss_fails() {
    refuses(&IdTokenFault::WithoutClaim("iss"));
}

#[test]
fn ensure_jarm_with_invalid_iss_fails() {
    refuses(&IdTokenFault::Claim("iss", json!("https://evil.test")));
}

#[test]
fn ensure_jarm_without_aud_fails() {
    refuses(&IdTokenFault::WithoutClaim("aud"));
}

#[test]
fn ensure_jarm_with_invalid_aud_fails() {
    refuses(&IdTokenFault::Claim("aud", json!("another client")));
}

#[test]
fn ensure_jarm_without_exp_fails() {
    refuses(&IdTokenFault::WithoutClaim("exp"));
}

#[test]
fn ensure_jarm_with_expired_exp_fails() {
    refuses(&IdTokenFault::Claim("exp", json!(NOON - 300)));
}

#[test]
fn ensure_jarm_with_invalid_sig_fails() {
    refuses(&IdTokenFault::BadSignature);
}

#[test]
fn ensure_jarm_signature_is_not_none() {
    refuses(&IdTokenFault::AlgNone);
}
