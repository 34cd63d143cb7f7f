//! Problems of logins and logouts, and the lines in the log that go with them.

use crate::oidc::OidcError;
use crate::problem::{LoginFailure, Problem};
use crate::telemetry::metrics::LoginFailed;

/// The problem of a login that has failed.
pub(super) const fn failed(failure: LoginFailure) -> Problem {
    Problem::LoginFailed(failure)
}

/// The problem of a login that cannot be completed without the provider.
pub(super) fn unavailable(error: &OidcError) -> Problem {
    log::warn!("login not completed: {error}");
    Problem::IdentityProviderUnavailable
}

/// The label of a failed login. `provider_error` is the error that the provider answered with, if it did.
pub(super) fn reason(problem: &Problem, provider_error: Option<&str>) -> LoginFailed {
    match problem {
        Problem::LoginFailed(failure) => match failure {
            LoginFailure::ErrorFromProvider => reason_of_error(provider_error.unwrap_or_default()),
            LoginFailure::CodeRefused => LoginFailed::Provider,
            LoginFailure::NoLoginAttempt => LoginFailed::State,
            _ => LoginFailed::Verification,
        },
        Problem::SessionTooLarge { .. } => LoginFailed::Size,
        Problem::IdentityProviderUnavailable => LoginFailed::Provider,
        _ => LoginFailed::Verification,
    }
}

/// The same where the provider answered with this error (RFC 6749 §4.1.2.1).
pub(super) fn reason_of_error(code: &str) -> LoginFailed {
    if code == "access_denied" {
        LoginFailed::Denied
    } else {
        LoginFailed::Provider
    }
}
