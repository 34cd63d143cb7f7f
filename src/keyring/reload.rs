//! The ring in use, which a newer one replaces while requests run.
//!
//! `app` calls [`SharedRing::reload`] on SIGHUP and at an interval. [`SharedRing::look`] is for a cookie, or a revocation of
//! another replica, that names an unknown key. Each request takes the ring once, with [`SharedRing::current`].
//!
//! # Invariants
//! - There is always a ring. A directory that does not load is reported and adds nothing.
//! - A deleted key leaves the ring even if another file is bad. A half-copied file must not keep open what an emergency was
//!   to shut. Only the last key of a ring stays. A directory that cannot be listed, or has no key files at all, is lost
//!   rather than emptied: then every key stays.
//! - An older reading of the directory never replaces a newer one, because readings take turns.
//! - Strangers who send made-up kids cost one reading of the directory a second, whatever second their requests came in.
//!   Regular readings do not count, so a key that is active at once is found at once.
//! - The directory is read on a thread of its own. A directory that does not answer holds up neither a worker nor the end of
//!   the process. A look at it holds up its request for [`PATIENCE`] at most, and not at all once one look was in vain.
//!
//! # Why we poll
//! Unlike inotify, polling also sees the links that Kubernetes exchanges, network file systems and bind mounts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

use super::directory;
use super::error::KeyRingError;
use super::key::Key;
use super::kid::Kid;
use super::owner;
use super::ring::KeyRing;
use crate::clock::UnixTime;
use crate::telemetry::metrics::{ReloadResult, Reloads};
use crate::telemetry::take_along_blocking;

/// How long a look waits for the directory. It takes milliseconds, so no request of a page goes without a new key.
const PATIENCE: Duration = Duration::from_millis(500);

/// When the directory was last read for an unknown kid.
type LastLook = Option<UnixTime>;

/// The ring of a running process. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedRing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    ring: ArcSwap<KeyRing>,
    /// Held while the directory is read, by the thread that reads it.
    turn: Arc<Mutex<LastLook>>,
    /// Whether a look has waited in vain for the reading that is under way.
    is_stuck: AtomicBool,
    reloads: Reloads,
}

/// What a reading of the directory came to.
#[derive(Debug)]
enum Outcome {
    /// There is another ring now.
    Ok,
    /// The directory holds the keys that are in use.
    Unchanged,
    /// The directory is not a key ring. The old ring stays in use, but for deleted keys.
    Rejected {
        /// What is wrong.
        why: KeyRingError,
        /// The keys that have left the ring, because their files are gone.
        gone: Vec<Kid>,
    },
}

impl SharedRing {
    /// Loads the first ring. A process cannot run without one.
    pub fn load(
        dir: impl Into<PathBuf>,
        now: UnixTime,
        reloads: Reloads,
    ) -> Result<Self, KeyRingError> {
        let dir = dir.into();
        let ring = KeyRing::load(&dir, now)?;
        Ok(Self(Arc::new(Shared {
            dir,
            ring: ArcSwap::from_pointee(ring),
            turn: Arc::default(),
            is_stuck: AtomicBool::default(),
            reloads,
        })))
    }

    /// The directory that the keys are read from.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The ring at this moment. A request that holds it keeps it unchanged.
    pub fn current(&self) -> Arc<KeyRing> {
        self.0.ring.load_full()
    }

    /// Reads the directory, and replaces the ring if the keys have changed. The result is logged and counted.
    pub async fn reload(&self, now: UnixTime) {
        let mut turn = Arc::clone(&self.0.turn).lock_owned().await;
        self.0.is_stuck.store(false, Ordering::Relaxed);
        // A clock that was set back must not stop looks for longer than this.
        *turn = None;
        self.read(turn, now).await;
    }

    /// [`reload`](Self::reload) for an unknown kid, unless the directory was read for one in this second or a later one. A
    /// request that comes during a reading waits a moment, and finds the new ring in [`current`](Self::current).
    pub async fn look(&self, now: UnixTime) {
        if !self.is_worth_a_look(now) {
            return;
        }
        if timeout(PATIENCE, self.look_patiently(now)).await.is_err() {
            self.0.is_stuck.store(true, Ordering::Relaxed);
        }
    }

    async fn look_patiently(&self, now: UnixTime) {
        let mut turn = Arc::clone(&self.0.turn).lock_owned().await;
        self.0.is_stuck.store(false, Ordering::Relaxed);
        if turn.is_none_or(|last| now > last) {
            *turn = Some(now);
            self.read(turn, now).await;
        }
    }

    /// Whether a look would read the directory, or wait for the request that reads it.
    fn is_worth_a_look(&self, now: UnixTime) -> bool {
        match self.0.turn.try_lock() {
            Ok(last) => last.is_none_or(|last| now > last),
            Err(_) => !self.0.is_stuck.load(Ordering::Relaxed),
        }
    }

