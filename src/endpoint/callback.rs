//! `/bff/callback`: the identity provider's answer becomes a session.
//!
//! The order is the defence: the attempt's cookie is taken (and deleted whatever comes of it), `state` and `iss` are
//! checked, then the code is redeemed, then the ID token is verified, and only then are the tokens used for anything.
//!
//! # Spec
//! RFC 6749 §4.1.2, RFC 7636, RFC 9207 §2.4, OpenID Connect Core §3.1.3.7, RFC 9700 §4.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use futures_util::StreamExt as _;

use super::{Repeated, parse_form, query, silent, single};
use crate::bff::Ctx;
use crate::clock::UnixTime;
use crate::oidc::{Claims, Expectation, OidcError, TokenResponse};
use crate::problem::{LoginFailure, Problem};
use crate::session::{LoginAttempt, Session, SessionId, StoreError, TokenSet};
use crate::telemetry::metrics::LoginResult;

/// Longest `form_post` body, in bytes: a code, a state, an issuer.
const MAX_FORM: usize = 16 * 1024;

/// How long such a body may take to arrive.
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// An authorization response (RFC 6749 §4.1.2), none of its parameters repeated.
struct Response {
    state: Option<String>,
    iss: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

pub(super) async fn serve(ctx: &mut Ctx<'_>, body: web::Payload) -> Result<HttpResponse, Problem> {
    let params = params(ctx, body).await?;
    let parsed = Response::parse(&params);
    let state = match &parsed {
        Ok(response) => response.state.clone(),
        Err(Repeated) => None,
    };
    // Whatever comes of it, this attempt is over (B20).
    let attempt = match state {
        Some(state) => take_login(ctx, &state).await,
        None => None,
    };
    let is_silent = attempt.as_ref().is_some_and(|attempt| attempt.silent);
    let result = match (parsed, attempt) {
        (Err(Repeated), _) => Err(failed(LoginFailure::InvalidResponse)),
        (Ok(_), None) => Err(failed(LoginFailure::NoLoginAttempt)),
        (Ok(response), Some(attempt)) => complete(ctx, response, attempt).await,
    };
    let name = &ctx.frontend.name;
    match &result {
        Ok(_) => ctx.bff.metrics.login(name, LoginResult::Ok),
        Err(problem) => {
            ctx.bff.metrics.login(name, LoginResult::Failed);
            log::warn!(target: "sealgate::audit", frontend = name.as_str(), code = problem.code();
                "login failed: {}", problem.detail().unwrap_or_else(|| problem.title()));
        }
    }
    match result {
        result if is_silent => Ok(silent::page(ctx.frontend, result.is_ok())),
        Ok(attempt) => Ok(HttpResponse::SeeOther()
            .insert_header((header::LOCATION, attempt.return_to.as_str()))
            .finish()),
        Err(problem) => Err(problem),
    }
}

impl Response {
    fn parse(params: &[(String, String)]) -> Result<Self, Repeated> {
        Ok(Self {
            state: single(params, "state")?,
            iss: single(params, "iss")?,
            code: single(params, "code")?,
            error: single(params, "error")?,
        })
    }
}

/// Only the configured response mode is taken (B21): `query` by GET, `form_post` by POST.
async fn params(ctx: &Ctx<'_>, body: web::Payload) -> Result<Vec<(String, String)>, Problem> {
    let extra = &ctx.frontend.provider.settings().extra_params;
    let expects_form = extra
        .get("response_mode")
        .is_some_and(|mode| mode == "form_post");
    let (method, allow) = if expects_form {
        ("POST", "POST")
    } else {
        ("GET", "GET")
    };
    if ctx.request.method() != method {
        return Err(Problem::MethodNotAllowed {
            allow: allow.to_owned(),
        });
    }
    if !expects_form {
        return Ok(query(ctx));
    }
    let form = tokio::time::timeout(FORM_PATIENCE, read(body))
        .await
        .map_err(|_| Problem::BadRequest("the body did not come in time"))??;
    Ok(parse_form(&form))
}

async fn read(mut body: web::Payload) -> Result<Vec<u8>, Problem> {
    let mut form = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|_| Problem::BadRequest("the body broke off"))?;
        if form.len() + bytes.len() > MAX_FORM {
            return Err(Problem::BodyTooLarge);
        }
        form.extend_from_slice(&bytes);
    }
    Ok(form)
}

/// Another replica may have sealed it, with a key that is new here.
async fn take_login(ctx: &mut Ctx<'_>, state: &str) -> Option<LoginAttempt> {
    let take = |ctx: &mut Ctx<'_>| {
        let jar = &ctx.frontend.jar;
        jar.take_login(state, ctx.received, &ctx.keys, ctx.now, ctx.cookies)
    };
    let mut taken = take(ctx);
    if taken.is_none() && ctx.look_for_keys().await {
        taken = take(ctx);
    }
    if let Some(attempt) = &taken {
        let replicas = &ctx.bff.replicas;
        replicas.see_login(state, attempt.started_at, ctx.now);
    }
    taken
}

