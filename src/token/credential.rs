//! What an upstream request proves its right with.
//!
//! `proxy` makes a request and hands it to [`Credential::apply`] last, once its method and its URI are final.
//!
//! # Spec
//! RFC 6750 §2.1 (bearer tokens); RFC 9449 §7 (tokens that are bound to a key).
//!
//! # Why the credential is applied, and not read as a header
//! A bearer token is the same header on every request. A proof of possession (RFC 9449 §4.2) is signed over the method and
//! the URI of one request, and again for each repetition.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use crate::oidc::{Authorization, Possession, Prover};
use crate::problem::Problem;

/// The proof that goes along with one upstream request.
#[derive(Clone)]
pub enum Credential {
    /// Nothing goes along.
    None,
    /// An access token in `Authorization`. The value is marked sensitive.
    Bearer(HeaderValue),
    /// An access token that is bound to a key, with a proof for each request.
    Dpop(Arc<Possession>),
}

impl Credential {
    /// That of an access token. `None` if the key that the token is bound to has left the ring.
    pub(super) fn of(authorization: &Authorization, prover: &Arc<Prover>) -> Option<Self> {
        match authorization.bearer() {
            Some(value) => Some(Self::Bearer(value.clone())),
            None => Some(Self::Dpop(Arc::new(prover.possession(authorization)?))),
        }
    }

    /// Whether the upstream gets a token.
    pub const fn has_token(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bearer(_) | Self::Dpop(_) => true,
        }
    }

    /// Whether an upstream may refuse a request because it wants another nonce in the proof.
    pub const fn may_want_nonce(&self) -> bool {
        matches!(self, Self::Dpop(_))
    }

    /// Adds the proof to a request whose method and URI do not change any more.
    pub fn apply<B>(&self, request: &mut Request<B>) -> Result<(), Problem> {
        match self {
            Self::None => Ok(()),
            Self::Bearer(value) => {
                request.headers_mut().insert(AUTHORIZATION, value.clone());
                Ok(())
            }
            Self::Dpop(possession) => possession.prove(request).map_err(|_| {
                log::error!(code = Problem::Internal.code(); "the DPoP key cannot sign");
                Problem::Internal
            }),
        }
    }

    /// Takes note of an answer. Whether the upstream wants the same request again, with the nonce that came (RFC 9449 §9).
    pub fn wants_again(&self, uri: &Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        match self {
            Self::None | Self::Bearer(_) => false,
            Self::Dpop(possession) => possession.wants_again(uri, status, headers),
        }
    }
}

impl fmt::Debug for Credential {
    // SECURITY: it holds a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Credential::None",
            Self::Bearer(_) => "Credential::Bearer(..)",
            Self::Dpop(_) => "Credential::Dpop(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_the_only_authorization_and_stays_out_of_logs() {
        let mut value = HeaderValue::from_static("Bearer canary");
        value.set_sensitive(true);
        let credential = Credential::Bearer(value);
        assert!(credential.has_token());
        assert!(!format!("{credential:?}").contains("canary"));

        let request = Request::builder().header(AUTHORIZATION, "Basic x");
        let mut request = request.body(()).unwrap();
        credential.apply(&mut request).unwrap();
        credential.apply(&mut request).unwrap();
        let sent: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().collect();
        assert_eq!(sent, ["Bearer canary"]);
        assert!(sent.iter().all(|value| value.is_sensitive()));
    }

    #[test]
    fn without_a_token_nothing_is_added() {
        let mut request = Request::new(());
        Credential::None.apply(&mut request).unwrap();
        assert!(!Credential::None.has_token());
        assert!(request.headers().is_empty());
    }
}
