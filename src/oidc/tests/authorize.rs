//! What the browser carries.

use std::collections::HashSet;

use openidconnect::PkceCodeChallenge;
use serde_json::json;
use url::Url;

use super::super::{LoginParams, Provider};
use super::hostile::{Hostile, SigningKey};
use super::{NOW, assert_invalid, client, provider, run, settings};
use crate::clock::Clock;

async fn idp() -> Hostile {
    Hostile::start(&[&SigningKey::new("k1")]).await
}

fn values<'u>(url: &'u Url, name: &str) -> Vec<std::borrow::Cow<'u, str>> {
    let pairs = url.query_pairs().filter(|(found, _)| found == name);
    pairs.map(|(_, value)| value).collect()
}

#[test]
fn a_login_asks_for_a_code_with_pkce_state_and_nonce() {
    // A2, B1, B2, B3, B5
    run(async {
        let idp = idp().await;
        idp.metadata(|document| {
            document["authorization_endpoint"] =
                json!(format!("{}/authorize?tenant=7", idp.issuer));
        });
        let (provider, _) = provider(&idp);
        let request = provider
            .authorize(&client(), &LoginParams::default(), "state-of-the-login")
            .await
            .unwrap();
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&request.verifier);
        for (name, expected) in [
            ("tenant", "7"),
            ("response_type", "code"),
            ("client_id", "shop"),
            ("redirect_uri", "https://shop.example.com/bff/callback"),
            ("scope", "openid profile"),
            ("state", "state-of-the-login"),
            ("nonce", request.nonce.secret()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(values(&request.url, name), [expected], "{name}");
        }
        assert_eq!(request.url.query_pairs().count(), 9);
        assert_eq!(request.url.path(), "/authorize");
        let lengths = [
            Provider::random_state().len(),
            request.nonce.secret().len(),
            request.verifier.secret().len(),
        ];
        assert_eq!(lengths, [43; 3]);
        assert!(!format!("{request:?}").contains("state-of-the-login"));
    });
}

#[test]
fn no_two_logins_share_a_random_value() {
    // B1
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let (http, params) = (client(), LoginParams::default());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let request = provider.authorize(&http, &params, "s").await.unwrap();
            assert!(seen.insert(Provider::random_state()));
            assert!(seen.insert(request.nonce.secret().clone()));
            assert!(seen.insert(request.verifier.into_secret()));
        }
    });
}

#[test]
fn a_login_carries_what_is_configured_and_what_it_was_asked_for() {
    // B9, B14
    run(async {
        let idp = idp().await;
        let mut settings = settings(&idp.issuer);
        settings.resources = ["https://a.example.com/", "https://b.example.com/x"]
            .map(|uri| Url::parse(uri).unwrap())
            .to_vec();
        settings.extra_params = [
            ("response_mode", "form_post"),
            ("audience", "https://api"),
            ("prompt", "consent"),
            ("state", "fixed"),
            ("response_type", "token"),
            ("code_challenge_method", "plain"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let provider = Provider::new(settings, Clock::fixed(NOW));
        let params = LoginParams {
            prompt: Some("none".to_owned()),
            acr_values: Some("gold silver".to_owned()),
            max_age: Some(0),
            login_hint: Some("ada@example.com&scope=admin".to_owned()),
            ui_locales: Some("de-CH fr".to_owned()),
            more: vec![("kc_idp_hint".to_owned(), "github".to_owned())],
        };
        let url = provider
            .authorize(&client(), &params, "s")
            .await
            .unwrap()
            .url;
        for (name, expected) in [
            ("response_mode", "form_post"),
            ("audience", "https://api"),
            ("prompt", "none"),
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
            ("acr_values", "gold silver"),
            ("max_age", "0"),
            ("login_hint", "ada@example.com&scope=admin"),
            ("ui_locales", "de-CH fr"),
            ("scope", "openid profile"),
        ] {
            assert_eq!(values(&url, name), [expected], "{name}");
        }
        let resources = ["https://a.example.com/", "https://b.example.com/x"];
        assert_eq!(values(&url, "resource"), resources);
        let state = values(&url, "state");
        assert!(state.len() == 1 && state[0] != "fixed");
        let plain = provider
            .authorize(&client(), &LoginParams::default(), "s")
            .await;
        assert_eq!(values(&plain.unwrap().url, "prompt"), ["consent"]);
    });
}

#[test]
fn the_iss_of_an_answer_is_exact_and_present_if_advertised() {
    // B16
    run(async {
        let idp = idp().await;
        let (silent, _) = provider(&idp);
        let http = client();
        silent.check_iss(&http, None).await.unwrap();
        idp.metadata(|document| {
            document["authorization_response_iss_parameter_supported"] = json!(true);
        });
        let (advertising, _) = provider(&idp);
        assert_invalid(advertising.check_iss(&http, None).await, "absent");
        for provider in [&silent, &advertising] {
            provider.check_iss(&http, Some(&idp.issuer)).await.unwrap();
            for other in [
                format!("{}/", idp.issuer),
                idp.issuer.to_uppercase(),
                "https://evil.test".to_owned(),
                String::new(),
            ] {
                assert_invalid(provider.check_iss(&http, Some(&other)).await, &other);
            }
        }
    });
}

#[test]
fn a_logout_carries_the_hint_the_client_the_way_back_and_a_state() {
    // B61
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let (http, back) = (client(), "https://shop.example.com/bff/logged-out");
        let url = provider
            .end_session_url(&http, Some("e30.e30.sig"), back, "s-1")
            .await
            .unwrap()
            .unwrap();
        for (name, expected) in [
            ("id_token_hint", "e30.e30.sig"),
            ("client_id", "shop"),
            ("post_logout_redirect_uri", back),
            ("state", "s-1"),
        ] {
            assert_eq!(values(&url, name), [expected], "{name}");
        }
        assert_eq!(url.path(), "/logout");
        let url = provider.end_session_url(&http, None, back, "s-1").await;
        let url = url.unwrap().unwrap();
        assert!(values(&url, "id_token_hint").is_empty());

        idp.metadata(|document| document["end_session_endpoint"] = json!(null));
        let (without, _) = super::provider(&idp);
        let url = without.end_session_url(&http, None, back, "s-1").await;
        assert_eq!(url.unwrap(), None);
    });
}
