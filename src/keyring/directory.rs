//! The directory of the key files: what is in it, good and bad, and whose turn it is to change it.
//!
//! [`KeyRing::load`](super::KeyRing::load), `reload` and `rotate` [`survey`] it; `file` reads each
//! of the files. `rotate` also takes the [`lock`], and [`sweep`]s.
//!
//! # Invariants
//! - A deleted key is told from a bad file: what is listed is not gone, however bad it is.
//! - A directory that cannot be listed is an error, and never taken for one that has lost its keys.
//! - Nobody waits for the lock for ever: a rotation that hangs must not stop an emergency unseen.
//! - A key counts only if nobody but root and the user we run as could have put it there: the file is theirs, and so is the
//!   directory.
//!
//! # Why the key of a stranger opens nothing either
//! Who wrote the file knows the secret. Whatever such a key seals is a session that its owner made up, with any `sub`, and
//! opening it would believe that. It costs nobody a session unless the owner of the files is changed by mistake, and then
//! the log and `--check` name them.

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
use super::key::{Key, Kid};
use crate::clock::UnixTime;

/// How often the lock is tried for, and how long after one another: 10 s in all, where a rotation
/// takes milliseconds.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A draft is written and renamed within moments; where there are no locks, a young one may be of a
/// rotation that is under way.
const OLDEST_DRAFT: Duration = Duration::from_mins(5);

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The keys, in no order.
    pub(super) keys: Vec<Key>,
    /// The files that should be keys and are not, by path.
    pub(super) bad: Vec<(PathBuf, Flaw)>,
    /// Whose files are there, by name: those of `keys`, and those of bad and foreign files that are
    /// named after a key.
    pub(super) listed: BTreeSet<Kid>,
    /// The key files of strangers, whose keys are not among `keys`.
    pub(super) foreign: Vec<ForeignOwner>,
    /// Why somebody else can put files into the directory, or exchange them.
    pub(super) exposed: Option<KeyRingError>,
}

/// Reads every key file of a directory. A directory that is not there has none.
pub(super) fn survey(dir: &Path, ourselves: u32) -> Result<Found, KeyRingError> {
    // A file may be deleted, or all of a Kubernetes volume be exchanged, between the listing and
    // the reading: then list again, lest its successor is missed too. A link that still leads
    // nowhere after that is a deleted key.
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

/// Root can change everything anyway.
const fn is_foreign(owner: u32, ourselves: u32) -> bool {
    owner != 0 && owner != ourselves
}

/// The user we run as.
pub(super) fn ourselves() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// For whom a rotation acts: root acts for the owner of the directory, who is to read what comes of it.
pub(super) fn principal(dir: &Path) -> u32 {
    match ourselves() {
        0 => fs::metadata(dir).map_or(0, |metadata| metadata.uid()),
        ourselves => ourselves,
    }
}

/// Gives a new file to the owner of the directory, if that is not who we are: root has made it for them.
///
/// Root may have been stripped of that right. Then the file stays root's: an emergency must not fail for it.
pub(super) fn hand_over(file: &File, dir: &Path) {
    if let Ok(metadata) = fs::metadata(dir)
        && ourselves() == 0
        && metadata.uid() != 0
    {
        let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
    }
}

/// Why others can add or exchange keys, if they can.
fn exposure(dir: &Path, ourselves: u32) -> Option<KeyRingError> {
    // What cannot be examined cannot be listed either, and that is said there.
    let metadata = fs::metadata(dir).ok()?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    // A mount through which nothing can be written is as its maker filled it: a Secret of Kubernetes, a volume `:ro`.
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

/// Whether a directory of this mode lets others exchange files that are not theirs.
///
/// In a sticky one they can only add some of their own (Kubernetes' Secret volumes are 1777). A group that may write is as
/// much as others, except with setgid: so the kubelet gives a volume to the pod's own `fsGroup` (2775).
const fn is_open_to_others(mode: u32) -> bool {
    const STICKY: u32 = 0o1000;
    const SETGID: u32 = 0o2000;
    const BY_GROUP: u32 = 0o020;
    const BY_OTHERS: u32 = 0o002;

    let by_others = mode & BY_OTHERS != 0;
    let by_group = mode & BY_GROUP != 0 && mode & SETGID == 0;
    mode & STICKY == 0 && (by_others || by_group)
}

/// The paths that count: `*.toml` without a leading dot (`..data` and its like are Kubernetes'
/// own).
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
    // So that of several bad files always the same one is named first.
    paths.sort_unstable();
    Ok(paths)
}

/// Holds the directory's lock until dropped, or until the process ends.
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
                // A courtesy to who waits in vain: without it, he is told less.
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

/// Opens the lock file, and makes it where there is none.
///
/// The directory may belong to a less privileged user than we are, who could have put anything in its place: a link to
/// another file would be emptied, and given to that user. So links are not followed, and only a file of our own making
/// changes its owner.
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

/// The number of the process that signed.
fn signature(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Deletes the drafts that a crash has left. Their keys have sealed nothing, so what cannot be
/// deleted does no harm.
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
