//! The refresh: due before the access token ends, done once, shared by all who wait.
//!
//! Here it is decided when; [`grant`](super::grant) makes the call and says what came of it.
//!
//! # Invariants
//! - While the access token lives, a failed refresh costs nothing: the request goes on, no cookie is written (G6).
//! - Only an answer that changed the tokens writes the session cookie (G9).
//! - The token call outlives the request that began it: a client that hangs up loses no refresh token.
//!
//! # Spec
//! RFC 6749 §6, OpenID Connect Core §12.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::RefreshToken;

use super::grant;
use crate::bff::Ctx;
use crate::guard::is_speculative;
use crate::ledger::{Begin, Fingerprint, Flight, Landed, Outcome, Renewal};
use crate::problem::Problem;
use crate::session::{Session, StoreError};
use crate::telemetry::metrics::RefreshResult;

/// How long a conflict is not told: a frontend that repeats at once must not overtake the cookies of whoever won.
const CONFLICT_PAUSE: Duration = Duration::from_millis(300);

/// Sees to it that the session's access token is good for a request now.
pub(super) async fn when_due(ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    let Some(session) = &ctx.session else {
        return Ok(());
    };
    let ahead = ctx.frontend.session.refresh_ahead;
    if !session.refresh_due(ctx.now, ahead) {
        return Ok(());
    }
    refresh(ctx).await
}

/// Refreshes although the access token is not due, because an API has refused it (D21). Whether there is another
/// one now.
///
/// The table of refreshes is keyed by the access token too, so what it hands back was got for the refused one.
pub(super) async fn refused(ctx: &mut Ctx<'_>) -> Result<bool, Problem> {
    let present = |ctx: &Ctx<'_>| {
        let session = ctx.session.as_ref();
        session.map(|session| session.tokens.access_token.secret().clone())
    };
    let refused = present(ctx);
    refresh(ctx).await?;
    Ok(present(ctx) != refused)
}

async fn refresh(ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    let Some(session) = &ctx.session else {
        return Ok(());
    };
    let has_ended = session.tokens.is_expired(ctx.now);
    let Some(refresh_token) = session.tokens.usable_refresh_token(ctx.now).cloned() else {
        // Nothing to refresh with.
        return if has_ended {
            Err(ctx.frontend.login_required())
        } else {
            Ok(())
        };
    };
    if is_speculative(ctx.request.headers()) {
        // What it would bring may be thrown away, the new tokens with it (D44).
        return if has_ended {
            Err(Problem::Speculative)
        } else {
            Ok(())
        };
    }
    let fingerprint = Fingerprint::new(&session.id, &refresh_token, &session.tokens.access_token);
    if has_ended {
        ctx.bff.refreshes.forget_outage(fingerprint);
    }
    // Another replica has told this browser to try again, and nobody here has anything newer for it.
    let was_told =
        ctx.frontend
            .jar
            .is_marked_refused(fingerprint.mark(), ctx.received, &ctx.keys, ctx.now);
    if has_ended && was_told && ctx.bff.refreshes.join(fingerprint, ctx.now).is_none() {
        return Err(over(ctx));
    }
    let (landed, result) = match ctx.bff.refreshes.begin(fingerprint, ctx.now) {
        Begin::Lead(flight) => (
            lead(flight, session, &refresh_token, ctx).await,
            RefreshResult::Ok,
        ),
        Begin::Join(join) => (join.landed().await, RefreshResult::Shared),
    };
    // The wait may have outlasted the access token.
    let has_ended = session.tokens.is_expired(ctx.bff.clock.now());
    // Logged out while we waited: whatever came of the refresh, nobody adopts it (G10).
    if ctx.bff.revocations.is_revoked(session) {
        ctx.bff.metrics.refreshed(RefreshResult::Ended);
        ctx.drop_session();
        return Err(ctx.frontend.login_required());
    }
    match landed.outcome {
        Outcome::Refreshed(renewal) => {
            ctx.bff.metrics.refreshed(result);
            adopt(ctx, &renewal, has_ended)
        }
        Outcome::Mismatch => {
            ctx.bff.metrics.refreshed(RefreshResult::Ended);
            ctx.end_session();
            Err(ctx.frontend.login_required())
        }
        Outcome::Contested | Outcome::Refused | Outcome::Unavailable if !has_ended => {
            ctx.bff.metrics.refreshed(RefreshResult::Kept);
            Ok(())
        }
        Outcome::Refused => Err(over(ctx)),
        // The frontend was told to try again, and this is the same spent cookie again.
        Outcome::Contested
            if was_told
                || landed
                    .told_at
                    .is_some_and(|told_at| ctx.arrived_at > told_at) =>
        {
            Err(over(ctx))
        }
        // Another replica may have spent the token, and its cookies may be on their way to the browser: nothing is
        // deleted, neither for the first request nor for those that were sent beside it (G7).
        Outcome::Contested => {
            tokio::time::sleep(CONFLICT_PAUSE).await;
            ctx.bff.refreshes.tell(fingerprint);
            let bff = ctx.bff;
            if bff.coordinator.is_none() && bff.replicas.may_have_spent(fingerprint, ctx.now) {
                // The next try may reach a replica that knows nothing of this one.
                let jar = &ctx.frontend.jar;
                let name = fingerprint.mark();
                jar.mark_refused(name, ctx.received, &ctx.keys, ctx.now, ctx.cookies);
            }
            ctx.bff.metrics.refreshed(RefreshResult::Conflict);
            Err(Problem::SessionRefreshConflict)
        }
        Outcome::Unavailable => {
            ctx.bff.metrics.refreshed(RefreshResult::Unavailable);
            Err(Problem::IdentityProviderUnavailable)
        }
    }
}

