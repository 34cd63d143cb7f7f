//! The management endpoints below `base_path`: one file each, the whole flow readable in it.
//!
//! [`Endpoint::rules`] says what each of them is. Their answers are never proxied and never cached, and contain no token.

mod backchannel;
mod callback;
mod form;
mod login;
mod logout;
mod redeem;
mod session;
mod silent;
mod user;
mod way_back;

use actix_web::{HttpResponse, web};

use crate::clock::UnixTime;
use crate::frontend::Endpoint;
use crate::guard::Admitted;
use crate::ledger::Fingerprint;
use crate::oidc::OidcError;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{OpenResult, Session};

/// Answers one request to an endpoint.
pub async fn serve(
    endpoint: Endpoint,
    admitted: Admitted,
    ctx: &mut Ctx<'_>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    match endpoint {
        Endpoint::Backchannel => backchannel::serve(&admitted, ctx, body).await,
        Endpoint::Callback => callback::serve(ctx, body).await,
        Endpoint::LoggedOut => Ok(logout::landing(ctx)),
        Endpoint::Login => login::serve(ctx).await,
        Endpoint::Logout => logout::by_navigation(ctx).await,
        Endpoint::LogoutByScript => logout::by_script(ctx).await,
        Endpoint::Session => Ok(session::serve(ctx)),
        Endpoint::SilentLogin => Ok(login::serve_silent(ctx).await),
        Endpoint::User => user::serve(ctx),
    }
}

/// Until when API routes take a session.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The end, unless a refresh moves it.
    over_at: UnixTime,
    is_refresh_possible: bool,
}

impl Times {
    /// The session and its times, if API routes still take it.
    fn of<'c>(ctx: &'c Ctx<'_>) -> Option<(&'c Session, Self)> {
        let session: &Session = ctx.session.as_ref()?;
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
fn nobody(ctx: &Ctx<'_>) -> Problem {
    if ctx.found == OpenResult::Unrefreshable {
        ctx.frontend.not_refreshable(ctx.now)
    } else {
        ctx.frontend.login_required()
    }
}

/// The problem after a call to the identity provider failed, before it began or ended a login.
fn provider_failed(doing: &str, error: &OidcError) -> Problem {
    log::warn!("{doing}: {error}");
    Problem::IdentityProviderUnavailable
}
