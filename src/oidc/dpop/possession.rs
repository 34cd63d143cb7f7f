//! An access token as requests carry it, and the proofs that go with it.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, InvalidHeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use openidconnect::AccessToken;
use ring::error::Unspecified;
use serde::{Deserialize, Serialize};

use super::key::ProofKey;
use super::prover::{Prover, origin};
use crate::keyring::Kid;
use crate::oidc::challenge;
use crate::proof;

/// The header of a proof.
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How an access token is used (RFC 6749 §7.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum TokenType {
    /// Whoever has it may use it (RFC 6750).
    #[default]
    Bearer,
    /// It is bound to the key that follows from this key of the ring (RFC 9449 §5).
    Dpop(Kid),
}

/// The `Authorization` of an access token, which is the same on every request.
#[derive(Clone)]
pub struct Authorization {
    /// Marked sensitive.
    pub(super) value: HeaderValue,
    /// Which key proves possession, and the hash of the token in its proofs.
    pub(super) bound: Option<(Kid, Arc<str>)>,
}

impl Authorization {
    /// That of this token. Few tokens do not fit a header.
    pub fn of(token: &AccessToken, token_type: TokenType) -> Result<Self, InvalidHeaderValue> {
        let token = token.secret();
        let (scheme, bound) = match token_type {
            // RFC 6750 §2.1.
            TokenType::Bearer => ("Bearer", None),
            // RFC 9449 §7.1
            TokenType::Dpop(kid) => ("DPoP", Some((kid, proof::ath(token).into()))),
        };
        let mut value = HeaderValue::try_from(format!("{scheme} {token}"))?;
        value.set_sensitive(true);
        Ok(Self { value, bound })
    }

    /// The header, if a header is all that the token needs.
    pub fn bearer(&self) -> Option<&HeaderValue> {
        Some(&self.value).filter(|_| self.bound.is_none())
    }
}

impl fmt::Debug for Authorization {
    // SECURITY: it holds a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("key", &self.bound.as_ref().map(|(kid, _)| kid))
            .finish_non_exhaustive()
    }
}

/// A token that is bound to a key, with the key.
pub struct Possession {
    value: HeaderValue,
    ath: Arc<str>,
    key: Arc<ProofKey>,
    prover: Arc<Prover>,
}

impl Prover {
    /// What a token that is bound to a key goes along with. `None` if that key has left the ring, or if there is no key.
    pub fn possession(self: &Arc<Self>, authorization: &Authorization) -> Option<Possession> {
        let (kid, ath) = authorization.bound.as_ref()?;
        Some(Possession {
            value: authorization.value.clone(),
            ath: Arc::clone(ath),
            key: self.key(*kid)?,
            prover: Arc::clone(self),
        })
    }

    /// Whether a token can be used.
    pub fn can_use(&self, authorization: &Authorization) -> bool {
        let bound = authorization.bound.as_ref();
        bound.is_none_or(|(kid, _)| self.key(*kid).is_some())
    }

    /// Whether a token of this type can be used.
    pub fn can_prove(&self, token_type: TokenType) -> bool {
        match token_type {
            TokenType::Bearer => true,
            TokenType::Dpop(kid) => self.key(kid).is_some(),
        }
    }
}

impl Possession {
    /// Adds the token, and a new proof, to a request whose method and URI do not change any more.
    pub fn prove<B>(&self, request: &mut Request<B>) -> Result<(), Unspecified> {
        let target = (request.method(), request.uri());
        let nonces = &self.prover.api_nonces;
        let proof = self
            .prover
            .proof(&self.key, target, Some(&self.ath), nonces)?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.value.clone());
        headers.insert(DPOP, proof);
        Ok(())
    }

    /// Takes the nonce of an answer. Whether the server wants the same request again, with that nonce (RFC 9449 §9).
    pub fn wants_again(&self, uri: &Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        let has_nonce = self.prover.api_nonces.learn(&origin(uri), headers);
        has_nonce && status == StatusCode::UNAUTHORIZED && wants_nonce(headers)
    }
}

impl fmt::Debug for Possession {
    // SECURITY: it holds a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Possession")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn wants_nonce(headers: &HeaderMap) -> bool {
    let lines: Vec<_> = headers.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
    challenge::asks_for_nonce(&lines)
}
