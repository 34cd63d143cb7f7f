//! `GET /bff/native/authorize`: an app's login, in the system browser, goes on to the identity provider.
//!
//! # Invariants
//! - Nothing is sent anywhere before the client and the redirect URI are known (RFC 6749 §4.1.2.1). All that is wrong beside
//!   them is told to the app, and the browser does not reach the provider.
//! - The session of the browser plays no part, and stays as it is.
//! - An app that its redirect URI does not identify cannot ask for a login that the person does not see (RFC 8252 §8.6).
//!
//! # Spec
//! RFC 6749 §4.1.1; RFC 7636 §4.3, §4.4; RFC 8252; RFC 9449 §10.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::answer::{AppError, to_app};
use crate::endpoint::form::{query, single};
use crate::endpoint::login::asked;
use crate::frontend::NativeSettings;
use crate::login::{self, Attempt};
use crate::oidc::Provider;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{Digest, NativeLogin};

/// Longest `state` of an app: with a redirect URI, it travels in the `state` that the provider gets.
const LONGEST_STATE: usize = 1024;

pub(super) async fn serve(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let params = query(ctx);
    let native = ctx.frontend.native.as_ref().ok_or(Problem::NotFound)?;
    if single(&params, "client_id")?.as_deref() != Some(ctx.frontend.name.as_str()) {
        return Err(Problem::BadRequest(
            "client_id is not the one of this application",
        ));
    }
    let redirect_uri = single(&params, "redirect_uri")?
        .filter(|uri| native.allows(uri))
        .ok_or(Problem::BadRequest(
            "redirect_uri is not registered for this application",
        ))?;
    let state = match single(&params, "state") {
        Ok(state)
            if state
                .as_ref()
                .is_none_or(|state| state.len() <= LONGEST_STATE) =>
        {
            state
        }
        // What cannot be told apart cannot be sent back.
        _ => {
            return Ok(to_app(
                ctx.frontend,
                &redirect_uri,
                None,
                &Err(AppError::invalid_request("state is repeated or too long")),
            ));
        }
    };
    let begun = match read(&params) {
        Ok((challenge, key)) => {
            let login = NativeLogin {
                redirect_uri: redirect_uri.clone(),
                state: state.clone(),
                challenge,
                key,
                begun_at: ctx.now,
            };
            begin(ctx, &params, &login).await
        }
        Err(error) => Err(error),
    };
    Ok(begun
        .unwrap_or_else(|error| to_app(ctx.frontend, &redirect_uri, state.as_deref(), &Err(error))))
}

/// The S256 challenge, and the key that the code is to be bound to.
fn read(params: &[(String, String)]) -> Result<(Digest, Option<Digest>), AppError> {
    let one = |name: &'static str| {
        single(params, name).map_err(|_| AppError::invalid_request("a parameter is repeated"))
    };
    match one("response_type")?.as_deref() {
        Some("code") => {}
        None => return Err(AppError::invalid_request("response_type is missing")),
        Some(_) => return Err(AppError::unsupported_response_type()),
    }
    if one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(AppError::invalid_request("response_mode is always query"));
    }
    if one("request")?.is_some() {
        return Err(AppError::no_request_objects("request_not_supported"));
    }
    if one("request_uri")?.is_some() {
        return Err(AppError::no_request_objects("request_uri_not_supported"));
    }
    // RFC 7636 §4.4.1. Without a method it would be `plain`.
    if one("code_challenge_method")?.as_deref() != Some("S256") {
        return Err(AppError::invalid_request(
            "code_challenge_method must be S256",
        ));
    }
    let challenge = one("code_challenge")?.and_then(|text| digest(&text));
    let challenge = challenge.ok_or(AppError::invalid_request(
        "code_challenge is missing or not that of S256",
    ))?;
    let key = match one("dpop_jkt")? {
        None => None,
        Some(text) => {
            Some(digest(&text).ok_or(AppError::invalid_request("dpop_jkt is not a thumbprint"))?)
        }
    };
    Ok((challenge, key))
}

/// A SHA-256 in base64url.
fn digest(text: &str) -> Option<Digest> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Whether nobody is to be asked anything (OpenID Connect Core §3.1.2.1: a list of words).
fn is_silent(prompt: Option<&str>) -> bool {
    prompt.is_some_and(|words| words.split_ascii_whitespace().any(|word| word == "none"))
}

async fn begin(
    ctx: &mut Ctx<'_>,
    params: &[(String, String)],
    login: &NativeLogin,
) -> Result<HttpResponse, AppError> {
    let asked = asked(ctx.frontend, params)
        .map_err(|_| AppError::invalid_request("a login parameter is repeated or not valid"))?;
    if is_silent(asked.prompt.as_deref()) && !NativeSettings::identifies_app(&login.redirect_uri) {
        return Err(AppError::interaction_required());
    }
    let random = Provider::random_state();
    let sealed = ctx.wallet.seal_native_login(&random, login);
    let sealed = sealed.map_err(|error| {
        log::info!("an app's login not begun: {error}");
        AppError::invalid_request("redirect_uri or state is too long")
    })?;
    let attempt = Attempt {
        random,
        state: sealed,
        rest: String::new(),
        silent: false,
        replaces: None,
    };
    let sent = login::send(ctx, asked, attempt, StatusCode::FOUND).await;
    sent.map_err(|problem| match problem {
        Problem::IdentityProviderUnavailable => AppError::unavailable(),
        Problem::BadRequest(why) => AppError::invalid_request(why),
        _ => AppError::server(),
    })
}
