//! The token and revocation endpoints.

use std::time::Duration;

use openidconnect::{ClientSecret, PkceCodeVerifier, RefreshToken};
use serde_json::{Value, json};
use url::Url;

use super::super::{ClientAuth, ClientSettings, OidcError, Provider, TokenResponse};
use super::hostile::{Hostile, Reply, SigningKey};
use super::{
    NOW, assert_invalid, assert_lost, assert_unavailable, client, provider, run, settings,
};
use crate::clock::Clock;

async fn idp() -> Hostile {
    Hostile::start(&[&SigningKey::new("k1")]).await
}

fn sound() -> Value {
    json!({"access_token": "canary-at", "token_type": "Bearer", "expires_in": 60})
}

async fn exchange(settings: ClientSettings) -> Result<TokenResponse, OidcError> {
    let provider = Provider::new(settings, Clock::fixed(NOW));
    let verifier = PkceCodeVerifier::new("canary-verifier".to_owned());
    provider
        .exchange_code(&client(), "canary-code", verifier, None)
        .await
}

async fn refresh(idp: &Hostile) -> Result<TokenResponse, OidcError> {
    let (provider, _) = provider(idp);
    let token = RefreshToken::new("canary-rt".to_owned());
    provider.refresh(&client(), &token).await
}

#[test]
fn a_code_goes_with_its_verifier_and_the_configured_redirect_uri() {
    // A1, B1, B5, B14
    run(async {
        let idp = idp().await;
        idp.reply("/token", Reply::json(200, &sound()));
        let mut settings = settings(&idp.issuer);
        settings.resources = vec![
            Url::parse("https://a.example.com/").unwrap(),
            Url::parse("https://b.example.com/").unwrap(),
        ];
        exchange(settings).await.unwrap();
        let [heard] = &idp.heard("/token")[..] else {
            panic!("not one request")
        };
        assert!(heard.head.starts_with("POST /token HTTP/1.1\r\n"));
        assert_eq!(heard.form("grant_type"), ["authorization_code"]);
        assert_eq!(heard.form("code"), ["canary-code"]);
        assert_eq!(heard.form("code_verifier"), ["canary-verifier"]);
        let redirect_uri = ["https://shop.example.com/bff/callback"];
        assert_eq!(heard.form("redirect_uri"), redirect_uri);
        let resources = ["https://a.example.com/", "https://b.example.com/"];
        assert_eq!(heard.form("resource"), resources);
        assert_eq!(heard.header("accept"), Some("application/json"));
        assert_eq!(
            heard.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
    });
}

#[test]
fn basic_authentication_encodes_id_and_secret_each_by_itself() {
    // B43, B44. The header is base64 of "sh%3Aop:%3A%25%2B+%2F%C3%A9".
    run(async {
        let idp = idp().await;
        idp.reply("/token", Reply::json(200, &sound()));
        let mut settings = settings(&idp.issuer);
        settings.client_id = "sh:op".to_owned();
        let secret = ClientSecret::new(":%+ /é".to_owned());
        settings.client_auth = ClientAuth::ClientSecretBasic(secret);
        exchange(settings).await.unwrap();
        let heard = &idp.heard("/token")[0];
        assert_eq!(
            heard.header("authorization"),
            Some("Basic c2glM0FvcDolM0ElMjUlMkIrJTJGJUMzJUE5")
        );
        assert!(heard.form("client_id").is_empty() && heard.form("client_secret").is_empty());
    });
}

#[test]
fn post_authentication_puts_id_and_secret_in_the_body() {
    // A1, B44
    run(async {
        let idp = idp().await;
        idp.reply("/token", Reply::json(200, &sound()));
        idp.reply("/revoke", Reply::text(200, "text/plain", ""));
        let mut settings = settings(&idp.issuer);
        let secret = ClientSecret::new(":%+ /é".to_owned());
        settings.client_auth = ClientAuth::ClientSecretPost(secret);
        exchange(settings.clone()).await.unwrap();
        let provider = Provider::new(settings, Clock::fixed(NOW));
        let revoked = provider.revoke(&client(), "t", "refresh_token").await;
        revoked.unwrap();
        for heard in [&idp.heard("/token")[0], &idp.heard("/revoke")[0]] {
            assert_eq!(heard.form("client_id"), ["shop"]);
            assert_eq!(heard.form("client_secret"), [":%+ /é"]);
            assert_eq!(heard.header("authorization"), None);
        }
    });
}

#[test]
fn a_refresh_is_one_request_with_the_resources() {
    // B14, B34
    run(async {
        let idp = idp().await;
        let mut settings = settings(&idp.issuer);
        settings.resources = vec![Url::parse("https://a.example.com/").unwrap()];
        let provider = Provider::new(settings, Clock::fixed(NOW));
        let old = RefreshToken::new("canary-rt".to_owned());
        for (answered, expected) in [
            (json!(null), None),
            (json!(""), None),
            (json!("rt-2"), Some("rt-2")),
        ] {
            let mut answer = sound();
            answer["refresh_token"] = answered;
            idp.reply("/token", Reply::json(200, &answer));
            let tokens = provider.refresh(&client(), &old).await.unwrap();
            let new = tokens.refresh_token.as_ref();
            assert_eq!(new.map(|token| token.secret().as_str()), expected);
        }
        let heard = idp.heard("/token");
        assert_eq!(heard.len(), 3);
        assert_eq!(heard[0].form("grant_type"), ["refresh_token"]);
        assert_eq!(heard[0].form("refresh_token"), ["canary-rt"]);
        assert_eq!(heard[0].form("resource"), ["https://a.example.com/"]);
        assert!(heard[0].form("scope").is_empty());
    });
}

#[test]
fn a_token_response_is_read_as_loosely_as_is_safe() {
    // B33
    run(async {
        let idp = idp().await;
        for (changes, lifetime, scope) in [
            (json!({}), 60, None),
            (json!({"token_type": "bEARER"}), 60, None),
            (json!({"expires_in": null}), 300, None),
            (json!({"expires_in": "3599"}), 3599, None),
            (json!({"expires_in": 59.9}), 59, None),
            // Q: no token lives so short that each request would want another.
            (json!({"expires_in": 0}), 5, None),
            (json!({"expires_in": -1}), 5, None),
            (json!({"expires_in": "-1"}), 5, None),
            (json!({"expires_in": 1e300}), 315_360_000, None),
            (json!({"expires_in": "soon"}), 300, None),
            (json!({"expires_in": "inf"}), 300, None),
            (json!({"expires_in": {}}), 300, None),
            // P05b
            (json!({"token_type": null}), 60, None),
            (json!({"refresh_token": 7}), 60, None),
            (json!({"scope": "openid"}), 60, Some("openid")),
            (json!({"scope": ["openid", "a"]}), 60, Some("openid a")),
            (json!({"scope": null}), 60, None),
            (json!({"scope": {"openid": true}}), 60, Some("")),
            (json!({"not-before-policy": 0, "x": {"y": []}}), 60, None),
        ] {
            let mut answer = sound();
            merge(&mut answer, &changes);
            idp.reply("/token", Reply::json(200, &answer));
            let tokens = refresh(&idp).await.unwrap();
            assert_eq!(
                tokens.expires_in,
                Duration::from_secs(lifetime),
                "{changes}"
            );
            assert_eq!(tokens.scope.as_deref(), scope, "{changes}");
            assert_eq!(tokens.access_token.secret(), "canary-at");
        }
        let mut answer = sound();
        answer.as_object_mut().unwrap().remove("expires_in");
        answer["id_token"] = json!("e30.e30.canary-id");
        idp.reply(
            "/token",
            Reply::text(200, "text/plain", &answer.to_string()),
        );
        let tokens = refresh(&idp).await.unwrap();
        assert_eq!(tokens.expires_in, Duration::from_mins(5));
        assert_eq!(tokens.id_token.as_deref(), Some("e30.e30.canary-id"));
        assert!(!format!("{tokens:?}").contains("canary"));
    });
}

#[test]
fn small_providers_are_read_too() {
    // P05b: a byte order mark, and a status that says "created"
    run(async {
        let idp = idp().await;
        let marked = format!("\u{feff}{}", sound());
        idp.reply("/token", Reply::text(200, "application/json", &marked));
        refresh(&idp).await.unwrap();
        for status in [201, 203] {
            idp.reply("/token", Reply::json(status, &sound()));
            refresh(&idp).await.unwrap();
        }
    });
}

#[test]
fn a_success_that_is_no_token_response_cannot_be_used() {
    // B33, P05b: asked again it would say the same
    run(async {
        let idp = idp().await;
        for changes in [
            json!({"access_token": null}),
            json!({"access_token": ""}),
            json!({"access_token": "a\r\nx-evil: 1"}),
            json!({"access_token": "a b"}),
            json!({"access_token": "é"}),
            json!({"token_type": "DPoP"}),
            json!({"token_type": 7}),
            json!({"id_token": {}}),
        ] {
            let mut answer = sound();
            merge(&mut answer, &changes);
            idp.reply("/token", Reply::json(200, &answer));
            let outcome = refresh(&idp).await.unwrap_err();
            let named = changes.as_object().unwrap().keys().next().unwrap();
            let said = format!("token response: {named} is not understood");
            assert_eq!(outcome, OidcError::Unusable(said), "{changes}");
        }
        for body in ["[]", "7", "access_token=canary-at&token_type=bearer"] {
            idp.reply("/token", Reply::text(200, "application/json", body));
            let outcome = refresh(&idp).await;
            let is_unusable = matches!(outcome, Err(OidcError::Unusable(_)));
            assert!(is_unusable, "{body}: {outcome:?}");
        }
    });
}

#[test]
fn a_success_that_is_cut_off_or_somebody_elses_page_is_a_lost_answer() {
    // B33, G8
    run(async {
        let idp = idp().await;
        for (kind, body) in [
            ("application/json", ""),
            ("application/json", "{"),
            ("application/json", "{\"access_token\":\"canary"),
            ("text/html; charset=utf-8", "<h1>maintenance</h1>"),
        ] {
            idp.reply("/token", Reply::text(200, kind, body));
            assert_lost(refresh(&idp).await, body);
        }
    });
}

#[test]
fn an_error_answer_is_told_by_its_code_and_nothing_else_of_it_is_kept() {
    // B18, F14
    run(async {
        let idp = idp().await;
        let error = |code: &str| json!({"error": code, "error_description": "canary <b>"});
        for code in [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_target",
        ] {
            for status in [400, 401] {
                idp.reply("/token", Reply::json(status, &error(code)));
                let outcome = refresh(&idp).await.unwrap_err();
                assert_eq!(outcome, OidcError::Rejected(code.to_owned()));
            }
        }
        for code in ["canary", "INVALID_GRANT"] {
            idp.reply("/token", Reply::json(400, &error(code)));
            let outcome = refresh(&idp).await.unwrap_err();
            assert_eq!(outcome, OidcError::Rejected("other".to_owned()));
        }
        // P01, V1: what speaks of the request is a refusal without a code too, and so is a code with status 200
        for (status, body, expected) in [
            (200, error("canary").to_string(), "other"),
            (200, error("invalid_grant").to_string(), "invalid_grant"),
            (
                400,
                "canary".to_owned(),
                "status 400 without an error code of RFC 6749 §5.2",
            ),
            (
                413,
                json!({"error": ["invalid_grant"]}).to_string(),
                "status 413 without an error code of RFC 6749 §5.2",
            ),
        ] {
            idp.reply("/token", Reply::text(status, "application/json", &body));
            let outcome = refresh(&idp).await.unwrap_err();
            assert_eq!(outcome, OidcError::Rejected(expected.to_owned()), "{body}");
        }
        for (status, body) in [
            (401, "canary".to_owned()),
            (404, json!({"error": ["invalid_grant"]}).to_string()),
            (403, String::new()),
            (302, error("invalid_grant").to_string()),
        ] {
            idp.reply("/token", Reply::text(status, "application/json", &body));
            let outcome = refresh(&idp).await;
            assert!(!format!("{outcome:?}").contains("canary"), "{body}");
            assert_invalid(outcome, &body);
        }
        for (status, code) in [
            (500, "invalid_grant"),
            (503, "invalid_grant"),
            (425, "invalid_grant"),
            (429, "invalid_grant"),
            (400, "temporarily_unavailable"),
            (400, "server_error"),
            (400, "slow_down"),
            (200, "server_error"),
        ] {
            idp.reply("/token", Reply::json(status, &error(code)));
            assert_unavailable(refresh(&idp).await, &format!("{status} {code}"));
        }
        // A gateway does not know what became of the request behind it (G8).
        for status in [502, 504] {
            idp.reply("/token", Reply::json(status, &error("invalid_grant")));
            let outcome = refresh(&idp).await;
            assert!(matches!(outcome, Err(OidcError::Lost(_))), "{outcome:?}");
        }
    });
}

#[test]
fn a_refresh_is_never_repeated_whatever_happens_to_its_answer() {
    // G8
    run(async {
        let idp = idp().await;
        let replies = [
            Reply::raw("").and_close(),
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-le").and_close(),
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"access").and_close(),
        ];
        for (n, reply) in replies.into_iter().enumerate() {
            idp.reply("/token", reply);
            assert_lost(refresh(&idp).await, &format!("reply {n}"));
            assert_eq!(idp.heard("/token").len(), n + 1);
        }
        idp.reply("/token", Reply::text(503, "text/plain", ""));
        assert_unavailable(refresh(&idp).await, "it says that it did nothing");
        assert_eq!(idp.heard("/token").len(), 4);
    });
}

