//! `sealgate --rotate-keys`: adds the next key, and deletes keys that sessions no longer need.
//!
//! The program calls [`rotate`] and prints the [`Rotation`]. The demo calls it for its first key.
//!
//! # Invariants
//! - A ring with a bad file, or with a file of a stranger, is refused before anything is written. Only `drop` goes on,
//!   because an emergency cannot wait until the files are fixed. It deletes the key by its name, even if its own file is
//!   the bad one, and reports the bad files that stay.
//! - Nothing is deleted before the new key is on the disk. Whenever the power fails, there is a ring.
//! - Two rotations at once take turns (`.lock`), and neither waits long. Where the file system has no locks they may overlap,
//!   and still leave a ring: names are unique, a deleted file is gone, and a rotation that deletes a primary has added its
//!   successor.
//!
//! # Why
//! There are three phases, and replicas need not talk to each other in any of them. The new key is *added*, so that every
//! replica can open what it will seal. It *activates* after `activate_in`, when all replicas have read it. A later rotation
//! *retires* its predecessor, `retire_after` after that last sealed. An emergency (`drop`) skips the wait and costs
//! sessions.
//!
//! A rotation while the last key is not active yet is nearly always a mistake: a job that ran twice. Each would add a key,
//! which stays in every ring for as long as sessions last. So it is refused, except with `force` or if the new key is to
//! be active at once.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::cipher::Alg;
use super::directory::{self, Found};
use super::error::{Flaw, ForeignOwner, KeyRingError};
use super::file;
use super::key::Key;
use super::kid::Kid;
use super::owner;
use super::ring::KeyRing;
use crate::clock::UnixTime;

/// The options of `--rotate-keys`.
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
    /// Add a key even if another one is not active yet.
    pub force: bool,
}

/// What a rotation did, and the ring it left. `Display` writes it for the operator.
#[derive(Debug)]
pub struct Rotation {
    /// The ring as it is now.
    pub ring: KeyRing,
    /// The new key.
    pub added: Option<Kid>,
    /// The deleted keys.
    pub removed: Vec<Removal>,
    /// Bad files beside a dropped key. As long as they are there, no process loads a new key.
    pub bad: Vec<KeyRingError>,
    at: UnixTime,
}

/// A deleted key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removal {
    /// `drop` named it.
    Dropped(Kid),
    /// No session needs it any more.
    Retired(Kid),
}

impl Removal {
    /// The key.
    pub const fn kid(self) -> Kid {
        match self {
            Self::Dropped(kid) | Self::Retired(kid) => kid,
        }
    }
}

/// Adds and deletes keys of `dir` as [`RotateOptions`] say. Makes the directory if there is none.
///
/// Some keys are active at once, whatever `activate_in` says, because otherwise no key could seal: the first key of a ring, a
/// key that replaces a dropped primary, and a key beside keys that are not active yet.
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
        directory::survey(dir, owner::principal(dir))?,
        dir,
        options,
        now,
    )?;
    directory::sweep(dir, now);
    if let Some(key) = rotation.added.and_then(|kid| rotation.ring.key(kid)) {
        file::write(dir, key)?;
    }
    // Each deletion is tried before a failure is reported, because a key that stays goes on opening cookies.
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

/// Decides everything before anything is done.
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
    // A key that cannot be read may be the primary. The key of a stranger never is.
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

/// The keys whose successor has been active longer than `retire_after`. The primary is never one, because its successor is
/// not active yet.
fn retired(keys: &[Key], retire_after: Duration, now: UnixTime) -> Vec<Removal> {
    keys.iter()
        .zip(keys.iter().skip(1))
        .filter(|(_, successor)| now.since(successor.activates_at()) > retire_after)
        .map(|(key, _)| Removal::Retired(key.kid()))
        .collect()
}

/// A new key that sorts after the others. Among keys that activate in the same second the kid decides, so secrets are drawn
/// until one gives a greater kid. Of several such kids the lowest is taken, which leaves room for the next. That costs
/// the secret a few of its 256 bits.
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
        let time = |at: UnixTime| at.to_rfc3339().unwrap_or_default();
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
