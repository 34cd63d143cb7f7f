//! The ring in use, exchanged for a newer one while requests run.
//!
//! `bff` calls [`SharedRing::reload`] on SIGHUP and at an interval, and
//! [`SharedRing::reload_at_most_once_a_second`] when a cookie, or a revocation of another replica,
//! names an unknown key. Each request takes the ring once, with [`SharedRing::current`].
//!
//! # Invariants
//! - There is always a ring: what cannot be loaded is reported and adds nothing (E21).
//! - A deleted key leaves the ring even if another file is bad, lest a half-copied file keeps open
//!   what an emergency was to shut; only the last key of a ring stays. A directory that cannot be
//!   listed, or has no key files at all, is lost rather than emptied: then every key stays.
//! - An older reading of the directory never replaces a newer one: reloads take turns.
//! - Strangers who send made-up kids cost one reading of the directory a second, whatever seconds
//!   their requests came in; regular readings do not count, so that a key which is active at once is
//!   found at once.
//! - A directory that does not answer holds up the one who reads it; others for half a second at
//!   most, and once that was in vain not at all.
//!
//! # Why
//! Polling, not inotify: it sees Kubernetes' exchange of links, network file systems and bind
//! mounts alike.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::KeyRing;
use super::directory;
use super::error::KeyRingError;
use super::key::{Key, Kid};
use crate::clock::UnixTime;

/// How often, and how long after one another, a request looks whether a reading that another one
/// began has ended: half a second in all, many times what it takes, so that of the requests which a
/// page sends at once none has to do without a new key.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The ring of a running process.
#[derive(Debug)]
pub struct SharedRing {
    dir: PathBuf,
    ring: ArcSwap<KeyRing>,
    /// When the directory was last read for an unknown kid; held while it is being read.
    last_asked: Mutex<Option<UnixTime>>,
    /// Whether somebody has waited in vain for the reading that is under way.
    is_stuck: AtomicBool,
}

/// How a reload went.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// Another ring is in use now.
    Ok,
    /// The directory holds the keys that are in use already.
    Unchanged,
    /// The directory is no key ring; the old one stays in use, but for deleted keys.
    Rejected {
        /// What is wrong.
        why: KeyRingError,
        /// The keys that have left the ring, because their files are gone.
        gone: Vec<Kid>,
    },
}

