//! `GET /bff/login`: seals a login attempt into a cookie and sends the browser to the identity provider.
//!
//! # Invariants
//! - Each attempt has a cookie of its own, so that logins in several tabs do not disturb each other (B8).
//! - Only the parameters of [`LoginParams`] reach the provider from a request (B9); `returnUrl` is a local path or `/`.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::{provider_failed, query, silent, single};
use crate::bff::Ctx;
use crate::guard::is_speculative;
use crate::names::ReturnTo;
use crate::oidc::{AuthorizationRequest, LoginParams};
use crate::problem::Problem;
use crate::session::{LoginAttempt, StoreError};
use crate::telemetry::metrics::LoginResult;

/// Longest parameter passed on to the provider, in bytes.
const MAX_PARAM: usize = 512;

pub(super) async fn serve(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let params = query(ctx);
    let return_to = single(&params, "returnUrl")?
        .and_then(|text| ReturnTo::parse(&text))
        .unwrap_or_else(ReturnTo::root);
    let asked = LoginParams {
        prompt: bounded(&params, "prompt")?,
        acr_values: bounded(&params, "acr_values")?,
        max_age: bounded(&params, "max_age")?
            .map(|text| {
                text.parse()
                    .map_err(|_| Problem::BadRequest("max_age is in seconds"))
            })
            .transpose()?,
        login_hint: bounded(&params, "login_hint")?,
        ui_locales: bounded(&params, "ui_locales")?,
    };
    if asked.prompt.as_deref() == Some("none") && is_in_frame(ctx) {
        // As Duende's v4 has it, in the place of an endpoint of its own.
        return Ok(serve_silent(ctx).await);
    }
    begin(ctx, asked, return_to, false).await
}

/// The same in an iframe, with `prompt=none`. What goes wrong is told to the parent page like any other "no".
pub(super) async fn serve_silent(ctx: &mut Ctx<'_>) -> HttpResponse {
    if is_speculative(ctx.request.headers()) {
        return silent::page(ctx.frontend, false);
    }
    let asked = LoginParams {
        prompt: Some("none".to_owned()),
        ..LoginParams::default()
    };
    match begin(ctx, asked, ReturnTo::root(), true).await {
        Ok(redirect) => redirect,
        Err(_) => silent::page(ctx.frontend, false),
    }
}

async fn begin(
    ctx: &mut Ctx<'_>,
    asked: LoginParams,
    return_to: ReturnTo,
    is_silent: bool,
) -> Result<HttpResponse, Problem> {
    let AuthorizationRequest {
        url,
        state,
        nonce,
        verifier,
    } = ctx
        .frontend
        .provider
        .authorize(ctx.idp, &asked)
        .await
        .map_err(|error| provider_failed(ctx, "no login can begin", &error))?;
    ctx.bff.replicas.began(&state);
    let attempt = LoginAttempt {
        state,
        nonce,
        verifier,
        issuer: ctx.frontend.provider.settings().issuer.clone(),
        return_to,
        started_at: ctx.now,
        silent: is_silent,
        max_age: asked.max_age,
        acr_values: asked.acr_values,
        replaces: ctx.session.as_ref().map(|session| session.id),
    };
    ctx.frontend
        .jar
        .store_login(attempt, ctx.received, &ctx.keys, ctx.now, ctx.cookies)
        .map_err(|error| match error {
            StoreError::TooLarge(_) => Problem::BadRequest("the parameters are too long"),
            StoreError::Seal(error) => {
                log::error!(frontend = ctx.frontend.name.as_str(); "login not begun: {error}");
                Problem::Internal
            }
        })?;
    ctx.bff
        .metrics
        .login(&ctx.frontend.name, LoginResult::Started);
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, url.as_str()))
        .finish())
}

/// Whether the answer goes into a frame of a page.
fn is_in_frame(ctx: &Ctx<'_>) -> bool {
    let destination = ctx.request.headers().get("sec-fetch-dest");
    destination.is_some_and(|to| matches!(to.as_bytes(), b"iframe" | b"frame"))
}

fn bounded(params: &[(String, String)], name: &str) -> Result<Option<String>, Problem> {
    let value = single(params, name)?;
    match &value {
        Some(text) if text.len() > MAX_PARAM || text.chars().any(char::is_control) => Err(
            Problem::BadRequest("a login parameter is too long or has control characters"),
        ),
        _ => Ok(value.filter(|text| !text.is_empty())),
    }
}
