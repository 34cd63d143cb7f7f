//! The cookies of one request: what came, what they are judged by, and what the answer sets.
//!
//! `server::pipeline` makes one for each request with [`Jar::wallet`] and takes the `Set-Cookie` lines out at the end.
//! What it does is in four files: `load` reads the session, `store` writes and ends it, `login` has the cookies of logins
//! under way, `logout` those of logout; `explain` describes all of them.
//!
//! # Invariants
//! - One key ring and one time judge everything that a request brings. Only [`Wallet::use_keys`] replaces the ring.
//! - What a request sets does not change what it brought: a cookie that was stored is not read back.

use std::fmt;
use std::sync::Arc;

use super::cookies::Received;
use super::jar::Jar;
use super::kind::Kind;
use super::set_cookie::SetCookies;
use crate::clock::UnixTime;
use crate::keyring::KeyRing;

/// Reads the cookies of one request, and writes those of its answer.
pub struct Wallet<'r> {
    pub(super) jar: &'r Jar,
    pub(super) received: Received<'r>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) now: UnixTime,
    pub(super) out: SetCookies,
}

impl Jar {
    /// Picks this frontend's cookies out of the `Cookie` lines, raw (no percent-decoding).
    pub fn wallet<'r>(
        &'r self,
        lines: impl Iterator<Item = &'r [u8]>,
        keys: Arc<KeyRing>,
        now: UnixTime,
    ) -> Wallet<'r> {
        Wallet {
            jar: self,
            received: Received::read(&self.names, lines),
            keys,
            now,
            out: SetCookies::none(),
        }
    }
}

impl Wallet<'_> {
    /// The key ring that opens and seals.
    pub const fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// Opens and seals with this ring from now on.
    pub fn use_keys(&mut self, keys: Arc<KeyRing>) {
        self.keys = keys;
    }

    /// Whether a session came in cookies, good or not.
    pub fn has_session(&self) -> bool {
        self.received.has_session()
    }

    /// Deletes every cookie of ours that came (431 answers).
    pub fn delete_all(&mut self) {
        for (kind, _) in self.received.iter() {
            self.jar.delete(kind, &mut self.out);
        }
    }

    /// What the answer sets.
    pub const fn set_cookies(&self) -> &SetCookies {
        &self.out
    }

    /// The same, after the request.
    #[cfg(test)]
    pub fn into_set_cookies(self) -> SetCookies {
        self.out
    }

    /// Sets a cookie that lives as long as its kind says, or until `end` if that is the session's or a mark's.
    pub(super) fn set(&mut self, kind: Kind<'_>, value: &str, end: UnixTime) {
        let seconds = end.since(self.now).as_secs();
        self.jar.set(kind, value, seconds, &mut self.out);
    }

    pub(super) fn delete(&mut self, kind: Kind<'_>) {
        self.jar.delete(kind, &mut self.out);
    }
}

impl fmt::Debug for Wallet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet")
            .field("received", &self.received)
            .field("sets", &self.out)
            .finish_non_exhaustive()
    }
}
