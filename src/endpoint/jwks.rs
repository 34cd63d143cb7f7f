//! `GET /bff/jwks`: the public keys of the client, for the identity provider: those that sign, that of a certificate which is
//! registered by its key, and those of `DPoP`. It exists only if there are any.
//!
//! # Spec
//! RFC 7517 §5, §8.5.2; OpenID Connect Registration §2 (`jwks_uri`).

use actix_web::HttpResponse;

use crate::problem::Problem;
use crate::request::Ctx;

pub(super) fn serve(ctx: &Ctx<'_>) -> Result<HttpResponse, Problem> {
    let jwks = ctx.frontend.provider.jwks().ok_or(Problem::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .body(jwks))
}
