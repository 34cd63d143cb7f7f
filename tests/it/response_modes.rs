//! How the provider's answer comes: `oidc.response_mode`.

use std::time::Duration;

use sealgate::demo::idp::{AuthorizationFault, Fault, IdTokenFault};
use serde_json::json;

use crate::support::{Browser, Initiator, NOON, Request, TestBff, Visit};

fn bff(mode: &str) -> TestBff {
    TestBff::with(|setup| setup.oidc = format!("response_mode = \"{mode}\""))
}

/// The address of the last callback in a chain.
fn callback(visit: &Visit) -> String {
    let mut chain = visit.chain.iter();
    let found = chain.find(|(url, _)| url.path() == "/bff/callback");
    found.expect("a callback").0.to_string()
}

fn attempts(browser: &Browser) -> usize {
    let names = browser.cookie_names();
    names.iter().filter(|name| name.contains("-login.")).count()
}

#[test]
fn form_post_is_a_key_of_its_own() {
    // A9, B21
    let bff = bff("form_post");
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
    let mut jar = browser.jar.iter();
    let login = jar.find(|cookie| cookie.name.contains("-login.")).unwrap();
    assert_eq!((login.same_site.as_str(), login.secure), ("None", true));
    let form = bff.fill_in(&mut browser, &page, "alice", "wonderland");
    let html = form.response.text();
    let value = |name: &str| {
        let after = html.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
        Some(after.split('"').next()?.to_owned())
    };
    let fields: Vec<(&str, String)> = ["code", "state", "iss"]
        .map(|name| (name, value(name).unwrap()))
        .to_vec();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let target = browser.app().join("/bff/callback").unwrap();
    // A browser that did not begin this login (login CSRF) gets no session from the form.
    let mut victim = bff.browser();
    let forged = victim.submit(&target, &fields, Initiator::CrossSite);
    assert_eq!(forged.response.status, 400);
    assert_eq!(victim.cookie_names(), Vec::<String>::new());
    assert_eq!(bff.token_calls("authorization_code"), 0);
    let visit = browser.submit(&target, &fields, Initiator::CrossSite);
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    let get = browser.send_bare(Request::new("GET", "/bff/callback?code=x&state=y"));
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[test]
fn a_signed_answer_signs_in() {
    // B22
    let bff = bff("jwt");
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
    let address = callback(&visit);
    assert!(address.contains("?response=ey") && !address.contains("code="));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    let post = browser.submit(
        &browser.app().join("/bff/callback").unwrap(),
        &[("response", "x")],
        Initiator::CrossSite,
    );
    assert_eq!(post.response.status, 405);
}

#[test]
fn only_what_is_signed_counts() {
    // B22: parameters beside it, and an answer without a signature
    let bff = bff("jwt");
    for (name, value) in [
        ("code", "forged"),
        ("state", "forged"),
        ("error", "access_denied"),
        ("iss", "https://evil.test"),
    ] {
        bff.idp
            .faults()
            .inject(1, AuthorizationFault::Beside(name, value));
        let mut browser = bff.browser();
        let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
        assert_eq!(visit.url.path(), "/welcome", "{name}");
    }
    let begun = bff.token_calls("authorization_code");
    // A second response: none of them is taken.
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::Beside("response", "x.y.z"));
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    // A plain answer with the state and the code of a login under way.
    let mut browser = bff.browser();
    let login = browser.send_bare(Request::new("GET", "/bff/login"));
    let request = url::Url::parse(login.header("location").unwrap()).unwrap();
    let state = request.query_pairs().find(|(name, _)| name == "state");
    let plain = format!("/bff/callback?code=c&state={}", state.unwrap().1);
    let refused = browser.navigate(&plain, Initiator::CrossSite);
    assert_eq!(refused.response.status, 400);
    assert_eq!(attempts(&browser), 1, "it was no answer to that login");
    assert_eq!(bff.token_calls("authorization_code"), begun);
}

#[test]
fn errors_come_signed_too() {
    // B18
    let bff = bff("jwt");
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::Error("invalid_scope"));
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert!(visit.response.text().contains("refused the login"));
    // Who declines is back in the application.
    bff.idp.faults().inject(1, AuthorizationFault::AccessDenied);
    let visit = bff.log_in(&mut bff.browser(), "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.url.path(), "/welcome");
    // An error that is not signed is not an answer.
    let mut browser = bff.browser();
    let visit = browser.navigate("/bff/callback?error=access_denied", Initiator::CrossSite);
    assert_eq!(visit.response.status, 400);
    let silent = browser.navigate("/bff/silent-login", Initiator::SameOrigin);
    assert!(
        silent.response.text().contains("isLoggedIn"),
        "login_required"
    );
}

#[test]
fn a_signed_answer_keeps_the_rules_of_jwts() {
    // RFC 8725, JARM §2.4
    for fault in [
        IdTokenFault::HmacWithClientSecret,
        IdTokenFault::UnknownKid,
        IdTokenFault::Header("alg", json!("ES384")),
        IdTokenFault::Header("typ", json!("logout+jwt")),
        IdTokenFault::Header("typ", json!("oauth-authz-req+jwt")),
        IdTokenFault::Header("crit", json!(["exp"])),
        IdTokenFault::Claim("aud", json!(["shop", "another"])),
        IdTokenFault::Claim("aud", json!([])),
        IdTokenFault::Claim("exp", json!("soon")),
        IdTokenFault::Claim("exp", json!(NOON - 31)),
        IdTokenFault::Claim("nbf", json!(NOON + 31)),
        IdTokenFault::Claim("code", json!(["c"])),
        IdTokenFault::Claim("state", json!(7)),
        IdTokenFault::WithoutClaim("state"),
        IdTokenFault::WithoutClaim("code"),
        IdTokenFault::Claim("error", json!("access_denied")),
    ] {
        let bff = bff("jwt");
        bff.idp
            .faults()
            .inject(1, Fault::SignedResponse(fault.clone()));
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert_eq!(visit.response.status, 400, "{fault:?}");
        assert_eq!(bff.token_calls("authorization_code"), 0, "{fault:?}");
    }
    for fault in [
        IdTokenFault::Claim("aud", json!(["shop"])),
        IdTokenFault::Header("typ", json!("application/JWT")),
        IdTokenFault::NoKid,
        IdTokenFault::Claim("exp", json!(NOON - 29)),
        IdTokenFault::Claim("iat", json!("whenever")),
    ] {
        let bff = bff("jwt");
        bff.idp.faults().inject(1, Fault::SignedResponse(fault));
        bff.signed_in();
    }
}

#[test]
fn a_new_key_is_fetched_for_a_signed_answer() {
    // B28: and forged ones do not use up what ID tokens need
    let bff = bff("jwt");
    bff.signed_in();
    for _ in 0..20 {
        let kid = Fault::SignedResponse(IdTokenFault::UnknownKid);
        bff.idp.faults().inject(1, kid);
        bff.log_in(&mut bff.browser(), "/bff/login");
    }
    assert!(bff.idp.observed().jwks <= 4);
    bff.clock.advance(Duration::from_secs(60));
    bff.idp.rotate_keys().unwrap();
    bff.signed_in();
}

#[test]
fn an_answer_for_another_login_is_not_taken() {
    // The state in it must be one of this browser.
    let bff = bff("jwt");
    let mut elsewhere = bff.browser();
    let visit = bff.log_in(&mut elsewhere, "/bff/login");
    let address = callback(&visit);
    let stolen = bff.browser().navigate(&address, Initiator::CrossSite);
    assert_eq!(stolen.response.status, 400);
    assert_eq!(bff.token_calls("authorization_code"), 1);
}
