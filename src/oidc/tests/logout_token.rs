//! The rules for logout tokens, one by one (B64).

use serde_json::{Value, json};

use super::super::logout_token::{LogoutToken, verify};
use super::hostile::SigningKey;
use super::id_token::{ISSUER, at, known};
use super::{NOW, settings};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn sound() -> Value {
    json!({
        "iss": ISSUER, "aud": "shop", "sub": "ada", "sid": "s-1", "jti": "j-1",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 120, "events": {EVENT: {}},
    })
}

fn outcome(token: Result<LogoutToken, super::super::id_token::Refusal>) -> String {
    match token {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn every_rule_for_claims_refuses_what_breaks_it() {
    let key = SigningKey::new("k1");
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"sid": null}), "ok"),
        (json!({"sub": null}), "ok"),
        (json!({"sub": null, "sid": null}), "neither"),
        (json!({"sid": ""}), "usual length"),
        (json!({"sub": 7}), "usual length"),
        (json!({"iss": "https://id.example.com/"}), "iss"),
        (json!({"iss": null}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": ["shop"]}), "ok"),
        (json!({"aud": ["shop", "other"]}), "aud"),
        (json!({"aud": []}), "aud"),
        (json!({"aud": null}), "aud"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": at(31)}), "iat"),
        (json!({"exp": null}), "exp"),
        (json!({"exp": at(-30)}), "exp"),
        (json!({"exp": at(-29)}), "ok"),
        (json!({"exp": "soon"}), "exp"),
        (json!({"jti": null}), "jti"),
        (json!({"jti": ""}), "usual length"),
        (json!({"events": null}), "events"),
        (json!({"events": {}}), "events"),
        (json!({"events": [EVENT]}), "events"),
        (json!({"events": {EVENT: true}}), "events"),
        (json!({"events": {EVENT: {"more": 1}}}), "ok"),
        (json!({"nonce": "n-1"}), "nonce"),
    ] {
        let mut claims = sound();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let known = known(&[key.jwk()]);
        let said = outcome(verify(&settings(ISSUER), &known, NOW, &key.sign(&claims)));
        assert!(said.contains(expected), "{changes}: {said}");
    }
}

#[test]
fn signature_and_header_follow_the_rules_of_an_id_token() {
    let (key, other) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let known = known(&[key.jwk()]);
    let verify = |raw: &str| outcome(verify(&settings(ISSUER), &known, NOW, raw));
    for (header, expected) in [
        (
            json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
            "ok",
        ),
        (
            json!({"alg": "ES256", "kid": "k1", "typ": "application/logout+JWT"}),
            "ok",
        ),
        (json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), "ok"),
        (json!({"alg": "ES256"}), "ok"),
        (json!({"alg": "ES256", "kid": "k2"}), "no key"),
        (json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), "typ"),
        (json!({"alg": "ES256", "kid": "k1", "typ": 7}), "typ"),
        (
            json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]}),
            "crit",
        ),
        (json!({"alg": "none"}), "algorithm"),
        (json!({"alg": "HS256", "kid": "k1"}), "algorithm"),
        (json!({"alg": "RS256", "kid": "k1"}), "no key"),
        (json!({"kid": "k1"}), "algorithm"),
    ] {
        let said = verify(&key.sign_as(&header, &sound()));
        assert!(said.contains(expected), "{header}: {said}");
    }
    assert!(verify(&other.sign(&sound())).contains("no key"));
    let good = key.sign(&sound());
    let unsigned = good.rsplit_once('.').unwrap().0;
    for raw in [
        "",
        "..",
        &format!("{unsigned}."),
        unsigned,
        &format!("{good}.x"),
    ] {
        assert_ne!(verify(raw), "ok", "{raw}");
    }
}

#[test]
fn what_it_says_is_what_was_signed() {
    let key = SigningKey::new("k1");
    let token = verify(
        &settings(ISSUER),
        &known(&[key.jwk()]),
        NOW,
        &key.sign(&sound()),
    );
    let token = token.unwrap();
    assert_eq!(token.sid.as_deref(), Some("s-1"));
    assert_eq!(token.subject.as_deref(), Some("ada"));
    assert_eq!(token.id, "j-1");
    assert_eq!(token.expires_at.as_secs(), NOW.as_secs() + 120);
}
