//! The beginning of a login: an attempt is sealed into a cookie, and the browser is sent to the identity provider.
//!
//! `endpoint` begins one because a request asks for it, or because another login failed; `api` because a page needs a user.
//!
//! # Invariants
//! - Each attempt has a cookie of its own, so that logins in several tabs do not disturb each other.

mod onward;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};

use crate::names::ReturnTo;
use crate::oidc::{AuthorizationRequest, LoginParams, OidcError, Provider};
use crate::problem::{LoginFailure, Problem};
use crate::request::Ctx;
use crate::session::{LoginAttempt, LoginState, Manner, SessionId, StoreError};
use crate::telemetry::metrics::{LoginFailed, LoginResult};

pub use onward::onward;

/// What a login is to be.
pub struct Wish {
    /// What the provider is asked for.
    pub asked: LoginParams,
    /// Where the person arrives afterwards.
    pub return_to: ReturnTo,
    /// What becomes of the answer.
    pub manner: Manner,
    /// The session whose place the new one takes.
    pub replaces: Option<SessionId>,
    /// Whether it begins by itself, after another one failed.
    pub is_second: bool,
}

/// Sends the browser to the identity provider, with the status of a redirect.
pub async fn begin(
    ctx: &mut Ctx<'_>,
    wish: Wish,
    status: StatusCode,
) -> Result<HttpResponse, Problem> {
    let Wish {
        asked, return_to, ..
    } = wish;
    let (mut state, rest) = LoginState::new(&return_to, wish.replaces.is_some(), ctx.now);
    state.manner = wish.manner;
    state.is_demanding = asked.acr_values.is_some()
        || asked.max_age.is_some()
        || asked
            .prompt
            .as_deref()
            .is_some_and(|prompt| prompt != "none");
    state.is_second = wish.is_second;
    let random = Provider::random_state();
    let sealed = ctx
        .wallet
        .seal_login_state(&random, &state)
        .map_err(not_stored)?;
    let attempt = Attempt {
        random,
        state: sealed,
        rest,
        silent: wish.manner == Manner::Silent,
        replaces: wish.replaces,
    };
    send(ctx, asked, attempt, status).await
}

/// What an attempt needs, beside what the provider is asked for.
pub struct Attempt {
    /// The random part of its `state`.
    pub random: String,
    /// The `state` that the provider gets.
    pub state: String,
    /// What the `state` has no room for of where to go afterwards.
    pub rest: String,
    /// Whether it is a silent login.
    pub silent: bool,
    /// The session whose place the new one takes.
    pub replaces: Option<SessionId>,
}

/// Keeps the attempt in a cookie, and sends the browser to the identity provider.
pub async fn send(
    ctx: &mut Ctx<'_>,
    asked: LoginParams,
    attempt: Attempt,
    status: StatusCode,
) -> Result<HttpResponse, Problem> {
    let AuthorizationRequest {
        url,
        nonce,
        verifier,
        proof_key,
    } = ctx
        .frontend
        .provider
        .authorize(ctx.idp, &asked, &attempt.state)
        .await
        .map_err(|error| not_begun(ctx, &error))?;
    ctx.bff.replicas.began(&attempt.random);
    let attempt = LoginAttempt {
        state: attempt.random,
        nonce,
        verifier,
        issuer: ctx.frontend.provider.settings().issuer.clone(),
        rest: attempt.rest,
        started_at: ctx.now,
        silent: attempt.silent,
        max_age: asked.max_age,
        acr_values: asked.acr_values,
        replaces: attempt.replaces,
        proof_key,
    };
    ctx.wallet.store_login(&attempt).map_err(not_stored)?;
    ctx.bff
        .metrics
        .login(&ctx.frontend.name, LoginResult::Started);
    Ok(HttpResponse::build(status)
        .insert_header((header::LOCATION, url.as_str()))
        .finish())
}

/// Why the provider lets no login begin: it refused the pushed request, or answered it with something else (RFC 9126 §2.3), or
/// it cannot be asked.
fn not_begun(ctx: &Ctx<'_>, error: &OidcError) -> Problem {
    let issuer = ctx.frontend.provider.settings().issuer.as_str();
    let failed = |why| ctx.bff.metrics.login_failed(&ctx.frontend.name, why);
    let failure = match error {
        OidcError::Rejected(_) => LoginFailure::ErrorFromProvider,
        OidcError::Unusable(_) => LoginFailure::InvalidResponse,
        _ => {
            failed(LoginFailed::Provider);
            log::warn!(target: "sealgate::audit", issuer = issuer,
                code = Problem::IdentityProviderUnavailable.code(); "login not begun: {error}");
            return Problem::IdentityProviderUnavailable;
        }
    };
    let problem = Problem::LoginFailed(failure);
    failed(LoginFailed::Provider);
    log::warn!(target: "sealgate::audit", issuer = issuer, code = problem.code();
        "login not begun: {error}");
    problem
}

fn not_stored(error: StoreError) -> Problem {
    match error {
        StoreError::TooLarge(error) => {
            log::info!("login not begun: {error}");
            Problem::BadRequest(
                "returnUrl or another parameter is too long beside the cookies that are there",
            )
        }
        StoreError::Seal(error) => {
            log::error!(code = Problem::Internal.code(); "login not begun: {error}");
            Problem::Internal
        }
    }
}
