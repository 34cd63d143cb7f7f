//! Tokens that are bound to a key of ours (`DPoP`, RFC 9449): at the provider, and at every API that they go to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealgate::demo::dpop::{Proof, Wants};
use sealgate::demo::idp::{DiscoveryFault, Faults, TokenFault};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::native::{App, NATIVE, Tokens, challenge};
use crate::support::process::eventually;
use crate::support::{Browser, Initiator, Request, Response, TestBff, http};
use crate::websocket::raw_handshake;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const ROUTES: &str = r#"
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "api"
exchange = { audience = "https://orders.internal" }
[frontend.shop.route.stock]
path = "/api/stock"
upstream = "api"
token = "client"
[frontend.shop.route.home]
path = "/api/home"
part.one = { upstream = "api", path = "/one", pick = { path = "/path" } }
part.two = { upstream = "api", path = "/two", pick = { path = "/path" } }
[frontend.shop.route.ws]
path = "/ws"
upstream = "root"
strip_prefix = false
token = "user"
websocket = true
"#;

fn bff_with(oidc: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.tables = ROUTES.to_owned();
        setup.oidc = oidc.to_owned();
    })
}

/// Tokens are always bound, and provider and API want what they are told to want.
fn bff(wants: Wants) -> TestBff {
    let bff = bff_with("dpop = \"always\"\nuserinfo = \"always\"");
    bff.idp.proofs().want(wants);
    bff.api.proofs().want(wants);
    bff
}

fn all_proofs(bff: &TestBff) -> Vec<Proof> {
    [bff.idp.proofs().taken(), bff.api.proofs().taken()].concat()
}

/// Thumbprints of the keys at `/bff/jwks`, each of which is its `kid` too.
fn published(bff: &TestBff) -> Vec<String> {
    let request = Request::new("GET", "/bff/jwks").header("host", "shop.test");
    let jwks = request.send(bff.addr).json();
    let thumbprint = |key: &Value| {
        assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
        assert!(key.get("d").is_none());
        let members = format!(
            r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
            key["x"], key["y"]
        );
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
        assert_eq!(key["kid"], thumbprint);
        thumbprint
    };
    jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(thumbprint)
        .collect()
}

fn post(browser: &mut Browser, path: &str, body: Vec<u8>) -> Response {
    browser.send(Request::new("POST", path).header("x-csrf", "1").body(body))
}

#[test]
fn every_request_that_carries_a_token_proves_that_it_is_ours() {
    // B49, B53
    let bff = bff(Wants::Proofs);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/echo/x?y=1").status, 200);
    assert_eq!(
        post(&mut browser, "/api/echo/x", b"four".to_vec()).status,
        200
    );
    assert_eq!(browser.fetch("GET", "/api/orders/7").status, 200);
    assert_eq!(browser.fetch("GET", "/api/stock").status, 200);
    assert_eq!(
        browser.fetch("GET", "/api/home").json()["two"]["path"],
        "/v1/two"
    );
    bff.clock.advance(Duration::from_secs(290));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    for grant in [
        "authorization_code",
        "refresh_token",
        EXCHANGE,
        "client_credentials",
    ] {
        assert_eq!(bff.token_calls(grant), 1, "{grant}");
    }
    let proofs = all_proofs(&bff);
    let key = &published(&bff)[..];
    assert!(matches!(key, [one] if proofs.iter().all(|proof| proof.thumbprint == *one)));
    let targets: Vec<_> = proofs.iter().map(|proof| &proof.target).collect();
    let expected = |method: &str, url: String| (method.to_owned(), url);
    let (idp, api) = (bff.idp.issuer(), bff.api.url());
    for target in [
        expected("POST", format!("{idp}/token")),
        expected("GET", format!("{idp}/userinfo")),
        expected("GET", format!("{api}/v1/x")),
        expected("POST", format!("{api}/v1/x")),
        expected("GET", format!("{api}/v1/7")),
    ] {
        assert!(targets.contains(&&target), "{target:?} in {targets:?}");
    }
    assert_eq!(
        [bff.idp.proofs().refused(), bff.api.proofs().refused()].concat(),
        [""; 0]
    );
    for received in bff.api.requests() {
        assert!(
            received
                .header("authorization")
                .unwrap()
                .starts_with("DPoP ")
        );
    }
    // The provider takes refresh tokens without a proof at revocation (RFC 9449 §5).
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert!(!bff.revoked().is_empty());
}

