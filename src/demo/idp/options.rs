//! How the provider behaves as long as no fault is set.

use std::time::Duration;

use crate::clock::Clock;

/// How the provider behaves as long as no fault is set.
#[derive(Clone, Debug)]
pub struct IdpOptions {
    /// 0 takes any free one.
    pub port: u16,
    /// Lifetime of access tokens and ID tokens.
    pub access_token_lifetime: Duration,
    /// Lifetime of each refresh token.
    pub refresh_token_lifetime: Duration,
    /// What access tokens look like.
    pub access_token_format: TokenFormat,
    /// What becomes of a refresh token that was used.
    pub rotation: Rotation,
    /// Whether authorization requests may come by `/par`.
    pub pushed: PushedRequests,
    /// Where its time comes from.
    pub clock: Clock,
}

impl Default for IdpOptions {
    fn default() -> Self {
        Self {
            port: 0,
            access_token_lifetime: Duration::from_mins(5),
            refresh_token_lifetime: Duration::from_hours(24),
            access_token_format: TokenFormat::Jwt,
            rotation: Rotation::Reuse,
            pushed: PushedRequests::No,
            clock: Clock::system(),
        }
    }
}

/// What access tokens look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenFormat {
    /// Signed ES256 (RFC 9068).
    Jwt,
    /// Random.
    Opaque,
}

/// What the provider makes of pushed authorization requests (RFC 9126).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PushedRequests {
    /// There is no endpoint for them.
    No,
    /// A client may push its requests.
    Offered,
    /// A client must push them.
    Required,
}

/// What becomes of a refresh token that was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// It stays good.
    Reuse,
    /// It is replaced. If it comes again, its family is revoked (RFC 9700 §4.14.2).
    Rotate,
    /// It is replaced, but stays good for so long.
    RotateWithLeeway(Duration),
}
