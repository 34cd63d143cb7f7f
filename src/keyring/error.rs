//! Why there is no ring: what is wrong, where, and what to do about it.
//!
//! At the start the program prints these errors and exits with 78. A running process logs them and keeps its old ring.
//!
//! # Invariants
//! - A variant holds neither a secret nor a value of a key file. A person who mistypes a field may have pasted the secret
//!   into it.
//! - A message is whole: no variant has a `source()` that would repeat it.

use std::io;
use std::path::{Path, PathBuf};

use super::kid::Kid;
use crate::clock::UnixTime;

/// A path that means the same in every directory: the one that the process runs in is seldom the reader's.
fn whole(path: &Path) -> String {
    let whole = std::path::absolute(path);
    whole.as_deref().unwrap_or(path).display().to_string()
}

/// What to do about a file or directory that the operating system refuses.
fn remedy(why: &io::Error) -> &'static str {
    use io::ErrorKind::{
        AlreadyExists, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    match why.kind() {
        ReadOnlyFilesystem => {
            "it is mounted read-only: rotate where it is writable. Processes that only serve need no more than to read it"
        }
        PermissionDenied => {
            "run this as the user who owns the directory and its files, or give them to the user that sealgate runs as (`chown -R`)"
        }
        StorageFull | QuotaExceeded => "make room on its disk, and try again",
        AlreadyExists | NotADirectory => {
            "something else is in its place: see where links lead, and name a directory"
        }
        NotFound => "see that the path is right and its links lead somewhere",
        _ => "see to its file system, and try again",
    }
}

/// Why a directory is not a key ring, or cannot be rotated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The directory cannot be listed or made.
    #[error("the key directory {} (keys.dir) cannot be used: {why}; {}", whole(.dir), remedy(.why))]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the operating system said.
        why: io::Error,
    },
    /// Two keys have one name.
    #[error("the key {0} is there twice: delete one of the two files")]
    Duplicate(Kid),
    /// There are no keys.
    #[error("there is no key: run `sealgate --rotate-keys` to make the first one")]
    Empty,
    /// One key file is not as it should be.
    #[error("the key file {} {flaw}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        flaw: Flaw,
    },
    /// The directory belongs to a user who is neither root nor the one we run as.
    #[error(
        "the key directory {} belongs to user {owner}, who may exchange every key: run sealgate as that user, `chown` the \
         directory to root or to the user that sealgate runs as, or mount it read-only",
        .dir.display()
    )]
    ForeignDirectory {
        /// The directory.
        dir: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// A key file cannot hold such a late time.
    #[error("the activation would be after the year 9999: choose a shorter delay")]
    FarFuture,
    /// Another rotation does not end.
    #[error(
        "{} has been held for 10 s by {}: end that rotation if it hangs, its lock goes with it, and \
         try again; nothing was changed",
        .path.display(),
        .holder.map_or_else(|| "another process".to_owned(), |pid| format!(
            "process {pid} (of the machine or container that it runs in)"
        ))
    )]
    Locked {
        /// The lock.
        path: PathBuf,
        /// The process that says it holds the lock.
        holder: Option<u32>,
    },
    /// All keys are those of strangers.
    #[error("no key can be used: {0}")]
    NoneOfOurs(ForeignOwner),
    /// The directory has no key file, or does not exist.
    #[error(
        "there is no key in {dir} (keys.dir): run `sealgate --rotate-keys --keys {dir}` to make the first one",
        dir = whole(.0)
    )]
    NoKeys(PathBuf),
    /// Every key is still to come.
    #[error(
        "no key is active yet, the first one activates at {}: set the clock right, wait, or run \
         `sealgate --rotate-keys --now`",
        first.to_rfc3339().unwrap_or_default()
    )]
    NoneActive {
        /// When the first key activates.
        first: UnixTime,
    },
    /// Other users may write to the directory.
    #[error(
        "the key directory {} has mode {mode:04o}, so that others may exchange keys: run `chmod 0700` on it (0750 for a \
         group that reads; a sticky directory or a read-only mount is fine, too), and if others had access to the machine, \
         rotate and drop the keys",
        .dir.display()
    )]
    OpenDirectory {
        /// The directory.
        dir: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The operating system gave no random bytes for a key.
    #[error("the operating system's random number generator failed, no key was made: try again")]
    Randomness,
    /// A key file that should go is still there.
    #[error(
        "the key file {} cannot be deleted: {why}; all else is done: delete it by hand, or {}",
        whole(.path),
        remedy(.why)
    )]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        why: io::Error,
    },
    /// `--drop` names a key that is not there.
    #[error("there is no key {kid} in {}, nothing was changed", .dir.display())]
    UnknownKid {
        /// The name that was given.
        kid: Kid,
        /// The directory.
        dir: PathBuf,
    },
    /// The key of the last rotation is not active yet.
    #[error(
        "the key {kid} of an earlier rotation still waits, it activates at {}: rotate again after that. Nothing was changed. \
         --force adds a key beside it, --now one that is active at once",
        activates_at.to_rfc3339().unwrap_or_default()
    )]
    Waiting {
        /// The key that waits.
        kid: Kid,
        /// When it activates.
        activates_at: UnixTime,
    },
    /// The new key could not be written, or perhaps not. The other keys are unchanged.
    #[error(
        "the key file {} cannot be written: {why}; no key was deleted; {}",
        whole(.path),
        remedy(.why)
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        why: io::Error,
    },
}

