//! The logout token: what must hold before a provider's word ends sessions.
//!
//! # Invariants
//! - The rules of an ID token hold for signature, algorithm, `iss`, `aud`, `iat` and `exp`. `none` is not an algorithm.
//! - An ID token is never taken for a logout token, nor the other way round: `events` and `nonce` tell them apart, whatever `typ`
//!   says.
//! - A token that breaks a rule is not a reason to ask for newer keys or metadata.
//!
//! # Why `typ` may be missing
//! `logout+jwt` is recommended, and older providers send `JWT` or nothing (Back-Channel Logout §2.4). A `typ` of another kind of
//! token is refused.
//!
//! # Spec
//! OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6, §4.1; RFC 7515; RFC 8725.

use std::time::Duration;

use serde_json::{Map, Value};

use super::algorithm::SigningAlgorithm;
use super::id_token::{check_parties, not_accepted};
use super::jwt::{self, Jwt, Refusal};
use super::metadata::Known;
use super::{ClientSettings, OidcError, WithoutExp};
use crate::clock::UnixTime;

/// The member of `events` that makes a security event a logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Longest `sub`, `sid` or `jti`, in bytes. No provider has longer ones.
const MAX_TEXT: usize = 1024;

/// Values of `typ` that may stand in a logout token, without `application/`.
const TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// Whose sessions are over, and how to know the token again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutToken {
    /// `iss`: whose sessions they are.
    pub issuer: String,
    /// `sid`: the provider's session. Without it all sessions of the user are meant.
    pub sid: Option<String>,
    /// `sub`: the user.
    pub subject: Option<String>,
    /// `jti`: unique to the token.
    pub id: String,
    /// `exp`, or what counts in its place.
    pub expires_at: UnixTime,
}

/// Why a logout token is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutTokenError {
    /// It breaks a rule, or no key of the provider verifies it. The text quotes nothing of the token.
    #[error("{0}")]
    Refused(String),
    /// The keys that may verify it cannot be fetched now. The token may well be good.
    #[error(transparent)]
    NoKeys(#[from] OidcError),
}

/// How long a token without `exp` is good from its `iat`.
const BY_IAT: Duration = Duration::from_mins(2);

/// What a logout token that keeps every rule says.
pub(super) fn verify(
    settings: &ClientSettings,
    known: &Known,
    algorithms: &[SigningAlgorithm],
    now: UnixTime,
    raw: &str,
) -> Result<LogoutToken, Refusal> {
    let token = Jwt::read(raw)?;
    let algorithm = token.check_header(&TYPES)?;
    let signed = if algorithms.contains(&algorithm) {
        let keys = settings.keys_of(&known.keys, &token.claims);
        token.check_signature(algorithm, &keys)
    } else if known.metadata.algorithms.contains(&algorithm) {
        // OpenID Connect Back-Channel Logout §2.6: the algorithm is that of the provider's ID tokens.
        return Err(Refusal::Rule(
            "its signature algorithm is not that of this provider's ID tokens",
        ));
    } else {
        Err(not_accepted(settings))
    };
    // A token that breaks a rule is no better with newer keys or metadata.
    let said = read(&token.claims, settings, now)?;
    signed.map(|()| said)
}

fn read(
    claims: &Map<String, Value>,
    settings: &ClientSettings,
    now: UnixTime,
) -> Result<LogoutToken, Refusal> {
    let broken = |rule| Err(Refusal::Rule(rule));
    check_parties(claims, settings).map_err(Refusal::unquoted)?;
    let skew = settings.clock_skew;
    let issued = match jwt::time(claims, "iat")? {
        None => return broken("iat is missing"),
        Some(issued) if issued > now.plus(skew) => {
            return Err(Refusal::Time("iat is in the future"));
        }
        Some(issued) => issued,
    };
    let expires_at = match (jwt::time(claims, "exp")?, settings.logout_token_without_exp) {
        (Some(expires_at), _) => expires_at,
        (None, WithoutExp::ByIat) => issued.plus(BY_IAT),
        (None, WithoutExp::Refuse) => return broken("exp is missing"),
    };
    if expires_at <= now.minus(skew) {
        return Err(Refusal::Time("it has expired"));
    }
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return broken("events does not say that this is a logout");
    }
    // §2.4: prohibited, so that it is never taken for an ID token, nor an ID token for it.
    if claims.contains_key("nonce") {
        return broken("there is a nonce");
    }
    let text = |name: &'static str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text.len() > MAX_TEXT => Err(
            Refusal::Rule("sub, sid or jti is not a text of the usual length"),
        ),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::NotUnderstood(name)),
    };
    let (subject, sid) = (text("sub")?, text("sid")?);
    if subject.is_none() && sid.is_none() {
        return broken("neither sub nor sid is there");
    }
    Ok(LogoutToken {
        issuer: jwt::text(claims, "iss").unwrap_or_default().to_owned(),
        sid,
        subject,
        id: text("jti")?.ok_or(Refusal::Rule("jti is missing"))?,
        expires_at,
    })
}
