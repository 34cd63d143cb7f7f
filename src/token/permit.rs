//! The proof that a request may go to its upstream, and with whose token.

use std::fmt;

#[cfg(test)]
use http::HeaderValue;

use super::Credential;

/// The route's policy allows the call. `proxy` sends nothing without a permit, and only this module makes one.
#[derive(Clone)]
pub struct Permit {
    pub(super) credential: Credential,
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
    /// What the upstream request proves its right with.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whose token that is.
    pub const fn bearer(&self) -> Bearer {
        self.bearer
    }

    /// Whether the answer belongs to one user, so that no shared cache may keep it (RFC 9111 §3.5).
    pub const fn is_private(&self) -> bool {
        self.is_private
    }

    /// For the proxy's own tests.
    #[cfg(test)]
    pub(crate) fn given(authorization: Option<HeaderValue>, is_private: bool) -> Self {
        Self {
            credential: authorization.map_or(Credential::None, Credential::Bearer),
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
