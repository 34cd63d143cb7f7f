//! The provider is wrong exactly as asked.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;

/// Looks at header, claims and the whole JWT.
type Check = fn(&Value, &Value, &str) -> bool;

#[actix_web::test]
async fn id_tokens_are_forged_as_asked_and_only_then() {
    let scene = Scene::new(IdpOptions::default());
    let first = scene.tokens().await;
    let cases: [(IdTokenFault, bool, Check); 7] = [
        (
            IdTokenFault::Claim("iss", json!("https://evil.example")),
            true,
            |_, c, _| c["iss"] == "https://evil.example",
        ),
        (IdTokenFault::WithoutClaim("sub"), true, |_, c, _| {
            c["sub"].is_null()
        }),
        (IdTokenFault::NoKid, true, |h, _, _| h["kid"].is_null()),
        (IdTokenFault::UnknownKid, true, |h, _, _| {
            h["kid"].is_string()
        }),
        (IdTokenFault::AlgNone, false, |h, _, jwt| {
            h["alg"] == "none" && jwt.ends_with('.')
        }),
        (IdTokenFault::HmacWithClientSecret, false, |h, _, _| {
            h["alg"] == "HS256"
        }),
        (IdTokenFault::BadSignature, false, |h, _, _| {
            h["alg"] == "ES256"
        }),
    ];
    for (fault, is_signed, is_as_asked) in cases {
        scene.idp.faults().inject(1, fault.clone());
        let (_, tokens) = scene.refresh(&first).await;
        let (header, claims) = parts(&tokens["id_token"]);
        let jwt = tokens["id_token"].as_str().unwrap();
        assert!(is_as_asked(&header, &claims, jwt), "{fault:?}");
        assert_eq!(
            scene.idp.keys_verify(&tokens["id_token"]),
            is_signed,
            "{fault:?}"
        );
        let (_, tokens) = scene.refresh(&first).await;
        assert!(scene.idp.keys_verify(&tokens["id_token"]));
    }
    scene.idp.faults().pad_tokens(5000);
    let (_, tokens) = scene.refresh(&first).await;
    for name in ["access_token", "id_token"] {
        assert_eq!(
            parts(&tokens[name]).1["padding"].as_str().unwrap().len(),
            5000
        );
    }
}

#[actix_web::test]
async fn authorization_answers_and_metadata_are_wrong_as_asked() {
    let scene = Scene::new(IdpOptions::default());
    scene.sign_in(&[]).await;
    let faults = scene.idp.faults();
    faults.inject(1, AuthorizationFault::AccessDenied);
    let params = scene.authorize(&[]).await.params();
    assert_eq!(params["error"], "access_denied");
    assert!(params["error_description"].contains("<script>") && !params.contains_key("code"));
    faults.inject(1, AuthorizationFault::NoIss);
    assert!(!scene.authorize(&[]).await.params().contains_key("iss"));
    faults.inject(
        1,
        AuthorizationFault::With("iss", "https://evil.example".to_owned()),
    );
    assert_eq!(
        scene.authorize(&[]).await.params()["iss"],
        "https://evil.example"
    );
    faults.inject(1, AuthorizationFault::Twice("state"));
    assert_eq!(
        scene
            .authorize(&[])
            .await
            .location
            .unwrap()
            .matches("state=")
            .count(),
        2
    );

    let discovery = scene.at(metadata::PATH);
    for (fault, expect) in [
        (DiscoveryFault::IssuerSlash, json!(scene.at("/"))),
        (
            DiscoveryFault::IssuerCase,
            json!(scene.idp.issuer().replace("http", "HTTP")),
        ),
        (DiscoveryFault::Without("issuer"), Value::Null),
    ] {
        faults.inject(1, fault);
        let text = scene.browse(None, &discovery).await.text;
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["issuer"],
            expect
        );
    }
    faults.inject(1, DiscoveryFault::Endpoint(EndpointFault::Down));
    assert_eq!(scene.browse(None, &discovery).await.status, 503);
    faults.inject(1, Fault::Jwks(EndpointFault::Down));
    assert_eq!(scene.browse(None, &scene.at("/jwks")).await.status, 503);
    assert_eq!(scene.browse(None, &scene.at("/jwks")).await.status, 200);
    assert_eq!(
        (scene.idp.observed().discovery, scene.idp.observed().jwks),
        (4, 2)
    );
}

#[actix_web::test]
async fn the_token_endpoint_fails_as_asked() {
    let scene = Scene::new(rotating(Rotation::Rotate));
    let faults = scene.idp.faults();
    let mut tokens = scene.tokens().await;
    let answer = TokenFault::Answer {
        status: 502,
        body: "{\"x\":1}".to_owned(),
    };
    faults.inject(2, answer);
    for _ in 0..2 {
        assert_eq!(scene.refresh(&tokens).await, (502, json!({"x": 1})));
    }
    faults.inject(1, TokenFault::Without("expires_in"));
    faults.inject(1, TokenFault::With("token_type", json!("bEARER")));
    tokens = scene.refresh(&tokens).await.1;
    assert_eq!(
        (&tokens["expires_in"], &tokens["token_type"]),
        (&Value::Null, &json!("bEARER"))
    );
    faults.inject(1, TokenFault::InvalidGrant);
    assert_eq!(scene.refresh(&tokens).await.1["error"], "invalid_grant");
    faults.inject(1, TokenFault::TruncatedJson);
    assert_eq!(scene.refresh(&tokens).await, (200, Value::Null));
    // It was processed all the same: the token is spent.
    assert_eq!(scene.refresh(&tokens).await.0, 400);
    assert_eq!(scene.idp.observed().token_calls("refresh_token"), 6);
}

#[actix_web::test]
async fn an_interim_answer_can_come_first() {
    let scene = Scene::new(IdpOptions::default());
    let tokens = scene.tokens().await;
    scene.idp.faults().inject(1, TokenFault::EarlyHints);
    let body = Serializer::new(String::new())
        .extend_pairs(refresh_form(&tokens))
        .finish();
    let address = scene.idp.issuer().strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST /token HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 103 Early Hints\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
}

#[actix_web::test]
async fn a_connection_can_be_dropped_after_the_work() {
    let scene = Scene::new(rotating(Rotation::Rotate));
    let tokens = scene.tokens().await;
    let minted = scene.idp.minted_of(Secret::RefreshToken).len();
    scene.idp.faults().inject(1, TokenFault::DropConnection);
    let call = scene.http.post(scene.at("/token"));
    assert!(call.send_form(&refresh_form(&tokens)).await.is_err());
    assert_eq!(scene.idp.minted_of(Secret::RefreshToken).len(), minted + 1);
    assert_eq!(scene.refresh(&tokens).await.0, 400);
}

fn refresh_form(tokens: &Value) -> [(&str, &str); 4] {
    [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", "shop"),
        ("client_secret", SECRET),
    ]
}