#[test]
fn the_code_is_bound_to_the_key_before_it_exists() {
    // RFC 9449 §10; FAPI 2.0 Security Profile §5.3.3
    let bff = bff(Wants::Nothing);
    let begun = bff
        .browser()
        .send(Request::new("GET", "/bff/login").header("sec-fetch-mode", "navigate"));
    let address = begun.header("location").unwrap();
    let jkt = format!("dpop_jkt={}", published(&bff)[0]);
    assert!(address.contains(&jkt), "{address}");
}

#[test]
fn nonces_are_followed_with_one_retry_each() {
    // B50, RFC 9449 §8, §9
    let bff = bff(Wants::Nonces);
    let mut browser = bff.signed_in();
    let (idp, api) = (bff.idp.proofs(), bff.api.proofs());
    // The nonce of the token endpoint is another server's than UserInfo's.
    assert_eq!(idp.refused(), ["use_dpop_nonce"; 2]);
    assert_eq!(browser.fetch("GET", "/api/echo/1").status, 200);
    assert_eq!(browser.fetch("GET", "/api/echo/2").status, 200);
    assert_eq!(api.refused(), ["use_dpop_nonce"], "the nonce is remembered");
    api.rotate();
    for (n, answer) in [
        browser.fetch("GET", "/api/echo/3"),
        browser.fetch("DELETE", "/api/echo/3"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(answer.status, 200, "{n}");
        assert_eq!(
            answer.header("dpop-nonce"),
            None,
            "it is between us and the API"
        );
    }
    assert_eq!(api.refused().len(), 2);
    api.rotate();
    assert_eq!(browser.fetch("GET", "/api/home").status, 200);
    api.rotate();
    idp.rotate();
    bff.clock.advance(Duration::from_secs(290));
    assert_eq!(browser.fetch("GET", "/api/orders/7").status, 200);
    assert_eq!(bff.metric("sealgate_refresh_total{result=\"ok\"}"), 1);
    assert_eq!(browser.fetch("GET", "/bff/session").json()["active"], true);
}

#[test]
fn a_body_goes_again_for_a_nonce_as_long_as_no_more_of_it_was_read() {
    // B51
    let bff = bff(Wants::Nonces);
    let mut browser = bff.signed_in();
    let api = bff.api.proofs();
    for n in 0..3 {
        api.rotate();
        let answer = post(&mut browser, "/api/echo/x", b"once and no more".to_vec());
        assert_eq!(answer.status, 200, "{n}");
        assert_eq!(answer.json()["body_bytes"], 16);
    }
    assert_eq!(api.refused().len(), 3);
    api.rotate();
    let cookies = browser.api_cookie_line("/api/echo/x");
    let chunked = format!(
        "POST /api/echo/x HTTP/1.1\r\nhost: shop.test\r\ncookie: {cookies}\r\nx-csrf: 1\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n"
    );
    let answer = http::raw(bff.addr, chunked.as_bytes());
    assert_eq!(Response::parse(&answer, "POST").json()["body_bytes"], 4);
    let bodies: Vec<_> = bff
        .api
        .requests()
        .into_iter()
        .map(|received| received.body)
        .collect();
    assert_eq!(bodies.len(), 4, "what was refused was not taken");

    // Half a megabyte is on its way in pieces when the API refuses it: it is refused, or it goes again whole.
    api.rotate();
    let answer = post(&mut browser, "/api/echo/x", vec![b'x'; 512 * 1024]);
    match answer.status {
        200 => assert_eq!(answer.json()["body_bytes"], 512 * 1024),
        status => assert_eq!(status, 401),
    }
    let answer = post(&mut browser, "/api/echo/x", vec![b'x'; 512 * 1024]);
    assert_eq!(
        answer.json()["body_bytes"],
        512 * 1024,
        "the nonce is known now"
    );
    assert_eq!(
        bff.token_calls("refresh_token"),
        0,
        "the token was never at fault"
    );
}

#[test]
fn an_api_that_always_wants_another_nonce_is_asked_twice() {
    let bff = bff(Wants::Nonces);
    let mut browser = bff.signed_in();
    let api = bff.api.proofs();
    api.want(Wants::AnotherNonce);
    for path in ["/api/echo/x", "/api/orders/7", "/api/home"] {
        let before = api.refused().len();
        let answer = browser.fetch("GET", path);
        assert_eq!(answer.status, 401, "{path}");
        let calls = if path == "/api/home" { 4 } else { 2 };
        assert!(api.refused().len() - before <= calls, "{path}");
    }
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(bff.token_calls(EXCHANGE), 1);
    api.want(Wants::Nonces);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
}

#[test]
fn a_provider_that_always_wants_another_nonce_costs_no_session() {
    let bff = bff(Wants::Nonces);
    let mut browser = bff.signed_in();
    let idp = bff.idp.proofs();
    idp.want(Wants::AnotherNonce);
    bff.clock.advance(Duration::from_secs(290));
    let before = idp.refused().len();
    assert_eq!(
        browser.fetch("GET", "/api/echo/x").status,
        200,
        "its token lives"
    );
    assert_eq!(idp.refused().len() - before, 2);
    bff.clock.advance(Duration::from_secs(60));
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(answer.problem(), "identity-provider-unavailable");
    let login = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_ne!(login.response.status, 200);
    // The refresh token was not spent: the provider rotates, and would end the family.
    idp.want(Wants::Nonces);
    bff.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
}

#[test]
fn a_websocket_handshake_carries_a_proof_and_follows_nonces() {
    let bff = bff(Wants::Nonces);
    let browser = bff.signed_in();
    let shake = || {
        let handshake = raw_handshake("/ws", &browser.api_cookie_line("/ws"));
        let mut stream = TcpStream::connect(bff.addr).unwrap();
        stream.write_all(handshake.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head).into_owned()
    };
    assert_eq!(shake(), "HTTP/1.1 101");
    bff.api.proofs().rotate();
    assert_eq!(shake(), "HTTP/1.1 101");
    assert_eq!(bff.api.proofs().refused(), ["use_dpop_nonce"; 2]);
    bff.api.proofs().want(Wants::AnotherNonce);
    assert_eq!(shake(), "HTTP/1.1 401");
    assert_eq!(bff.api.proofs().refused().len(), 4);
    eventually("the sockets are closed", || {
        (bff.api.open_sockets() == 0).then_some(())
    });
}

#[test]
fn what_a_client_says_of_dpop_reaches_no_api() {
    // B54, D3
    let bff = bff(Wants::Nonces);
    let mut browser = bff.signed_in();
    let request = Request::new("GET", "/api/echo/x")
        .header("x-csrf", "1")
        .header("dpop", "a.b.c")
        .header("authorization", "DPoP stolen");
    assert_eq!(browser.send(request).status, 200);
    let public = Request::new("GET", "/api/public/x")
        .header("x-csrf", "1")
        .header("dpop", "a.b.c");
    bff.api.proofs().want(Wants::Nothing);
    assert_eq!(browser.send(public).status, 200);
    let received = bff.api.requests();
    assert!(
        received[0]
            .header("dpop")
            .is_some_and(|proof| proof != "a.b.c")
    );
    assert_eq!(received[1].header("dpop"), None);
}

#[test]
fn a_provider_that_does_not_bind_tokens_is_taken_as_it_is_or_refused() {
    // B52, RFC 9449 §5
    for (dpop, lists_it, binds, is_taken, scheme) in [
        ("never", true, true, true, "Bearer "),
        ("auto", false, true, true, "Bearer "),
        ("auto", true, false, true, "Bearer "),
        ("auto", true, true, true, "DPoP "),
        ("always", false, true, true, "DPoP "),
        ("always", true, false, false, ""),
    ] {
        let case = format!("{dpop} {lists_it} {binds}");
        let bff = TestBff::with(|setup| {
            setup.oidc = format!("dpop = \"{dpop}\"");
            setup.provider_is_down = true;
        });
        bff.idp.faults().clear();
        if !lists_it {
            let without = DiscoveryFault::Without("dpop_signing_alg_values_supported");
            bff.idp.faults().inject(Faults::ALWAYS, without);
        }
        if !binds {
            let bearer = TokenFault::With("token_type", json!("Bearer"));
            bff.idp.faults().inject(Faults::ALWAYS, bearer);
        }
        bff.clock.advance(Duration::from_secs(60));
        let mut browser = bff.browser();
        let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
        assert_eq!(visit.url.path() == "/welcome", is_taken, "{case}");
        if is_taken {
            assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200, "{case}");
            let received = bff.api.requests();
            let authorization = received[0].header("authorization").unwrap();
            assert!(authorization.starts_with(scheme), "{case}");
            assert_eq!(
                received[0].header("dpop").is_some(),
                scheme == "DPoP ",
                "{case}"
            );
        }
        let jwks = Request::new("GET", "/bff/jwks").header("host", "shop.test");
        let status = if dpop == "never" { 404 } else { 200 };
        assert_eq!(jwks.send(bff.addr).status, status, "{case}");
    }
}

