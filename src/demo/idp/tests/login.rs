//! Who gets in, who is asked, who is turned away; and the way out.

use super::*;

#[actix_web::test]
async fn a_second_login_needs_no_password_unless_the_request_says_so() {
    let scene = Scene::new(IdpOptions::default());
    let nobody = scene.authorize(&[("prompt", "none")]).await.params();
    assert_eq!(
        (nobody["error"].as_str(), nobody["state"].as_str()),
        ("login_required", "the state")
    );
    scene.sign_in(&[]).await;
    assert!(scene.authorize(&[]).await.params().contains_key("code"));
    assert!(
        scene
            .authorize(&[("prompt", "none")])
            .await
            .params()
            .contains_key("code")
    );
    scene.clock.advance(Duration::from_secs(61));
    assert!(
        scene
            .authorize(&[("max_age", "61")])
            .await
            .params()
            .contains_key("code")
    );
    for asks_again in [
        ("prompt", "login"),
        ("max_age", "60"),
        ("acr_values", "urn:demo:step-up"),
    ] {
        assert_eq!(
            scene.authorize(&[asks_again]).await.status,
            200,
            "{asks_again:?}"
        );
    }
    let too_old = scene
        .authorize(&[("max_age", "60"), ("prompt", "none")])
        .await
        .params();
    assert_eq!(too_old["error"], "login_required");
    let answer = scene
        .sign_in(&[("acr_values", "x urn:demo:step-up"), ("prompt", "login")])
        .await;
    let (_, tokens) = scene.redeem(&answer.params()["code"], VERIFIER).await;
    assert_eq!(parts(&tokens["id_token"]).1["acr"], "urn:demo:step-up");
}

#[actix_web::test]
async fn a_request_that_is_not_a_clients_is_answered_by_a_page() {
    let scene = Scene::new(IdpOptions::default());
    for bad in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "https://app.example/bff/callback/"),
        ("redirect_uri", "https://evil.example/"),
        ("response_mode", "fragment"),
    ] {
        let page = scene.authorize(&[bad]).await;
        assert_eq!((page.status, page.location), (400, None), "{bad:?}");
    }
    let twice = format!("/authorize?client_id=shop&redirect_uri={CALLBACK}&state=1&state=2");
    assert_eq!(scene.browse(None, &scene.at(&twice)).await.status, 400);
    for (bad, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("request", "x"), "request_not_supported"),
    ] {
        assert_eq!(
            scene.authorize(&[bad]).await.params()["error"],
            error,
            "{bad:?}"
        );
    }
}

#[actix_web::test]
async fn a_password_counts_only_in_the_browser_that_was_asked_for_it() {
    let scene = Scene::new(IdpOptions::default());
    let page = scene.authorize(&[("login_hint", "\"><script>")]).await;
    assert!(page.text.contains("value=\"&quot;&gt;&lt;script&gt;\""));
    let wrong = scene.fill_in(&page, "alice", "wrong").await;
    assert_eq!((wrong.status, &wrong.location), (403, &None));
    let mine = scene.cookies.take();
    assert_eq!(
        scene.fill_in(&page, "alice", "wonderland").await.status,
        400
    );
    scene.cookies.replace(mine);
    let answer = scene.fill_in(&wrong, "alice", "wonderland").await;
    assert!(answer.params().contains_key("code"));
    // The form is used up.
    assert_eq!(
        scene.fill_in(&page, "alice", "wonderland").await.status,
        400
    );
}

#[actix_web::test]
async fn a_form_post_answer_is_html_without_a_hole() {
    let scene = Scene::new(IdpOptions::default());
    let state = "\"'><script>alert(1)</script>&";
    let page = scene
        .sign_in(&[("response_mode", "form_post"), ("state", state)])
        .await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(&format!("action=\"{CALLBACK}\"")));
    assert!(!page.text.contains("<script>"), "{}", page.text);
    assert_eq!(
        field(&page.text, "state"),
        "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;"
    );
    assert_eq!(
        scene.redeem(field(&page.text, "code"), VERIFIER).await.0,
        200
    );
}

#[actix_web::test]
async fn a_logout_with_hint_ends_the_session_and_its_tokens() {
    let scene = Scene::new(IdpOptions::default());
    let tokens = scene.tokens().await;
    let end = |hint: &str, uri: &str| {
        let query = Serializer::new(String::new())
            .append_pair("id_token_hint", hint)
            .append_pair("client_id", "shop")
            .append_pair("post_logout_redirect_uri", uri)
            .append_pair("state", "a b")
            .finish();
        scene.at(&format!("/end_session?{query}"))
    };
    let hint = tokens["id_token"].as_str().unwrap();
    assert_eq!(
        scene
            .browse(None, &end("not.one.ofours", LOGGED_OUT))
            .await
            .status,
        400
    );
    assert!(scene.is_live(&tokens));
    scene.clock.advance(Duration::from_secs(301));
    let answer = scene.browse(None, &end(hint, LOGGED_OUT)).await;
    assert_eq!(answer.location.unwrap(), format!("{LOGGED_OUT}?state=a+b"));
    assert_eq!(scene.refresh(&tokens).await.0, 400);
    assert_eq!(scene.authorize(&[]).await.status, 200);
    assert_eq!(
        scene
            .browse(None, &end(hint, "https://evil.example/"))
            .await
            .location,
        None
    );
    assert_eq!(scene.idp.observed().end_session, 3);
}

#[actix_web::test]
async fn a_logout_without_hint_asks_and_offline_access_outlives_it() {
    let scene = Scene::new(IdpOptions::default());
    let answer = scene.sign_in(&[("scope", "openid offline_access")]).await;
    let (_, tokens) = scene.redeem(&answer.params()["code"], VERIFIER).await;
    let page = scene
        .browse(None, &scene.at("/end_session?client_id=shop"))
        .await;
    assert!(scene.authorize(&[]).await.location.is_some());
    let form = [("confirm", field(&page.text, "confirm"))];
    assert_eq!(
        scene
            .browse(Some(&form), &scene.at("/end_session"))
            .await
            .status,
        200
    );
    assert_eq!(scene.authorize(&[]).await.status, 200);
    assert_eq!(scene.refresh(&tokens).await.0, 200);
}
