//! `sealgate --rotate-keys`: adds the next key, deletes keys that no session can need any more.
//!
//! `main` (and `demo`, for its first key) calls [`rotate`] and prints the [`Rotation`].
//!
//! # Invariants
//! - A ring with a bad file is refused before anything is written, unless a key is to be dropped:
//!   an emergency waits for nothing to be mended. Then the key goes by its name, even if its own
//!   file is the bad one, and the bad files that stay are told of.
//! - Nothing is deleted before the new key is on the disk: whenever the power fails, there is a
//!   ring.
//! - Two rotations at once take turns (`.lock`), for which neither waits long. Where the file system has no locks they may
//!   overlap, and still leave a ring: names are unique, a deleted file is deleted, and who deletes
//!   a primary has added its successor.
//!
//! # Why
//! Three phases in time, none of which needs replicas to talk (E18): the new key is *added*, so
//! that every replica can open what it will seal; it *activates* `activate_in` later, when all have
//! read it; its predecessor is *retired* by a later rotation, `retire_after` after it last sealed.
//! An emergency (`drop`) skips the waiting and costs sessions.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::KeyRing;
use super::directory::{self, Found};
use super::error::KeyRingError;
use super::file::{self, rfc3339};
use super::key::{Alg, Key, Kid};
use crate::clock::UnixTime;

/// What `--rotate-keys` is told.
#[derive(Clone, Debug)]
pub struct RotateOptions {
    /// The cipher of the new key.
    pub alg: Alg,
    /// How long until the new key seals; zero for `--now`.
    pub activate_in: Duration,
    /// A key is deleted when its successor has been active longer than this.
    pub retire_after: Duration,
    /// Emergency: delete this key, and no other.
    pub drop: Option<Kid>,
}

/// What a rotation did, and the ring it left. `Display` is what the operator reads.
#[derive(Debug)]
pub struct Rotation {
    /// The ring as it is now.
    pub ring: KeyRing,
    /// The new key.
    pub added: Option<Kid>,
    /// The deleted keys.
    pub removed: Vec<Removal>,
    /// Files beside a dropped key that are no keys: with them there, no process takes up a key.
    pub bad: Vec<KeyRingError>,
    at: UnixTime,
}

/// A deleted key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removal {
    /// By `drop`.
    Dropped(Kid),
    /// No session needs it any more.
    Retired(Kid),
}

impl Removal {
    /// Which key.
    pub const fn kid(self) -> Kid {
        match self {
            Self::Dropped(kid) | Self::Retired(kid) => kid,
        }
    }
}

/// Adds and deletes keys of `dir` as [`RotateOptions`] say. Makes the directory if there is none.
///
/// The first key of a ring, a key that replaces a dropped primary, and a key beside none that is
/// active, are active at once, whatever `activate_in` says: without them nothing could be sealed.
pub fn rotate(
    dir: &Path,
    options: &RotateOptions,
    now: UnixTime,
) -> Result<Rotation, KeyRingError> {
    let unusable = |why| KeyRingError::Directory {
        dir: dir.to_owned(),
        why,
    };
    if let Some(kid) = options.drop
        && !dir.exists()
    {
        let dir = dir.to_owned();
        return Err(KeyRingError::UnknownKid { kid, dir });
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(unusable)?;
    let _turn = directory::lock(dir)?;

    let rotation = plan(directory::survey(dir)?, dir, options, now)?;
    directory::sweep(dir, now);
    if let Some(key) = rotation.added.and_then(|kid| rotation.ring.key(kid)) {
        file::write(dir, key)?;
    }
    // Every one is tried before a failure is reported: what stays would go on opening cookies.
    let mut removed = Ok(());
    for removal in &rotation.removed {
        let path = file::path(dir, removal.kid());
        match std::fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                removed = Err(KeyRingError::Remove { path, why });
            }
            _ => {}
        }
    }
    file::sync(dir).map_err(unusable)?;
    removed.map(|()| rotation)
}