#[test]
fn tokens_stay_with_their_key_until_it_leaves_the_ring() {
    let bff = bff(Wants::Proofs);
    let old = published(&bff)[0].clone();
    let old_kid = bff.kids()[0];
    // The login begins with one key, and ends with another one as the primary.
    let mut browser = bff.browser();
    let form = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
    bff.clock.advance(Duration::from_secs(1));
    bff.add_key();
    let both = bff.replica();
    browser.resolve("shop.test", both.addr);
    let visit = bff.fill_in(&mut browser, &form, "alice", "wonderland");
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    assert!(all_proofs(&bff).iter().all(|proof| proof.thumbprint == old));
    // The session is sealed with the new key, so it outlives the old one.
    bff.remove_key(old_kid);
    let new_only = bff.replica();
    browser.resolve("shop.test", new_only.addr);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
    let last = all_proofs(&bff).pop().unwrap();
    assert_ne!(last.thumbprint, old);
    // Whatever cannot be refreshed needs a login.
    bff.idp.sign_off_all();
    bff.clock.advance(Duration::from_secs(1));
    let new_kid = bff.kids()[0];
    bff.add_key();
    bff.remove_key(new_kid);
    let neither = bff.replica();
    browser.resolve("shop.test", neither.addr);
    assert_eq!(
        browser.fetch("GET", "/api/echo/x").problem(),
        "login-required"
    );
}

