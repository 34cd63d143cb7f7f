//! `GET /.well-known/oauth-authorization-server/bff/native`: all that an OAuth library has to know.
//!
//! # Spec
//! RFC 8414 §2, §3; RFC 9207 §3; RFC 9449 §5.1.

use actix_web::HttpResponse;
use serde_json::json;

use crate::frontend::Frontend;

pub(super) fn serve(frontend: &Frontend) -> HttpResponse {
    let issuer = frontend.native_issuer();
    HttpResponse::Ok().json(json!({
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "issuer": issuer,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": ["ES256"],
    }))
}
