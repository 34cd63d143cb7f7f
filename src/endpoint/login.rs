//! `GET /bff/login`: what the request asks for, and the login that begins with it ([`login::begin`]).
//!
//! # Invariants
//! - Of a request's parameters, only those of [`LoginParams`] reach the provider, and those that `oidc.login_params` names. `returnUrl` is a local path, or `/`.
//! - The person arrives at the very `returnUrl` that was asked for, or the login is refused before it begins.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::form::{self, Params, query, single};
use super::{initiation, silent};
use crate::frontend::Frontend;
use crate::guard;
use crate::login::{self, Wish};
use crate::message::Payload;
use crate::names::ReturnTo;
use crate::oidc::LoginParams;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::Manner;

/// Longest parameter passed on to the provider, in bytes.
const MAX_PARAM: usize = 512;

pub(super) async fn serve(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let params = query(ctx);
    let return_to = match initiation::target(ctx, &params)? {
        Some(target) => target,
        None => return_url(&params)?,
    };
    with(ctx, &params, return_to).await
}

/// `POST /bff/login`, which only a third party sends.
pub(super) async fn by_form(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    if !ctx.frontend.invitations.initiated {
        return Err(Problem::MethodNotAllowed {
            allow: "GET".to_owned(),
        });
    }
    let mut params = query(ctx);
    params.extend(form::read(body).await?);
    match initiation::target(ctx, &params)? {
        Some(target) => with(ctx, &params, target).await,
        None => Err(Problem::BadRequest("iss is missing")),
    }
}

/// Begins a login with these parameters.
async fn with(
    ctx: &mut Ctx<'_>,
    params: &Params,
    return_to: ReturnTo,
) -> Result<HttpResponse, Problem> {
    ctx.leads_to(&return_to);
    let asked = asked(ctx.frontend, params)?;
    let manner = match asked.prompt.as_deref() {
        // Duende BFF v4 does it this way; earlier versions have an endpoint for it.
        Some("none") if guard::is_framed(ctx.request.headers()) => {
            return Ok(serve_silent(ctx).await);
        }
        Some("none") => Manner::Quiet,
        _ => Manner::Asking,
    };
    let replaces = ctx.caller.session().map(|session| session.id);
    let wish = Wish {
        asked,
        return_to,
        manner,
        replaces,
        is_second: false,
    };
    login::begin(ctx, wish, StatusCode::FOUND).await
}

/// What the parameters of a request ask the provider for.
pub(super) fn asked(
    frontend: &Frontend,
    params: &[(String, String)],
) -> Result<LoginParams, Problem> {
    Ok(LoginParams {
        prompt: bounded(params, "prompt")?,
        acr_values: bounded(params, "acr_values")?,
        max_age: bounded(params, "max_age")?
            .map(|text| {
                text.parse()
                    .map_err(|_| Problem::BadRequest("max_age is in seconds"))
            })
            .transpose()?,
        login_hint: bounded(params, "login_hint")?,
        ui_locales: bounded(params, "ui_locales")?,
        more: passed_on(&frontend.provider.settings().login_params, params)?,
    })
}

/// Begins a login in an iframe, with `prompt=none`. If something goes wrong, the parent page is told "not signed in".
pub(super) async fn serve_silent(ctx: &mut Ctx<'_>) -> HttpResponse {
    if guard::is_speculative(ctx.request.headers()) {
        return silent::page(ctx.frontend, false);
    }
    let wish = Wish {
        asked: LoginParams {
            prompt: Some("none".to_owned()),
            ..LoginParams::default()
        },
        return_to: ReturnTo::root(),
        manner: Manner::Silent,
        replaces: ctx.caller.session().map(|session| session.id),
        is_second: false,
    };
    match login::begin(ctx, wish, StatusCode::FOUND).await {
        Ok(redirect) => redirect,
        Err(_) => silent::page(ctx.frontend, false),
    }
}

/// Where to go afterwards. Anything but a local path counts as `/`.
fn return_url(params: &[(String, String)]) -> Result<ReturnTo, Problem> {
    let Some(text) = single(params, "returnUrl")? else {
        return Ok(ReturnTo::root());
    };
    match ReturnTo::parse(&text) {
        None if ReturnTo::is_too_long(&text) => Err(Problem::BadRequest(
            "returnUrl is longer than 4096 bytes, percent-encoded",
        )),
        parsed => Ok(parsed.unwrap_or_else(ReturnTo::root)),
    }
}

/// The parameters that the configuration passes on.
fn passed_on(
    names: &[String],
    params: &[(String, String)],
) -> Result<Vec<(String, String)>, Problem> {
    let mut all = Vec::new();
    for name in names {
        if let Some(value) = bounded(params, name)? {
            all.push((name.clone(), value));
        }
    }
    Ok(all)
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
