//! What follows from an upstream's 401.
//!
//! The caller asks before it has sent anything of the answer, so cookies can still be set.
//!
//! # Invariants
//! - A permit with [`Bearer::RenewedUser`] is never renewed, and renewing gives only such permits. So each request has at most
//!   one more try.
//! - A request whose body has been read is not sent again.
//! - If an API refuses a session's new tokens too, the session forces no refresh for this API for a while
//!   ([`FailedRenewals`](crate::ledger::FailedRenewals)).
//!
//! # Spec
//! RFC 9470 (step-up); RFC 9110 §15.5.2: a client may repeat the request with other credentials.

use super::refresh::{self, Freshness};
use super::step_up::{StepUp, Unusable};
use super::{Bearer, Callee, Permit, credentials, exchange};
use crate::frontend::Route;
use crate::oidc;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::Session;

/// A permit that an upstream did not accept.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Whose token it was.
    pub bearer: Bearer,
    /// The lines of `WWW-Authenticate`.
    pub challenge: &'a [http::HeaderValue],
    /// Whether the request can be sent a second time.
    pub is_replayable: bool,
}

/// What follows: a permit for another try, or a problem that says more than the 401 does. With `None` the upstream's answer
/// goes to the client as it is.
pub async fn renew(
    refused: Refused<'_>,
    callee: Callee<'_>,
    ctx: &mut Ctx<'_>,
) -> Result<Option<Permit>, Problem> {
    let route = callee.route;
    let session = ctx.caller.session().filter(|_| refused.bearer.is_users());
    let Some(session) = session else {
        return Ok(None);
    };
    if oidc::asks_for_nonce(refused.challenge) {
        // It was asked once more with its nonce, or the request could not be repeated. The token is not at fault.
        return Ok(None);
    }
    if asks_for_step_up(refused.challenge, session, route, ctx)? {
        return Ok(None);
    }
    if refused.bearer == Bearer::RenewedUser {
        callee.note_refused_again(ctx);
        return Ok(None);
    }
    if !refused.is_replayable || callee.is_refused_again(ctx) {
        return Ok(None);
    }
    if let Some(wanted) = &route.exchange {
        // The API does not take the token that was got for it: another one is asked for, and the user's stays as it is.
        exchange::exchanging(ctx)?.forget(wanted);
        let permit = exchange::of_user(wanted, route, ctx, Bearer::RenewedUser).await?;
        return Ok(Some(permit));
    }
    match refresh::at_once(ctx).await? {
        Freshness::Kept => Ok(None),
        Freshness::Renewed => {
            credentials::check_scopes(route, ctx)?;
            credentials::renewed(ctx).map(Some)
        }
    }
}

/// Refuses a request whose user's token an API does not take before a stronger login (RFC 9470 §3).
pub fn step_up(
    challenge: &[http::HeaderValue],
    route: &Route,
    ctx: &Ctx<'_>,
) -> Result<(), Problem> {
    match ctx.caller.session() {
        Some(session) => asks_for_step_up(challenge, session, route, ctx).map(drop),
        None => Ok(()),
    }
}

/// Whether the challenge asks for a stronger login that cannot be passed on. One that can is the error.
fn asks_for_step_up(
    challenge: &[http::HeaderValue],
    session: &Session,
    route: &Route,
    ctx: &Ctx<'_>,
) -> Result<bool, Problem> {
    match StepUp::find(challenge) {
        Some(Ok(step_up)) => Err(step_up.problem(ctx.frontend, session, ctx.now)),
        Some(Err(Unusable)) => {
            log::warn!(route = route.name.as_str();
                "the API asks for a stronger login in a way that cannot be passed on");
            Ok(true)
        }
        None => Ok(false),
    }
}
