//! A client that authenticates with a key of its own (`private_key_jwt`), and publishes its public keys at `/bff/jwks`.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealgate::demo::idp::Secret;
use serde_json::Value;

use crate::support::{Request, Response, TestBff, logs};

const RSA: &str = include_str!("../client-keys/rsa-2048.pem");
const P256: &str = include_str!("../client-keys/p-256.pem");
const ED25519: &str = include_str!("../client-keys/ed25519.pem");

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
"#;

/// A client with these private keys, whose public ones the provider does not know yet.
fn unregistered(pem: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.files.push(("client.pem", pem.to_owned()));
        setup.tables = ROUTES.to_owned();
        setup.credentials =
            "client_auth = \"private_key_jwt\"\nclient_key = { file = \"client.pem\" }".to_owned();
    })
}

/// A client with these private keys, whose public ones are registered.
fn bff(pem: &str) -> TestBff {
    let bff = unregistered(pem);
    bff.idp.set_client_keys("shop", jwks(&bff).json());
    bff
}

/// What an identity provider gets.
fn jwks(bff: &TestBff) -> Response {
    Request::new("GET", "/bff/jwks")
        .header("host", "shop.test")
        .send(bff.addr)
}

/// Header and claims of every assertion that the provider has got.
fn assertions(bff: &TestBff) -> Vec<(Value, Value)> {
    let decoded = |part: &str| {
        let json = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()
    };
    let assertions = bff.idp.minted_of(Secret::ClientAssertion);
    let parts = assertions.iter().map(|jws| {
        let mut parts = jws.split('.');
        (parts.next().unwrap(), parts.next().unwrap())
    });
    parts
        .map(|(header, claims)| (decoded(header), decoded(claims)))
        .collect()
}

#[test]
fn each_kind_of_key_signs_in_refreshes_exchanges_and_revokes() {
    let begun = logs::install();
    for (pem, alg, kty) in [
        (RSA, "PS256", "RSA"),
        (P256, "ES256", "EC"),
        (ED25519, "EdDSA", "OKP"),
    ] {
        let bff = bff(pem);
        let key = jwks(&bff).json()["keys"][0].clone();
        assert_eq!(
            (&key["alg"], &key["kty"], &key["use"]),
            (&alg.into(), &kty.into(), &"sig".into())
        );
        let mut browser = bff.signed_in();
        bff.clock.advance(Duration::from_secs(290));
        assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
        assert_eq!(browser.fetch("GET", "/api/orders/7").status, 200);
        assert_eq!(browser.fetch("GET", "/api/stock").status, 200);
        for grant in [
            "authorization_code",
            "refresh_token",
            EXCHANGE,
            "client_credentials",
        ] {
            assert_eq!(bff.token_calls(grant), 1, "{alg}: {grant}");
        }
        assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
        assert!(!bff.revoked().is_empty());
        let assertions = assertions(&bff);
        assert!(assertions.len() >= 5, "each request has one");
        for (header, claims) in assertions {
            assert_eq!((&header["alg"], &header["kid"]), (&key["alg"], &key["kid"]));
            assert_eq!(
                (&claims["iss"], &claims["sub"]),
                (&"shop".into(), &"shop".into())
            );
            assert_eq!(claims["aud"], bff.idp.issuer());
            let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
            assert_eq!(lifetime, 60);
            assert!(claims["jti"].as_str().unwrap().len() >= 22, "128 bits");
        }
    }
    // The assertions themselves are searched for when a TestBff ends.
    logs::search(begun, |lines| {
        for line in [RSA, P256, ED25519].iter().flat_map(|pem| pem.lines()) {
            assert!(!lines.contains(line), "a private key is in the log: {line}");
        }
    });
}

#[test]
fn no_assertion_is_used_twice() {
    let bff = bff(P256);
    let mut browser = bff.signed_in();
    for _ in 0..50 {
        bff.clock.advance(Duration::from_secs(290));
        assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    }
    assert_eq!(bff.token_calls("refresh_token"), 50);
    let all: Vec<String> = assertions(&bff)
        .iter()
        .map(|(_, claims)| claims["jti"].to_string())
        .collect();
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (51, 51));
}

#[test]
fn a_provider_that_does_not_know_the_key_signs_nobody_in() {
    let bff = unregistered(P256);
    let mut browser = bff.browser();
    let attempt = |browser: &mut _| bff.log_in(browser, "/bff/login").response.status;
    assert_eq!(attempt(&mut browser), 400);
    // The key of somebody else does no better.
    bff.idp
        .set_client_keys("shop", jwks(&unregistered(ED25519)).json());
    assert_eq!(attempt(&mut browser), 400);
    assert_eq!(browser.fetch("GET", "/bff/user").status, 401);
    bff.idp.set_client_keys("shop", jwks(&bff).json());
    bff.signed_in();
}

#[test]
fn the_first_key_signs_and_all_are_published() {
    let old = bff(P256);
    let known = jwks(&old).json();
    // A new key is appended: the provider learns it while the old one still signs.
    let both = unregistered(&format!("{P256}{RSA}"));
    let published = jwks(&both).json();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
    assert_eq!(published["keys"][0], known["keys"][0]);
    both.idp.set_client_keys("shop", known);
    both.signed_in();
    assert_eq!(assertions(&both)[0].0["kid"], published["keys"][0]["kid"]);
    // Then it is put first.
    let new = unregistered(&format!("{RSA}{P256}"));
    new.idp.set_client_keys("shop", published.clone());
    new.signed_in();
    assert_eq!(assertions(&new)[0].0["kid"], published["keys"][1]["kid"]);
}

#[test]
fn the_public_keys_are_for_everybody_and_no_private_member_is_among_them() {
    let bff = unregistered(&format!("{RSA}{P256}{ED25519}"));
    let answer = jwks(&bff);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("set-cookie"), None);
    let jwks = answer.json();
    let keys = jwks["keys"].as_array().unwrap();
    let members: Vec<Vec<&str>> = keys
        .iter()
        .map(|key| {
            key.as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect()
        })
        .collect();
    assert_eq!(
        members,
        [
            vec!["alg", "e", "kid", "kty", "n", "use"],
            vec!["alg", "crv", "kid", "kty", "use", "x", "y"],
            vec!["alg", "crv", "kid", "kty", "use", "x"],
        ]
    );
    for method in ["POST", "PUT", "DELETE"] {
        let request = Request::new(method, "/bff/jwks").header("host", "shop.test");
        assert_eq!(request.send(bff.addr).status, 405);
    }
}

#[test]
fn without_keys_there_is_no_such_endpoint_and_with_a_secret_they_may_be_published_ahead() {
    let plain = TestBff::spawn();
    assert_eq!(jwks(&plain).status, 404);
    let ahead = TestBff::with(|setup| {
        setup.files.push(("client.pem", P256.to_owned()));
        setup.oidc = "client_key = { file = \"client.pem\" }".to_owned();
    });
    assert_eq!(jwks(&ahead).json()["keys"][0]["alg"], "ES256");
    ahead.signed_in();
    assert_eq!(assertions(&ahead), []);
}
