//! The ID token that comes with refreshed tokens: it must speak of the login that the session began with.
//!
//! `token` asks after each refresh. A token that speaks of another login ends the session.
//!
//! # Invariants
//! - `iss`, `aud` and `sub` are what they were. So is `auth_time`, where both tokens have one.
//! - The token is used for that comparison, for an earlier end of the session, and for the claims that the session keeps.
//!
//! # Spec
//! OpenID Connect Core §12.2, §3.1.3.7.
//!
//! # Why
//! - If no key at hand fits the token, or the metadata does not list its algorithm, it is compared all the same. TLS to the token
//!   endpoint vouches for it (§3.1.3.7, 6), and a provider may leave it out altogether. The old refresh token may be spent, so
//!   refusing the answer would end the session, only because keys or metadata are not up to date. A token that a key at hand
//!   proves wrong is refused.
//! - The nonce is not compared: the session does not keep it, and beside `sub` and `auth_time` it would say nothing new.

use openidconnect::AccessToken;

use super::http::IdpClient;
use super::id_token::check_parties;
use super::jwt::{self, Claims, Jwt, Refusal};
use super::provider::Provider;
use super::{Expectation, OidcError};
use crate::clock::UnixTime;

/// What the session knows of its first ID token.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `sub`
    pub subject: &'a str,
    /// `auth_time`, if it had one.
    pub auth_time: Option<UnixTime>,
}

impl Provider {
    /// The claims of a refreshed ID token that is about the same login. Any error means that it is about another.
    pub async fn verify_refreshed(
        &self,
        http: &IdpClient,
        raw: &str,
        access_token: &AccessToken,
        original: Original<'_>,
    ) -> Result<Claims, OidcError> {
        let expect = Expectation {
            nonce: None,
            access_token,
            max_age: None,
            acr_values: None,
        };
        let claims = match self.judge_id_token(http, raw, &expect).await {
            Ok(Ok(claims)) => claims,
            Ok(Err(refusal)) if refusal.is_for_want_of_a_key() => {
                self.unverified(raw, &refusal.to_string())?
            }
            Ok(Err(refusal)) => return Err(refusal.into()),
            Err(error) => self.unverified(raw, &error.to_string())?,
        };
        let is_same = claims.issuer == original.issuer
            && claims.subject == original.subject
            && same_auth_time(&claims, original.auth_time);
        is_same
            .then_some(claims)
            .ok_or_else(|| Refusal::Rule("it is about another login").into())
    }

    /// The claims of a token that cannot be verified, if they name this issuer and this client.
    fn unverified(&self, raw: &str, why: &str) -> Result<Claims, OidcError> {
        let settings = self.settings();
        log::warn!(
            "{:?}: a refreshed ID token is not verified: {why}",
            settings.issuer
        );
        let claims = Jwt::read(raw)?.claims;
        check_parties(&claims, settings)?;
        Ok(Claims::read(claims)?)
    }
}

/// Whether both speak of the same login. A time that cannot be read counts as another one.
fn same_auth_time(claims: &Claims, original: Option<UnixTime>) -> bool {
    match (jwt::time(&claims.all, "auth_time"), original) {
        (Ok(None), _) | (_, None) => true,
        (stated, original) => stated == Ok(original),
    }
}
