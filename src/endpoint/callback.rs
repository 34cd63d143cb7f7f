//! `/bff/callback`: the identity provider's answer becomes a session.
//!
//! The order is the defence. The attempt's cookie is taken, and deleted whatever comes of it; `state` and `iss` are checked;
//! then the code is redeemed (`redeem`). `way_back` says where the person goes when that fails.
//!
//! # Spec
//! RFC 6749 §4.1.2, RFC 9207 §2.4, RFC 9700 §4, JARM §2.4.

use actix_web::HttpResponse;
use http::Method;

use super::authorization_response::{Answer, AuthorizationResponse};
use super::failure::{failed, unavailable};
use super::form::{self, query};
use super::way_back::{self, Way};
use super::{native, redeem, silent};
use crate::message::Payload;
use crate::names::ReturnTo;
use crate::oidc::{OidcError, ResponseMode};
use crate::problem::{Caused, LoginFailure, Problem};
use crate::request::Ctx;
use crate::session::{LoginAttempt, Manner, NativeLogin};

pub(super) async fn serve(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    let Answer { state, said } = answer(ctx, body).await?;
    let (way, attempt) = match state {
        Some(state) => {
            if let Some((random, login)) = native_login(ctx, &state).await {
                let attempt = take_attempt(ctx, random);
                return Ok(native::answer(ctx, said.as_ref(), login, attempt).await);
            }
            take_login(ctx, state).await
        }
        None => (None, None),
    };
    if let Some(way) = &way {
        ctx.leads_to(&way.return_to);
    }
    let result = match (&said, &attempt) {
        (Err(caused), _) => Err(caused.clone()),
        (Ok(_), None) => Err(failed(LoginFailure::NoLoginAttempt).into()),
        (Ok(response), Some(attempt)) => complete(ctx, response, attempt).await,
    };
    match (result, way) {
        (Ok(()), Some(way)) if way.state.manner == Manner::Silent => {
            Ok(silent::page(ctx.frontend, true))
        }
        (Ok(()), way) => {
            let return_to = way.map_or_else(ReturnTo::root, |way| way.return_to);
            Ok(way_back::go(ctx, &return_to))
        }
        (Err(caused), way) => {
            let response = said.unwrap_or_default();
            way_back::find(ctx, caused, &response, way, attempt).await
        }
    }
}

/// Takes the configured response mode only: `query` and `jwt` by GET, `form_post` by POST. A second look comes by GET, unsigned.
async fn answer(ctx: &Ctx<'_>, body: Payload) -> Result<Answer, Problem> {
    let mode = ctx.frontend.provider.settings().authorization.response_mode;
    let expected = match mode {
        ResponseMode::FormPost => Method::POST,
        ResponseMode::Jwt | ResponseMode::Query => Method::GET,
    };
    let method = ctx.request.method();
    let asked = query(ctx);
    let is_second_look = *method == Method::GET && way_back::is_second_look(ctx, &asked);
    if *method != expected && !is_second_look {
        return Err(Problem::MethodNotAllowed {
            allow: expected.to_string(),
        });
    }
    Ok(match mode {
        _ if is_second_look => Answer::plain(&asked),
        ResponseMode::FormPost => Answer::plain(&form::read(body).await?),
        ResponseMode::Jwt => Answer::signed(ctx, &asked).await,
        ResponseMode::Query => Answer::plain(&asked),
    })
}

/// The random part of `state`, and what an app asked for, if the login is an app's.
async fn native_login<'s>(ctx: &mut Ctx<'_>, state: &'s str) -> Option<(&'s str, NativeLogin)> {
    ctx.frontend.native.as_ref()?;
    let opened = ctx.wallet.open_native_login(state);
    if opened.is_some() || ctx.wallet.open_login_state(state).is_some() {
        return opened;
    }
    // Another replica may have sealed it with a key that this process has not read yet.
    ctx.look_for_keys().await;
    ctx.wallet.open_native_login(state)
}

/// The attempt with this random part of `state`. It is over, whatever comes of it.
fn take_attempt(ctx: &mut Ctx<'_>, random: &str) -> Option<LoginAttempt> {
    let taken = ctx.wallet.take_login(random);
    if let Some(attempt) = &taken {
        let replicas = &ctx.bff.replicas;
        replicas.see_login(&attempt.state, attempt.started_at, ctx.now);
    }
    taken
}

/// What the answer's `state` says, and the attempt that it belongs to. The attempt is over, whatever comes of it.
async fn take_login(ctx: &mut Ctx<'_>, state: String) -> (Option<Way>, Option<LoginAttempt>) {
    // Another replica may have sealed them with a key that this process has not read yet.
    if ctx.wallet.open_login_state(&state).is_none() {
        ctx.look_for_keys().await;
    }
    let opened = ctx.wallet.open_login_state(&state);
    let random = opened
        .as_ref()
        .map_or(state.as_str(), |(random, _)| *random);
    let taken = take_attempt(ctx, random);
    let Some((_, said)) = opened else {
        return (None, None);
    };
    let way = Way {
        return_to: said.return_to(taken.as_ref()),
        state: said,
        text: state,
    };
    (Some(way), taken)
}

async fn complete(
    ctx: &mut Ctx<'_>,
    response: &AuthorizationResponse,
    attempt: &LoginAttempt,
) -> Result<(), Caused> {
    let provider = &ctx.frontend.provider;
    // RFC 9207 §2.4: `iss` is checked before anything else of the answer is believed, errors included.
    provider
        .check_iss(ctx.idp, response.iss.as_deref())
        .await
        .map_err(|error| match error {
            OidcError::Unavailable(_) => unavailable(&error),
            _ => Caused::by(failed(LoginFailure::IssuerMismatch), error),
        })?;
    match (&response.code, &response.error) {
        (Some(code), None) if !code.is_empty() => {
            redeem::redeem(ctx, code, response.session_state.as_deref(), attempt).await
        }
        (None, Some(_)) => Err(failed(LoginFailure::ErrorFromProvider).into()),
        _ => Err(failed(LoginFailure::InvalidResponse).into()),
    }
}
