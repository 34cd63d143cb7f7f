//! Requests to the provider that prove possession of a key.
//!
//! # Spec
//! RFC 9449 §5 (token requests), §8 (nonces), §10 (authorization requests).

use std::sync::Arc;

use http::StatusCode;
use openidconnect::{HttpRequest, HttpResponse};

use super::key::ProofKey;
use super::possession::DPOP;
use super::prover::origin;
use crate::oidc::http::Channel;
use crate::oidc::members::Members;
use crate::oidc::metadata::Metadata;
use crate::oidc::settings::Dpop;
use crate::oidc::{OidcError, Provider};

impl Provider {
    /// The key that tokens are asked for with, if they are to be bound to one.
    pub(in crate::oidc) fn proof_key(
        &self,
        metadata: &Metadata,
    ) -> Result<Option<Arc<ProofKey>>, OidcError> {
        let is_wanted = match self.settings().dpop {
            Dpop::Never => false,
            Dpop::Auto => metadata.takes_dpop,
            Dpop::Always => true,
        };
        if !is_wanted {
            return Ok(None);
        }
        let key = self.prover().primary();
        key.map(Some)
            .ok_or_else(|| OidcError::Invalid("there is no key for DPoP".to_owned()))
    }

    /// Sends what `make` makes, with a proof of the key if there is one. If the provider wants another nonce in the proof, it has
    /// done nothing else, and `make` makes the request once more.
    ///
    /// An answer that was lost is told apart, as by [`Channel::send_once`].
    pub(in crate::oidc) async fn send_proven(
        &self,
        channel: &Channel<'_>,
        key: Option<&ProofKey>,
        make: impl Fn() -> Result<HttpRequest, OidcError>,
    ) -> Result<HttpResponse, OidcError> {
        let Some(key) = key else {
            return channel.send_once(make()?).await;
        };
        let (prover, mut is_second) = (self.prover(), false);
        loop {
            let mut request = make()?;
            let target = (request.method(), request.uri());
            let proof = prover.proof(key, target, None, &prover.provider_nonces);
            let proof =
                proof.map_err(|_| OidcError::Invalid("the DPoP key cannot sign".to_owned()))?;
            request.headers_mut().insert(DPOP, proof);
            let server = origin(request.uri());
            let answer = channel.send_once(request).await?;
            let has_nonce = prover.provider_nonces.learn(&server, answer.headers());
            if is_second || !has_nonce || !wants_nonce(&answer) {
                return Ok(answer);
            }
            is_second = true;
        }
    }
}

/// RFC 9449 §8: an error answer with the code `use_dpop_nonce`.
fn wants_nonce(answer: &HttpResponse) -> bool {
    if !matches!(
        answer.status(),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
    ) {
        return false;
    }
    let members = Members::parse(answer.body()).ok();
    members.is_some_and(|members| members.text("error") == Ok(Some("use_dpop_nonce")))
}
