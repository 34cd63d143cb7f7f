//! The provider's answer to an authorization request.

use super::form::{Repeated, single};

/// An authorization response (RFC 6749 §4.1.2) in which every parameter stands once.
#[derive(Default)]
pub(super) struct AuthorizationResponse {
    pub(super) state: Option<String>,
    pub(super) iss: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
}

impl AuthorizationResponse {
    pub(super) fn parse(params: &[(String, String)]) -> Result<Self, Repeated> {
        Ok(Self {
            state: single(params, "state")?,
            iss: single(params, "iss")?,
            code: single(params, "code")?,
            error: single(params, "error")?,
            error_description: single(params, "error_description")?,
        })
    }

    /// Whether it is a provider's answer, rather than our own second look at the same `state`.
    pub(super) const fn is_answer(&self) -> bool {
        self.code.is_some() || self.error.is_some()
    }
}
