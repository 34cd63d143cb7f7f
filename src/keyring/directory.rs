//! The directory of the key files: which good and bad files are in it, and which process may change it now.
//!
//! [`KeyRing::load`](super::KeyRing::load), `reload` and `rotate` [`survey`] it, and `file` reads each of its files.
//! `rotate` also takes the [`lock`] and [`sweep`]s.
//!
//! # Invariants
//! - A bad file is not a deleted key: a key that is listed is not gone, however bad its file is.
//! - A directory that cannot be listed is an error. It is never taken for one that has lost its keys.
//! - A process does not wait for the lock for ever. A rotation that hangs must not silently stop an emergency.
//! - A key counts only if root or the user we run as owns its file and its directory. Nobody else can then have put it
//!   there.
//!
//! # Why the key of a stranger does not open anything either
//! The person who wrote the file knows the secret, and can seal a session with any `sub`. To open it would be to believe
//! it. The rule costs a session only if the owner of a key file is changed by mistake. The log and `--check` then name the
//! file.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::error::{Flaw, ForeignOwner, KeyRingError};
use super::file;
use super::key::Key;
use super::kid::Kid;
use super::owner::{hand_over, is_foreign};
use crate::clock::UnixTime;

/// How often we try for the lock, and the pause between two tries: 10 s in all. A rotation takes milliseconds.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A draft is written and renamed within moments. Where there are no locks, a young one may belong to a rotation that is
/// under way.
const OLDEST_DRAFT: Duration = Duration::from_mins(5);

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The keys, in no order.
    pub(super) keys: Vec<Key>,
    /// The files that should be keys but are not, by path.
    pub(super) bad: Vec<(PathBuf, Flaw)>,
    /// The keys that have a file, by its name. Bad files and files of strangers count.
    pub(super) listed: BTreeSet<Kid>,
    /// The key files of strangers, whose keys are not among `keys`.
    pub(super) foreign: Vec<ForeignOwner>,
    /// Why another user can add files to the directory, or exchange them.
    pub(super) exposed: Option<KeyRingError>,
}

/// Reads every key file of a directory. A directory that does not exist has none.
pub(super) fn survey(dir: &Path, ourselves: u32) -> Result<Found, KeyRingError> {
    // A file may be deleted, or Kubernetes may exchange the whole volume, after we list the directory and before we read the
    // file. Then we list again, because we would miss its successor too. A link that still leads nowhere after that is
    // a deleted key.
    let mut found = Found::default();
    for _ in 0..3 {
        found = Found {
            exposed: exposure(dir, ourselves),
            ..Found::default()
        };
        let mut is_settled = true;
        for path in list(dir)? {
            let named = file::kid(&path);
            match file::read(&path) {
                Ok((_, owner)) if is_foreign(owner, ourselves) => {
                    found.foreign.push(ForeignOwner { path, owner });
                }
                Ok((key, _)) => found.keys.push(key),
                Err(Flaw::Unreadable(why)) if why.kind() == io::ErrorKind::NotFound => {
                    is_settled = false;
                    continue;
                }
                Err(flaw) => found.bad.push((path, flaw)),
            }
            found.listed.extend(named);
        }
        if is_settled {
            break;
        }
    }
    Ok(found)
}

/// Why other users can add or exchange keys, if they can.
fn exposure(dir: &Path, ourselves: u32) -> Option<KeyRingError> {
    // A directory that we cannot examine we cannot list either, which gives the error.
    let metadata = fs::metadata(dir).ok()?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    // Through a read-only mount nobody can write: a Secret of Kubernetes, a volume `:ro`.
    let is_read_only = || {
        rustix::fs::statvfs(dir)
            .is_ok_and(|found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    };
    let dir = dir.to_owned();
    let error = if is_foreign(owner, ourselves) {
        KeyRingError::ForeignDirectory { dir, owner }
    } else if is_open_to_others(mode) {
        KeyRingError::OpenDirectory { dir, mode }
    } else {
        return None;
    };
    (!is_read_only()).then_some(error)
}

/// Whether a directory with this mode lets other users exchange files that are not theirs.
///
/// In a sticky directory they can only add files of their own (Kubernetes' Secret volumes are 1777). A group that may write
/// counts as other users, except with setgid: the kubelet gives a volume to the pod's own `fsGroup` that way (2775).
const fn is_open_to_others(mode: u32) -> bool {
    const STICKY: u32 = 0o1000;
    const SETGID: u32 = 0o2000;
    const BY_GROUP: u32 = 0o020;
    const BY_OTHERS: u32 = 0o002;

    let by_others = mode & BY_OTHERS != 0;
    let by_group = mode & BY_GROUP != 0 && mode & SETGID == 0;
    mode & STICKY == 0 && (by_others || by_group)
}

/// The paths that count: `*.toml` without a leading dot. Kubernetes has its own names with dots, such as `..data`.
fn list(dir: &Path) -> Result<Vec<PathBuf>, KeyRingError> {
    let failed = |why| KeyRingError::Directory {
        dir: dir.to_owned(),
        why,
    };
    let entries = match fs::read_dir(dir) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension() == Some(OsStr::new("toml")) {
            paths.push(path);
        }
    }
    // Of several bad files, an error always names the same one.
    paths.sort_unstable();
    Ok(paths)
}

