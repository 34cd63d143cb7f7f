//! Codes, tokens, clients.

use super::*;

#[actix_web::test]
async fn a_login_ends_with_tokens_that_hold_what_was_asked_for() {
    let scene = Scene::new(IdpOptions::default());
    let answer = scene.sign_in(&[]).await;
    assert_eq!(answer.status, 303);
    let params = answer.params();
    assert_eq!(params["state"], "the state");
    assert_eq!(params["iss"], scene.idp.issuer());
    let (status, tokens) = scene.redeem(&params["code"], VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["expires_in"], 300);
    let (header, claims) = parts(&tokens["id_token"]);
    assert_eq!(header["alg"], "ES256");
    let now = scene.clock.now().as_secs();
    for (name, value) in [
        ("iss", json!(scene.idp.issuer())),
        ("aud", json!("shop")),
        ("sub", json!("8f2c1d7e-alice")),
        ("name", json!("Alice Liddell")),
        ("roles", json!(["buyer", "admin"])),
        ("nonce", json!("the nonce")),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("auth_time", json!(now)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["sid"].is_string() && claims["at_hash"].is_string());
    assert_eq!(parts(&tokens["access_token"]).0["typ"], "at+jwt");
    let jwks = scene.browse(None, &scene.at("/jwks")).await.text;
    assert!(jwks.contains(header["kid"].as_str().unwrap()));
    assert!(scene.idp.keys_verify(&tokens["id_token"]));
    assert!(scene.is_live(&tokens));
    let minted = scene.idp.minted();
    for name in ["access_token", "refresh_token", "id_token"] {
        assert!(
            minted.iter().any(|secret| tokens[name] == **secret),
            "{name}"
        );
    }
    assert!(minted.contains(&params["code"]) && minted.iter().any(|secret| secret == SECRET));
    assert_eq!(scene.idp.observed().token_calls("authorization_code"), 1);
}

#[actix_web::test]
async fn a_code_needs_its_verifier_its_redirect_uri_and_its_client() {
    let scene = Scene::new(IdpOptions::default());
    let code = scene.sign_in(&[]).await.params()["code"].clone();
    let (status, answer) = scene.redeem(&code, &"x".repeat(43)).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    // One guess only.
    assert_eq!(scene.redeem(&code, VERIFIER).await.0, 400);
    let code = scene.authorize(&[]).await.params()["code"].clone();
    scene.clock.advance(Duration::from_mins(1));
    assert_eq!(scene.redeem(&code, VERIFIER).await.0, 400);
}

#[actix_web::test]
async fn a_code_that_comes_again_revokes_what_came_from_it() {
    let scene = Scene::new(IdpOptions::default());
    let code = scene.sign_in(&[]).await.params()["code"].clone();
    let (_, tokens) = scene.redeem(&code, VERIFIER).await;
    assert!(scene.is_live(&tokens));
    let (status, answer) = scene.redeem(&code, VERIFIER).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert!(!scene.is_live(&tokens));
    assert_eq!(scene.refresh(&tokens).await.0, 400);
}

#[actix_web::test]
async fn a_client_must_prove_itself_in_one_way() {
    let scene = Scene::new(IdpOptions::default());
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for (secret, expect) in [(SECRET, 400), ("wrong", 401)] {
        let mut by_post = form.to_vec();
        by_post.extend([("client_id", "shop"), ("client_secret", secret)]);
        let answer = scene
            .http
            .post(scene.at("/token"))
            .send_form(&by_post)
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), expect);
        let (status, answer) = scene.call("/token", &by_post).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
    }
    let answer = scene
        .http
        .post(scene.at("/token"))
        .send_form(&form)
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 401);
}

#[actix_web::test]
async fn without_rotation_a_refresh_token_stays_good() {
    let scene = Scene::new(rotating(Rotation::Reuse));
    let first = scene.tokens().await;
    for _ in 0..3 {
        scene.clock.advance(Duration::from_secs(10));
        let (status, next) = scene.refresh(&first).await;
        assert_eq!(status, 200);
        assert_eq!(next["refresh_token"], first["refresh_token"]);
        let (_, claims) = parts(&next["id_token"]);
        assert_eq!(claims["nonce"], Value::Null);
        assert_eq!(
            claims["auth_time"],
            parts(&first["id_token"]).1["auth_time"]
        );
    }
}

#[actix_web::test]
async fn with_rotation_a_spent_refresh_token_revokes_its_family() {
    let scene = Scene::new(rotating(Rotation::Rotate));
    let first = scene.tokens().await;
    let (_, second) = scene.refresh(&first).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(scene.is_live(&second));
    let (status, answer) = scene.refresh(&first).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(scene.refresh(&second).await.0, 400);
    assert!(!scene.is_live(&second));
}

#[actix_web::test]
async fn with_leeway_only_the_token_before_the_newest_may_come_again_and_not_for_long() {
    let leeway = Rotation::RotateWithLeeway(Duration::from_secs(10));
    let scene = Scene::new(rotating(leeway));
    let first = scene.tokens().await;
    let (_, second) = scene.refresh(&first).await;
    scene.clock.advance(Duration::from_secs(10));
    let (status, sibling) = scene.refresh(&first).await;
    assert_eq!(status, 200);
    assert_ne!(sibling["refresh_token"], second["refresh_token"]);
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.refresh(&first).await.0, 400);
    assert_eq!(scene.refresh(&second).await.0, 400);

    let scene = Scene::new(rotating(leeway));
    let first = scene.tokens().await;
    let (_, second) = scene.refresh(&first).await;
    scene.refresh(&second).await;
    assert_eq!(scene.refresh(&first).await.0, 400);
}

#[actix_web::test]
async fn a_revoked_refresh_token_takes_its_family_along() {
    let scene = Scene::new(IdpOptions::default());
    let tokens = scene.tokens().await;
    assert_eq!(scene.call("/revoke", &[("token", "unknown")]).await.0, 200);
    assert!(scene.is_live(&tokens));
    let token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(scene.call("/revoke", &[("token", token)]).await.0, 200);
    assert!(!scene.is_live(&tokens));
    assert_eq!(scene.refresh(&tokens).await.0, 400);
    assert_eq!(scene.idp.observed().revoked, ["unknown", token]);
}

#[actix_web::test]
async fn an_opaque_access_token_opens_userinfo_until_it_ends() {
    let scene = Scene::new(IdpOptions {
        access_token_format: TokenFormat::Opaque,
        access_token_lifetime: Duration::from_mins(1),
        ..IdpOptions::default()
    });
    let tokens = scene.tokens().await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert!(!bearer.contains('.'));
    for (later, status) in [(59, 200), (1, 401)] {
        scene.clock.advance(Duration::from_secs(later));
        let answer = scene
            .http
            .get(scene.at("/userinfo"))
            .insert_header((header::AUTHORIZATION, bearer.as_str()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
}
