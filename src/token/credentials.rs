//! Whose token goes along, by the route's `token`: the user's, the client's own, or none.

use std::rc::Rc;

use http::header::InvalidHeaderValue;

use super::{Bearer, Credential, Permit, refresh};
use crate::bff::Ctx;
use crate::frontend::{Route, TokenRequirement};
use crate::oidc::OidcError;
use crate::problem::Problem;

/// With the user's token, if the route wants it and there is one.
pub(super) async fn users(route: &Route, ctx: &mut Ctx<'_>) -> Result<Option<Permit>, Problem> {
    let Some(session) = ctx.session.as_ref().filter(|_| route.token.is_users()) else {
        return Ok(None);
    };
    let received = Rc::clone(session);
    // Nor where the route would serve others too: what came as a user's never goes out as the client's or as nobody's (F23).
    refresh::when_due(ctx).await?;
    let session = ctx.session.as_ref().ok_or(Problem::Internal)?;
    // The cookies' own session, and not another in its place, whatever its times are.
    let bearer = if Rc::ptr_eq(session, &received) {
        Bearer::User
    } else {
        Bearer::RenewedUser
    };
    of_user(route, ctx, bearer).map(Some)
}

/// With the token of the session as it is now.
pub(super) fn of_user(route: &Route, ctx: &Ctx<'_>, bearer: Bearer) -> Result<Permit, Problem> {
    let session = ctx.session.as_ref().ok_or(Problem::Internal)?;
    route.policy.check_scopes(&session.tokens.scope)?;
    let authorization = session.authorization().map_err(unfit)?;
    Ok(Permit {
        credential: Credential::Bearer(authorization),
        bearer,
        is_private: true,
    })
}

/// Without the user's token: the client's, or none.
pub(super) async fn others(route: &Route, ctx: &Ctx<'_>) -> Result<Permit, Problem> {
    if !matches!(
        route.token,
        TokenRequirement::Client | TokenRequirement::UserOrClient
    ) {
        return Ok(Permit {
            credential: Credential::None,
            bearer: Bearer::Nobody,
            is_private: route.opens_session(),
        });
    }
    let provider = &ctx.frontend.provider;
    let token = provider
        .client_token(ctx.idp, &route.policy.scopes.join(" "))
        .await
        .map_err(|error| match error {
            OidcError::Rejected(_) => Problem::Internal,
            _ => Problem::IdentityProviderUnavailable,
        })?;
    route.policy.check_scopes(&token.scope)?;
    let authorization = token.authorization().map_err(unfit)?;
    Ok(Permit {
        credential: Credential::Bearer(authorization),
        bearer: Bearer::Client,
        is_private: true,
    })
}

fn unfit(_: InvalidHeaderValue) -> Problem {
    log::warn!("the access token has characters that no header can carry");
    Problem::Internal
}
