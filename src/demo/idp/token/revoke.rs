//! `/revoke` (RFC 7009).

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::super::client_auth::{self, OAuthError};
use super::super::faults::Fault;
use super::super::params::Params;
use super::super::{Shared, metadata};

pub(in crate::demo::idp) async fn revoke(
    request: HttpRequest,
    body: Bytes,
    idp: Data<Shared>,
) -> HttpResponse {
    if let Some(failure) = metadata::endpoint_fault(&idp, |fault| match fault {
        Fault::Revocation(fault) => Some(*fault),
        _ => None,
    })
    .await
    {
        return failure;
    }
    let Ok(params) = Params::parse(&body) else {
        return OAuthError("invalid_request", "a parameter comes twice").response();
    };
    let client_id = match client_auth::authenticate(&request, &params, &idp) {
        Ok(client_id) => client_id,
        Err(error) => return error.response(),
    };
    let Some(token) = params.one("token") else {
        return OAuthError("invalid_request", "token is missing").response();
    };
    idp.observed().revoked.push(token.to_owned());
    idp.store().revoke(token, &client_id);
    // RFC 7009 §2.2: 200 whether or not the token was known.
    HttpResponse::Ok().finish()
}
