//! From a session and a route to the credential of one upstream call (access token management).
//!
//! `api` asks for a [`Permit`] right before each upstream call. Whatever this module decides about cookies, it decides before the
//! client gets a byte of the answer, so streamed answers carry their `Set-Cookie`. If the upstream answers 401, `api`
//! calls [`renew`] while nothing of that answer has been sent.
//!
//! - `anonymous`: may a request go without a session? · `credentials`: whose token goes along · `credential`: how a request
//!   carries it · `permit`: the proof that it may
//! - `refresh`: keeps the user's token fresh · `decision`: what a request does before and after a refresh · `token_call`: the
//!   call itself. The client's own token comes from [`Provider::client_token`](crate::oidc::Provider::client_token).
//! - `native`: new tokens for an app, at its own word
//! - `exchange`: another token in its place, for one API alone
//! - `refused`: what follows from an API's 401 · `callee`: which API that is · `step_up`: a stronger login
//!
//! # Invariants
//! - Every upstream call needs a [`Permit`], and only this module makes one.
//! - A route that needs a user never goes out without the user's token. A request with the cookies of a session never goes out
//!   with the client's token.
//! - A frontend's tokens are sent along its own routes only: they come from its session or its client.
//! - A token that an upstream has refused is renewed at most once for a request, and for some time not at all if that did
//!   not help.

mod anonymous;
mod callee;
mod credential;
mod credentials;
mod decision;
mod exchange;
mod native;
mod permit;
mod refresh;
mod refused;
mod step_up;
mod token_call;

use crate::frontend::{CountedBy, Matched, Route, Spender, TokenRequirement};
use crate::guard::Admitted;
use crate::problem::Problem;
use crate::request::Ctx;

pub use callee::Callee;
pub use credential::Credential;
pub use credentials::renewed;
pub use exchange::{Exchanging, NotExchanged, exchanging, refused_for_good, renew_subject};
pub use native::{NotRenewed, renew_for_app};
pub use permit::{Bearer, Permit};
pub use refresh::{before as refresh_before, catch_up};
pub use refused::{Refused, renew, step_up};

/// Decides whether the request may go to its upstream, and with whose token.
pub async fn permit(
    admitted: Admitted,
    matched: Matched<'_, '_>,
    ctx: &mut Ctx<'_>,
) -> Result<Permit, Problem> {
    let route = matched.route;
    check_policy(&admitted, matched, ctx).await?;
    let permit = permit_as(route.token, route, ctx).await?;
    if !permit.bearer().is_users() {
        return Ok(permit);
    }
    if let Some(wanted) = &route.exchange {
        return exchange::of_user(wanted, route, ctx, permit.bearer()).await;
    }
    credentials::check_scopes(route, ctx)?;
    Ok(permit)
}

/// Checks all that the route requires before a call: a session, its rate, its claims.
///
/// A refresh reads claims again. Where the access token has ended and claims decide, the refresh comes first: else a role
/// that was taken away would count once more, and one that was granted would never count on its own route.
pub async fn check_policy(
    admitted: &Admitted,
    matched: Matched<'_, '_>,
    ctx: &mut Ctx<'_>,
) -> Result<(), Problem> {
    if ctx.caller.is_nobody() {
        anonymous::check(matched.route.token, matched.route, ctx)?;
    }
    spend(admitted, matched.route, ctx)?;
    let session = ctx.caller.session();
    let has_ended = session.is_some_and(|session| session.tokens.is_expired(ctx.now));
    if has_ended && matched.route.requires_claims() {
        credentials::users(matched.route.token, ctx).await?;
    }
    check_claims(matched, ctx)
}

/// A permit for a call with the token that `requirement` asks for: the route's own, or that of one of its parts. The caller
/// has checked the route's policy. It checks the scopes of a user's token, and exchanges the token where that is wanted.
pub async fn permit_as(
    requirement: TokenRequirement,
    route: &Route,
    ctx: &mut Ctx<'_>,
) -> Result<Permit, Problem> {
    if ctx.caller.is_nobody() {
        // A part may ask for another token than its route.
        anonymous::check(requirement, route, ctx)?;
    }
    let permit = match credentials::users(requirement, ctx).await? {
        Some(permit) => permit,
        None => credentials::others(requirement, route, &ctx.frontend.provider, ctx.idp).await?,
    };
    if permit.bearer().is_users() || route.requires_claims() {
        ctx.touch();
    }
    Ok(permit)
}

/// Counts the request for its session, or for its address if it has none.
fn spend(admitted: &Admitted, route: &Route, ctx: &Ctx<'_>) -> Result<(), Problem> {
    match &route.rate_limit {
        Some(limit) if limit.by == CountedBy::Session => {
            let session = ctx.caller.session();
            let spender = session.map(|session| Spender::Session(session.id));
            limit.spend(spender.unwrap_or_else(|| admitted.spender()))
        }
        _ => Ok(()),
    }
}

/// Checks the route's required claims, before anything that could cost a call.
fn check_claims(matched: Matched<'_, '_>, ctx: &Ctx<'_>) -> Result<(), Problem> {
    let route = matched.route;
    if !route.requires_claims() {
        return Ok(());
    }
    let session = ctx.caller.session();
    let session = session.ok_or_else(|| ctx.frontend.login_required())?;
    route
        .policy
        .check_claims(session, &route.path, matched.path)
}
