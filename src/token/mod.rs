//! From a session and a route to the credentials of one upstream call (access token management).
//!
//! `server::pipeline` calls [`permit`] last before the proxy. Whatever it decides about cookies is decided here,
//! before the upstream sees a byte, so that streamed answers carry their `Set-Cookie`.
//!
//! # Invariants
//! - No upstream is called without a [`Permit`], and only this module makes one.
//! - A route that needs a user never goes out without the user's token.

mod refresh;

use std::fmt;

use actix_web::http::header::HeaderValue;

use crate::bff::Ctx;
use crate::frontend::{Route, TokenRequirement};
use crate::guard::Admitted;
use crate::problem::Problem;

/// The route's requirement is met. `proxy` sends nothing without one, and only [`permit`] makes one.
pub struct Permit {
    authorization: Option<HeaderValue>,
    is_private: bool,
}

impl Permit {
    /// `Bearer …`, marked sensitive; `None` on routes without a token.
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether the answer belongs to one user; then it is never shared-cacheable (D28).
    pub const fn is_private(&self) -> bool {
        self.is_private
    }

    /// For the proxy's own tests.
    #[cfg(test)]
    pub(crate) const fn given(authorization: Option<HeaderValue>, is_private: bool) -> Self {
        Self {
            authorization,
            is_private,
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("is_private", &self.is_private)
            .finish_non_exhaustive()
    }
}

/// Decides whether the request may go to its upstream, and as whom.
pub async fn permit(
    _admitted: Admitted,
    route: &Route,
    ctx: &mut Ctx<'_>,
) -> Result<Permit, Problem> {
    let is_private = route.token != TokenRequirement::None;
    let anonymous = Permit {
        authorization: None,
        is_private,
    };
    match (route.token, &ctx.session) {
        (TokenRequirement::None, _) | (TokenRequirement::UserOrNone, None) => return Ok(anonymous),
        (TokenRequirement::User, None) => return Err(ctx.frontend.login_required()),
        (TokenRequirement::User | TokenRequirement::UserOrNone, Some(_)) => {}
    }
    match refresh::when_due(ctx).await {
        Ok(()) => {}
        // The session ended on the way; such a route serves anonymous callers too.
        Err(Problem::LoginRequired { .. }) if route.token == TokenRequirement::UserOrNone => {
            return Ok(anonymous);
        }
        Err(problem) => return Err(problem),
    }
    ctx.touch();
    let session = ctx.session.as_ref().ok_or(Problem::Internal)?;
    let authorization = Some(bearer(session.tokens.access_token.secret())?);
    Ok(Permit {
        authorization,
        is_private,
    })
}

/// RFC 6750 §2.1.
fn bearer(token: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        log::warn!("the access token has characters that no header can carry");
        Problem::Internal
    })?;
    value.set_sensitive(true);
    Ok(value)
}
