//! The ring in use, exchanged for a newer one while requests run.
//!
//! `app` calls [`SharedRing::reload`] on SIGHUP and at an interval, and `session`'s callers
//! [`SharedRing::reload_at_most_once_a_second`] when a cookie names an unknown key. Each request
//! takes the ring once, with [`SharedRing::current`].
//!
//! # Invariants
//! - There is always a ring: what cannot be loaded is reported and changes nothing (E21).
//! - An older reading of the directory never replaces a newer one: reloads take turns.
//! - Strangers who send made-up kids cost one reading of the directory a second; regular readings
//!   do not count, so that a key which is active at once is found at once.
//!
//! # Why
//! Polling, not inotify: it sees Kubernetes' exchange of links, network file systems and bind
//! mounts alike.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::KeyRing;
use super::error::KeyRingError;
use super::key::Key;
use crate::clock::UnixTime;

/// The ring of a running process.
#[derive(Debug)]
pub struct SharedRing {
    dir: PathBuf,
    ring: ArcSwap<KeyRing>,
    /// When the directory was last read for an unknown kid; held while it is being read.
    last_asked: Mutex<Option<UnixTime>>,
}

/// How a reload went.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// Another ring is in use now.
    Ok,
    /// The directory holds the keys that are in use already.
    Unchanged,
    /// The directory is no key ring; the old one stays in use.
    Rejected(KeyRingError),
}

impl ReloadOutcome {
    /// The `result` label of `sealgate_keyring_reload_total`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl SharedRing {
    /// Loads the first ring; without one there is nothing to run with.
    pub fn load(dir: impl Into<PathBuf>, now: UnixTime) -> Result<Self, KeyRingError> {
        let dir = dir.into();
        let ring = KeyRing::load(&dir, now)?;
        Ok(Self {
            dir,
            ring: ArcSwap::from_pointee(ring),
            last_asked: Mutex::default(),
        })
    }

