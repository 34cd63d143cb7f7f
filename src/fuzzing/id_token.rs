//! Nothing unsigned is believed, and nothing signed that is not for this login.

use std::sync::LazyLock;

use serde_json::Value;

use super::NOW;
use super::change::changed;
use super::provider::{PROBE, covered};
use crate::oidc::probe as oidc;

/// Reads `data` as an ID token, as a change to a genuine one (two bytes of position, then bytes to write there), and as the
/// payload of a signed one. Whether the last was accepted.
///
/// # Panics
/// If it accepts a token that was not signed, or is not for this client, this login and this time.
pub fn id_token(data: &[u8]) -> bool {
    let Some(probe) = &*PROBE else {
        return false;
    };
    let text = String::from_utf8_lossy(data);
    assert_eq!(
        probe.verify(NOW, &text),
        None,
        "believed without a signature"
    );

    if let Some(changed) = changed(GENUINE.as_bytes(), data) {
        let changed = String::from_utf8_lossy(&changed);
        assert!(
            probe.verify(NOW, &changed).is_none() || covered(&changed) == covered(&GENUINE),
            "a change was believed"
        );
    }

    // A signature takes time, and a payload that is not JSON is refused before its signature is checked.
    if serde_json::from_slice::<Value>(data).is_err() {
        let raw = oidc::unsigned(data);
        assert_eq!(probe.verify(NOW, &raw), None, "believed without reading");
        return false;
    }
    let Some(claims) = probe.sign(data).and_then(|raw| probe.verify(NOW, &raw)) else {
        return false;
    };
    let says = |name: &str, wanted: &str| claims.get(name).and_then(Value::as_str) == Some(wanted);
    assert!(
        says("iss", oidc::ISSUER) && says("nonce", oidc::NONCE),
        "{claims:?}"
    );
    assert!(
        claims
            .get("sub")
            .and_then(Value::as_str)
            .is_some_and(|sub| !sub.is_empty())
    );
    let aud = claims
        .get("aud")
        .map(|aud| aud.as_array().cloned().unwrap_or_else(|| vec![aud.clone()]));
    assert!(aud.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one == oidc::CLIENT)));
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let now = u32::try_from(NOW.as_secs()).map_or(f64::MAX, f64::from);
    let skew = f64::from(oidc::SKEW);
    assert!(
        time("exp").is_some_and(|exp| exp + skew + 1.0 >= now),
        "{claims:?}"
    );
    assert!(
        time("iat").is_some_and(|iat| iat <= now + skew),
        "{claims:?}"
    );
    assert!(!claims.contains_key("events"));
    true
}

/// An ID token that keeps every rule.
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let now = NOW.as_secs();
    let payload = serde_json::json!({
        "iss": oidc::ISSUER, "aud": oidc::CLIENT, "sub": "alice", "nonce": oidc::NONCE, "iat": now, "exp": now,
    });
    let signed = PROBE
        .as_ref()
        .and_then(|probe| {
            let raw = probe.sign(payload.to_string().as_bytes())?;
            probe.verify(NOW, &raw).map(|_| raw)
        })
        .unwrap_or_default();
    assert!(!signed.is_empty(), "the genuine one is good");
    signed
});
