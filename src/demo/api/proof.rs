//! Whether a request to the API carries the proof that the API wants.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::Shared;
use crate::demo::dpop::{Refusal, Wants, authorization, bound_to};

/// Refuses a request without the proof that is wanted, or with a token that is bound to another key (RFC 9449 §7.1).
pub(super) fn refusal(request: &HttpRequest, api: &Shared) -> Option<HttpResponse> {
    if api.proofs.wants() == Wants::Nothing {
        return None;
    }
    let token = authorization(request).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("dpop"));
    let verdict = match token {
        None => Err(Refusal::Wrong("there is no token that is bound to a key")),
        Some((_, token)) => {
            let proof = api.proofs.check(request, &api.origin, Some(token));
            proof.and_then(|proof| {
                let key = proof.map(|proof| proof.thumbprint);
                let is_bound = bound_to(token).is_some_and(|bound| Some(bound) == key);
                is_bound
                    .then_some(())
                    .ok_or(Refusal::Wrong("the token is bound to another key"))
            })
        }
    };
    verdict.err().map(|refusal| {
        let error = match refusal {
            Refusal::Nonce => "use_dpop_nonce",
            Refusal::Wrong(_) => "invalid_token",
        };
        let scheme = api.proofs.scheme();
        let challenge = format!("{scheme} error=\"{error}\", algs=\"ES256\"");
        let mut answer = HttpResponse::Unauthorized();
        answer.insert_header((header::WWW_AUTHENTICATE, challenge));
        if let Some(nonce) = api.proofs.nonce() {
            answer.insert_header(("dpop-nonce", nonce));
        }
        answer.finish()
    })
}
