//! All keys of a process at one moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::directory::{self, Found};
use super::error::{ForeignOwner, KeyRingError};
use super::key::Key;
use super::kid::Kid;
use super::owner;
use crate::clock::UnixTime;

/// How far the clocks of two machines may differ. A key that is active at once where it was made may not be active yet
/// where it is read. That must not stop a replica from starting, nor keep a dropped key in the ring. Kerberos has the
/// same bound (RFC 4120 §1.6).
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// An immutable snapshot of the keys.
#[derive(Debug)]
pub struct KeyRing {
    /// The key that activates first. It has a field of its own, so that a ring without a key cannot exist.
    earliest: Arc<Key>,
    /// All others, by activation, then kid.
    later: Vec<Arc<Key>>,
    /// Files of strangers, whose keys are not used.
    foreign: Vec<ForeignOwner>,
}

impl KeyRing {
    /// Loads every `<kid>.toml` of a directory. One bad file refuses all of them.
    pub fn load(dir: &Path, now: UnixTime) -> Result<Self, KeyRingError> {
        Self::of(directory::survey(dir, owner::ourselves())?, dir, now)
    }

    /// The ring of what was found in `dir`.
    pub(super) fn of(mut found: Found, dir: &Path, now: UnixTime) -> Result<Self, KeyRingError> {
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

    /// A ring of these keys. One of them must be active `now`, within the difference of clocks; otherwise none could seal.
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

    /// The key that seals at `now`: of the active keys, the one that activated last. Of two that activated together, the one
    /// with the greater kid.
    ///
    /// If no key is active, the key that activates first seals. That happens when our clock is behind the clock of the
    /// machine that made the keys, or was set back.
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

    /// The same keys, beside other files of strangers.
    pub(super) fn beside(&self, foreign: Vec<ForeignOwner>) -> Self {
        Self {
            earliest: Arc::clone(&self.earliest),
            later: self.later.clone(),
            foreign,
        }
    }

    /// The ring of the keys that are to be kept. If none is, it has the primary alone.
    pub(super) fn keeping(&self, is_kept: impl Fn(Kid) -> bool, now: UnixTime) -> Self {
        let mut kept = self.shared().filter(|key| is_kept(key.kid())).cloned();
        Self {
            earliest: kept.next().unwrap_or_else(|| Arc::clone(self.sealing(now))),
            later: kept.collect(),
            foreign: self.foreign.clone(),
        }
    }

    /// The key with this name.
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

    /// The number of keys, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    /// Key files of strangers, which are not used. The operator should know of them.
    pub fn foreign(&self) -> &[ForeignOwner] {
        &self.foreign
    }

    /// Logs a warning about each key file of a stranger.
    pub fn warn_of_foreign_keys(&self) {
        for warning in &self.foreign {
            log::warn!("{warning}");
        }
    }

    /// 16 hex digits that differ between rings that seal or open differently. Replicas export it, so that an operator sees
    /// a ring that is missing or edited at one of them before a user does.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // The order of the keys does not depend on the order of the files.
        for key in self.keys() {
            hash.update(key.kid().as_bytes());
            hash.update([key.alg().id()]);
            hash.update(key.activates_at().as_secs().to_be_bytes());
        }
        Kid::leading(&hash.finalize()).to_string()
    }
}
