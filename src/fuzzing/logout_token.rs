//! Nothing unsigned ends a session, and nothing signed that is no logout for this client.

use std::sync::LazyLock;

use serde_json::Value;

use super::NOW;
use super::change::changed;
use super::provider::{PROBE, covered};
use crate::oidc::probe as oidc;

/// Reads `data` as a logout token, as a change to a genuine one as in [`id_token`](super::id_token()), and as the payload of a signed one.
/// Whether the last was accepted.
///
/// # Panics
/// If it accepts a token that was not signed, or is not a logout token for this client and this time.
pub fn logout_token(data: &[u8]) -> bool {
    let Some(probe) = &*PROBE else {
        return false;
    };
    let text = String::from_utf8_lossy(data);
    assert_eq!(probe.verify_logout(NOW, &text), None, "without a signature");
    if let Some(changed) = changed(GENUINE.as_bytes(), data) {
        let changed = String::from_utf8_lossy(&changed);
        assert!(
            probe.verify_logout(NOW, &changed).is_none() || covered(&changed) == covered(&GENUINE),
            "a change was believed"
        );
    }
    let Ok(claims) = serde_json::from_slice::<Value>(data) else {
        let raw = oidc::unsigned(data);
        assert_eq!(probe.verify_logout(NOW, &raw), None, "without reading");
        return false;
    };
    let signed = probe.sign(data);
    let Some(token) = signed.and_then(|raw| probe.verify_logout(NOW, &raw)) else {
        return false;
    };
    assert!(token.sid.is_some() || token.subject.is_some(), "nobody's");
    assert!(!token.id.is_empty(), "without a name");
    assert_eq!(claims.get("iss"), Some(&Value::from(oidc::ISSUER)));
    assert_eq!(claims.get("nonce"), None, "an ID token");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let event = claims.get("events").and_then(|events| events.get(event));
    assert!(event.is_some_and(Value::is_object), "{claims:?}");
    let latest = NOW.as_secs().saturating_sub(u64::from(oidc::SKEW));
    assert!(token.expires_at.as_secs() >= latest, "{claims:?}");
    true
}

/// A logout token that keeps every rule.
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let now = NOW.as_secs();
    let payload = serde_json::json!({
        "iss": oidc::ISSUER, "aud": oidc::CLIENT, "sub": "alice", "sid": "s1", "jti": "j1", "iat": now, "exp": now,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let signed = PROBE
        .as_ref()
        .and_then(|probe| {
            let raw = probe.sign(payload.to_string().as_bytes())?;
            probe.verify_logout(NOW, &raw).map(|_| raw)
        })
        .unwrap_or_default();
    assert!(!signed.is_empty(), "the genuine one is good");
    signed
});
