//! The grants: an authorization code, a refresh token, or the client's own credentials become tokens.
//!
//! # Invariants
//! - One call spends what it carries once. A refresh that is repeated after a lost answer may end the session (RFC 9700
//!   §4.14.2). A request is made again only if the provider wants a nonce before it looks at it (RFC 9449 §8).
//!
//! # Spec
//! RFC 6749 §4.1.3, §4.4, §6; RFC 7636 §4.5; RFC 8707 §2.2.

use openidconnect::{HttpResponse, PkceCodeVerifier, RefreshToken};
use url::Url;

use super::error_code::speaks_of_the_request;
use super::token_response::{self, is_page};
use super::{IdpClient, OidcError, Provider, TokenResponse};
use crate::keyring::Kid;
use crate::telemetry::metrics::ProviderCall;

/// What a token request came to.
struct Asked {
    answer: Result<HttpResponse, OidcError>,
    /// The key of the proof that went along.
    proven: Option<Kid>,
}

/// A token request: its grant, and the APIs that it names.
struct Asking<'a> {
    grant: &'a [(&'a str, &'a str)],
    resources: &'a [Url],
    /// The key that the grant is bound to, if it is to one.
    bound_to: Option<Kid>,
}

impl Provider {
    /// Code to tokens. `bound_to` is the key that the authorization request named (RFC 9449 §10).
    pub async fn exchange_code(
        &self,
        http: &IdpClient,
        code: &str,
        verifier: PkceCodeVerifier,
        bound_to: Option<Kid>,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.settings().redirect_uri),
            ("code_verifier", verifier.secret()),
        ];
        let asking = Asking {
            grant: &grant,
            resources: &self.settings().resources,
            bound_to,
        };
        self.ask(http, asking).await
    }

    /// Refresh token to tokens. The refresh token is spent once at the most.
    pub async fn refresh(
        &self,
        http: &IdpClient,
        token: &RefreshToken,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.secret()),
        ];
        let asking = Asking {
            grant: &grant,
            resources: &self.settings().resources,
            // The refresh token of a client that authenticates is bound to no key (RFC 9449 §5).
            bound_to: None,
        };
        let Asked { answer, proven } = self.token_request(http, &asking).await?;
        let answer = answer.map_err(lost)?;
        let status = answer.status().as_u16();
        let is_page = is_page(&answer);
        let tokens = match token_response::read_and_erase(self.settings(), answer, &grant, proven) {
            // A gateway that got no answer does not know either.
            Err(_) if matches!(status, 502 | 504) => {
                return Err(OidcError::Lost(format!("status {status}")));
            }
            // If a server in between refuses everybody, that is an outage, whatever status it says.
            Err(OidcError::Invalid(text)) if is_page => {
                return Err(OidcError::Unavailable(format!("{text}, on a page")));
            }
            Err(OidcError::Invalid(text)) if speaks_of_the_request(status) => {
                return Err(OidcError::Rejected(text));
            }
            tokens => tokens?,
        };
        if let Some(newer) = &tokens.refresh_token
            && newer.secret() != token.secret()
        {
            self.note_rotation();
        }
        Ok(tokens)
    }

    /// The client's own token. With an empty scope the provider chooses.
    pub(super) async fn client_credentials(
        &self,
        http: &IdpClient,
        scope: &str,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [("grant_type", "client_credentials"), ("scope", scope)];
        let wanted = if scope.is_empty() { 1 } else { 2 };
        let grant = grant.get(..wanted).unwrap_or_default();
        let asking = Asking {
            grant,
            resources: &self.settings().resources,
            bound_to: None,
        };
        self.ask(http, asking).await
    }

    /// A token for one API, in exchange for the user's. The parameters name the API, so the configured `resources` do not go
    /// along.
    pub(super) async fn exchange_call(
        &self,
        http: &IdpClient,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, OidcError> {
        let asking = Asking {
            grant,
            resources: &[],
            bound_to: None,
        };
        self.ask(http, asking).await
    }

    /// A token request whose answer is not missed more than any other's.
    async fn ask(&self, http: &IdpClient, asking: Asking<'_>) -> Result<TokenResponse, OidcError> {
        let Asked { answer, proven } = self.token_request(http, &asking).await?;
        let answer = answer.map_err(OidcError::lost_or_not)?;
        token_response::read_and_erase(self.settings(), answer, asking.grant, proven)
    }

    async fn token_request(
        &self,
        http: &IdpClient,
        asking: &Asking<'_>,
    ) -> Result<Asked, OidcError> {
        let metadata = &self.known(http).await?.metadata;
        let bound_to = asking.bound_to.and_then(|kid| self.prover().key(kid));
        let key = match bound_to {
            Some(key) => Some(key),
            None => self.proof_key(metadata)?,
        };
        let make = || self.client_request(&metadata.token_endpoint, asking.grant, asking.resources);
        let channel = self.channel(http, ProviderCall::Token, metadata);
        let answer = self.send_proven(&channel, key.as_deref(), make).await;
        self.heard(&answer);
        let proven = key.map(|key| key.kid());
        Ok(Asked { answer, proven })
    }
}

/// What came is not HTTP, so nobody knows what the provider did.
fn lost(error: OidcError) -> OidcError {
    match error {
        OidcError::Invalid(text) => OidcError::Lost(text),
        error => error,
    }
}
