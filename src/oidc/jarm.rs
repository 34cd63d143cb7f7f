//! Signed authorization responses: the provider's answer as a JWT, in the parameter `response`.
//!
//! # Invariants
//! - A response counts only once its signature, `iss`, `aud` and `exp` have been verified.
//! - What stands beside it in the query is never read.
//!
//! # Spec
//! JWT Secured Authorization Response Mode for OAuth 2.0 (JARM) §2.1, §2.4; RFC 8725; FAPI 2.0 Message Signing §5.4.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::jwt::{self, Jwt, Refusal};
use super::metadata::Known;
use super::{ClientSettings, IdpClient, OidcError, Provider};
use crate::clock::UnixTime;

/// Values of `typ` that may stand in a response, without `application/`. The specification has no value of its own.
const TYPES: [&str; 2] = ["jwt", "jose"];

impl Provider {
    /// The parameters of a signed authorization response, once it keeps every rule. `from` is who sent it.
    pub async fn verify_authorization_response(
        &self,
        http: &IdpClient,
        raw: &str,
        from: IpAddr,
    ) -> Result<Map<String, Value>, OidcError> {
        let verify = |known: &Known| verify(self.settings(), known, self.now(), raw);
        let verdict = self.judge_anybodys(http, raw, from, verify).await?;
        verdict.map_err(|refusal| OidcError::Invalid(format!("authorization response: {refusal}")))
    }
}

fn verify(
    settings: &ClientSettings,
    known: &Known,
    now: UnixTime,
    raw: &str,
) -> Result<Map<String, Value>, Refusal> {
    let broken = |rule| Err(Refusal::Rule(rule));
    let token = Jwt::read(raw)?;
    let algorithm = token.check_header(&TYPES)?;
    let claims = &token.claims;
    settings.check_issuer_of(claims)?;
    if !jwt::is_for(claims, &settings.client_id, &[]) {
        return broken("aud is missing or another client");
    }
    if !known.metadata.response_algorithms.contains(&algorithm) {
        return Err(Refusal::Algorithm);
    }
    let keys = settings.keys_of(&known.keys, claims);
    token.check_signature(algorithm, &keys)?;
    let skew = settings.clock_skew;
    match jwt::time(claims, "exp")? {
        None => return broken("exp is missing"),
        Some(expires) if expires <= now.minus(skew) => return Err(Refusal::Time("it has expired")),
        Some(_) => {}
    }
    if jwt::time(claims, "nbf")?.is_some_and(|begins| begins > now.plus(skew)) {
        return Err(Refusal::Time("nbf is in the future"));
    }
    Ok(token.claims)
}
