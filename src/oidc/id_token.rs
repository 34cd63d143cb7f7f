//! The ID token: what must hold before a claim is believed.
//!
//! `openidconnect` checks `typ`, `crit`, `iss`, `aud`, the algorithm, the key, the signature, `exp`
//! and the nonce, in that order. It leaves `azp`, `nbf`, `iat`, `at_hash`, `auth_time`, `acr` and
//! the confusion with other kinds of JWT to its user: those are here.
//!
//! # Invariants
//! - The signature is always verified, though OpenID Connect Core would let TLS stand in for it
//!   (B26).
//! - Keys come from the provider's `jwks_uri` alone; `jku`, `jwk` and `x5u` in a header are not
//!   even read (B27).
//! - The skew softens `exp`, `iat`, `nbf` and `auth_time`, and nothing else (B31).
//!
//! # Spec
//! OpenID Connect Core §2, §3.1.3.7, §3.1.3.8; RFC 7519; RFC 8725; OpenID Connect Back-Channel
//! Logout §4.1.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce, NonceVerifier,
    SignatureVerificationError,
};
use serde_json::{Map, Value};

use super::provider::Known;
use super::{ClientSettings, Expectation, OidcError};
use crate::clock::UnixTime;

/// Why an ID token is not believed. Quotes nothing of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// No key at hand fits; a newer key set may have it.
    Key,
    /// The key that fits does not verify it; a newer key set may have another one of that name.
    Signature,
    /// It breaks this rule.
    Rule(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "no key of the provider fits it",
            Self::Signature => "no key of the provider verifies its signature",
            Self::Rule(rule) => rule,
        })
    }
}

impl From<Refusal> for OidcError {
    fn from(refusal: Refusal) -> Self {
        Self::Invalid(format!("ID token: {refusal}"))
    }
}

/// The claims of an ID token that keeps every rule.
pub(super) fn verify(
    settings: &ClientSettings,
    known: &Known,
    now: UnixTime,
    raw: &str,
    expect: &Expectation<'_>,
) -> Result<Map<String, Value>, Refusal> {
    let unreadable = Refusal::Rule("it is not a readable JWT with the required claims");
    let Ok(token) = raw.parse::<CoreIdToken>() else {
        return Err(unreadable);
    };
    let issuer = IssuerUrl::new(settings.issuer.clone())
        .map_err(|_| Refusal::Rule("the configured issuer is not a URL"))?;
    let tolerated = UNIX_EPOCH + Duration::from_secs(now.minus(settings.clock_skew).as_secs());
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(settings.client_id.clone()),
        issuer,
        known.keys.clone(),
    )
    .set_allowed_algs(known.metadata.algorithms.iter().cloned())
    .set_time_fn(move || tolerated.into());

    let standard = token
        .claims(&verifier, ExpectedNonce(expect.nonce))
        .map_err(why)?;
    if let Some(stated) = standard.access_token_hash() {
        let computed = (|| {
            let key = token.signing_key(&verifier).ok()?;
            let algorithm = token.signing_alg().ok()?;
            AccessTokenHash::from_token(expect.access_token, algorithm, key).ok()
        })();
        if computed.as_ref() != Some(stated) {
            return Err(Refusal::Rule("at_hash belongs to another access token"));
        }
    }
    let claims = payload(raw).ok_or(unreadable)?;
    check(&claims, settings, now, expect).map_err(Refusal::Rule)?;
    Ok(claims)
}

/// The rules that `openidconnect` leaves to its user.
fn check(
    claims: &Map<String, Value>,
    settings: &ClientSettings,
    now: UnixTime,
    expect: &Expectation<'_>,
) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        // RFC 7519 §2: NumericDate is a number.
        Some(value) => value.as_f64().map(Some).ok_or("a time is not a number"),
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds are exact in an f64 for aeons"
    )]
    let (earliest, latest) = (
        now.minus(settings.clock_skew).as_secs() as f64,
        now.plus(settings.clock_skew).as_secs() as f64,
    );

    // B32: a logout token or another security event (RFC 8417) says nothing about a login.
    if claims.contains_key("events") {
        return Err("it is a security event, not an ID token");
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err("sub is empty");
    }
    if time("exp")?.is_none() {
        return Err("exp is missing");
    }
    if time("iat")?.is_none_or(|issued| issued > latest) {
        return Err("iat is missing or in the future");
    }
    if time("nbf")?.is_some_and(|begins| begins > latest) {
        return Err("nbf is in the future");
    }
    let audiences = claims
        .get("aud")
        .and_then(Value::as_array)
        .map_or(1, Vec::len);
    match claims.get("azp") {
        None if audiences > 1 => return Err("azp is missing though aud has several members"),
        Some(azp) if azp.as_str() != Some(&settings.client_id) => {
            return Err("azp is another client");
        }
        _ => {}
    }
    if let Some(max_age) = expect.max_age {
        let since = time("auth_time")?.ok_or("auth_time is missing though max_age was sent")?;
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        if since > latest || since + (max_age as f64) < earliest {
            return Err("auth_time is longer ago than max_age, or in the future");
        }
    }
    if let Some(wanted) = expect.acr_values {
        let acr = text("acr").unwrap_or_default();
        if !wanted.split_ascii_whitespace().any(|value| value == acr) {
            return Err("acr is none of those asked for");
        }
    }
    Ok(())
}

/// The claims as they are written: after verification, the bytes that the signature covers.
pub(super) fn payload(raw: &str) -> Option<Map<String, Value>> {
    let encoded = raw.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// After a refresh no particular nonce is expected (OpenID Connect Core §12.2).
struct ExpectedNonce<'a>(Option<&'a Nonce>);

impl NonceVerifier for ExpectedNonce<'_> {
    fn verify(self, stated: Option<&Nonce>) -> Result<(), String> {
        self.0.map_or(Ok(()), |expected| expected.verify(stated))
    }
}

fn why(error: ClaimsVerificationError) -> Refusal {
    Refusal::Rule(match error {
        ClaimsVerificationError::Expired(_) => "it has expired",
        ClaimsVerificationError::InvalidAudience(_) => "aud is not this client alone",
        ClaimsVerificationError::InvalidIssuer(_) => "iss is another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "nonce is missing or another login's",
        ClaimsVerificationError::Unsupported(_) => {
            "its header has a typ, cty, crit or alg not accepted"
        }
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::NoMatchingKey
            | SignatureVerificationError::AmbiguousKeyId(_) => return Refusal::Key,
            // A provider that came back with new keys under old names is found out by the
            // signature.
            SignatureVerificationError::CryptoError(_) => return Refusal::Signature,
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::NoSignature
            | SignatureVerificationError::UnsupportedAlg(_) => {
                "its signature algorithm is not accepted"
            }
            _ => "its signature cannot be verified",
        },
        _ => "it breaks a rule of OpenID Connect Core §3.1.3.7",
    })
}
