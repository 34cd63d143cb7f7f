//! What can go wrong at an identity provider, by whose fault it is.

/// A failure at the identity provider. Quotes no token, no code, and no text of the provider's choosing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// An OAuth error answer (RFC 6749 §5.2): its code, and never its description.
    #[error("the identity provider refused: {0}{hint}", hint = remedy(.0))]
    Rejected(String),
    /// It is not reachable, too slow, or answers 5xx or 429.
    #[error("the identity provider is unavailable: {0}")]
    Unavailable(String),
    /// It was asked, and its answer was lost on the way, so it may have done what it was asked for. Only of token requests,
    /// where it matters.
    #[error("the identity provider's answer was lost: {0}")]
    Lost(String),
    /// It has done what it was asked for, but its answer cannot be used. The next answer would be no better.
    #[error("the identity provider's answer cannot be used: {0}")]
    Unusable(String),
    /// Its answer is not what the specifications ask for.
    #[error("the identity provider's answer is invalid: {0}")]
    Invalid(String),
}

impl OidcError {
    /// The same, where it does not matter whether an answer was lost or never came.
    pub(super) fn lost_or_not(self) -> Self {
        match self {
            Self::Lost(text) => Self::Unavailable(text),
            error => error,
        }
    }
}

/// What an operator can do about a code that is about the client, and not about a person or a token.
fn remedy(code: &str) -> &'static str {
    match code {
        "invalid_client" => " (see oidc.client_id, client_auth, and the client's secret or key)",
        "invalid_scope" => " (see oidc.scopes)",
        "invalid_target" => " (see oidc.resources, and the audience of an exchange)",
        "unauthorized_client" | "unsupported_grant_type" => {
            " (allow the client this grant at the identity provider)"
        }
        _ => "",
    }
}
