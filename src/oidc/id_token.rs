//! The ID token: what must hold before a claim is believed.
//!
//! # Invariants
//! - The signature is always verified, though OpenID Connect Core §3.1.3.7 would let TLS stand in for it.
//! - The skew softens `exp`, `iat`, `nbf` and `auth_time`, and nothing else.
//! - Only claims that a rule is about are judged.
//!
//! # Spec
//! OpenID Connect Core §2, §3.1.3.7, §3.1.3.8; RFC 7519; RFC 8725; OpenID Connect Back-Channel Logout §4.1.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{AccessToken, Nonce};
use ring::digest;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::ClientSettings;
use super::algorithm::SigningAlgorithm;
use super::jwt::{self, Claims, Jwt, Refusal};
use super::metadata::Known;
use crate::clock::UnixTime;

/// Values of `typ` that may stand in an ID token, without `application/`.
const TYPES: [&str; 2] = ["jwt", "jose"];

/// What the ID token must prove.
#[derive(Debug)]
pub struct Expectation<'a> {
    /// The login's nonce; `None` after a refresh.
    pub nonce: Option<&'a Nonce>,
    /// The access token that came along, for `at_hash`.
    pub access_token: &'a AccessToken,
    /// `max_age` as requested, in seconds: `auth_time` is then required.
    pub max_age: Option<u64>,
    /// `acr_values` as requested: `acr` must be one of them.
    pub acr_values: Option<&'a str>,
}

/// The claims of an ID token that keeps every rule, and what signed it.
pub(super) fn verify(
    settings: &ClientSettings,
    known: &Known,
    now: UnixTime,
    raw: &str,
    expect: &Expectation<'_>,
) -> Result<(Claims, SigningAlgorithm), Refusal> {
    let token = Jwt::read(raw)?;
    let algorithm = token.check_header(&TYPES)?;
    // First whom it is from and for: that explains more than a key that is not there.
    check_parties(&token.claims, settings)?;
    if !known.metadata.algorithms.contains(&algorithm) {
        return Err(not_accepted(settings));
    }
    settings.check_tid(&token.claims)?;
    let keys = settings.keys_of(&known.keys, &token.claims);
    token.check_signature(algorithm, &keys)?;
    check(&token.claims, settings, now, expect)?;
    check_at_hash(&token.claims, algorithm, expect.access_token)?;
    Ok((Claims::read(token.claims)?, algorithm))
}

/// Why an algorithm is not good that the metadata at hand does not list.
pub(super) const fn not_accepted(settings: &ClientSettings) -> Refusal {
    match settings.id_token_signed_response_alg {
        Some(_) => Refusal::Rule("its signature algorithm is not the configured one"),
        None => Refusal::Algorithm,
    }
}

/// `iss` and `aud`.
pub(super) fn check_parties(
    claims: &Map<String, Value>,
    settings: &ClientSettings,
) -> Result<(), Refusal> {
    settings.check_issuer_of(claims)?;
    if !jwt::is_for(claims, &settings.client_id, &settings.trusted_audiences) {
        return Err(jwt::not_for(
            claims,
            &settings.client_id,
            &settings.trusted_audiences,
        ));
    }
    Ok(())
}

/// The other rules for claims.
fn check(
    claims: &Map<String, Value>,
    settings: &ClientSettings,
    now: UnixTime,
    expect: &Expectation<'_>,
) -> Result<(), Refusal> {
    let time = |name| jwt::time(claims, name);
    let skew = settings.clock_skew;
    let (earliest, latest) = (now.minus(skew), now.plus(skew));
    let broken = |rule| Err(Refusal::Rule(rule));

    // A logout token or another security event (RFC 8417) says nothing about a login.
    if claims.contains_key("events") {
        return broken("it is a security event, not an ID token");
    }
    match time("exp")? {
        None => return broken("exp is missing"),
        Some(expires) if expires <= earliest => return Err(Refusal::Time("it has expired")),
        Some(_) => {}
    }
    match time("iat")? {
        None => return broken("iat is missing"),
        Some(issued) if issued > latest => return Err(Refusal::Time("iat is in the future")),
        Some(_) => {}
    }
    if time("nbf")?.is_some_and(|begins| begins > latest) {
        return Err(Refusal::Time("nbf is in the future"));
    }
    if let Some(expected) = expect.nonce {
        let stated = jwt::text(claims, "nonce").unwrap_or_default();
        if !bool::from(stated.as_bytes().ct_eq(expected.secret().as_bytes())) {
            return broken("nonce is missing or another login's");
        }
    }
    let audiences = claims.get("aud").and_then(Value::as_array);
    match claims.get("azp") {
        None | Some(Value::Null) if audiences.is_some_and(|all| all.len() > 1) => {
            return broken("azp is missing though aud has several members");
        }
        None | Some(Value::Null) => {}
        Some(azp) if azp.as_str() == Some(&settings.client_id) => {}
        Some(_) => return broken("azp is another client"),
    }
    if let Some(max_age) = expect.max_age {
        let Some(since) = time("auth_time")? else {
            return broken("auth_time is missing though max_age was sent");
        };
        if since > latest || since.plus(Duration::from_secs(max_age)) < earliest {
            return broken("auth_time is longer ago than max_age, or in the future");
        }
    }
    if let Some(wanted) = expect.acr_values {
        let acr = jwt::text(claims, "acr").unwrap_or_default();
        if !wanted.split_ascii_whitespace().any(|value| value == acr) {
            return broken("acr is none of those asked for");
        }
    }
    Ok(())
}

/// OpenID Connect Core §3.1.3.8: the left half of the access token's hash, if it is there.
fn check_at_hash(
    claims: &Map<String, Value>,
    algorithm: SigningAlgorithm,
    access_token: &AccessToken,
) -> Result<(), Refusal> {
    let stated = match claims.get("at_hash") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(stated)) => stated,
        Some(_) => return Err(Refusal::NotUnderstood("at_hash")),
    };
    let hash = digest::digest(algorithm.hash(), access_token.secret().as_bytes());
    let half = hash.as_ref().split_at(hash.as_ref().len() / 2).0;
    if *stated == URL_SAFE_NO_PAD.encode(half) {
        return Ok(());
    }
    Err(Refusal::Rule("at_hash belongs to another access token"))
}