impl ReloadOutcome {
    /// The `result` label of `sealgate_keyring_reload_total`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Rejected { .. } => "rejected",
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
            is_stuck: AtomicBool::default(),
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
        let mut last_asked = self
            .last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.is_stuck.store(false, Ordering::Relaxed);
        // A clock that was set back must not stop those who ask for longer than this.
        *last_asked = None;
        self.read(now)
    }

    /// [`reload`](Self::reload) for a cookie with an unknown kid, unless the directory has been
    /// read for one in this second or a later one: then nothing. Who comes while it is being read
    /// waits a moment, and finds the ring that comes of it in [`current`](Self::current), or the
    /// one there was.
    pub fn reload_at_most_once_a_second(&self, now: UnixTime) -> Option<ReloadOutcome> {
        let mut last_asked = self.turn_soon()?;
        if last_asked.is_some_and(|last| now <= last) {
            return None;
        }
        *last_asked = Some(now);
        Some(self.read(now))
    }

    /// Whether [`reload_at_most_once_a_second`](Self::reload_at_most_once_a_second) would read the directory or wait for who
    /// reads it, as far as can be said at once.
    pub fn is_worth_a_look(&self, now: UnixTime) -> bool {
        match self.last_asked.try_lock() {
            Ok(last) => last.is_none_or(|last| now > last),
            Err(TryLockError::Poisoned(_)) => true,
            Err(TryLockError::WouldBlock) => !self.is_stuck.load(Ordering::Relaxed),
        }
    }

    fn turn_soon(&self) -> Option<MutexGuard<'_, Option<UnixTime>>> {
        for _ in 0..LOOKS {
            match self.last_asked.try_lock() {
                Ok(turn) => {
                    self.is_stuck.store(false, Ordering::Relaxed);
                    return Some(turn);
                }
                Err(TryLockError::Poisoned(turn)) => return Some(turn.into_inner()),
                Err(TryLockError::WouldBlock) if self.is_stuck.load(Ordering::Relaxed) => {
                    return None;
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
        self.is_stuck.store(true, Ordering::Relaxed);
        None
    }

    /// For whoever holds the turn.
    fn read(&self, now: UnixTime) -> ReloadOutcome {
        let mut found = match directory::survey(&self.dir, directory::ourselves()) {
            Ok(found) => found,
            Err(why) => {
                let gone = Vec::new();
                return ReloadOutcome::Rejected { why, gone };
            }
        };
        let listed = std::mem::take(&mut found.listed);
        let ring = match KeyRing::of(found, &self.dir, now) {
            Ok(ring) => ring,
            Err(why) => {
                let gone = match why {
                    KeyRingError::NoKeys(_) => Vec::new(),
                    _ => self.give_up(&listed, now),
                };
                return ReloadOutcome::Rejected { why, gone };
            }
        };
        // The kid vouches for the secret; the rest is compared.
        let traits = |key: &Key| (key.kid(), key.alg(), key.created_at(), key.activates_at());
        let current = self.current();
        if !ring.keys().map(traits).eq(current.keys().map(traits)) {
            self.ring.store(Arc::new(ring));
            return ReloadOutcome::Ok;
        }
        // From here on the ring in use stays, with the subkeys that it has made.
        if ring.foreign() == current.foreign() {
            return ReloadOutcome::Unchanged;
        }
        self.ring.store(Arc::new(current.beside(ring.foreign)));
        ReloadOutcome::Ok
    }

    /// Takes the keys that are not listed any more out of the ring in use.
    fn give_up(&self, listed: &BTreeSet<Kid>, now: UnixTime) -> Vec<Kid> {
        let current = self.current();
        let kept = current.keeping(|kid| listed.contains(&kid), now);
        let is_gone = |kid: &Kid| kept.key(*kid).is_none();
        let gone: Vec<Kid> = current.kids().filter(is_gone).collect();
        if !gone.is_empty() {
            self.ring.store(Arc::new(kept));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::keyring::file;
    use crate::keyring::{Alg, RotateOptions, rotate};

    const NOW: UnixTime = UnixTime::from_secs(1_795_248_000);
    const OPTIONS: RotateOptions = RotateOptions {
        alg: Alg::XChaCha20Poly1305,
        activate_in: Duration::from_mins(5),
        retire_after: Duration::from_hours(24),
        drop: None,
        force: false,
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
    fn a_deleted_key_opens_nothing_although_another_file_is_bad() {
        let (dir, _) = running();
        let now = RotateOptions {
            activate_in: Duration::ZERO,
            ..OPTIONS
        };
        rotate(dir.path(), &now, NOW).unwrap();
        let ring = SharedRing::load(dir.path(), NOW).unwrap();
        let kids: Vec<Kid> = ring.current().kids().collect();
        let bad = dir.path().join("00112233445566ff.toml");
        fs::write(&bad, "version = 1").unwrap();
        // Neither is a file gone whose mode is wrong, nor one whose directory is.
        let path = |kid| file::path(dir.path(), kid);
        fs::set_permissions(path(kids[0]), fs::Permissions::from_mode(0o644)).unwrap();
        for _ in 0..2 {
            let outcome = ring.reload(NOW);
            assert!(
                matches!(&outcome, ReloadOutcome::Rejected { gone, .. } if gone.is_empty()),
                "{outcome:?}"
            );
            assert_eq!(ring.current().len(), 2);
            fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
            assert_eq!(ring.reload(NOW).label(), "rejected");
            fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
        }
        fs::remove_file(path(kids[1])).unwrap();
        let outcome = ring.reload(NOW);
        assert!(
            matches!(&outcome, ReloadOutcome::Rejected { gone, .. } if *gone == [kids[1]]),
            "{outcome:?}"
        );
        assert!(ring.current().kids().eq([kids[0]]));
        fs::remove_file(path(kids[0])).unwrap();
        assert_eq!(ring.reload(NOW).label(), "rejected");
        assert!(ring.current().kids().eq([kids[0]]), "the last one stays");
    }

    #[test]
    fn a_directory_that_was_opened_to_others_keeps_the_old_ring_but_for_deleted_keys() {
        // J
        let (dir, _) = running();
        let now = RotateOptions {
            activate_in: Duration::ZERO,
            ..OPTIONS
        };
        rotate(dir.path(), &now, NOW).unwrap();
        let ring = SharedRing::load(dir.path(), NOW).unwrap();
        let kids: Vec<Kid> = ring.current().kids().collect();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(ring.reload(NOW).label(), "rejected");
        assert_eq!(ring.current().len(), 2);
        fs::remove_file(file::path(dir.path(), kids[1])).unwrap();
        assert_eq!(ring.reload(NOW).label(), "rejected");
        assert!(ring.current().kids().eq([kids[0]]));
    }

    #[test]
    fn a_dropped_key_opens_nothing_where_the_clock_is_a_little_behind() {
        let (dir, _) = running();
        let ring = SharedRing::load(dir.path(), NOW).unwrap();
        let only = ring.current().primary(NOW).kid();
        let drop = RotateOptions {
            drop: Some(only),
            ..OPTIONS
        };
        rotate(dir.path(), &drop, at(3600)).unwrap();
        let outcome = ring.reload(at(3597));
        assert!(ring.current().key(only).is_none(), "{outcome:?}");
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
        assert!(!ring.is_worth_a_look(at(1)) && ring.is_worth_a_look(at(2)));
        assert!(ring.reload_at_most_once_a_second(at(1)).is_none());
        assert!(ring.reload_at_most_once_a_second(at(2)).is_some());
        // Requests that came in two seconds and take turns.
        assert!(ring.reload_at_most_once_a_second(at(1)).is_none());
        assert!(ring.reload_at_most_once_a_second(at(2)).is_none());
        // A clock that was set back, after the next regular reading.
        ring.reload(at(1));
        assert!(ring.reload_at_most_once_a_second(at(1)).is_some());
    }

    #[test]
    fn a_directory_that_does_not_answer_holds_nobody_else_up() {
        let (dir, ring) = running();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let reading = ring.last_asked.lock().unwrap();
        assert!(ring.is_worth_a_look(at(1)), "it may answer in a moment");
        for _ in 0..3 {
            assert!(ring.reload_at_most_once_a_second(at(1)).is_none());
            assert!(!ring.is_worth_a_look(at(1)), "none waits again");
        }
        drop(reading);
        assert!(ring.reload_at_most_once_a_second(at(1)).is_some());
        assert!(!ring.is_stuck.load(Ordering::Relaxed));
        assert_eq!(ring.current().len(), 2);
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
