//! Proofs of possession at the endpoints that a client calls (RFC 9449 §5, §8, §10.1).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::Shared;
use super::client_auth::OAuthError;
use crate::demo::dpop::Refusal;

/// How old a proof may be, in seconds.
const OLDEST: u64 = 60;

/// The thumbprint of the key that the client has proved to have.
pub(super) fn key_of(request: &HttpRequest, idp: &Shared) -> Result<Option<String>, OAuthError> {
    let proof = idp.proofs.check(request, &idp.issuer, None);
    let proof = proof.map_err(|refusal| match refusal {
        Refusal::Nonce => OAuthError("use_dpop_nonce", "the proof needs our nonce"),
        Refusal::Wrong(why) => OAuthError("invalid_dpop_proof", why),
    })?;
    let now = idp.now().as_secs();
    match proof {
        Some(proof) if proof.iat.abs_diff(now) > OLDEST => {
            Err(OAuthError("invalid_dpop_proof", "it is not of this minute"))
        }
        proof => Ok(proof.map(|proof| proof.thumbprint)),
    }
}

/// An answer, with the nonce for the next proof.
pub(super) fn with_nonce(mut answer: HttpResponse, idp: &Shared) -> HttpResponse {
    if let Some(nonce) = idp.proofs.nonce().and_then(|nonce| nonce.try_into().ok()) {
        let name = header::HeaderName::from_static("dpop-nonce");
        answer.headers_mut().insert(name, nonce);
    }
    answer
}
