//! What a provider says about a user beyond the ID token.
//!
//! # Invariants
//! - `UserInfo` is about the session's subject, or it is not used (OpenID Connect Core §5.3.2).
//! - A signed answer is verified with the provider's keys, like an ID token.
//!
//! # Spec
//! OpenID Connect Core §5.3.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use openidconnect::{AccessToken, HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use url::Url;

use super::http::{Channel, is_outage};
use super::jwt::{self, Jwt};
use super::{Authorization, IdpClient, OidcError, Provider, TokenResponse};
use crate::telemetry::metrics::ProviderCall;

/// Values of `typ` that may stand in a signed answer, without `application/`.
const TYPES: [&str; 1] = ["jwt"];

impl Provider {
    /// The claims of the user whose tokens these are. `None` if the provider has no such endpoint.
    pub async fn userinfo(
        &self,
        http: &IdpClient,
        tokens: &TokenResponse,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>, OidcError> {
        let known = self.known(http).await?;
        let Some(endpoint) = &known.metadata.userinfo_endpoint else {
            return Ok(None);
        };
        let authorization = Authorization::of(&tokens.access_token, tokens.token_type)
            .map_err(|_| wrong("no header can carry the access token"))?;
        let channel = self.channel(http, ProviderCall::Userinfo, &known.metadata);
        let answer = self.ask_userinfo(&channel, endpoint, &authorization).await;
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

    /// Asks with the token, and once more if the provider wants a nonce in the proof that goes along.
    async fn ask_userinfo(
        &self,
        channel: &Channel<'_>,
        endpoint: &Url,
        authorization: &Authorization,
    ) -> Result<HttpResponse, OidcError> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json, application/jwt")
            .body(Vec::new())
            .map_err(|_| wrong("no request can be made for its URL"))?;
        if let Some(bearer) = authorization.bearer() {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            return channel.send(request).await;
        }
        let possession = self.prover().possession(authorization);
        let possession = possession.ok_or_else(|| wrong("the key of the token is gone"))?;
        let uri = request.uri().clone();
        let prove = |mut request: HttpRequest| {
            let proven = possession.prove(&mut request);
            proven.map_err(|_| wrong("the DPoP key cannot sign"))?;
            Ok::<_, OidcError>(request)
        };
        let answer = channel.send(prove(request.clone())?).await?;
        if !possession.wants_again(&uri, answer.status(), answer.headers()) {
            return Ok(answer);
        }
        let answer = channel.send(prove(request)?).await?;
        possession.wants_again(&uri, answer.status(), answer.headers());
        Ok(answer)
    }
}

fn wrong(why: &str) -> OidcError {
    OidcError::Invalid(format!("UserInfo: {why}"))
}

/// The claims of an access token, if it is a JWT. They are not verified.
pub fn claims_of(token: &AccessToken) -> Option<Map<String, Value>> {
    unverified(token.secret())
}

/// The claims of a JWT that was verified before.
pub fn unverified(token: &str) -> Option<Map<String, Value>> {
    Jwt::read(token).ok().map(|token| token.claims)
}
