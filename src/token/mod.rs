//! From a session and a route to the credentials of one upstream call (access token management).
//!
//! `server::pipeline` calls [`permit`] last before the proxy. Whatever it decides about cookies is decided here,
//! before the upstream sees a byte, so that streamed answers carry their `Set-Cookie`. [`renew`] is called once more if
//! the upstream refuses, and nothing of its answer has been sent yet.
//!
//! - `credentials`: whose token goes along · `refresh`: the user's stays fresh; the client's own is
//!   [`Provider::client_token`](crate::oidc::Provider::client_token)'s
//! - `refused`: what follows from an API's 401 · `challenge`: what it says with it
//!
//! # Invariants
//! - No upstream is called without a [`Permit`], and only this module makes one.
//! - A route that needs a user never goes out without the user's token, and what came with a session's cookies never with
//!   the client's.
//! - A token is sent along the routes of its own frontend only: it comes from that frontend's session or client (B41).
//! - A token that an upstream has refused is renewed at most once for a request, and not at all for some time where
//!   that did not help.

mod challenge;
mod credential;
mod credentials;
mod grant;
mod permit;
mod refresh;
mod refused;

use crate::bff::Ctx;
use crate::frontend::{CountedBy, Route, Spender, TokenRequirement};
use crate::guard::{Admitted, is_speculative};
use crate::names::RequestPath;
use crate::problem::Problem;
use crate::session::OpenResult;
use crate::telemetry::metrics::RefreshResult;

pub use credential::Credential;
pub use permit::{Bearer, Permit};
pub use refused::{Refused, renew};

/// Decides whether the request may go to its upstream, and as whom.
pub async fn permit(
    admitted: Admitted,
    route: &Route,
    ctx: &mut Ctx<'_>,
) -> Result<Permit, Problem> {
    if ctx.session.is_none() {
        may_go_without_session(route, ctx)?;
    }
    spend(&admitted, route, ctx)?;
    check_claims(route, ctx)?;
    let permit = match credentials::users(route, ctx).await? {
        Some(permit) => permit,
        None => credentials::others(route, ctx).await?,
    };
    let is_used = permit.bearer().is_users() || route.requires_claims();
    if is_used && !is_speculative(ctx.request.headers()) {
        ctx.touch();
    }
    Ok(permit)
}

/// Whether the route serves requests without a session, and nobody's session is behind this one all the same.
///
/// What came as a user's never goes out as the client's (F23), though the session is over or it cannot be said whose it
/// was. Nor as nobody's where it may be a live session's: another replica may know the key.
fn may_go_without_session(route: &Route, ctx: &Ctx<'_>) -> Result<(), Problem> {
    let wants_user = route.token.is_users() || route.requires_user();
    let is_clients = route.token == TokenRequirement::UserOrClient;
    match ctx.found {
        OpenResult::Unrefreshable if wants_user => {
            ctx.bff.metrics.refreshed(RefreshResult::Impossible);
            Err(ctx.not_refreshable())
        }
        OpenResult::UnknownKey if wants_user => Err(ctx.frontend.login_required()),
        found if is_clients && found != OpenResult::Anonymous => Err(ctx.frontend.login_required()),
        _ if route.requires_user() => Err(ctx.frontend.login_required()),
        _ => Ok(()),
    }
}

/// By session once it is known; anonymous requests of a route that takes them are counted by address.
fn spend(admitted: &Admitted, route: &Route, ctx: &Ctx<'_>) -> Result<(), Problem> {
    match &route.rate_limit {
        Some(limit) if limit.by == CountedBy::Session => {
            let session = ctx.session.as_ref();
            let spender = session.map(|session| Spender::Session(session.id));
            limit.spend(spender.unwrap_or_else(|| admitted.spender()))
        }
        _ => Ok(()),
    }
}

/// Before anything that could cost a call.
fn check_claims(route: &Route, ctx: &Ctx<'_>) -> Result<(), Problem> {
    if !route.requires_claims() {
        return Ok(());
    }
    let session = ctx.session.as_ref();
    let session = session.ok_or_else(|| ctx.frontend.login_required())?;
    let path = RequestPath::parse(ctx.request.uri().path())
        .map_err(|_| Problem::BadRequest("the path is not in its plainest form"))?;
    route.policy.check_claims(session, &route.path, path)
}
