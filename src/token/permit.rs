//! The proof that a request may go to its upstream, and as whom.

use std::fmt;

use http::HeaderValue;

/// The route's requirement is met. `proxy` sends nothing without one, and only this module makes one.
pub struct Permit {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) bearer: Bearer,
    pub(super) is_private: bool,
}

/// Whose token goes along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bearer {
    /// The client's own.
    Client,
    /// None does.
    Nobody,
    /// The user's, renewed for this very request.
    RenewedUser,
    /// The user's.
    User,
}

impl Bearer {
    /// Whether it is the user's, renewed or not.
    pub const fn is_users(self) -> bool {
        matches!(self, Self::RenewedUser | Self::User)
    }
}

impl Permit {
    /// `Bearer …`, marked sensitive; `None` on routes without a token.
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whose token that is.
    pub const fn bearer(&self) -> Bearer {
        self.bearer
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
            bearer: Bearer::Nobody,
            is_private,
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("bearer", &self.bearer)
            .field("is_private", &self.is_private)
            .finish_non_exhaustive()
    }
}
