//! The rules for logout tokens, one by one (B64).

use serde_json::{Value, json};

use super::super::jwt::Refusal;
use super::super::logout_token::{LogoutToken, verify};
use super::super::{SigningAlgorithm, WithoutExp};
use super::hostile::SigningKey;
use super::id_token::{ALGORITHMS, ISSUER, at, known};
use super::{NOW, settings};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn sound() -> Value {
    json!({
        "iss": ISSUER, "aud": "shop", "sub": "ada", "sid": "s-1", "jti": "j-1",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 120, "events": {EVENT: {}},
    })
}

fn outcome(token: Result<LogoutToken, Refusal>) -> String {
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
        (json!({"sub": 7}), "sub is not understood"),
        (json!({"address": 7, "sid": null, "amr": "pwd"}), "ok"),
        (json!({"iss": "https://id.example.com/"}), "iss"),
        (json!({"iss": null}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": ["shop"]}), "ok"),
        (json!({"aud": ["shop", "other"]}), "aud"),
        (json!({"aud": []}), "aud"),
        (json!({"aud": null}), "aud"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": at(31)}), "iat"),
        (json!({"iat": "now"}), "iat is not understood"),
        // V7: what is missing is told from what is over.
        (json!({"exp": null}), "exp is missing"),
        (json!({"exp": at(-30)}), "expired"),
        (json!({"exp": at(-29)}), "ok"),
        (json!({"exp": u64::MAX}), "ok"),
        (json!({"exp": 1e300}), "exp is not understood"),
        (json!({"exp": "soon"}), "exp is not understood"),
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
        let raw = key.sign(&claims);
        let said = outcome(verify(&settings(ISSUER), &known, &ALGORITHMS, NOW, &raw));
        assert!(said.contains(expected), "{changes}: {said}");
    }
}

#[test]
fn signature_and_header_follow_the_rules_of_an_id_token() {
    let (key, other) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let known = known(&[key.jwk()]);
    let verify = |raw: &str| outcome(verify(&settings(ISSUER), &known, &ALGORITHMS, NOW, raw));
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
        &ALGORITHMS,
        NOW,
        &key.sign(&sound()),
    );
    let token = token.unwrap();
    assert_eq!(token.sid.as_deref(), Some("s-1"));
    assert_eq!(token.subject.as_deref(), Some("ada"));
    assert_eq!(token.id, "j-1");
    assert_eq!(token.expires_at.as_secs(), NOW.as_secs() + 120);
}

#[test]
fn a_token_without_an_end_is_good_for_two_minutes_if_the_configuration_says_so() {
    // V7: Ory Hydra, LemonLDAP::NG
    let key = SigningKey::new("k1");
    let known = known(&[key.jwk()]);
    let mut settings = settings(ISSUER);
    settings.logout_token_without_exp = WithoutExp::ByIat;
    for (iat, exp, expected) in [
        (0, None, "ok"),
        (-149, None, "ok"),
        (-150, None, "expired"),
        (31, None, "iat"),
        (-10, Some(-30), "expired"),
        (-1_000, Some(1), "ok"),
    ] {
        let mut claims = sound();
        claims["iat"] = json!(at(iat));
        claims.as_object_mut().unwrap().remove("exp");
        if let Some(exp) = exp {
            claims["exp"] = json!(at(exp));
        }
        let verdict = verify(&settings, &known, &ALGORITHMS, NOW, &key.sign(&claims));
        let said = outcome(verdict);
        assert!(said.contains(expected), "{iat} {exp:?}: {said}");
    }
}

#[test]
fn what_does_not_sign_id_tokens_signs_no_logout_token() {
    // V3
    let key = SigningKey::new("k1");
    let known = known(&[key.jwk()]);
    let raw = key.sign(&sound());
    let said = |algorithm| outcome(verify(&settings(ISSUER), &known, &[algorithm], NOW, &raw));
    assert_eq!(said(SigningAlgorithm::Es256), "ok");
    assert!(said(SigningAlgorithm::Rs256).contains("not that of this provider's ID tokens"));
}

#[test]
fn a_token_that_breaks_a_rule_wants_no_newer_keys() {
    // Row R, B28
    let (key, other) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let known = known(&[key.jwk()]);
    let verify = |claims: &Value| {
        verify(
            &settings(ISSUER),
            &known,
            &ALGORITHMS,
            NOW,
            &other.sign(claims),
        )
    };
    assert_eq!(verify(&sound()), Err(Refusal::Key));
    for (name, value) in [
        ("iss", json!("x")),
        ("events", json!({})),
        ("exp", json!(1)),
    ] {
        let mut claims = sound();
        claims[name] = value;
        assert!(
            matches!(verify(&claims), Err(Refusal::Rule(_) | Refusal::Time(_))),
            "{name}"
        );
    }
}