/// Takes the directory's lock. The lock lasts until the file is dropped or the process ends.
pub(super) fn lock(dir: &Path) -> Result<File, KeyRingError> {
    let failed = |why| KeyRingError::Directory {
        dir: dir.to_owned(),
        why,
    };
    let path = dir.join(".lock");
    let mut file = open_lock(&path, dir).map_err(failed)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => {
                // Best effort: lets another process name us in its error.
                let _ = sign(&mut file);
                return Ok(file);
            }
            Err(TryLockError::Error(why)) if why.kind() == io::ErrorKind::Unsupported => {
                return Ok(file);
            }
            Err(TryLockError::Error(why)) => return Err(failed(why)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
    let holder = signature(&mut file);
    Err(KeyRingError::Locked { path, holder })
}

/// Opens the lock file, and makes it if there is none.
///
/// The directory may belong to a user with fewer rights than ours, who could have put anything in the place of the lock. We
/// would empty a file that a link leads to, and give it to that user. So we do not follow links, and only a file that
/// we have made changes its owner.
fn open_lock(path: &Path, dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            hand_over(&file, dir);
            Ok(file)
        }
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.open(path)?;
            let meta = file.metadata()?;
            if !meta.is_file() || meta.nlink() != 1 {
                let why = format!("{} is not a file of its own", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Ok(file)
        }
        Err(why) => Err(why),
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// The number of the process that holds the lock.
fn signature(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Deletes the drafts that a crash has left. Their keys have not sealed anything, so a draft that cannot be deleted does no
/// harm.
pub(super) fn sweep(dir: &Path, now: UnixTime) {
    let is_left_over = |entry: &DirEntry| {
        let written_at = entry.metadata().ok()?.mtime().try_into().ok()?;
        let age = now.since(UnixTime::from_secs(written_at));
        Some(file::is_draft(&entry.file_name()) && age > OLDEST_DRAFT)
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_left_over(entry) == Some(true)) {
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::owner::ourselves;

    #[test]
    fn only_root_and_we_ourselves_are_no_strangers() {
        for (owner, ourselves, expected) in [
            (0, 0, false),
            (0, 1000, false),
            (1000, 1000, false),
            (1000, 0, true),
            (1000, 1001, true),
        ] {
            assert_eq!(
                is_foreign(owner, ourselves),
                expected,
                "{owner}, {ourselves}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let at = UnixTime::from_secs(0);
        file::write(
            dir.path(),
            &Key::generate(crate::keyring::Alg::default(), at, at).unwrap(),
        )
        .unwrap();
        assert_eq!(survey(dir.path(), ourselves()).unwrap().foreign, []);
    }

    #[test]
    fn a_lock_that_is_another_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        let path = dir.path().join(".lock");
        for link in [
            |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to),
            |from: &Path, to: &Path| fs::hard_link(from, to),
        ] {
            fs::write(&other, "precious").unwrap();
            link(&other, &path).unwrap();
            assert!(lock(dir.path()).is_err());
            assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
            fs::remove_file(&path).unwrap();
        }
        drop(lock(dir.path()).unwrap());
        drop(lock(dir.path()).unwrap());
    }

    #[test]
    fn a_directory_is_open_if_others_can_exchange_what_is_in_it() {
        // J
        for (mode, expected) in [
            (0o700, false),
            (0o755, false),
            (0o777, true),
            (0o722, true),
            (0o702, true),
            (0o770, true),
            (0o775, true),
            // A Secret of Kubernetes, without and with `fsGroup`; a volume with one; an emptyDir with one.
            (0o1777, false),
            (0o3777, false),
            (0o2775, false),
            (0o2777, true),
        ] {
            assert_eq!(is_open_to_others(mode), expected, "{mode:o}");
        }
    }
}