#[test]
fn an_app_whose_tokens_key_has_left_the_ring_is_told_to_refresh() {
    // RFC 6750 §3.1
    let bff = TestBff::with(|setup| {
        setup.tables = NATIVE.to_owned();
        setup.oidc = "dpop = \"always\"".to_owned();
    });
    bff.idp.proofs().want(Wants::Proofs);
    // The login begins with one key. What the app gets is sealed with the next one.
    let code = App::code(&bff, &[]);
    let old_kid = bff.kids()[0];
    bff.clock.advance(Duration::from_secs(1));
    bff.add_key();
    let both = bff.replica();
    let mut app = bff.app_at(both.addr);
    let tokens = Tokens::of(&app.redeem(&code));
    assert_eq!(app.call("GET", "/api/echo/x", &tokens.access).status, 200);
    bff.remove_key(old_kid);
    let new_only = bff.replica();
    app.use_replica(new_only.addr);
    app.nonce = None;
    app.call("GET", "/api/echo/x", &tokens.access);
    let refused = app.call("GET", "/api/echo/x", &tokens.access);
    assert_eq!(refused.problem(), "invalid-token");
    let (status, challenge) = challenge(&refused);
    assert_eq!(status, 401);
    assert!(
        challenge.starts_with("DPoP error=\"invalid_token\""),
        "{challenge}"
    );
    let tokens = Tokens::of(&app.refresh(&tokens.refresh));
    assert_eq!(app.call("GET", "/api/echo/x", &tokens.access).status, 200);
}
