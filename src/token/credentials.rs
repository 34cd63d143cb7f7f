//! Whose token goes along, by the route's `token`: the user's, the client's own, or none.
//!
//! # Invariants
//! - What came as a user's request never goes out with the client's token, or without any, not even on a route that also
//!   serves requests without a session.

use http::header::InvalidHeaderValue;

use super::refresh::{self, Freshness};
use super::{Bearer, Credential, Permit};
use crate::frontend::{Route, TokenRequirement};
use crate::oidc::{Authorization, IdpClient, OidcError, Provider};
use crate::problem::Problem;
use crate::request::Ctx;

/// A permit with the user's token, if it is wanted and there is a session.
pub(super) async fn users(
    requirement: TokenRequirement,
    ctx: &mut Ctx<'_>,
) -> Result<Option<Permit>, Problem> {
    if ctx.caller.is_nobody() || !requirement.is_users() {
        return Ok(None);
    }
    let bearer = match refresh::when_due(ctx).await? {
        Freshness::Kept => Bearer::User,
        Freshness::Renewed => Bearer::RenewedUser,
    };
    of_user(ctx, bearer).map(Some)
}

/// A permit with the token that the session has now.
fn of_user(ctx: &Ctx<'_>, bearer: Bearer) -> Result<Permit, Problem> {
    let session = ctx.caller.session().ok_or(Problem::Internal)?;
    let authorization = session.authorization().map_err(unfit)?;
    Ok(Permit {
        credential: credential(authorization, &ctx.frontend.provider)?,
        bearer,
        is_private: true,
    })
}

/// A permit with the token that was renewed for this request.
pub fn renewed(ctx: &Ctx<'_>) -> Result<Permit, Problem> {
    of_user(ctx, Bearer::RenewedUser)
}

/// Whether the user's token has the scopes that the route requires.
pub(super) fn check_scopes(route: &Route, ctx: &Ctx<'_>) -> Result<(), Problem> {
    let session = ctx.caller.session().ok_or(Problem::Internal)?;
    route.policy.check_scopes(&session.tokens.scope)
}

/// A permit without the user's token: with the client's own, or with none.
pub(super) async fn others(
    requirement: TokenRequirement,
    route: &Route,
    provider: &Provider,
    idp: &IdpClient,
) -> Result<Permit, Problem> {
    if !matches!(
        requirement,
        TokenRequirement::Client | TokenRequirement::UserOrClient
    ) {
        return Ok(Permit {
            credential: Credential::None,
            bearer: Bearer::Nobody,
            is_private: route.opens_session(),
        });
    }
    let scope = route.policy.scopes.join(" ");
    // Boxed: it must not make every other request's future larger.
    let token = Box::pin(provider.client_token(idp, &scope)).await;
    let token = token.map_err(|error| {
        let (level, problem) = match error {
            OidcError::Rejected(_) => (log::Level::Error, Problem::Internal),
            _ => (log::Level::Warn, Problem::IdentityProviderUnavailable),
        };
        log::log!(level, code = problem.code(); "no token for the client itself: {error}");
        problem
    })?;
    route.policy.check_scopes(&token.scope)?;
    Ok(Permit {
        credential: credential(&token.authorization, provider)?,
        bearer: Bearer::Client,
        is_private: true,
    })
}

/// How requests carry a token. Whoever has got the token has seen to it that its key is there; it may be dropped at any moment.
pub(super) fn credential(
    authorization: &Authorization,
    provider: &Provider,
) -> Result<Credential, Problem> {
    Credential::of(authorization, provider.prover()).ok_or_else(|| {
        let problem = Problem::IdentityProviderUnavailable;
        log::warn!(code = problem.code(); "the key that an access token is bound to has left the key ring");
        problem
    })
}

fn unfit(_: InvalidHeaderValue) -> Problem {
    log::error!(code = Problem::Internal.code(); "the access token has characters that no header can carry");
    Problem::Internal
}
