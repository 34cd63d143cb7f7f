//! The grants: an authorization code, a refresh token, or the client's own credentials become tokens.
//!
//! # Invariants
//! - One call is one request. A refresh that is repeated after a lost answer may end the session (RFC 9700 §4.14.2).
//!
//! # Spec
//! RFC 6749 §4.1.3, §4.4, §6; RFC 7636 §4.5; RFC 8707 §2.2.

use openidconnect::{HttpRequest, PkceCodeVerifier, RefreshToken};

use super::error_code::speaks_of_the_request;
use super::http::Channel;
use super::token_response::{self, is_page};
use super::{IdpClient, OidcError, Provider, TokenResponse};

impl Provider {
    /// Code to tokens.
    pub async fn exchange_code(
        &self,
        http: &IdpClient,
        code: &str,
        verifier: PkceCodeVerifier,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.settings().redirect_uri),
            ("code_verifier", verifier.secret()),
        ];
        let (channel, request) = self.token_request(http, &grant).await?;
        let answer = channel.send(request).await;
        self.heard(&answer);
        token_response::read_and_erase(self.settings(), answer?, &grant)
    }

    /// Refresh token to tokens. Exactly one request, never repeated.
    pub async fn refresh(
        &self,
        http: &IdpClient,
        token: &RefreshToken,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.secret()),
        ];
        let (channel, request) = self.token_request(http, &grant).await?;
        let answer = channel.send_once(request).await;
        self.heard(&answer);
        let answer = answer.map_err(lost)?;
        let status = answer.status().as_u16();
        let is_page = is_page(&answer);
        let tokens = match token_response::read_and_erase(self.settings(), answer, &grant) {
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
        let (channel, request) = self.token_request(http, grant).await?;
        let answer = channel.send(request).await;
        self.heard(&answer);
        token_response::read_and_erase(self.settings(), answer?, grant)
    }

    /// A token for one API, in exchange for the user's. The parameters name the API, so the configured `resources` do not go
    /// along.
    pub(super) async fn exchange_call(
        &self,
        http: &IdpClient,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, OidcError> {
        let known = self.known(http).await?;
        let endpoint = &known.metadata.token_endpoint;
        let request = self.client_request(endpoint, grant, &[])?;
        let answer = self.channel(http, &known.metadata).send(request).await;
        self.heard(&answer);
        token_response::read_and_erase(self.settings(), answer?, grant)
    }

    async fn token_request<'h>(
        &self,
        http: &'h IdpClient,
        grant: &[(&str, &str)],
    ) -> Result<(Channel<'h>, HttpRequest), OidcError> {
        let known = self.known(http).await?;
        let endpoint = &known.metadata.token_endpoint;
        let request = self.client_request(endpoint, grant, &self.settings().resources)?;
        Ok((self.channel(http, &known.metadata), request))
    }
}

/// What came is not HTTP, so nobody knows what the provider did.
fn lost(error: OidcError) -> OidcError {
    match error {
        OidcError::Invalid(text) => OidcError::Lost(text),
        error => error,
    }
}
