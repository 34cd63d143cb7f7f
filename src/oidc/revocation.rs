//! Gives tokens back that are of no use any more.
//!
//! # Spec
//! RFC 7009.

use super::{IdpClient, OidcError, Provider, token_response};
use crate::telemetry::metrics::ProviderCall;

/// What became of a token that was to be revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// The provider has revoked it, or did not know it.
    Done,
    /// The provider has no revocation endpoint: the token lives on.
    NotOffered,
}

impl Provider {
    /// Revokes a token. `hint` says which kind it is (RFC 7009 §2.1).
    pub async fn revoke(
        &self,
        http: &IdpClient,
        token: &str,
        hint: &'static str,
    ) -> Result<Revoked, OidcError> {
        let known = self.known(http).await?;
        let Some(endpoint) = &known.metadata.revocation_endpoint else {
            return Ok(Revoked::NotOffered);
        };
        let form = [("token", token), ("token_type_hint", hint)];
        let request = self.client_request(endpoint, &form, &[])?;
        let channel = self.channel(http, ProviderCall::Revocation, &known.metadata);
        let answer = channel.send(request).await?;
        // RFC 7009 §2.2: 200 for an unknown token, too.
        if answer.status().is_success() {
            return Ok(Revoked::Done);
        }
        Err(token_response::refusal(self.settings(), &answer, &form))
    }
}
