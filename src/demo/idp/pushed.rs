//! `/par`: authorization requests that the client sends here directly (RFC 9126).

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::client_auth::{self, OAuthError};
use super::faults::{Fault, PushedFault};
use super::params::Params;
use super::request::AuthorizationRequest;
use super::store::PUSHED_LIFETIME;
use super::{PushedRequests, Shared, metadata, mint, proof, request_object};

pub(super) async fn push(request: HttpRequest, body: Bytes, idp: Data<Shared>) -> HttpResponse {
    if idp.options.pushed == PushedRequests::No {
        return HttpResponse::NotFound().finish();
    }
    for fault in idp.faults.take(|fault| match fault {
        Fault::Pushed(fault) => Some(fault.clone()),
        _ => None,
    }) {
        match fault {
            PushedFault::Answer { status, body } => return metadata::answer(status, body),
            PushedFault::Endpoint(fault) => {
                if let Some(failure) = metadata::fail(fault).await {
                    return failure;
                }
            }
        }
    }
    let reference = Params::parse(&body)
        .map_err(|_| OAuthError("invalid_request", "a parameter comes twice"))
        .and_then(|params| accept(&request, params, &idp));
    let answer = match reference {
        Ok(reference) => HttpResponse::Created()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({ "request_uri": reference, "expires_in": PUSHED_LIFETIME.as_secs() })),
        Err(error) => error.response(),
    };
    proof::with_nonce(answer, &idp)
}

/// Checks a request as the authorization endpoint would (§2.1), and keeps it.
fn accept(request: &HttpRequest, params: Params, idp: &Shared) -> Result<String, OAuthError> {
    let invalid = |why| OAuthError("invalid_request", why);
    let key = proof::key_of(request, idp)?;
    let client_id = client_auth::authenticate(request, &params, idp)?;
    if params.one("client_id") != Some(&client_id) {
        return Err(invalid("client_id is missing"));
    }
    idp.observed().pushed.push(params.pairs());
    if params.one("request_uri").is_some() {
        return Err(invalid("a reference cannot be pushed"));
    }
    let params = request_object::unwrap(params, idp)
        .map_err(|why| OAuthError("invalid_request_object", why))?;
    let asked = AuthorizationRequest::parse(&params, idp).map_err(invalid)?;
    asked
        .check(&params)
        .map_err(|(error, why)| OAuthError(error, why))?;
    if key.is_some() && key != asked.dpop_jkt {
        return Err(OAuthError("invalid_dpop_proof", "it is not dpop_jkt's"));
    }
    let reference = format!(
        "urn:ietf:params:oauth:request_uri:{}",
        mint::random_text(32)
    );
    idp.store().add_pushed(&reference, params, idp.now());
    Ok(reference)
}
