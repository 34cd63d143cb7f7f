//! The files that were served lately. A request for one of them takes no thread, follows no link and hashes nothing.
//!
//! # Invariants
//! - What is remembered is served only while the file under that name is still the same one: one look at its metadata.
//! - Memory is bounded: over [`MOST_BYTES`] or [`MOST_FILES`], everything is forgotten and read again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::file::{Entry, Stamp};

const MOST_FILES: usize = 4096;
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How many seconds may pass until somebody looks for coded forms that are new.
const LOOK_EVERY: u64 = 10;

/// What is known of a name.
pub(super) enum Known {
    /// It is this file.
    File(Arc<Entry>),
    /// There is nothing.
    Nothing,
    /// Somebody has to look.
    Unknown,
}

#[derive(Default)]
struct Table {
    /// By their names, byte by byte: the hash of a path would look at each part of it.
    files: HashMap<OsString, Arc<Entry>>,
    bytes: usize,
}

impl Table {
    fn make_room(&mut self) {
        if self.files.len() >= MOST_FILES || self.bytes > MOST_BYTES {
            *self = Self::default();
        }
    }
}

/// What the name leads to. Takes some microseconds.
pub(super) fn look(name: &Path) -> Known {
    let metadata = match std::fs::metadata(name) {
        // Beside a page `orders.html` there may be a directory `orders` with its parts.
        Ok(metadata) if metadata.is_dir() => return Known::Nothing,
        Ok(metadata) => metadata,
        Err(error) if is_nothing(&error) => return Known::Nothing,
        Err(_) => return Known::Unknown,
    };
    let entry = table().files.get(name.as_os_str()).cloned();
    match entry.filter(|_| metadata.is_file()) {
        Some(entry) if is_fresh(&entry, &metadata) => Known::File(entry),
        _ => Known::Unknown,
    }
}

fn is_nothing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

fn is_fresh(entry: &Entry, metadata: &Metadata) -> bool {
    let now = seconds();
    let looked_at = entry.looked_at.load(Ordering::Relaxed);
    entry.is(Stamp::of(metadata)) && (now < looked_at + LOOK_EVERY || entry.has_same_forms(now))
}

/// Remembers what a name leads to.
pub(super) fn remember(name: PathBuf, entry: &Arc<Entry>) {
    let mut table = table();
    table.make_room();
    table.bytes += entry.held();
    if let Some(old) = table.files.insert(name.into(), Arc::clone(entry)) {
        table.bytes = table.bytes.saturating_sub(old.held());
    }
}

/// A file that is remembered holds more bytes now.
pub(super) fn holds_more(bytes: usize) {
    let mut table = table();
    table.bytes += bytes;
    table.make_room();
}

/// Seconds since the first file.
pub(super) fn seconds() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed().as_secs()
}

fn table() -> MutexGuard<'static, Table> {
    static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
    // Every statement leaves it consistent.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}
