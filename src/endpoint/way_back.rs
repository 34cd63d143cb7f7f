//! Where a person goes whose login has failed: back to the application where that is right, else to a page that knows the
//! way back.
//!
//! # Invariants
//! - There is no loop. A login begins by itself once, and a page looks again once. A person is not sent back to a page that
//!   would ask for the same login again: because the session is older than it wants, or because it begins logins by itself.
//! - The provider's words are not shown. Its error code is logged if a specification has it.
//!
//! # Spec
//! RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6.
//!
//! # Why a page looks again
//! The provider's answer is a navigation from another site, so `SameSite=Strict` cookies do not come along. So we cannot see
//! whether the person is signed in already: because the same answer came twice, because of Back and the provider's form once
//! more, or in another tab. The page asks for the same address again, and that navigation is our own.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use url::form_urlencoded::byte_serialize;

use super::authorization_response::AuthorizationResponse;
use super::failure;
use super::silent;
use crate::frontend::{Target, WebSocket};
use crate::guard;
use crate::login::{self, Wish};
use crate::names::ReturnTo;
use crate::oidc::{LoginParams, known_code, quotable};
use crate::problem::{Caused, LoginFailure, Problem};
use crate::request::Ctx;
use crate::session::{LoginAttempt, LoginState, Manner, SameSite};
use crate::telemetry::metrics::LoginFailed;

/// Ends a login: with a redirect (RFC 9700 §4.12), or with a page that goes on by itself if the session must be seen where the
/// person arrives, and would not be.
pub(super) fn go(ctx: &Ctx<'_>, to: &ReturnTo) -> HttpResponse {
    let is_page = || matches!(target(ctx, to), Some(Target::Route(matched)) if matched.route.documents().is_some());
    if ctx.frontend.session.same_site == SameSite::Strict && !shows_all(ctx) && is_page() {
        return login::onward(to);
    }
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to.as_str()))
        .finish()
}

/// What the `state` of an answer says.
pub(super) struct Way {
    /// The `state` as it came.
    pub(super) text: String,
    pub(super) state: LoginState,
    /// Where the login was to end.
    pub(super) return_to: ReturnTo,
}

/// Finds where the person goes.
pub(super) async fn find(
    ctx: &mut Ctx<'_>,
    caused: Caused,
    response: &AuthorizationResponse,
    way: Option<Way>,
    attempt: Option<LoginAttempt>,
) -> Result<HttpResponse, Problem> {
    let Some(way) = way else {
        return Err(note_failure(ctx, caused, response));
    };
    let problem = &caused.problem;
    let is_signed_in = is_signed_in(ctx, problem, &way.state);
    if way.state.manner == Manner::Silent {
        if *problem == Problem::LoginFailed(LoginFailure::ErrorFromProvider) {
            note_end(ctx, response.error.as_deref().unwrap_or_default());
        } else {
            note_failure(ctx, caused, response);
        }
        return Ok(silent::page(ctx.frontend, is_signed_in));
    }
    if is_signed_in {
        log::debug!("a login came again, or late; there is a session");
        // Without the attempt nothing shows that this browser asked for the login. Anybody can have made the address, and the
        // second look is a navigation of our own. So it leads to pages only, never to what acts with the session.
        let is_page = attempt.is_some() || leads_to_page(ctx, &way.return_to);
        return Ok(if is_page {
            go(ctx, &way.return_to)
        } else {
            go(ctx, &ReturnTo::root())
        });
    }
    if *problem == Problem::LoginFailed(LoginFailure::ErrorFromProvider) {
        return after_error(ctx, caused, response, way, attempt).await;
    }
    if may_see_more(ctx, problem, response) {
        let state: String = byte_serialize(way.text.as_bytes()).collect();
        // The next request tells whether the login has failed.
        log::info!(target: "sealgate::audit", code = problem.code();
            "this login is done already, or has failed: {}", caused.why());
        ctx.look_again = Some(format!("{}/callback?state={state}", ctx.frontend.base_path));
        return Err(caused.problem);
    }
    Err(note_failure(ctx, caused, response))
}

/// Whether a path is a page, and neither an endpoint nor an API. Any site may link to a page.
fn leads_to_page(ctx: &Ctx<'_>, return_to: &ReturnTo) -> bool {
    match target(ctx, return_to) {
        Some(Target::Endpoint(_)) => false,
        Some(Target::Route(matched)) => matched.route.documents().is_some(),
        Some(Target::Assets(..)) | None => true,
    }
}

/// Whether a path is a page that begins a login by itself.
fn begins_logins(ctx: &Ctx<'_>, return_to: &ReturnTo) -> bool {
    matches!(target(ctx, return_to), Some(Target::Route(matched)) if matched.route.begins_logins())
}

/// What a path leads to.
fn target<'c>(ctx: &'c Ctx<'_>, return_to: &'c ReturnTo) -> Option<Target<'c, 'c>> {
    let path = return_to.as_str().split(['?', '#']).next()?;
    ctx.frontend.resolve("GET", path, WebSocket::NotAsked).ok()
}