    /// Reads the directory. The turn lasts until that has ended, even if the caller goes away.
    async fn read(&self, turn: OwnedMutexGuard<LastLook>, now: UnixTime) {
        let shared = Arc::clone(&self.0);
        let (done, ended) = oneshot::channel();
        let read = take_along_blocking(move || {
            shared.note(&shared.read(now));
            drop(turn);
            let _ = done.send(());
        });
        // Not a blocking task of the runtime: a process that ends would wait for it.
        match thread::Builder::new().name("keys".to_owned()).spawn(read) {
            // An error means that the thread has panicked; the panic was logged.
            Ok(_) => drop(ended.await),
            Err(error) => log::error!("the key directory was not read: {error}"),
        }
    }
}

impl Shared {
    /// The caller has the turn.
    fn read(&self, now: UnixTime) -> Outcome {
        let mut found = match directory::survey(&self.dir, owner::ourselves()) {
            Ok(found) => found,
            Err(why) => {
                let gone = Vec::new();
                return Outcome::Rejected { why, gone };
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
                return Outcome::Rejected { why, gone };
            }
        };
        // The kid vouches for the secret; the rest is compared.
        let traits = |key: &Key| (key.kid(), key.alg(), key.created_at(), key.activates_at());
        let current = self.ring.load();
        if !ring.keys().map(traits).eq(current.keys().map(traits)) {
            self.ring.store(Arc::new(ring));
            return Outcome::Ok;
        }
        // The keys are the same. The ring in use stays, with the subkeys that it has made.
        if ring.foreign() == current.foreign() {
            return Outcome::Unchanged;
        }
        let foreign = ring.foreign().to_vec();
        self.ring.store(Arc::new(current.beside(foreign)));
        Outcome::Ok
    }

    /// Takes the keys that are not listed any more out of the ring in use.
    fn give_up(&self, listed: &BTreeSet<Kid>, now: UnixTime) -> Vec<Kid> {
        let current = self.ring.load();
        let kept = current.keeping(|kid| listed.contains(&kid), now);
        let is_gone = |kid: &Kid| kept.key(*kid).is_none();
        let gone: Vec<Kid> = current.kids().filter(is_gone).collect();
        if !gone.is_empty() {
            self.ring.store(Arc::new(kept));
        }
        gone
    }

    /// Tells the log and the metrics.
    fn note(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Ok => {
                let ring = self.ring.load();
                log::info!(target: "sealgate::audit", keys = ring.len(),
                    fingerprint = ring.fingerprint(); "key ring reloaded");
                ring.warn_of_foreign_keys();
                ReloadResult::Ok
            }
            Outcome::Unchanged => ReloadResult::Unchanged,
            Outcome::Rejected { why, gone } => {
                for kid in gone {
                    log::info!(target: "sealgate::audit", kid = kid.to_string();
                        "key deleted, it opens nothing any more");
                }
                let but = if gone.is_empty() {
                    ""
                } else {
                    " but for deleted keys"
                };
                log::error!("key ring not reloaded, the old one stays{but}: {why}");
                ReloadResult::Rejected
            }
        };
        self.reloads.count(result);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use futures_util::FutureExt as _;

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