/// Everything that is decided, before anything is done.
fn plan(
    found: Found,
    dir: &Path,
    options: &RotateOptions,
    now: UnixTime,
) -> Result<Rotation, KeyRingError> {
    let mut keys = found.keys;
    keys.sort_by_key(|key| (key.activates_at(), key.kid()));
    let active = |key: &&Key| key.activates_at() <= now;
    let primary = keys.iter().rfind(active).map(Key::kid);
    // Of a key that cannot be read nobody knows that it is not the primary.
    let is_drop_read = |kid| keys.iter().any(|key| key.kid() == kid);
    let is_primary_known = options.drop.is_none_or(is_drop_read);

    let stays = |path: &Path| options.drop.is_none() || file::kid(path) != options.drop;
    let mut bad = found.bad;
    bad.retain(|(path, _)| stays(path));
    let mut bad = bad
        .into_iter()
        .map(|(path, flaw)| KeyRingError::File { path, flaw });
    let removed = match options.drop {
        None => match bad.next() {
            Some(error) => return Err(error),
            None => retired(&keys, options.retire_after, now),
        },
        Some(kid) if found.listed.contains(&kid) => vec![Removal::Dropped(kid)],
        Some(kid) => {
            let dir = dir.to_owned();
            return Err(KeyRingError::UnknownKid { kid, dir });
        }
    };
    keys.retain(|key| !removed.iter().any(|removal| removal.kid() == key.kid()));

    let is_left = |kid| keys.iter().any(|key| key.kid() == kid);
    let is_primary_left = is_primary_known && primary.is_some_and(is_left);
    let mut added = None;
    if !is_primary_left || options.drop.is_none() {
        let delay = if is_primary_left {
            options.activate_in
        } else {
            Duration::ZERO
        };
        let key = newest(options.alg, now, now.plus(delay), &keys)?;
        added = Some(key.kid());
        keys.push(key);
    }
    Ok(Rotation {
        ring: KeyRing::from_keys(keys, now)?,
        added,
        removed,
        bad: bad.collect(),
        at: now,
    })
}

/// The keys whose successor has been active longer than `retire_after`. Never the primary: its
/// successor is still to come.
fn retired(keys: &[Key], retire_after: Duration, now: UnixTime) -> Vec<Removal> {
    keys.iter()
        .zip(keys.iter().skip(1))
        .filter(|(_, successor)| now.since(successor.activates_at()) > retire_after)
        .map(|(key, _)| Removal::Retired(key.kid()))
        .collect()
}

/// A new key that comes after the others, even after one that activates in the same second: there
/// the kid decides, so secrets are drawn until it decides for the new one. Of some that would do
/// the lowest is taken, which leaves room for the next. It costs the secret a few bits of its 256.
fn newest(
    alg: Alg,
    now: UnixTime,
    activates_at: UnixTime,
    others: &[Key],
) -> Result<Key, KeyRingError> {
    const ENOUGH: usize = 64;
    const AT_MOST: usize = 1 << 17;

    let rivals = others
        .iter()
        .filter(|key| key.activates_at() == activates_at);
    let Some(rival) = rivals.map(Key::kid).max() else {
        return Key::generate(alg, now, activates_at);
    };
    let mut lowest: Option<Key> = None;
    let mut found = 0;
    for drawn in 0..AT_MOST {
        if found > 0 && drawn >= ENOUGH {
            break;
        }
        let key = Key::generate(alg, now, activates_at)?;
        if key.kid() > rival {
            found += 1;
            if lowest
                .as_ref()
                .is_none_or(|lowest| key.kid() < lowest.kid())
            {
                lowest = Some(key);
            }
        }
    }
    match lowest {
        Some(key) => Ok(key),
        None => Key::generate(alg, now, activates_at),
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["kid", "alg", "created", "activates", "state"];
        let row = |f: &mut fmt::Formatter<'_>, [kid, alg, created, activates, state]: [&str; 5]| {
            write!(
                f,
                "{kid:<16}  {alg:<18}  {created:<20}  {activates:<20}  {state}"
            )
        };
        row(f, heads)?;
        let time = |at| rfc3339(at).unwrap_or_default();
        for key in self.ring.keys() {
            let (created, activates) = (time(key.created_at()), time(key.activates_at()));
            let kid = key.kid().to_string();
            f.write_str("\n")?;
            row(
                f,
                [
                    &kid,
                    key.alg().name(),
                    &created,
                    &activates,
                    self.state(key),
                ],
            )?;
        }
        if let Some(kid) = self.added {
            write!(f, "\nadded {kid}")?;
        }
        for removal in &self.removed {
            match removal {
                Removal::Dropped(kid) => {
                    write!(
                        f,
                        "\nremoved {kid}: dropped, its sessions are over once every process has read the \
                         directory again (SIGHUP, or keys.reload_interval)"
                    )?;
                }
                Removal::Retired(kid) => {
                    write!(f, "\nremoved {kid}: no session needs it any more")?;
                }
            }
        }
        Ok(())
    }
}

