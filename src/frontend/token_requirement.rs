//! Whose token a call takes along.

/// Which access token a route needs; the words are Duende's token types.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenRequirement {
    /// Sends the client's own; nobody needs to be signed in.
    Client,
    /// Never sends one.
    None,
    /// Refuses requests without a session.
    User,
    /// Sends the user's if there is a session, else the client's own.
    UserOrClient,
    /// Sends the user's if there is a session.
    UserOrNone,
}

impl TokenRequirement {
    /// Whether the user's token goes along, if there is a session.
    pub const fn is_users(self) -> bool {
        matches!(self, Self::User | Self::UserOrClient | Self::UserOrNone)
    }
}
