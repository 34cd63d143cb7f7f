//! The key ring: which keys this process has, and which of them seals.
//!
//! `session` seals and opens cookies with a [`KeyRing`]; `app` loads one at start and keeps it
//! current through a [`SharedRing`]; `sealgate --rotate-keys` calls [`rotate()`]. The files
//! themselves are described in `keys/README.md`.
//!
//! - `key`: one key, its name and its subkeys · `aead`: sealing and opening · `erased`: plaintexts
//! - `file`: one key as a file, read strictly and written whole · `directory`: all of them
//! - `rotate`: adding, retiring and dropping keys
//! - `reload`: the ring in use, exchanged while requests run
//!
//! # Invariants
//! - A ring has at least one key, no two with one kid, and at every instant exactly one primary
//!   (E18).
//! - The primary is a function of the files and the time. Nothing is stored or agreed upon, so
//!   replicas that hold the same files seal with the same key, and a replica that lags by a few
//!   seconds is still understood by the others.
//! - A ring never changes. A reload builds another one, or keeps this one: a bad file adds nothing,
//!   and keeps no deleted key.
//! - A kid leads to one key and that key alone is tried (E8).
//!
//! # Why
//! A key in every file instead of one file with a list: files are added or deleted, never edited,
//! so there is no half-written ring, and `kubectl` or `rsync` can carry them. No "current" mark in
//! a file: it would have to be edited.

mod aead;
mod directory;
mod erased;
mod error;
mod file;
mod key;
#[cfg(feature = "fuzzing")]
pub(crate) mod probe;
mod reload;
mod rotate;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use self::aead::{OpenError, Opened, SEAL_OVERHEAD, SealError};
use self::directory::Found;
pub use self::erased::Erased;
pub use self::error::{Flaw, ForeignOwner, KeyRingError};
pub use self::key::{Alg, Key, Kid, ParseAlgError, ParseKidError};
pub use self::reload::{ReloadOutcome, SharedRing};
pub use self::rotate::{Removal, RotateOptions, Rotation, rotate};
use crate::clock::UnixTime;

/// How far the clocks of two machines may differ. A key that is active at once where it was made
/// may still be to come where it is read, which must stop no replica from starting, and no dropped
/// key from leaving the ring. Kerberos' customary bound (RFC 4120 §1.6).
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// An immutable snapshot of the keys.
#[derive(Debug)]
pub struct KeyRing {
    /// The key that activates first. Apart from the others, so that a ring without a key cannot be
    /// written down.
    earliest: Arc<Key>,
    /// All others, by activation, then kid.
    later: Vec<Arc<Key>>,
    /// Files beside them whose keys are not used.
    foreign: Vec<ForeignOwner>,
}

impl KeyRing {
    /// Loads every `<kid>.toml` of a directory; one bad file refuses the whole.
    pub fn load(dir: &Path, now: UnixTime) -> Result<Self, KeyRingError> {
        Self::of(directory::survey(dir, directory::ourselves())?, dir, now)
    }

    /// A ring of what is in `dir`.
    fn of(mut found: Found, dir: &Path, now: UnixTime) -> Result<Self, KeyRingError> {
        if let Some(error) = found.exposed {
            return Err(error);
        }
        if let Some((path, flaw)) = found.bad.into_iter().next() {
            return Err(KeyRingError::File { path, flaw });
        }
        if found.keys.is_empty() {
            if !found.foreign.is_empty() {
                return Err(KeyRingError::NoneOfOurs(found.foreign.swap_remove(0)));
            }
            return Err(KeyRingError::NoKeys(dir.to_owned()));
        }
        let ring = Self::from_keys(found.keys, now)?;
        let foreign = found.foreign;
        Ok(Self { foreign, ..ring })
    }

    /// A ring of these keys. One of them must be active `now`, give or take what clocks differ by,
    /// else nothing could be sealed.
    pub fn from_keys(mut keys: Vec<Key>, now: UnixTime) -> Result<Self, KeyRingError> {
        keys.sort_by_key(|key| (key.activates_at(), key.kid()));
        let mut kids: Vec<Kid> = keys.iter().map(Key::kid).collect();
        kids.sort_unstable();
        if let Some(kid) = kids.windows(2).find_map(|two| match two {
            [a, b] if a == b => Some(*a),
            _ => None,
        }) {
            return Err(KeyRingError::Duplicate(kid));
        }
        let mut keys = keys.into_iter().map(Arc::new);
        let Some(earliest) = keys.next() else {
            return Err(KeyRingError::Empty);
        };
        if earliest.activates_at() > now.plus(CLOCK_SKEW) {
            return Err(KeyRingError::NoneActive {
                first: earliest.activates_at(),
            });
        }
        Ok(Self {
            earliest,
            later: keys.collect(),
            foreign: Vec::new(),
        })
    }

    /// The key that seals at `now`: of those whose activation has passed the newest, by activation,
    /// then kid.
    ///
    /// Where no activation has passed, because the clock is behind that of the machine which made
    /// the keys or stepped back, the key that activates first seals.
    pub fn primary(&self, now: UnixTime) -> &Key {
        self.sealing(now)
    }

    fn sealing(&self, now: UnixTime) -> &Arc<Key> {
        self.later
            .iter()
            .rev()
            .find(|key| key.activates_at() <= now)
            .unwrap_or(&self.earliest)
    }

    /// The same keys, and others that were passed over beside them.
    fn beside(&self, foreign: Vec<ForeignOwner>) -> Self {
        Self {
            earliest: Arc::clone(&self.earliest),
            later: self.later.clone(),
            foreign,
        }
    }

    /// The ring of those keys that are to be kept; if none is, of the primary alone.
    fn keeping(&self, is_kept: impl Fn(Kid) -> bool, now: UnixTime) -> Self {
        let mut kept = self.shared().filter(|key| is_kept(key.kid())).cloned();
        Self {
            earliest: kept.next().unwrap_or_else(|| Arc::clone(self.sealing(now))),
            later: kept.collect(),
            foreign: self.foreign.clone(),
        }
    }

    /// The key of exactly this name.
    pub fn key(&self, kid: Kid) -> Option<&Key> {
        self.keys().find(|key| key.kid() == kid)
    }

    /// All keys, by activation, then kid.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.shared().map(|key| &**key)
    }

    fn shared(&self) -> impl DoubleEndedIterator<Item = &Arc<Key>> {
        std::iter::once(&self.earliest).chain(&self.later)
    }

    /// The names of all keys, in the order of [`keys`](Self::keys).
    pub fn kids(&self) -> impl DoubleEndedIterator<Item = Kid> {
        self.keys().map(Key::kid)
    }

    /// How many keys there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    /// Key files of strangers, which were passed over: the operator should know of them.
    pub fn foreign(&self) -> &[ForeignOwner] {
        &self.foreign
    }

    /// 16 hex digits that differ between rings which seal or open differently: replicas export it,
    /// so that a ring which did not reach one of them, or reached it edited, is seen before a user
    /// sees it (E27).
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // In the order of activation and kid, whatever the order of the files was.
        for key in self.keys() {
            hash.update(key.kid().as_bytes());
            hash.update([key.alg().id()]);
            hash.update(key.activates_at().as_secs().to_be_bytes());
        }
        Kid::leading(&hash.finalize()).to_string()
    }
}

#[cfg(test)]
mod tests;