#[test]
fn a_revocation_is_authenticated_hinted_and_content_with_any_success() {
    // B59
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        let revoke = || provider.revoke(&http, "canary-rt", "refresh_token");
        idp.reply("/revoke", Reply::text(200, "text/plain", ""));
        revoke().await.unwrap();
        let heard = &idp.heard("/revoke")[0];
        assert_eq!(heard.form("token"), ["canary-rt"]);
        assert_eq!(heard.form("token_type_hint"), ["refresh_token"]);
        assert!(heard.header("authorization").unwrap().starts_with("Basic "));
        idp.reply("/revoke", Reply::text(503, "text/plain", "").and_close());
        assert_unavailable(revoke().await, "503");
        let unsupported = json!({"error": "unsupported_token_type"});
        idp.reply("/revoke", Reply::json(400, &unsupported));
        let refused = OidcError::Rejected("unsupported_token_type".to_owned());
        assert_eq!(revoke().await, Err(refused));

        idp.metadata(|document| document["revocation_endpoint"] = json!(null));
        let (without, _) = super::provider(&idp);
        let heard = idp.heard("/revoke").len();
        let revoked = without.revoke(&http, "canary-rt", "refresh_token").await;
        revoked.unwrap();
        assert_eq!(idp.heard("/revoke").len(), heard);
    });
}

fn merge(answer: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        answer[name] = value.clone();
    }
}