impl Rotation {
    fn state(&self, key: &Key) -> &'static str {
        if key.kid() == self.ring.primary(self.at).kid() {
            "primary"
        } else if key.activates_at() > self.at {
            "next"
        } else {
            "opens only"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const DAY: u64 = 86_400;
    const NOW: UnixTime = UnixTime::from_secs(1_795_248_000);
    const OPTIONS: RotateOptions = RotateOptions {
        alg: Alg::Xaes256Gcm,
        activate_in: Duration::from_mins(5),
        retire_after: Duration::from_hours(24),
        drop: None,
    };

    fn dropping(kid: Kid) -> RotateOptions {
        RotateOptions {
            drop: Some(kid),
            ..OPTIONS
        }
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(NOW.as_secs() + secs)
    }

    /// A directory with keys that activate at these seconds from `NOW`, and their kids in this
    /// order.
    fn ring(activations: &[u64]) -> (tempfile::TempDir, Vec<Kid>) {
        let dir = tempfile::tempdir().unwrap();
        let kids = activations.iter().map(|secs| {
            let key = Key::generate(Alg::default(), NOW, at(*secs)).unwrap();
            file::write(dir.path(), &key).unwrap();
            key.kid()
        });
        let kids = kids.collect();
        (dir, kids)
    }

    fn kids(dir: &Path) -> Vec<Kid> {
        let mut keys = directory::survey(dir).unwrap().keys;
        keys.sort_by_key(|key| (key.activates_at(), key.kid()));
        keys.iter().map(Key::kid).collect()
    }

    fn primary(dir: &Path, now: UnixTime) -> Kid {
        KeyRing::load(dir, now).unwrap().primary(now).kid()
    }

    #[test]
    fn the_first_key_is_active_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("a/keys");
        for dir in [parent.path(), &missing] {
            let rotation = rotate(dir, &OPTIONS, NOW).unwrap();
            assert_eq!(rotation.added, Some(primary(dir, NOW)));
            assert_eq!((rotation.ring.len(), rotation.removed.len()), (1, 0));
        }
        assert_eq!(
            fs::metadata(&missing).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn the_next_key_waits_for_its_activation() {
        // E18
        let (dir, old) = ring(&[0]);
        let next = rotate(dir.path(), &OPTIONS, at(10)).unwrap().added.unwrap();
        assert_eq!(kids(dir.path()), [old[0], next]);
        for (secs, sealer) in [(10, old[0]), (309, old[0]), (310, next), (9 * DAY, next)] {
            assert_eq!(primary(dir.path(), at(secs)), sealer, "{secs}");
        }
    }

    #[test]
    fn a_key_that_is_to_be_active_now_is_the_primary_even_in_the_second_of_another() {
        let (dir, _) = ring(&[0]);
        let now = RotateOptions {
            activate_in: Duration::ZERO,
            ..OPTIONS
        };
        for _ in 0..3 {
            let added = rotate(dir.path(), &now, NOW).unwrap().added;
            assert_eq!(added, Some(primary(dir.path(), NOW)));
        }
    }

    #[test]
    fn a_key_is_retired_when_its_successor_has_been_active_long_enough() {
        // E18. Activations, and how many of the oldest are deleted a day after the second one.
        for (activations, gone) in [
            (&[0, DAY][..], 0),
            (&[0, DAY - 1], 1),
            (&[0, 10, 20, DAY - 1], 3),
            (&[0, 10, DAY, 3 * DAY], 1),
            (&[0], 0),
        ] {
            let (dir, old) = ring(activations);
            let rotation = rotate(dir.path(), &OPTIONS, at(2 * DAY)).unwrap();
            let expected: Vec<_> = old[..gone].iter().copied().map(Removal::Retired).collect();
            assert_eq!(rotation.removed, expected, "{activations:?}");
            let mut left = old[gone..].to_vec();
            left.push(rotation.added.unwrap());
            left.sort_unstable();
            let mut found = kids(dir.path());
            found.sort_unstable();
            assert_eq!(found, left, "{activations:?}");
        }
    }

    #[test]
    fn dropping_deletes_that_key_and_adds_one_only_if_it_must() {
        // E18. A ring of an old key, the primary and the next; ten minutes in.
        for (which, adds) in [(0, false), (1, true), (2, false)] {
            let (dir, old) = ring(&[0, 300, 900]);
            let rotation = rotate(dir.path(), &dropping(old[which]), at(600)).unwrap();
            assert_eq!(rotation.removed, [Removal::Dropped(old[which])]);
            assert_eq!(rotation.added.is_some(), adds, "{which}");
            assert!(!kids(dir.path()).contains(&old[which]));
            let expected = rotation.added.unwrap_or(old[1]);
            assert_eq!(primary(dir.path(), at(600)), expected, "{which}");
        }
        let (dir, old) = ring(&[0]);
        let added = rotate(dir.path(), &dropping(old[0]), NOW).unwrap().added;
        assert_eq!(kids(dir.path()), [added.unwrap()]);
        assert_eq!(primary(dir.path(), NOW), added.unwrap());
    }

    #[test]
    fn dropping_a_stranger_changes_nothing() {
        let (dir, old) = ring(&[0]);
        let stranger = "0011223344556677".parse().unwrap();
        let missing = dir.path().join("missing");
        for place in [dir.path(), &missing] {
            let error = rotate(place, &dropping(stranger), NOW).unwrap_err();
            assert!(
                error.to_string().contains("no key 0011223344556677"),
                "{error}"
            );
        }
        assert_eq!(kids(dir.path()), old);
        assert!(!missing.exists());
    }

    #[test]
    fn a_ring_without_an_active_key_gets_one() {
        let (dir, old) = ring(&[500, 600]);
        let rotation = rotate(dir.path(), &dropping(old[1]), NOW).unwrap();
        assert_eq!(rotation.added, Some(primary(dir.path(), NOW)));
    }

    #[test]
    fn a_bad_file_refuses_the_rotation_before_anything_is_written() {
        // E21
        let (dir, old) = ring(&[0, 10]);
        let bad = file::path(dir.path(), old[0]);
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o644)).unwrap();
        let error = rotate(dir.path(), &OPTIONS, at(9 * DAY)).unwrap_err();
        assert!(
            matches!(&error, KeyRingError::File { path, .. } if *path == bad),
            "{error}"
        );
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(kids(dir.path()), old);
    }