/// Whether a navigation brings all cookies that there are.
fn shows_all(ctx: &Ctx<'_>) -> bool {
    matches!(
        guard::site(ctx.request.headers()),
        Some(b"same-origin" | b"none")
    )
}

/// Whether a query is what [`find`] lets a page ask for.
pub(super) fn is_second_look(ctx: &Ctx<'_>, query: &[(String, String)]) -> bool {
    let [(name, state)] = query else {
        return false;
    };
    name == "state" && ctx.wallet.open_login_state(state).is_some()
}

/// Whether the login has been done, by the same answer or another attempt.
fn is_signed_in(ctx: &Ctx<'_>, problem: &Problem, state: &LoginState) -> bool {
    let Some(session) = ctx.caller.session() else {
        return false;
    };
    let is_newer = session.started_at >= state.begun_at;
    match problem {
        Problem::LoginFailed(LoginFailure::NoLoginAttempt) => is_newer || !state.is_demanding,
        Problem::LoginFailed(LoginFailure::CodeRefused) => is_newer,
        _ => false,
    }
}

/// Whether the same address, asked for by our own page, could show a session that this navigation cannot.
fn may_see_more(ctx: &Ctx<'_>, problem: &Problem, response: &AuthorizationResponse) -> bool {
    let may_be_done = matches!(
        problem,
        Problem::LoginFailed(LoginFailure::CodeRefused | LoginFailure::NoLoginAttempt)
    );
    may_be_done
        && response.is_answer()
        && ctx.caller.is_nobody()
        && ctx.frontend.session.same_site == SameSite::Strict
        && !shows_all(ctx)
        && guard::wants_page(ctx.request.headers())
}

/// Goes on after the provider has answered this attempt with an error.
async fn after_error(
    ctx: &mut Ctx<'_>,
    caused: Caused,
    response: &AuthorizationResponse,
    way: Way,
    attempt: Option<LoginAttempt>,
) -> Result<HttpResponse, Problem> {
    let code = response.error.as_deref().unwrap_or_default();
    // Keycloak says this of a login form that has waited too long, or that another tab has overtaken (keycloak#28595).
    let has_expired = code == "temporarily_unavailable"
        && response.error_description.as_deref() == Some("authentication_expired");
    let is_denied = code == "access_denied";
    match attempt {
        Some(attempt) if has_expired && !way.state.is_second => {
            log::info!(target: "sealgate::audit", "login begun anew: it had expired at the identity provider");
            count_failure(ctx, LoginFailed::Provider);
            login::begin(ctx, again(way, attempt), StatusCode::FOUND).await
        }
        // The page would begin the login again that the person has just declined.
        _ if is_denied
            && way.state.manner == Manner::Asking
            && begins_logins(ctx, &way.return_to) =>
        {
            Err(note_failure(ctx, caused, response))
        }
        // A person need not be told what they have just decided, nor the end of a login that was to ask nothing.
        _ if way.state.manner == Manner::Quiet || is_denied => {
            note_end(ctx, code);
            if way.state.manner == Manner::Asking && ctx.frontend.error_page.is_some() {
                return Err(caused.problem);
            }
            Ok(go(ctx, &way.return_to))
        }
        _ => Err(note_failure(ctx, caused, response)),
    }
}

fn again(way: Way, attempt: LoginAttempt) -> Wish {
    let is_quiet = way.state.manner == Manner::Quiet;
    Wish {
        asked: LoginParams {
            prompt: is_quiet.then(|| "none".to_owned()),
            acr_values: attempt.acr_values,
            max_age: attempt.max_age,
            ..LoginParams::default()
        },
        return_to: way.return_to,
        manner: way.state.manner,
        replaces: attempt.replaces,
        is_second: true,
    }
}

fn count_failure(ctx: &Ctx<'_>, why: LoginFailed) {
    let name = &ctx.frontend.name;
    ctx.bff.metrics.login_failed(name, why);
}

/// Notes that a login that was to ask nothing, or that a person declined, has ended as the provider's error says.
fn note_end(ctx: &Ctx<'_>, code: &str) {
    log::info!(target: "sealgate::audit", provider_error = known_code(code); "login ended without a session");
    count_failure(ctx, failure::reason_of_error(code));
}

/// Counts the failure, and says in one line what failed and why.
fn note_failure(ctx: &Ctx<'_>, caused: Caused, response: &AuthorizationResponse) -> Problem {
    let problem = &caused.problem;
    count_failure(ctx, failure::reason(problem, response.error.as_deref()));
    let (level, code, why) = (failure::level(problem), problem.code(), caused.why());
    match &response.error {
        Some(error) => {
            log::log!(target: "sealgate::audit", level, code = code,
                provider_error = known_code(error); "login failed: {why}");
            if let Some(words) = &response.error_description {
                log::debug!("the identity provider says: {}", quotable(words, &[]));
            }
        }
        None => log::log!(target: "sealgate::audit", level, code = code; "login failed: {why}"),
    }
    caused.problem
}
