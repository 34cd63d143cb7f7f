//! Answers of a provider that lies, mixes people up or was tampered with: what `login` does not tell already.

use std::time::Duration;

use sealgate::demo::idp::{
    DiscoveryFault, Faults, IdTokenFault, KeyAlgorithm, Rotation, Secret, TokenFault,
};
use serde_json::json;

use crate::support::{Browser, Initiator, NOON, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

fn bearers(bff: &TestBff) -> Vec<String> {
    let requests = bff.api.requests();
    let all = requests.iter().filter_map(|r| r.header("authorization"));
    all.map(str::to_owned).collect()
}

#[test]
fn an_id_token_under_the_name_of_another_algorithm_begins_no_session() {
    // B26: algorithm swapped
    for alg in ["RS256", "PS256", "ES384", "EdDSA", "HS256", "es256", ""] {
        let bff = TestBff::spawn();
        bff.idp
            .faults()
            .inject(1, IdTokenFault::Header("alg", json!(alg)));
        let mut browser = bff.browser();
        assert_eq!(bff.log_in(&mut browser, "/bff/login").response.status, 400);
        assert_eq!(browser.cookie_names(), Vec::<String>::new(), "{alg}");
    }
}

#[test]
fn keys_named_in_a_header_are_not_used() {
    // B27
    for name in ["jku", "x5u"] {
        let bff = TestBff::spawn();
        let elsewhere = json!(format!("{}/elsewhere", bff.idp.issuer()));
        bff.idp
            .faults()
            .inject(1, IdTokenFault::Header(name, elsewhere));
        bff.signed_in();
        assert_eq!(bff.idp.observed().jwks, 1, "{name} is passed over");
    }
}

#[test]
fn a_key_without_a_name_is_taken_if_it_is_the_only_one_and_never_guessed() {
    // B28: kid absent with 1 key / N keys
    let bff = TestBff::spawn();
    bff.idp.faults().inject(Faults::ALWAYS, IdTokenFault::NoKid);
    bff.signed_in();
    bff.idp.add_key(KeyAlgorithm::Es256).unwrap();
    bff.clock.advance(SECOND * 60);
    let mut browser = bff.browser();
    assert_eq!(bff.log_in(&mut browser, "/bff/login").response.status, 400);
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
}

#[test]
fn keys_may_change_between_logins_and_right_before_a_signature() {
    // B28
    let bff = TestBff::spawn();
    bff.signed_in();
    bff.idp.add_key(KeyAlgorithm::Es256).unwrap();
    bff.signed_in();
    bff.clock.advance(SECOND * 31);
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login", Initiator::SameOrigin);
    bff.idp.rotate_keys().unwrap();
    bff.fill_in(&mut browser, &page, "alice", "wonderland");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
}

/// Signed in at a provider whose metadata, as it is remembered, lists ES256 only; now it signs with ES384.
fn another_algorithm(is_listed: bool) -> (TestBff, Browser) {
    let bff = TestBff::spawn();
    let listed = DiscoveryFault::With("id_token_signing_alg_values_supported", json!(["ES256"]));
    bff.idp.faults().inject(Faults::ALWAYS, listed);
    // What the process learned at its start is too old by then.
    bff.clock.advance(SECOND * 3_601);
    let browser = bff.signed_in();
    if is_listed {
        bff.idp.faults().clear();
    }
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    (bff, browser)
}

#[test]
fn the_algorithm_may_change_while_the_metadata_is_remembered() {
    // OpenID Connect Discovery §3; at a refresh, and at a login
    let (bff, mut browser) = another_algorithm(true);
    let before = bff.idp.observed().discovery;
    bff.clock.advance(SECOND * 290);
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    assert_eq!(bff.idp.observed().discovery, before + 1);

    let (bff, _browser) = another_algorithm(true);
    let before = bff.idp.observed().discovery;
    drop(bff.signed_in());
    assert_eq!(bff.idp.observed().discovery, before + 1);
}

#[test]
fn an_algorithm_that_the_provider_does_not_list_begins_no_login_and_ends_no_session() {
    let (bff, mut browser) = another_algorithm(false);
    let before = bff.idp.observed().discovery;
    for _ in 0..5 {
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert_eq!(visit.response.status, 400);
    }
    assert_eq!(
        bff.idp.observed().discovery,
        before + 2,
        "two at once, then one in a while"
    );
    // TLS to the token endpoint vouches for it (OpenID Connect Core §3.1.3.7, 6), as for a key that is not there.
    bff.clock.advance(SECOND * 290);
    assert_eq!(call(&mut browser).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn metadata_of_another_host_begins_no_login() {
    // B39: another host, and endpoints without TLS beyond this machine
    for (name, value) in [
        ("issuer", "http://localhost:1"),
        ("issuer", "https://evil.test"),
        ("token_endpoint", "http://evil.test/token"),
        ("authorization_endpoint", "http://evil.test/authorize"),
        ("authorization_endpoint", "javascript:alert(1)"),
    ] {
        let bff = TestBff::with(|setup| setup.provider_is_down = true);
        bff.idp.faults().clear();
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, DiscoveryFault::With(name, json!(value)));
        bff.clock.advance(SECOND * 60);
        let visit = bff.browser().navigate("/bff/login", Initiator::SameOrigin);
        assert_eq!(visit.response.status, 503, "{name} {value}");
        assert_eq!(visit.url.path(), "/bff/login");
    }
}

#[test]
fn a_refresh_about_another_login_ends_the_session_and_its_tokens_go_nowhere() {
    // B35, with a live access token and without one
    let another = [
        IdTokenFault::Claim("sub", json!("mallory")),
        IdTokenFault::WithoutClaim("sub"),
        IdTokenFault::Claim("iss", json!("https://evil.test")),
        IdTokenFault::Claim("aud", json!("other")),
        IdTokenFault::Claim("aud", json!(["shop", "other"])),
        IdTokenFault::Claim("auth_time", json!(NOON + 1)),
        IdTokenFault::Claim("azp", json!("other")),
        IdTokenFault::Claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        IdTokenFault::Claim("events", json!({})),
        IdTokenFault::Header("typ", json!("logout+jwt")),
        IdTokenFault::AlgNone,
        IdTokenFault::HmacWithClientSecret,
        IdTokenFault::BadSignature,
    ];
    for (n, fault) in another.into_iter().enumerate() {
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        assert_eq!(call(&mut browser).status, 200);
        let cookies = browser.jar.clone();
        bff.clock
            .advance(SECOND * if n % 2 == 0 { 290 } else { 301 });
        bff.idp.faults().inject(1, fault.clone());
        assert_eq!(call(&mut browser).problem(), "login-required", "{fault:?}");
        assert!(browser.cookie("__Host-Http-shop").is_none(), "{fault:?}");
        // A client that kept its cookies gets no further.
        let mut stubborn = bff.browser();
        stubborn.jar = cookies;
        assert_eq!(call(&mut stubborn).problem(), "login-required", "{fault:?}");
        assert_eq!(bff.token_calls("refresh_token"), 1, "{fault:?}");
        let refreshed = bff.idp.minted_of(Secret::AccessToken).pop().unwrap();
        let is_refreshed = |bearer: &String| bearer.contains(&refreshed);
        assert!(!bearers(&bff).iter().any(is_refreshed), "{fault:?}");
    }
}

#[test]
fn harmless_variations_of_a_refresh_are_adopted() {
    // B33, B34, B35: each over three refreshes
    let variations: [&[sealgate::demo::idp::Fault]; 9] = [
        &[],
        &[TokenFault::Without("id_token").into()],
        &[TokenFault::Without("refresh_token").into()],
        &[TokenFault::Without("expires_in").into()],
        &[TokenFault::Without("scope").into()],
        &[TokenFault::With("token_type", json!("BEARER")).into()],
        &[IdTokenFault::WithoutClaim("auth_time").into()],
        &[IdTokenFault::Claim("aud", json!(["shop"])).into()],
        &[IdTokenFault::Claim("nonce", json!("whatever")).into()],
    ];
    for faults in variations {
        let bff = TestBff::with(|setup| setup.rotation = Rotation::Reuse);
        let mut browser = bff.signed_in();
        for fault in faults {
            bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        }
        for n in 1..=3 {
            bff.clock.advance(SECOND * 301);
            assert_eq!(call(&mut browser).status, 200, "{faults:?}");
            assert_eq!(bff.token_calls("refresh_token"), n, "{faults:?}");
        }
        let mut sent = bearers(&bff);
        sent.dedup();
        assert_eq!(sent.len(), 3, "{faults:?}: each time the new one");
    }
}

#[test]
fn the_newest_refresh_token_is_the_one_that_is_spent() {
    // B34: with strict rotation any other would end the family
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for n in 1..=5 {
        bff.clock.advance(SECOND * 301);
        assert_eq!(call(&mut browser).status, 200, "{n}");
        assert_eq!(bff.token_calls("refresh_token"), n);
    }
}

#[test]
fn userinfo_is_never_asked() {
    // What it says cannot differ from the ID token if it is not believed.
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 301);
    call(&mut browser);
    assert_eq!(bff.idp.observed().userinfo, 0);
}

#[test]
fn a_login_that_is_replayed_with_its_cookie_is_refused_by_the_provider() {
    // G15: the cookie is ours to delete and the client's to keep; the code is good once
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
    let kept = browser.jar.clone();
    let visit = bff.fill_in(&mut browser, &page, "alice", "wonderland");
    let chain = &visit.chain;
    let (callback, _) = chain
        .iter()
        .find(|(url, _)| url.path() == "/bff/callback")
        .unwrap();
    let mut thief = bff.browser();
    thief.jar = kept;
    let replay = thief.navigate(callback.as_str(), Initiator::CrossSite);
    assert_eq!(replay.response.status, 400);
    assert!(replay.response.text().contains("<code>login-failed</code>"));
    assert!(thief.cookie("__Host-Http-shop").is_none());
    assert_eq!(bff.token_calls("authorization_code"), 2);
}
