//! What follows from an upstream's 401.
//!
//! `server::pipeline` asks while nothing of the answer has been sent, so that cookies can still be set.
//!
//! # Invariants
//! - [`Bearer::RenewedUser`] is never renewed, and a renewed permit is one: for each request there is one more try at the
//!   most.
//! - A request whose body has been read is not sent again.
//! - A session whose new tokens were refused too forces no refresh for this route for a while
//!   ([`FailedRenewals`](crate::ledger::FailedRenewals)).
//!
//! # Spec
//! RFC 9470 (step-up); RFC 9110 §15.5.2 lets a request be repeated with other credentials.

use super::challenge::{StepUp, Unusable};
use super::{Bearer, Permit, credentials, refresh};
use crate::bff::Ctx;
use crate::frontend::Route;
use crate::problem::Problem;

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

/// What follows from an upstream's 401: a permit for another try, a problem that says more than the 401 does, or
/// nothing, and the answer passes (D21, B56).
pub async fn renew(
    refused: Refused<'_>,
    route: &Route,
    ctx: &mut Ctx<'_>,
) -> Result<Option<Permit>, Problem> {
    let session = ctx.session.as_ref().filter(|_| refused.bearer.is_users());
    let Some(session) = session else {
        return Ok(None);
    };
    match StepUp::find(refused.challenge.iter().map(http::HeaderValue::as_bytes)) {
        Some(Ok(step_up)) => return Err(step_up.problem(ctx.frontend, session, ctx.now)),
        Some(Err(Unusable)) => {
            log::warn!(route = route.name.as_str();
                "the API asks for a stronger login in a way that cannot be passed on");
            return Ok(None);
        }
        None => {}
    }
    let failed = &ctx.bff.failed_renewals;
    if refused.bearer == Bearer::RenewedUser {
        failed.note(session.id, &route.name, ctx.now);
        return Ok(None);
    }
    if !refused.is_replayable
        || failed.is_noted(session.id, &route.name, ctx.now)
        || !refresh::refused(ctx).await?
    {
        return Ok(None);
    }
    credentials::of_user(route, ctx, Bearer::RenewedUser).map(Some)
}
