//! Which refreshed ID token belongs to a session (B35).

use openidconnect::AccessToken;
use serde_json::{Value, json};

use super::super::Original;
use super::hostile::{Hostile, Reply, SigningKey};
use super::{NOW, client, provider, run};
use crate::clock::UnixTime;

fn claims(issuer: &str, change: &Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "aud": "shop", "sub": "ada", "auth_time": 1_000,
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 300,
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        all.insert(name.clone(), value.clone());
        all.retain(|_, value| !value.is_null());
    }
    claims
}

#[test]
fn a_refreshed_id_token_is_about_the_same_login_or_refused() {
    // B35, with the keys at hand and with the keys out of reach
    run(async {
        let known = SigningKey::new("k1");
        let unknown = SigningKey::new("k2");
        let idp = Hostile::start(&[&known]).await;
        let issuer = idp.issuer.clone();
        let access_token = AccessToken::new("at".to_owned());
        for key in [&known, &unknown] {
            for keys_are_down in [false, true] {
                let (provider, _) = super::provider(&idp);
                provider.discover(&client()).await.unwrap();
                if keys_are_down {
                    idp.reply("/jwks", Reply::text(503, "text/plain", ""));
                }
                for (change, original, same) in [
                    (json!({}), Some(1_000), true),
                    (json!({}), None, true),
                    (json!({"auth_time": null}), Some(1_000), true),
                    (json!({"auth_time": 1_000.0}), Some(1_000), true),
                    (json!({"auth_time": 1_001}), Some(1_000), false),
                    (json!({"auth_time": "1000"}), Some(1_000), false),
                    (json!({"nonce": "any"}), Some(1_000), true),
                    (json!({"aud": ["shop"]}), Some(1_000), true),
                    (json!({"aud": "other"}), Some(1_000), false),
                    (json!({"aud": ["shop", "other"]}), Some(1_000), false),
                    (json!({"sub": "eve"}), Some(1_000), false),
                    (json!({"sub": null}), Some(1_000), false),
                    (json!({"iss": "https://evil.test"}), Some(1_000), false),
                    (json!({"iss": format!("{issuer}/")}), Some(1_000), false),
                ] {
                    let raw = key.sign(&claims(&issuer, &change));
                    let original = Original {
                        issuer: &idp.issuer,
                        subject: "ada",
                        auth_time: original.map(UnixTime::from_secs),
                    };
                    let outcome = provider
                        .verify_refreshed(&client(), &raw, &access_token, original)
                        .await;
                    assert_eq!(outcome.is_ok(), same, "{change} {original:?}: {outcome:?}");
                }
                idp.keys(&[&known]);
            }
        }
    });
}

#[test]
fn what_a_key_at_hand_proves_wrong_is_refused() {
    // B26, B29, B35
    run(async {
        let known = SigningKey::new("k1");
        let impostor = SigningKey::new("k1");
        let idp = Hostile::start(&[&known]).await;
        let (provider, _) = provider(&idp);
        let sound = claims(&idp.issuer, &json!({}));
        let wrong_hash = claims(&idp.issuer, &json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}));
        let over = claims(&idp.issuer, &json!({"exp": 1_000}));
        let signed = known.sign(&sound);
        let (_, payload) = signed.split_once('.').unwrap();
        // {"alg":"none"}
        let unsigned = format!(
            "eyJhbGciOiJub25lIn0.{}.",
            payload.split('.').next().unwrap()
        );
        for raw in [
            impostor.sign(&sound),
            known.sign(&wrong_hash),
            known.sign(&over),
            unsigned,
            "no JWT".to_owned(),
        ] {
            for _ in 0..2 {
                // The second time, the window for fetching keys is closed.
                let original = Original {
                    issuer: &idp.issuer,
                    subject: "ada",
                    auth_time: None,
                };
                let outcome = provider
                    .verify_refreshed(&client(), &raw, &AccessToken::new("at".into()), original)
                    .await;
                outcome.unwrap_err();
            }
        }
    });
}
