//! The logout token: what must hold before a provider's word ends sessions.
//!
//! `openidconnect` knows no logout tokens, and its ID token type insists on `sub`: the JWS is taken apart here, with its
//! keys and signatures.
//!
//! # Invariants
//! - The rules of an ID token hold for signature, algorithm, `iss`, `aud`, `iat` and `exp` (B64); `none` is no algorithm.
//! - An ID token is no logout token and the other way round: `events` and `nonce` tell them apart, whatever `typ` says.
//!
//! # Why `typ` may be missing
//! `logout+jwt` is recommended, and older providers send `JWT` or nothing (Back-Channel Logout §2.4). What names another
//! kind of token is refused.
//!
//! # Spec
//! OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6, §4.1; RFC 7515; RFC 8725.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use serde_json::{Map, Value};

use super::id_token::Refusal;
use super::provider::Known;
use super::{ClientSettings, OidcError};
use crate::clock::UnixTime;

/// The member of `events` that makes a security event a logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Longer names are no provider's.
const MAX_TEXT: usize = 1024;

/// Values of `typ` that may stand in a logout token, without `application/`.
const TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// Whose sessions are over, and how to know the token again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutToken {
    /// `sid`: the provider's session. Without it all sessions of the user are meant.
    pub sid: Option<String>,
    /// `sub`: the user.
    pub subject: Option<String>,
    /// `jti`: unique to the token.
    pub id: String,
    /// `exp`
    pub expires_at: UnixTime,
}

/// Why a logout token says nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutTokenError {
    /// It breaks a rule, or no key of the provider verifies it; quotes nothing of it.
    #[error("{0}")]
    Refused(String),
    /// The keys that may verify it cannot be had now: it may well be good.
    #[error(transparent)]
    NoKeys(#[from] OidcError),
}

/// What a logout token that keeps every rule says.
pub(super) fn verify(
    settings: &ClientSettings,
    known: &Known,
    now: UnixTime,
    raw: &str,
) -> Result<LogoutToken, Refusal> {
    let claims = verified(known, raw)?;
    read(&claims, settings, now).map_err(Refusal::Rule)
}

/// The payload of a JWS that the provider signed.
fn verified(known: &Known, raw: &str) -> Result<Map<String, Value>, Refusal> {
    let unreadable = Refusal::Rule("it is not a readable JWT");
    let mut parts = raw.split('.');
    let (Some(head), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unreadable);
    };
    let json = |part: &str| -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(header), Some(claims), Ok(signature)) =
        (json(head), json(payload), URL_SAFE_NO_PAD.decode(signature))
    else {
        return Err(unreadable);
    };
    let algorithm = check_header(&header).map_err(Refusal::Rule)?;
    if !known.metadata.algorithms.contains(&algorithm) {
        return Err(Refusal::Rule("its signature algorithm is not accepted"));
    }
    let kid = header.get("kid").and_then(Value::as_str);
    let signed = raw
        .rsplit_once('.')
        .map_or("", |(signed, _)| signed)
        .as_bytes();
    // A key of another type than the algorithm's verifies nothing.
    let is_signed = known
        .keys
        .keys()
        .iter()
        .filter(|key| fits(key, kid))
        .any(|key| key.verify_signature(&algorithm, signed, &signature).is_ok());
    if is_signed {
        Ok(claims)
    } else {
        Err(Refusal::Key)
    }
}

fn check_header(header: &Map<String, Value>) -> Result<CoreJwsSigningAlgorithm, &'static str> {
    // RFC 7515 §4.1.11: an extension that must be understood is not.
    if header.contains_key("crit") {
        return Err("its header has a crit");
    }
    let is_type = |text: &str| {
        let text = text.to_ascii_lowercase();
        let text = text.strip_prefix("application/").unwrap_or(&text);
        TYPES.contains(&text)
    };
    match header.get("typ") {
        None => {}
        Some(Value::String(text)) if is_type(text) => {}
        Some(_) => return Err("its typ is that of another token"),
    }
    let algorithm = header.get("alg").cloned().unwrap_or_default();
    match serde_json::from_value(algorithm) {
        Ok(CoreJwsSigningAlgorithm::None) | Err(_) => {
            Err("its signature algorithm is not accepted")
        }
        Ok(algorithm) => Ok(algorithm),
    }
}

fn fits(key: &CoreJsonWebKey, kid: Option<&str>) -> bool {
    let is_for_signatures = key
        .key_use()
        .is_none_or(|use_| *use_ != CoreJsonWebKeyUse::Encryption);
    let is_named = kid.is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid));
    is_for_signatures && is_named
}

fn read(
    claims: &Map<String, Value>,
    settings: &ClientSettings,
    now: UnixTime,
) -> Result<LogoutToken, &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err("iss is another issuer");
    }
    let is_us = |value: &Value| value.as_str() == Some(&settings.client_id);
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(all)) => !all.is_empty() && all.iter().all(is_us),
        Some(one) => is_us(one),
        None => false,
    };
    if !is_for_us {
        return Err("aud is not this client alone");
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds are exact in an f64 for aeons"
    )]
    let (earliest, latest) = (
        now.minus(settings.clock_skew).as_secs() as f64,
        now.plus(settings.clock_skew).as_secs() as f64,
    );
    if time("iat").is_none_or(|issued| issued > latest) {
        return Err("iat is missing or in the future");
    }
    let Some(expires) = time("exp").filter(|expires| *expires > earliest) else {
        return Err("exp is missing or in the past");
    };
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("events does not say that this is a logout");
    }
    // §2.4: prohibited, so that it is never taken for an ID token, nor an ID token for it.
    if claims.contains_key("nonce") {
        return Err("there is a nonce");
    }
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err("sub, sid or jti is no text of the usual length"),
    };
    let (subject, sid) = (text("sub")?, text("sid")?);
    if subject.is_none() && sid.is_none() {
        return Err("neither sub nor sid is there");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is over `earliest`, and the cast saturates"
    )]
    let expires_at = UnixTime::from_secs(expires as u64);
    Ok(LogoutToken {
        sid,
        subject,
        id: text("jti")?.ok_or("jti is missing")?,
        expires_at,
    })
}