/// A key file of a user who is neither root nor the one we run as. It may be a trap, so its key neither seals nor opens.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the key file {} belongs to user {owner}, who may have made it up, so its key neither seals nor opens: `chown` it to \
     root or to the user that sealgate runs as if it is yours, else delete it",
    .path.display()
)]
pub struct ForeignOwner {
    /// The file.
    pub path: PathBuf,
    /// The user's number.
    pub owner: u32,
}

/// What is wrong with a key file. The text continues "the key file keys/….toml".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A field's value is not what it has to be.
    #[error(
        "is damaged: `{field}` must be {expected}; restore the file, or delete it \
         to end its sessions"
    )]
    Field {
        /// Its name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// It is named after another key than the one it holds.
    #[error(
        "holds the key {0} and must be named {0}.toml; if it was edited, restore it: \
         key files never change"
    )]
    Kid(Kid),
    /// A field is missing.
    #[error("is damaged: `{0}` is missing; restore the file, or delete it to end its sessions")]
    Missing(&'static str),
    /// Its mode lets other users read or write it.
    #[error(
        "has mode {0:04o}, so that others may read or change it: run `chmod 0600` on \
         it (a Kubernetes Secret volume needs `defaultMode: 0440`), and if others had access to \
         the machine, rotate and drop the key"
    )]
    Mode(u32),
    /// Its name is not the name of a key.
    #[error(
        "is not named after a key (16 lower-case hex digits and `.toml`): take it out of the \
         directory"
    )]
    Name,
    /// It is a directory, a pipe or a device.
    #[error("is not a regular file: take it out of the directory")]
    NotAFile,
    /// It is longer than any key file.
    #[error("is over {0} bytes long and so is no key: take it out of the directory")]
    TooLong(u64),
    /// The operating system does not let us read it.
    #[error("cannot be read: {0}; {remedy}", remedy = remedy(.0))]
    Unreadable(io::Error),
    /// It belongs to a stranger.
    #[error(
        "belongs to user {0}, who may have made it up: `chown` it to root or to the user that sealgate runs as if it is \
         yours, else delete it"
    )]
    Owner(u32),
    /// It names a cipher that this release does not have.
    #[error(
        "names a cipher that this release does not know; it knows XAES-256-GCM and \
         XChaCha20-Poly1305"
    )]
    UnknownAlg,
    /// It has a field that key files do not have.
    #[error(
        "has a field that key files do not have; they have version, alg, created_at, \
         activates_at and secret"
    )]
    UnknownField,
    /// It is not TOML.
    #[error("is no valid TOML in line {line}; restore the file, or delete it to end its sessions")]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// It has another version than the one this release reads.
    #[error("is not of version 1: a newer release may have written it")]
    Version,
    /// Its secret is not 32 random bytes.
    #[error(
        "has a weak secret ({0}): delete it and let `sealgate --rotate-keys` make a random key"
    )]
    Weak(&'static str),
}
