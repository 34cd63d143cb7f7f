//! The key ring: which keys this process has, and which of them seals.
//!
//! `session` seals and opens cookies with a [`KeyRing`]. `app` loads one at the start and keeps it current through a
//! [`SharedRing`]. `sealgate --rotate-keys` calls [`rotate()`]. `keys/README.md` describes the files.
//!
//! - `ring`: all keys · `key`: one key · `kid`: its name · `cipher`: the ciphers · `aead`: to seal and to open ·
//!   `erased`: plaintexts
//! - `file`: one key as a file · `directory`: all files · `owner`: whose files they are
//! - `rotate`: how keys are added, retired and dropped
//! - `reload`: the ring in use, which a newer one replaces while requests run
//!
//! # Invariants
//! - A ring has at least one key, and no two keys with one kid. At every instant it has exactly one primary.
//! - The primary follows from the files and the time. Nothing is stored or agreed upon: replicas with the same files seal
//!   with the same key, and the others understand a replica that lags by a few seconds.
//! - A ring never changes. A reload makes another ring or keeps this one. A bad file adds nothing, and does not keep a
//!   deleted key.
//! - A kid leads to one key, and only that key is tried.
//!
//! # Why one file for each key
//! Files are added or deleted, never edited. So there is no half-written ring, and `kubectl` or `rsync` can carry the
//! files. A mark for the current key would have to be edited.

mod aead;
mod cipher;
mod directory;
mod erased;
mod error;
mod file;
mod key;
mod kid;
mod owner;
#[cfg(feature = "fuzzing")]
pub(crate) mod probe;
mod reload;
mod ring;
mod rotate;

pub use self::aead::{OpenError, Opened, SEAL_OVERHEAD, SealError};
pub use self::cipher::{Alg, ParseAlgError};
pub use self::erased::Erased;
pub use self::error::{Flaw, ForeignOwner, KeyRingError};
pub use self::key::Key;
pub use self::kid::{Kid, ParseKidError};
pub use self::reload::SharedRing;
pub use self::ring::KeyRing;
pub use self::rotate::{Removal, RotateOptions, Rotation, rotate};

#[cfg(test)]
mod tests;
