//! Until when API routes take the session of a request.

use crate::clock::UnixTime;
use crate::ledger::Fingerprint;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{OpenResult, Session};

/// Until when API routes take a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The end, unless a refresh moves it.
    pub(super) over_at: UnixTime,
    pub(super) is_refresh_possible: bool,
}

impl Times {
    /// The session and its times, if API routes still take it.
    pub(super) fn of<'c>(ctx: &'c Ctx<'_>) -> Option<(&'c Session, Self)> {
        let session: &Session = ctx.caller.session()?;
        let refuses = |tokens| ctx.bff.refreshes.is_refused(tokens, ctx.now);
        let times = if Fingerprint::of(session).is_some_and(refuses) {
            // The provider has refused the refresh token, so the session ends with its access token.
            Self {
                over_at: session.tokens.expires_at.min(session.ends_at),
                is_refresh_possible: false,
            }
        } else {
            Self {
                over_at: session.over_at(),
                is_refresh_possible: session.tokens.usable_refresh_token(ctx.now).is_some(),
            }
        };
        (ctx.now < times.over_at).then_some((session, times))
    }
}

/// The problem where nobody is signed in.
pub(super) fn nobody(ctx: &Ctx<'_>) -> Problem {
    if ctx.found == OpenResult::Unrefreshable {
        ctx.frontend.not_refreshable(ctx.now)
    } else {
        ctx.frontend.login_required()
    }
}
