//! `GET /bff/jwks`: the public keys of the client, for the identity provider. It exists only if the client has keys.
//!
//! # Spec
//! RFC 7517 §5, §8.5.2; OpenID Connect Registration §2 (`jwks_uri`).

use actix_web::HttpResponse;

use crate::problem::Problem;
use crate::request::Ctx;

pub(super) fn serve(ctx: &Ctx<'_>) -> Result<HttpResponse, Problem> {
    let settings = ctx.frontend.provider.settings();
    let keys = settings.client_keys.as_ref().ok_or(Problem::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .body(keys.jwks().to_owned()))
}
