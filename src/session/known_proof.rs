//! The proof of a session's device that opened last, so that the next request with the same cookies opens nothing.
//!
//! # Invariants
//! - What is found is what opening the cookie once more would give: the whole text is compared, and its key must still
//!   be in the ring. Time is judged on every request.

use subtle::ConstantTimeEq;

use crate::clock::UnixTime;
use crate::keyring::{Erased, KeyRing, Kid};

/// What the cookie of a session's device held when it was opened last.
pub(super) struct KnownProof {
    pub(super) text: Erased,
    pub(super) kid: Kid,
    pub(super) at: UnixTime,
    /// Until when the proof counts.
    pub(super) until: UnixTime,
}

impl KnownProof {
    /// When the device proved, if this is the same cookie and it still counts.
    ///
    /// Who has a copy of the session, and not this cookie, must not learn from the time that the comparison takes how much
    /// of a guess is right.
    pub(super) fn find(&self, value: &[u8], keys: &KeyRing, now: UnixTime) -> Option<UnixTime> {
        let counts = now < self.until && keys.key(self.kid).is_some();
        (counts && bool::from(self.text.ct_eq(value))).then_some(self.at)
    }
}
