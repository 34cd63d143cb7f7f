//! Problems of logins and logouts, and the lines in the log that go with them.

use crate::oidc::OidcError;
use crate::problem::{LoginFailure, Problem};

/// The problem of a login that has failed.
pub(super) const fn failed(failure: LoginFailure) -> Problem {
    Problem::LoginFailed(failure)
}

/// The problem of a login that cannot be completed without the provider.
pub(super) fn unavailable(error: &OidcError) -> Problem {
    log::warn!("login not completed: {error}");
    Problem::IdentityProviderUnavailable
}
