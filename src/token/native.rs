//! New tokens for an app, at the app's own word. The call is shared as that of browsers is.
//!
//! # Invariants
//! - This is the one place where the tokens of an app's session are refreshed.
//! - A provider that is out of reach ends no session.
//!
//! # Spec
//! RFC 6749 §6.

use super::decision::{self, Ended, Next, Situation};
use super::refresh;
use crate::ledger::Fingerprint;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::Session;
use crate::telemetry::metrics::RefreshResult;

/// Why there are no new tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotRenewed {
    /// The session is over.
    Over,
    /// Nobody can say now: it may be tried again.
    Unavailable,
}

/// What the app hears of a failure that is not the end of its session.
const UNAVAILABLE: &str = Problem::IdentityProviderUnavailable.code();

/// An app asks because it needs new tokens, whatever the old ones are good for.
const HAS_ENDED: bool = true;

/// The session with new tokens.
pub async fn renew_for_app(session: &Session, ctx: &Ctx<'_>) -> Result<Session, NotRenewed> {
    let bff = ctx.bff;
    let Some(refresh_token) = session.tokens.usable_refresh_token(ctx.now) else {
        bff.metrics.refreshed(RefreshResult::Ended);
        return Err(NotRenewed::Over);
    };
    let fingerprint = Fingerprint::new(&session.id, refresh_token, &session.tokens.access_token);
    bff.refreshes.forget_outage(fingerprint);
    let (landed, result) =
        refresh::share(fingerprint, session, refresh_token, HAS_ENDED, ctx).await;
    let situation = Situation {
        has_ended: HAS_ENDED,
        is_revoked: bff.revocations.is_revoked(session),
        was_told: false,
        arrived_at: ctx.arrival.at,
    };
    match decision::decide(landed, &situation) {
        Next::Adopt(renewal) => {
            let mut renewed =
                session.renewed(renewal.tokens.clone(), renewal.session_ends_by, ctx.now);
            renewed.claims = refresh::read_again(ctx.frontend, session, &renewal);
            if renewed.is_expired(ctx.now) {
                // The provider has said with the new tokens that the session is over.
                ctx.revoke(session.id);
                return Err(over(ctx));
            }
            bff.metrics.refreshed(result);
            bff.ends.bring_nearer(renewed.id, renewed.latest_end());
            let provider = &ctx.frontend.provider;
            provider.forget_exchanged_before(renewed.id.0, &renewed.tokens.access_token);
            Ok(renewed)
        }
        Next::TryAgain(why) => {
            log::warn!(code = UNAVAILABLE;
                "an app's refresh failed, and another replica may have the new tokens: {why}");
            // Another replica may have spent the token. The app asks again, perhaps there.
            bff.refreshes.tell(fingerprint);
            bff.metrics.refreshed(RefreshResult::Conflict);
            Err(NotRenewed::Unavailable)
        }
        Next::Keep(why) | Next::Unavailable(why) => {
            log::warn!(code = UNAVAILABLE; "an app's refresh failed: {why}");
            bff.metrics.refreshed(RefreshResult::Unavailable);
            Err(NotRenewed::Unavailable)
        }
        Next::End(why) => {
            match why {
                Ended::SignedOut => {}
                Ended::AnotherLogin(why) => {
                    log::warn!(target: "sealgate::audit", "an app's session ended: {why}");
                    ctx.revoke(session.id);
                }
                Ended::Refused(why) => {
                    log::info!(target: "sealgate::audit", "an app's session ended at its refresh: {why}");
                }
            }
            Err(over(ctx))
        }
    }
}

fn over(ctx: &Ctx<'_>) -> NotRenewed {
    ctx.bff.metrics.refreshed(RefreshResult::Ended);
    NotRenewed::Over
}