    #[test]
    fn an_emergency_does_not_wait_for_another_file_to_be_mended() {
        // E21. Of an old key, the primary and the next, each; beside a file that is no key.
        for (which, adds) in [(0, false), (1, true), (2, false)] {
            let (dir, old) = ring(&[0, 10, 7200]);
            let bad = dir.path().join("00112233445566ff.toml");
            fs::write(&bad, "version = 1").unwrap();
            let rotation = rotate(dir.path(), &dropping(old[which]), at(3600)).unwrap();
            assert!(!file::path(dir.path(), old[which]).exists(), "{which}");
            assert_eq!(rotation.added.is_some(), adds, "{which}");
            assert!(
                matches!(&rotation.bad[..], [KeyRingError::File { path, .. }] if *path == bad),
                "{:?}",
                rotation.bad
            );
            fs::remove_file(&bad).unwrap();
            let expected = rotation.added.unwrap_or(old[1]);
            assert_eq!(primary(dir.path(), at(3600)), expected, "{which}");
        }
    }

    #[test]
    fn a_key_whose_file_is_bad_can_be_dropped_and_is_taken_for_the_primary() {
        for spoil in [
            |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)),
            |path: &Path| fs::write(path, "version = 1"),
        ] {
            for which in [0, 1] {
                let (dir, old) = ring(&[0, 10]);
                let path = file::path(dir.path(), old[which]);
                spoil(&path).unwrap();
                let rotation = rotate(dir.path(), &dropping(old[which]), at(3600)).unwrap();
                assert_eq!((path.exists(), rotation.bad.len()), (false, 0));
                assert_eq!(rotation.added, Some(primary(dir.path(), at(3600))));
                let kept = old[1 - which];
                assert_eq!(kids(dir.path()), [kept, rotation.added.unwrap()]);
            }
        }
        // The only one.
        let (dir, old) = ring(&[0]);
        fs::write(file::path(dir.path(), old[0]), "").unwrap();
        let rotation = rotate(dir.path(), &dropping(old[0]), at(3600)).unwrap();
        assert_eq!(kids(dir.path()), [rotation.added.unwrap()]);
    }

    #[test]
    fn nothing_is_deleted_if_the_new_key_cannot_be_written() {
        let (dir, old) = ring(&[0, 10]);
        let endless = RotateOptions {
            activate_in: Duration::MAX,
            ..OPTIONS
        };
        assert!(matches!(
            rotate(dir.path(), &endless, at(9 * DAY)),
            Err(KeyRingError::FarFuture)
        ));
        assert_eq!(kids(dir.path()), old);
    }

    #[test]
    fn rotations_at_once_leave_a_whole_ring() {
        let (dir, old) = ring(&[0, 10]);
        let mut added: Vec<Kid> = std::thread::scope(|scope| {
            let one = || {
                rotate(dir.path(), &OPTIONS, at(9 * DAY))
                    .unwrap()
                    .added
                    .unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        added.push(old[1]);
        added.sort_unstable();
        let mut found = kids(dir.path());
        found.sort_unstable();
        assert_eq!(found, added);
    }

    #[test]
    fn the_operator_reads_the_ring_and_no_secret() {
        // E22
        let (dir, old) = ring(&[0, 10, DAY]);
        let rotation = rotate(dir.path(), &OPTIONS, at(DAY + 11)).unwrap();
        let added = rotation.added.unwrap();
        let expected = format!(
            "kid               alg                 created               \
             activates             state\n\
             {}  XAES-256-GCM        2026-11-21T08:00:00Z  2026-11-21T08:00:10Z  opens only\n\
             {}  XAES-256-GCM        2026-11-21T08:00:00Z  2026-11-22T08:00:00Z  primary\n\
             {added}  XAES-256-GCM        2026-11-22T08:00:11Z  2026-11-22T08:05:11Z  next\n\
             added {added}\n\
             removed {}: no session needs it any more",
            old[1], old[2], old[0]
        );
        assert_eq!(rotation.to_string(), expected);
    }
}