async fn complete(
    ctx: &mut Ctx<'_>,
    response: Response,
    attempt: LoginAttempt,
) -> Result<LoginAttempt, Problem> {
    let provider = &ctx.frontend.provider;
    // RFC 9207 §2.4: before anything else of the answer is believed, errors included.
    provider
        .check_iss(ctx.idp, response.iss.as_deref())
        .await
        .map_err(|error| match error {
            OidcError::Unavailable(_) => unavailable(ctx, &error),
            _ => failed(LoginFailure::IssuerMismatch),
        })?;
    let code = match (response.code, response.error) {
        (Some(code), None) if !code.is_empty() => code,
        (None, Some(_)) => return Err(failed(LoginFailure::ErrorFromProvider)),
        _ => return Err(failed(LoginFailure::InvalidResponse)),
    };
    let asked_at = ctx.bff.clock.now();
    let LoginAttempt {
        verifier, nonce, ..
    } = &attempt;
    let verifier = openidconnect::PkceCodeVerifier::new(verifier.secret().clone());
    let tokens = provider
        .exchange_code(ctx.idp, &code, verifier)
        .await
        .map_err(|error| {
            let problem = match error {
                OidcError::Rejected(_) => failed(LoginFailure::CodeRefused),
                OidcError::Unavailable(_) | OidcError::Lost(_) => {
                    return unavailable(ctx, &error);
                }
                OidcError::Invalid(_) | OidcError::Unusable(_) => {
                    failed(LoginFailure::InvalidIdToken)
                }
            };
            log::warn!(frontend = ctx.frontend.name.as_str(); "code not redeemed: {error}");
            problem
        })?;
    let id_token = tokens.id_token.clone().ok_or_else(|| {
        log::warn!(frontend = ctx.frontend.name.as_str(); "the token response has no ID token");
        failed(LoginFailure::InvalidIdToken)
    })?;
    let expect = Expectation {
        nonce: Some(nonce),
        access_token: &tokens.access_token,
        max_age: attempt.max_age,
        acr_values: attempt.acr_values.as_deref(),
    };
    let claims = provider
        .verify_id_token(ctx.idp, &id_token, &expect)
        .await
        .map_err(|error| {
            if matches!(error, OidcError::Unavailable(_)) {
                return unavailable(ctx, &error);
            }
            log::warn!(frontend = ctx.frontend.name.as_str(); "ID token refused: {error}");
            failed(LoginFailure::InvalidIdToken)
        })?;
    // What was asked for and granted, so that `token::challenge` knows when there is no more to be had.
    let is_step_up = attempt.acr_values.is_some();
    begin_session(ctx, tokens, claims, asked_at, id_token, is_step_up)?;
    if let (Some(replaced), Some(session)) = (attempt.replaces, &ctx.session) {
        let jar = &ctx.frontend.jar;
        jar.mark_replaced(
            replaced,
            session,
            ctx.received,
            &ctx.keys,
            ctx.now,
            ctx.cookies,
        );
        // A copy of its cookies, and its open streams, end with it (B24).
        ctx.revoke(replaced);
    }
    Ok(attempt)
}

/// A new session with a new id, in place of whatever session there was (B24).
fn begin_session(
    ctx: &mut Ctx<'_>,
    tokens: TokenResponse,
    claims: Claims,
    asked_at: UnixTime,
    id_token: String,
    is_step_up: bool,
) -> Result<(), Problem> {
    let settings = &ctx.frontend.session;
    let configured_end = ctx.now.plus(settings.absolute_timeout);
    let session_ends_by = tokens.session_ends_by(asked_at, Some(&claims));
    let session = Session {
        id: SessionId::random().map_err(|error| {
            log::error!("{error}");
            Problem::Internal
        })?,
        issuer: ctx.frontend.provider.settings().issuer.clone(),
        subject: claims.subject,
        idp_sid: claims.sid,
        started_at: ctx.now,
        auth_time: claims.auth_time,
        ends_at: session_ends_by.map_or(configured_end, |ends| ends.min(configured_end)),
        last_seen: ctx.now,
        tokens: token_set(tokens, asked_at, &ctx.frontend.provider.settings().scope()),
        claims: claims
            .all
            .into_iter()
            .filter(|(name, _)| ctx.frontend.keeps_claim(name) || (is_step_up && name == "acr"))
            .collect(),
    };
    if session.is_expired(ctx.now) {
        log::warn!(frontend = ctx.frontend.name.as_str(); "no session: it would be over already");
        return Err(failed(LoginFailure::InvalidIdToken));
    }
    ctx.store(&session).map_err(|error| {
        let level = match error {
            StoreError::TooLarge(_) => log::Level::Warn,
            StoreError::Seal(_) => log::Level::Error,
        };
        log::log!(level, frontend = ctx.frontend.name.as_str(); "no session: {error}");
        match error {
            StoreError::TooLarge(error) => Problem::SessionTooLarge {
                at_login: true,
                detail: error.to_string(),
            },
            StoreError::Seal(_) => Problem::Internal,
        }
    })?;
    // The id alone does for a logout here.
    if !ctx.store_hint(session.id, id_token) {
        ctx.store_hint(session.id, String::new());
    }
    if session.latest_end() < session.ends_at {
        ctx.remind_of_refresh_tokens();
    }
    ctx.frontend.remind_of_missing_claims(&session, ctx.now);
    log::info!(target: "sealgate::audit", frontend = ctx.frontend.name.as_str(),
        session = session.id.short(); "login");
    ctx.session = Some(Rc::new(session.into()));
    Ok(())
}

fn token_set(response: TokenResponse, asked_at: UnixTime, asked_scope: &str) -> TokenSet {
    let session_ends_by = response.session_ends_by(asked_at, None);
    TokenSet {
        access_token: response.access_token,
        refresh_token: response.refresh_token,
        issued_at: asked_at,
        expires_at: asked_at.plus(response.expires_in),
        refresh_ends_at: response
            .refresh_expires_in
            .map(|lifetime| asked_at.plus(lifetime)),
        session_ends_by,
        scope: response.scope.unwrap_or_else(|| asked_scope.to_owned()),
    }
}

const fn failed(failure: LoginFailure) -> Problem {
    Problem::LoginFailed(failure)
}

fn unavailable(ctx: &Ctx<'_>, error: &OidcError) -> Problem {
    log::warn!(frontend = ctx.frontend.name.as_str(); "login not completed: {error}");
    Problem::IdentityProviderUnavailable
}
