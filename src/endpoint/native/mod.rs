//! Below `native`: an authorization server in miniature, for apps without a cookie jar.
//!
//! An app signs its user in through the system browser, as at any OAuth server. It gets sealed tokens, and calls the same
//! routes with them as browsers do with cookies. The provider sees the client and the redirect URI that it knows.
//!
//! - `metadata`: what a library reads first · `authorize`: to the provider · `answer`: from the provider back to the app
//! - `token`: the endpoint, with `code` and `refresh`, a file for each grant, and `issue`, what both give · `revoke`
//! - `error`: OAuth's own form of errors · `params`: the form that apps send
//!
//! # Invariants
//! - The app never holds a token of the provider.
//! - Nothing is stored: code, tokens and nonces are sealed, and open on every replica.
//!
//! # Spec
//! RFC 6749, RFC 7009, RFC 7636, RFC 8252, RFC 8414, RFC 9207, RFC 9449, RFC 9700.

mod answer;
mod authorize;
mod code;
mod error;
mod issue;
mod metadata;
mod params;
mod refresh;
mod revoke;
mod token;

use actix_web::HttpResponse;

use super::authorization_response::AuthorizationResponse;
use crate::message::Payload;
use crate::problem::{Caused, Problem};
use crate::request::Ctx;
use crate::session::{LoginAttempt, NativeLogin};

/// `GET /bff/native/authorize`
pub(super) async fn authorize(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    authorize::serve(ctx).await
}

/// `/bff/callback`, for the login of an app.
pub(super) async fn answer(
    ctx: &mut Ctx<'_>,
    response: Result<&AuthorizationResponse, &Caused>,
    login: NativeLogin,
    attempt: Option<LoginAttempt>,
) -> HttpResponse {
    answer::serve(ctx, response, login, attempt).await
}

/// `POST /bff/native/token`
pub(super) async fn token(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    token::serve(ctx, body).await
}

/// `POST /bff/native/revoke`
pub(super) async fn revoke(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    revoke::serve(ctx, body).await
}

/// `GET /.well-known/oauth-authorization-server/bff/native`
pub(super) fn metadata(ctx: &Ctx<'_>) -> HttpResponse {
    metadata::serve(ctx.frontend)
}
