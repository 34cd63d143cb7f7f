//! How reading and writing cookies can end.

use std::rc::Rc;

use super::opened::OpenSession;
use crate::keyring::{Kid, SealError};
use crate::telemetry::words;

/// How the cookies of a request were found; the label of `sealgate_session_open_total`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenResult {
    /// No session cookie.
    Anonymous,
    /// A session that was ended: by logout, by a revocation, or because it began before `not_before`.
    Ended,
    /// Past its absolute end.
    Expired,
    /// Past its idle timeout.
    Idle,
    /// A session.
    Ok,
    /// Cookies that do not open: torn, tampered, or not ours.
    Rejected,
    /// Sealed with a key this replica does not know; the cookies are left alone (E19).
    UnknownKey,
    /// Over with its access token, for want of a refresh token. Its cookies stay until its absolute end, so that each
    /// answer can say why nobody is signed in.
    Unrefreshable,
}

words!(OpenResult {
    Anonymous => "anonymous",
    Ended => "ended",
    Expired => "expired",
    Idle => "idle",
    Ok => "ok",
    Rejected => "rejected",
    UnknownKey => "unknown-key",
    // The metric does not tell it from any other session that is past its end.
    Unrefreshable => "expired",
});

/// What the cookies of a request held.
#[derive(Debug)]
pub struct Loaded {
    /// The session, if `result` is `Ok`.
    pub session: Option<Rc<OpenSession>>,
    /// Whether its cookies were opened for this request, and not remembered.
    pub is_new: bool,
    /// How it went.
    pub result: OpenResult,
    /// The key that opened it.
    pub kid: Option<Kid>,
}

/// A value that does not fit: what it needs and its biggest parts (name, bytes), biggest first.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{needed} bytes of cookies are needed, {budget} are allowed; biggest parts: {}",
    in_words(parts)
)]
pub struct TooLarge {
    /// Bytes needed; by a session, with the room that is kept beside it.
    pub needed: usize,
    /// Bytes allowed.
    pub budget: usize,
    /// The biggest parts.
    pub parts: Vec<(String, usize)>,
}

fn in_words(parts: &[(String, usize)]) -> String {
    let parts = parts.iter().map(|(name, bytes)| format!("{name} {bytes}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// Why a value could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No randomness.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Over budget.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}
