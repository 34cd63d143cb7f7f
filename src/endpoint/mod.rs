//! The management endpoints below `base_path`: one file each, the whole flow readable in it.
//!
//! Never proxied, never cached, and no token is ever in an answer (A3).

mod backchannel;
mod callback;
mod login;
mod logout;
mod redeem;
mod session;
mod silent;
mod user;
mod way_back;

use actix_web::{HttpResponse, web};

use crate::bff::Ctx;
use crate::clock::UnixTime;
use crate::frontend::Endpoint;
use crate::guard::Admitted;
use crate::ledger::Fingerprint;
use crate::oidc::OidcError;
use crate::problem::Problem;
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

/// A parameter of a query or form, which must not be there twice (RFC 6749 §3.1, B17).
fn single(params: &[(String, String)], name: &str) -> Result<Option<String>, Repeated> {
    let mut values = params
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Repeated),
        (first, None) => Ok(first.cloned()),
    }
}

/// A parameter came more than once.
#[derive(Debug)]
struct Repeated;

impl From<Repeated> for Problem {
    fn from(_: Repeated) -> Self {
        Self::BadRequest("a parameter is repeated")
    }
}

fn query(ctx: &Ctx<'_>) -> Vec<(String, String)> {
    parse_form(ctx.request.uri().query().unwrap_or_default().as_bytes())
}

fn parse_form(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
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
        ctx.not_refreshable()
    } else {
        ctx.frontend.login_required()
    }
}

/// A call to the identity provider failed before any login was begun or ended by it.
fn provider_failed(ctx: &Ctx<'_>, doing: &str, error: &OidcError) -> Problem {
    log::warn!(frontend = ctx.frontend.name.as_str(); "{doing}: {error}");
    Problem::IdentityProviderUnavailable
}
