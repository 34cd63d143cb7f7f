//! `sealgate --rotate-keys`: adds the next key, deletes keys that no session can need any more.
//!
//! `main` (and `demo`, for its first key) calls [`rotate`] and prints the [`Rotation`].
//!
//! # Invariants
//! - A ring with a bad file, or with one of a stranger, is refused before anything is written, unless a key is to be dropped:
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
//!
//! A rotation while the last one's key is still to come is a mistake nearly always, a job that ran twice: each would add a
//! key, which stays in every ring for as long as sessions last. So it is refused, unless it is told to (`force`), or the new
//! key is to be active at once.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::KeyRing;
use super::directory::{self, Found};
use super::error::{Flaw, ForeignOwner, KeyRingError};
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
    /// Add a key even beside one that is still to come.
    pub force: bool,
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

    let rotation = plan(
        directory::survey(dir, directory::principal(dir))?,
        dir,
        options,
        now,
    )?;
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
    // Of a key that cannot be read nobody knows that it is not the primary. That of a stranger never is.
    let is_of_stranger = |kid| {
        let mut foreign = found.foreign.iter();
        foreign.any(|foreign| file::kid(&foreign.path) == Some(kid))
    };
    let is_drop_read = |kid| keys.iter().any(|key| key.kid() == kid) || is_of_stranger(kid);
    let is_primary_known = options.drop.is_none_or(is_drop_read);

    let stays = |path: &Path| options.drop.is_none() || file::kid(path) != options.drop;
    let mut bad = found.bad;
    bad.retain(|(path, _)| stays(path));
    let mut foreign = found.foreign;
    foreign.retain(|foreign| stays(&foreign.path));
    let of_strangers = |foreign: &ForeignOwner| KeyRingError::File {
        path: foreign.path.clone(),
        flaw: Flaw::Owner(foreign.owner),
    };
    let strangers: Vec<_> = match options.drop {
        None => foreign.iter().map(of_strangers).collect(),
        Some(_) => Vec::new(),
    };
    let bad = bad
        .into_iter()
        .map(|(path, flaw)| KeyRingError::File { path, flaw });
    let mut bad = found.exposed.into_iter().chain(bad).chain(strangers);
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
    let may_wait = options.drop.is_none() && !options.force && !options.activate_in.is_zero();
    if let Some(next) = keys.iter().rfind(|key| key.activates_at() > now)
        && may_wait
        && is_primary_left
    {
        return Err(KeyRingError::Waiting {
            kid: next.kid(),
            activates_at: next.activates_at(),
        });
    }
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
        ring: KeyRing::from_keys(keys, now)?.beside(foreign),
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