    const FORCED: RotateOptions = RotateOptions {
        force: true,
        ..OPTIONS
    };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(NOW.as_secs() + secs)
    }

    fn running() -> (tempfile::TempDir, SharedRing) {
        let dir = tempfile::tempdir().unwrap();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let ring = SharedRing::load(dir.path(), NOW, Reloads::default()).unwrap();
        (dir, ring)
    }

    #[test]
    fn a_new_key_is_taken_up_and_a_ring_in_hand_stays_as_it_is() {
        let (dir, ring) = running();
        let held = ring.current();
        assert!(matches!(ring.0.read(NOW), Outcome::Unchanged));
        assert!(Arc::ptr_eq(&held, &ring.current()));
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Ok));
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
        let outcome = ring.0.read(NOW);
        assert!(matches!(outcome, Outcome::Rejected { .. }));
        assert!(Arc::ptr_eq(&before, &ring.current()));
        fs::remove_file(&bad).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Ok));
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Rejected { .. }));
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
        let ring = SharedRing::load(dir.path(), NOW, Reloads::default()).unwrap();
        let kids: Vec<Kid> = ring.current().kids().collect();
        let bad = dir.path().join("00112233445566ff.toml");
        fs::write(&bad, "version = 1").unwrap();
        // Neither is a file gone whose mode is wrong, nor one whose directory is.
        let path = |kid| file::path(dir.path(), kid);
        fs::set_permissions(path(kids[0]), fs::Permissions::from_mode(0o644)).unwrap();
        for _ in 0..2 {
            let outcome = ring.0.read(NOW);
            assert!(
                matches!(&outcome, Outcome::Rejected { gone, .. } if gone.is_empty()),
                "{outcome:?}"
            );
            assert_eq!(ring.current().len(), 2);
            fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
            assert!(matches!(ring.0.read(NOW), Outcome::Rejected { .. }));
            fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
        }
        fs::remove_file(path(kids[1])).unwrap();
        let outcome = ring.0.read(NOW);
        assert!(
            matches!(&outcome, Outcome::Rejected { gone, .. } if *gone == [kids[1]]),
            "{outcome:?}"
        );
        assert!(ring.current().kids().eq([kids[0]]));
        fs::remove_file(path(kids[0])).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Rejected { .. }));
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
        let ring = SharedRing::load(dir.path(), NOW, Reloads::default()).unwrap();
        let kids: Vec<Kid> = ring.current().kids().collect();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Rejected { .. }));
        assert_eq!(ring.current().len(), 2);
        fs::remove_file(file::path(dir.path(), kids[1])).unwrap();
        assert!(matches!(ring.0.read(NOW), Outcome::Rejected { .. }));
        assert!(ring.current().kids().eq([kids[0]]));
    }

    #[test]
    fn a_dropped_key_opens_nothing_where_the_clock_is_a_little_behind() {
        let (dir, _) = running();
        let ring = SharedRing::load(dir.path(), NOW, Reloads::default()).unwrap();
        let only = ring.current().primary(NOW).kid();
        let drop = RotateOptions {
            drop: Some(only),
            ..OPTIONS
        };
        rotate(dir.path(), &drop, at(3600)).unwrap();
        let outcome = ring.0.read(at(3597));
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
        assert!(matches!(ring.0.read(NOW), Outcome::Ok));
        let opened = ring.current().open("session", b"", &sealed);
        assert_eq!(opened.unwrap_err(), crate::keyring::OpenError::UnknownKey);
    }

    #[tokio::test]
    async fn unknown_kids_cause_one_reading_a_second() {
        let (dir, ring) = running();
        let keys = async |second: u64| {
            ring.look(at(second)).await;
            ring.current().len()
        };
        assert_eq!(keys(1).await, 1);
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        assert_eq!(keys(1).await, 1, "it was read in this second");
        assert_eq!(keys(2).await, 2);
        // Requests that came in two seconds and take turns.
        rotate(dir.path(), &FORCED, NOW).unwrap();
        assert_eq!(keys(1).await, 2);
        assert_eq!(keys(2).await, 2);
        // A clock that was set back, after the next regular reading.
        ring.reload(at(1)).await;
        assert_eq!(ring.current().len(), 3);
        rotate(dir.path(), &FORCED, NOW).unwrap();
        assert_eq!(keys(1).await, 4);
    }

    #[tokio::test]
    async fn a_directory_that_does_not_answer_holds_nobody_else_up() {
        let (dir, ring) = running();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        // As a thread holds it that reads and does not come back.
        let reading = Arc::clone(&ring.0.turn).lock_owned().await;
        ring.look(at(1)).await;
        for _ in 0..3 {
            let look = ring.look(at(1)).now_or_never();
            assert!(look.is_some(), "none waits again");
        }
        assert_eq!(ring.current().len(), 1);
        drop(reading);
        ring.look(at(1)).await;
        assert_eq!(ring.current().len(), 2);
        assert!(!ring.0.is_stuck.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_key_that_came_after_the_regular_reading_is_found_in_the_same_second() {
        // E19: a key that is active at once, as after `--now` and `--drop`.
        let (dir, ring) = running();
        ring.reload(NOW).await;
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        ring.look(NOW).await;
        assert_eq!(ring.current().len(), 2);
    }

    #[tokio::test]
    async fn requests_that_ask_while_the_directory_is_read_get_the_ring_that_comes_of_it() {
        // A page sends many requests at once, all with the new key's kid.
        let (dir, ring) = running();
        rotate(dir.path(), &OPTIONS, NOW).unwrap();
        let ask = async || {
            ring.look(at(1)).await;
            ring.current().len()
        };
        let asked = futures_util::future::join_all((0..16).map(|_| ask())).await;
        assert_eq!(asked, [2; 16]);
    }

    #[test]
    fn a_process_does_not_start_without_a_ring() {
        let dir = tempfile::tempdir().unwrap();
        let error = SharedRing::load(dir.path(), NOW, Reloads::default()).unwrap_err();
        assert!(
            error.to_string().contains("sealgate --rotate-keys"),
            "{error}"
        );
    }
}
