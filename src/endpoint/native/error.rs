//! Errors in OAuth's own form.
//!
//! # Spec
//! RFC 6749 §5.2; RFC 9449 §5, §8.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde_json::json;

use crate::endpoint::form::{FormError, Repeated};
use crate::problem::Problem;
use crate::request::NoProof;
use crate::telemetry::RequestScope;

/// An error of `token` or `revoke`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl OAuthError {
    const fn bad(error: &'static str, description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            description,
        }
    }

    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self::bad("invalid_request", description)
    }

    pub(super) const fn invalid_grant(description: &'static str) -> Self {
        Self::bad("invalid_grant", description)
    }

    pub(super) const fn invalid_client(description: &'static str) -> Self {
        Self::bad("invalid_client", description)
    }

    pub(super) const fn invalid_scope() -> Self {
        Self::bad("invalid_scope", "the session does not have this scope")
    }

    pub(super) const fn unsupported_grant_type() -> Self {
        Self::bad(
            "unsupported_grant_type",
            "authorization_code and refresh_token are supported",
        )
    }

    pub(super) const fn no_proof() -> Self {
        Self::bad("invalid_dpop_proof", "a DPoP proof is required")
    }

    /// Neither the app's fault, nor the end of anything.
    pub(super) const fn unavailable() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "temporarily_unavailable",
            description: "the identity provider does not answer; try again later",
        }
    }

    /// The same where the store for coordination is silent.
    pub(super) const fn unknown() -> Self {
        Self {
            description: "the store for coordination does not answer, so nobody can say whether this is over or was used before",
            ..Self::unavailable()
        }
    }

    pub(super) const fn server() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "server_error",
            description: "something went wrong here",
        }
    }

    /// The answer. What is not the app's doing has a line in the log, unless one has named its cause.
    pub(super) fn response(self) -> HttpResponse {
        let Self {
            status,
            error,
            description,
        } = self;
        let (level, code) = match status {
            StatusCode::SERVICE_UNAVAILABLE => (
                log::Level::Warn,
                Problem::IdentityProviderUnavailable.code(),
            ),
            StatusCode::INTERNAL_SERVER_ERROR => (log::Level::Error, Problem::Internal.code()),
            _ => (log::Level::Debug, Problem::BadRequest("").code()),
        };
        let scope = RequestScope::current();
        let level = scope.map_or(level, |scope| scope.unless_told(level, code));
        log::log!(level, code = code, error = error; "an app is not served: {description}");
        let mut answer = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((header::RETRY_AFTER, 5));
        }
        answer.json(json!({"error": error, "error_description": description}))
    }
}

impl From<NoProof> for OAuthError {
    fn from(why: NoProof) -> Self {
        match why {
            NoProof::Invalid => Self::bad(
                "invalid_dpop_proof",
                "the DPoP proof is not valid for this request",
            ),
            NoProof::Repeated => Self::bad("invalid_dpop_proof", "the DPoP proof came before"),
            NoProof::Nonce => Self::bad("use_dpop_nonce", "the DPoP proof needs a fresh nonce"),
            NoProof::Unknown => Self::unknown(),
        }
    }
}

impl From<Repeated> for OAuthError {
    fn from(_: Repeated) -> Self {
        Self::invalid_request("a parameter is repeated")
    }
}

impl From<FormError> for OAuthError {
    fn from(error: FormError) -> Self {
        Self::invalid_request(error.sentence())
    }
}

/// A login that could not be completed with the provider.
impl From<Problem> for OAuthError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::IdentityProviderUnavailable => Self::unavailable(),
            Problem::RevocationsUnknown => Self::unknown(),
            Problem::LoginFailed(_) => {
                Self::invalid_grant("the identity provider's answer did not become a session")
            }
            _ => Self::server(),
        }
    }
}