/// No refresh will come of this cookie, and no other cookie is on its way.
fn over(ctx: &mut Ctx<'_>) -> Problem {
    ctx.bff.metrics.refreshed(RefreshResult::Ended);
    log::info!(target: "sealgate::audit", frontend = ctx.frontend.name.as_str();
        "session ended: the identity provider refuses its refresh token");
    ctx.drop_session();
    ctx.frontend.login_required()
}

/// Makes the one token call, in a task of its own, and waits for it.
async fn lead(
    flight: Flight,
    session: &Session,
    refresh_token: &RefreshToken,
    ctx: &Ctx<'_>,
) -> Landed {
    let frontend = Arc::clone(ctx.frontend);
    let idp = ctx.idp.clone();
    let clock = ctx.bff.clock.clone();
    let session = session.clone();
    let refresh_token = refresh_token.clone();
    let coordinator = ctx.bff.coordinator.clone();
    let (keys, fingerprint) = (Arc::clone(&ctx.keys), flight.fingerprint());
    let may_be_elsewhere = ctx.bff.replicas.may_have_spent(fingerprint, ctx.now);
    let task = actix_web::rt::spawn(async move {
        let calling = grant::call(&frontend, &idp, &session, &refresh_token, &clock);
        let outcome = match coordinator {
            Some(coordinator) => coordinator.once(fingerprint, keys, &clock, calling).await,
            None => match calling.await {
                Outcome::Refused if may_be_elsewhere => Outcome::Contested,
                outcome => outcome,
            },
        };
        flight.land(outcome.clone(), clock.now());
        outcome
    });
    let outcome = task.await.unwrap_or(Outcome::Unavailable);
    Landed {
        outcome,
        told_at: None,
    }
}

/// The session goes on with new tokens, in this request and in the browser.
fn adopt(ctx: &mut Ctx<'_>, renewal: &Renewal, has_ended: bool) -> Result<(), Problem> {
    let Some(session) = &ctx.session else {
        return Ok(());
    };
    let renewed = session.renewed(renewal.tokens.clone(), renewal.session_ends_by, ctx.now);
    if renewed.is_expired(ctx.now) {
        // The provider has just said that it is over (B69).
        ctx.bff.metrics.refreshed(RefreshResult::Ended);
        ctx.end_session();
        return Err(ctx.frontend.login_required());
    }
    match ctx.store(&renewed) {
        Ok(()) => {
            ctx.bff.ends.bring_nearer(renewed.id, renewed.latest_end());
            if let Some(id_token) = &renewal.id_token {
                // Some providers take the newest as hint, and no other. One that is too large leaves the last in place.
                ctx.store_hint(renewed.id, id_token.clone());
            }
            ctx.session = Some(Rc::new(renewed.into()));
            Ok(())
        }
        Err(StoreError::TooLarge(error)) => {
            log::warn!(frontend = ctx.frontend.name.as_str(); "after a refresh, {error}");
            // The old cookie serves until its access token ends.
            if has_ended {
                Err(Problem::SessionTooLarge {
                    at_login: false,
                    detail: error.to_string(),
                })
            } else {
                Ok(())
            }
        }
        Err(StoreError::Seal(error)) => {
            log::error!(frontend = ctx.frontend.name.as_str(); "{error}");
            Err(Problem::Internal)
        }
    }
}
