//! The management endpoints below `base_path`: one file each, the whole flow readable in it.
//!
//! Never proxied, never cached, and no token is ever in an answer (A3).

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

/// Until when a session serves, as the API routes would have it.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Unless a refresh moves it later.
    over_at: UnixTime,
    is_refresh_possible: bool,
}

impl Times {
    /// Those of the session, if it still serves.
    fn of<'c>(ctx: &'c Ctx<'_>) -> Option<(&'c Session, Self)> {
        let session: &Session = ctx.session.as_ref()?;
        let refuses = |tokens| ctx.bff.refreshes.is_refused(tokens, ctx.now);
        let times = if Fingerprint::of(session).is_some_and(refuses) {
            // What the provider has refused once ends with the access token.
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

/// The problem where somebody signed in is needed, and nobody is.
fn nobody(ctx: &Ctx<'_>) -> Problem {
    if ctx.found == OpenResult::Unrefreshable {
        ctx.frontend.not_refreshable(ctx.now)
    } else {
        ctx.frontend.login_required()
    }
}

/// A call to the identity provider failed before any login was begun or ended by it.
fn provider_failed(doing: &str, error: &OidcError) -> Problem {
    log::warn!("{doing}: {error}");
    Problem::IdentityProviderUnavailable
}
