//! Until when API routes take the session of a request.

use crate::clock::UnixTime;
use crate::ledger::Fingerprint;
use crate::problem::Problem;
use crate::request::{App, Ctx};
use crate::session::{OpenResult, Session};

/// Until when API routes take a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The end, unless a refresh moves it.
    pub(super) over_at: UnixTime,
    pub(super) is_refresh_possible: bool,
    /// The end, unless the session is used before; of an app's, unless it is refreshed.
    pub(super) idle_ends_at: UnixTime,
}

impl Times {
    /// The session and its times, if API routes still take it.
    pub(super) fn of<'c>(ctx: &'c Ctx<'_>) -> Option<(&'c Session, Self)> {
        let session: &Session = ctx.caller.session()?;
        let times = match ctx.caller.app() {
            Some(app) => Self::of_app(app, ctx),
            None => Self::of_browser(session, ctx),
        };
        (ctx.now < times.over_at).then_some((session, times))
    }

    fn of_app(app: &App, ctx: &Ctx<'_>) -> Self {
        let native = ctx.frontend.native.as_ref();
        let idle_timeout = native.map(|native| native.idle_timeout).unwrap_or_default();
        let over_at = app.lasts_until.unwrap_or(app.session.latest_end());
        Self {
            over_at,
            is_refresh_possible: app.lasts_until.is_some(),
            idle_ends_at: app.sealed_at.plus(idle_timeout).min(over_at),
        }
    }

    fn of_browser(session: &Session, ctx: &Ctx<'_>) -> Self {
        let idle_ends_at = session.last_seen.plus(ctx.frontend.session.idle_timeout);
        let refuses = |tokens| ctx.bff.refreshes.is_refused(tokens, ctx.now);
        let (over_at, is_refresh_possible) = if Fingerprint::of(session).is_some_and(refuses) {
            // The provider has refused the refresh token, so the session ends with its access token.
            (session.tokens.expires_at.min(session.ends_at), false)
        } else {
            let is_possible = session.tokens.usable_refresh_token(ctx.now).is_some();
            (session.over_at(), is_possible)
        };
        Self {
            over_at,
            is_refresh_possible,
            idle_ends_at: idle_ends_at.min(over_at),
        }
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
