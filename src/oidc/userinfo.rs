//! What a provider says about a user beyond the ID token.
//!
//! # Invariants
//! - `UserInfo` is about the session's subject, or it is not used (OpenID Connect Core §5.3.2).
//! - A signed answer is verified with the provider's keys, like an ID token.
//!
//! # Spec
//! OpenID Connect Core §5.3.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use openidconnect::AccessToken;
use serde_json::{Map, Value};

use super::http::is_outage;
use super::jwt::{self, Jwt};
use super::{IdpClient, OidcError, Provider};

/// Values of `typ` that may stand in a signed answer, without `application/`.
const TYPES: [&str; 1] = ["jwt"];

impl Provider {
    /// The user's claims. `None` if the provider has no such endpoint.
    pub async fn userinfo(
        &self,
        http: &IdpClient,
        token: &AccessToken,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>, OidcError> {
        let known = self.known(http).await?;
        let Some(endpoint) = &known.metadata.userinfo_endpoint else {
            return Ok(None);
        };
        let wrong = |why: &str| OidcError::Invalid(format!("UserInfo: {why}"));
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.secret()))
            .map_err(|_| wrong("no header can carry the access token"))?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(Method::GET)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json, application/jwt")
            .header(AUTHORIZATION, bearer)
            .body(Vec::new())
            .map_err(|_| wrong("no request can be made for its URL"))?;
        let answer = self.channel(http, &known.metadata).send(request).await;
        self.heard(&answer);
        let answer = answer?;
        match answer.status().as_u16() {
            200..=299 => {}
            status if is_outage(status) => {
                return Err(OidcError::Unavailable(format!("UserInfo: status {status}")));
            }
            status => return Err(wrong(&format!("status {status}"))),
        }
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_signed = kind.is_some_and(|kind| {
            kind.as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"application/jwt")
        });
        let claims = if is_signed {
            let text = std::str::from_utf8(answer.body())
                .map_err(|_| wrong("it is not a readable JWT"))?;
            let verified = || {
                let token = Jwt::read(text.trim())?;
                let algorithm = token.check_header(&TYPES)?;
                if !self.settings().accepts(algorithm) {
                    return Err(jwt::Refusal::Algorithm);
                }
                token.check_signature(algorithm, &known.keys)?;
                Ok(token.claims)
            };
            verified().map_err(|refusal: jwt::Refusal| wrong(&refusal.to_string()))?
        } else {
            serde_json::from_slice(answer.body()).map_err(|_| wrong("it is not a JSON object"))?
        };
        if jwt::text(&claims, "sub") != Some(subject) {
            return Err(wrong("its sub is missing or another user's"));
        }
        Ok(Some(claims))
    }
}

/// The claims of an access token, if it is a JWT. They are not verified.
pub fn claims_of(token: &AccessToken) -> Option<Map<String, Value>> {
    unverified(token.secret())
}

/// The claims of a JWT that was verified before.
pub fn unverified(token: &str) -> Option<Map<String, Value>> {
    Jwt::read(token).ok().map(|token| token.claims)
}
