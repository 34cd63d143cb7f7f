//! A request without a session: whether it may be sent at all.
//!
//! # Invariants
//! - Whoever came with the cookies of a session never gets the client's token, even if the session is over or nobody can say
//!   whose it was.
//! - If the session may still be alive, because another replica may know its key, a request that wants the user's token is not
//!   sent without any token either.

use crate::frontend::{Route, TokenRequirement};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::OpenResult;
use crate::telemetry::metrics::RefreshResult;

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Decision {
    /// The request may be sent.
    Go,
    /// The user must sign in.
    SignIn,
    /// The same, and the answer says that no refresh was possible.
    NotRefreshable,
}

/// Refuses a request without a session if the call needs a user, or if cookies say that there is a user behind it.
/// `requirement` is that of the call: the route's own, or that of one of its parts.
pub(super) fn check(
    requirement: TokenRequirement,
    route: &Route,
    ctx: &Ctx<'_>,
) -> Result<(), Problem> {
    match decide(ctx.found, requirement, route.requires_user()) {
        Decision::Go => Ok(()),
        Decision::SignIn => Err(ctx.frontend.login_required()),
        Decision::NotRefreshable => {
            ctx.bff.metrics.refreshed(RefreshResult::Impossible);
            Err(ctx.frontend.not_refreshable(ctx.now))
        }
    }
}

fn decide(found: OpenResult, requirement: TokenRequirement, requires_user: bool) -> Decision {
    let requires_user = requires_user || requirement == TokenRequirement::User;
    let wants_user = requires_user || requirement.is_users();
    match found {
        OpenResult::Unrefreshable if wants_user => Decision::NotRefreshable,
        OpenResult::UnknownKey if wants_user => Decision::SignIn,
        _ if requires_user => Decision::SignIn,
        OpenResult::Anonymous => Decision::Go,
        _ if requirement == TokenRequirement::UserOrClient => Decision::SignIn,
        _ => Decision::Go,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_as_a_users_goes_neither_as_the_clients_nor_as_nobodys() {
        // F23
        use Decision::{Go, NotRefreshable, SignIn};
        let requirements = [
            TokenRequirement::Client,
            TokenRequirement::None,
            TokenRequirement::User,
            TokenRequirement::UserOrClient,
            TokenRequirement::UserOrNone,
        ];
        for (found, expected) in [
            (OpenResult::Anonymous, [Go, Go, SignIn, Go, Go]),
            (OpenResult::Ended, [Go, Go, SignIn, SignIn, Go]),
            (OpenResult::Expired, [Go, Go, SignIn, SignIn, Go]),
            (OpenResult::Idle, [Go, Go, SignIn, SignIn, Go]),
            // The session was there, and ended during the request.
            (OpenResult::Ok, [Go, Go, SignIn, SignIn, Go]),
            (OpenResult::Rejected, [Go, Go, SignIn, SignIn, Go]),
            (OpenResult::UnknownKey, [Go, Go, SignIn, SignIn, SignIn]),
            (
                OpenResult::Unrefreshable,
                [Go, Go, NotRefreshable, NotRefreshable, NotRefreshable],
            ),
        ] {
            for (requirement, expected) in requirements.into_iter().zip(expected) {
                let decision = decide(found, requirement, false);
                assert_eq!(decision, expected, "{found:?} {requirement:?}");
                let decision = decide(found, requirement, true);
                assert_ne!(
                    decision, Go,
                    "{found:?} {requirement:?}: the route needs a user"
                );
            }
        }
    }
}
