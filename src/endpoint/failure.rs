//! Why logins fail: for the client, for the log and for the metrics.

use crate::oidc::OidcError;
use crate::problem::{Caused, LoginFailure, Problem};
use crate::telemetry::metrics::LoginFailed;

/// The problem of a login that has failed.
pub(super) const fn failed(failure: LoginFailure) -> Problem {
    Problem::LoginFailed(failure)
}

/// The problem of a login that cannot be completed without the provider.
pub(super) fn unavailable(error: &OidcError) -> Caused {
    Caused::by(Problem::IdentityProviderUnavailable, error)
}

/// The level of the one line in the log that says why. What a client or a provider can cause is no error of ours.
pub(super) fn level(problem: &Problem) -> log::Level {
    match problem {
        Problem::Internal => log::Level::Error,
        _ => log::Level::Warn,
    }
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
