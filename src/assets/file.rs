//! Reads a file: small ones at once, large ones as the client takes them.
//!
//! # Why the `ETag` is a hash
//! Images built reproducibly give every file the same date, so date and length would not tell two builds apart.
//! Hashing costs one pass over bytes that are read anyway; large files are hashed once, and again only when they change,
//! so that nobody makes the disk work by asking for headers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use actix_web::web;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use sha2::{Digest as _, Sha256};

/// Above this a file is not held in memory for each client.
const WHOLE: u64 = 256 * 1024;

const CHUNK: usize = 64 * 1024;

/// Large files whose digest is remembered.
const MOST_KNOWN: usize = 1024;

/// A file that is ready to be sent.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) content: Content,
    /// Of the content, in base64url.
    pub(super) digest: String,
    pub(super) len: u64,
}

#[derive(Debug)]
pub(super) enum Content {
    Streamed(File),
    Whole(Bytes),
}

/// Opens and hashes a file. Blocks.
pub(super) fn open(path: &Path) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() <= WHOLE {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok(Opened {
            digest: in_base64(Sha256::digest(&bytes).as_slice()),
            len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            content: Content::Whole(bytes.into()),
        });
    }
    let stamp = Stamp::of(&file)?;
    let len = file.metadata()?.len();
    if let Some(digest) = known().get(&stamp) {
        return Ok(Opened {
            digest: digest.clone(),
            len,
            content: Content::Streamed(file),
        });
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut len = 0u64;
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read @ [_, ..]) = buffer.get(..n) else {
            break;
        };
        hasher.update(read);
        len = len.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
    }
    file.rewind()?;
    let digest = in_base64(hasher.finalize().as_slice());
    let mut known = known();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(stamp, digest.clone());
    Ok(Opened {
        digest,
        len,
        content: Content::Streamed(file),
    })
}

/// A state of a file: whoever changes the content changes one of these.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Stamp {
    file: (u64, u64),
    len: u64,
    changed_at: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            changed_at: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// The digests of large files.
fn known() -> MutexGuard<'static, HashMap<Stamp, String>> {
    static KNOWN: LazyLock<Mutex<HashMap<Stamp, String>>> = LazyLock::new(Mutex::default);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Half a SHA-256 is plenty to tell versions of one file apart.
fn in_base64(digest: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or(digest))
}

/// Exactly `len` bytes in chunks; an error if the file has become shorter, so that nobody takes the part for the whole.
pub(super) fn stream(file: File, len: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, len), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = web::block(move || {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = vec![0; want];
            let n = file.read(&mut buffer)?;
            buffer.truncate(n);
            Ok::<_, io::Error>((Bytes::from(buffer), file))
        });
        let (bytes, file) = read.await.map_err(io::Error::other)??;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Some((bytes, (file, left.saturating_sub(n)))))
    })
}