    /// Where the keys are read from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ring at this moment. It stays as it is for whoever holds it.
    pub fn current(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Reads the directory and exchanges the ring if the keys are others. Blocks for a few file
    /// accesses.
    pub fn reload(&self, now: UnixTime) -> ReloadOutcome {
        let _turn = self.turn();
        self.read(now)
    }

    /// [`reload`](Self::reload) for a cookie with an unknown kid, unless the directory has been
    /// read for one in this second: then nothing. Who comes while it is being read waits, and finds
    /// the ring that comes of it in [`current`](Self::current).
    pub fn reload_at_most_once_a_second(&self, now: UnixTime) -> Option<ReloadOutcome> {
        let mut last_asked = self.turn();
        // Unequal rather than later: a clock that was set back must not stop reloads.
        (last_asked.replace(now) != Some(now)).then(|| self.read(now))
    }

    fn turn(&self) -> MutexGuard<'_, Option<UnixTime>> {
        self.last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever holds the turn.
    fn read(&self, now: UnixTime) -> ReloadOutcome {
        let ring = match KeyRing::load(&self.dir, now) {
            Ok(ring) => ring,
            Err(why) => return ReloadOutcome::Rejected(why),
        };
        // The kid vouches for the secret; the rest is compared.
        let traits = |key: &Key| (key.kid(), key.alg(), key.created_at(), key.activates_at());
        if ring
            .keys()
            .map(traits)
            .eq(self.current().keys().map(traits))
        {
            // Keeps the subkeys that the ring in use has made.
            return ReloadOutcome::Unchanged;
        }
        self.ring.store(Arc::new(ring));
        ReloadOutcome::Ok
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::keyring::{Alg, RotateOptions, rotate};

    const NOW: UnixTime = UnixTime::from_secs(1_795_248_000);
    const OPTIONS: RotateOptions = RotateOptions {
        alg: Alg::XChaCha20Poly1305,
        activate_in: Duration::from_mins(5),
        retire_after: Duration::from_hours(24),
        drop: None,
    };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(NOW.as_secs() + secs)
    }

    fn running() -> (tempfile::TempDir, SharedRing) {
        let dir = tempfile::tempdir().unwrap();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let ring = SharedRing::load(dir.path(), NOW).unwrap();
        (dir, ring)
    }

    #[test]
    fn a_new_key_is_taken_up_and_a_ring_in_hand_stays_as_it_is() {
        let (dir, ring) = running();
        let held = ring.current();
        assert!(matches!(ring.reload(NOW), ReloadOutcome::Unchanged));
        assert!(Arc::ptr_eq(&held, &ring.current()));
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        assert!(matches!(ring.reload(NOW), ReloadOutcome::Ok));
        assert_eq!((held.len(), ring.current().len()), (1, 2));
        assert_ne!(held.fingerprint(), ring.current().fingerprint()); // E27
    }

    #[test]
    fn a_bad_file_keeps_the_old_ring() {
        // E21
        let (dir, ring) = running();
        let before = ring.current();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let bad = dir.path().join("00112233445566ff.toml");
        fs::write(&bad, "version = 1").unwrap();
        let outcome = ring.reload(NOW);
        assert_eq!(outcome.label(), "rejected");
        assert!(Arc::ptr_eq(&before, &ring.current()));
        fs::remove_file(&bad).unwrap();
        assert_eq!(ring.reload(NOW).label(), "ok");
        fs::remove_dir_all(dir.path()).unwrap();
        assert_eq!(ring.reload(NOW).label(), "rejected");
        assert_eq!(ring.current().len(), 2);
    }

    #[test]
    fn a_dropped_key_opens_nothing_after_the_reload() {
        // E18
        let (dir, ring) = running();
        let kid = ring.current().primary(NOW).kid();
        let sealed = ring.current().seal(NOW, "session", b"", b"x").unwrap();
        let drop = RotateOptions {
            drop: Some(kid),
            ..OPTIONS
        };
        rotate(dir.path(), &drop, NOW).unwrap();
        assert!(ring.current().open("session", b"", &sealed).is_ok());
        assert_eq!(ring.reload(NOW).label(), "ok");
        let opened = ring.current().open("session", b"", &sealed);
        assert_eq!(opened.unwrap_err(), crate::keyring::OpenError::UnknownKey);
    }

    #[test]
    fn unknown_kids_cause_one_reading_a_second() {
        let (dir, ring) = running();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let outcome = ring.reload_at_most_once_a_second(at(1));
        assert!(matches!(outcome, Some(ReloadOutcome::Ok)));
        assert!(ring.reload_at_most_once_a_second(at(1)).is_none());
        assert!(ring.reload_at_most_once_a_second(at(2)).is_some());
        // A clock that was set back.
        assert!(ring.reload_at_most_once_a_second(at(1)).is_some());
    }

    #[test]
    fn a_key_that_came_after_the_regular_reading_is_found_in_the_same_second() {
        // E19: a key that is active at once, as after `--now` and `--drop`.
        let (dir, ring) = running();
        assert_eq!(ring.reload(NOW).label(), "unchanged");
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let outcome = ring.reload_at_most_once_a_second(NOW);
        assert!(matches!(outcome, Some(ReloadOutcome::Ok)), "{outcome:?}");
    }

    #[test]
    fn whoever_asks_while_the_directory_is_read_gets_the_ring_that_comes_of_it() {
        // A page sends many requests at once, all with the new key's kid.
        let (dir, ring) = running();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let start = std::sync::Barrier::new(16);
        let asked = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        ring.reload_at_most_once_a_second(at(1));
                        ring.current().len()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(asked, [2; 16]);
    }

    #[test]
    fn a_process_does_not_start_without_a_ring() {
        let dir = tempfile::tempdir().unwrap();
        let error = SharedRing::load(dir.path(), NOW).unwrap_err();
        assert!(
            error.to_string().contains("sealgate --rotate-keys"),
            "{error}"
        );
    }
}
