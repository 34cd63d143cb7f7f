//! A file as it is remembered: its digests, the forms that it comes in, and, if it is small, its content.
//!
//! # Why the `ETag` is a hash
//! Images built reproducibly give every file the same date, so date and length would not tell two builds apart.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use actix_web::web;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::coding::Coding;
use super::headers::{Facts, Headers};
use super::{path, policy};

/// Above this a file is not held in memory.
const WHOLE: u64 = 256 * 1024;

/// To this size a coding would save nothing: it is one packet anyway.
const NOT_WORTH_CODING: u64 = 1024;

/// Above this nobody waits until a file is coded.
const MOST_CODED: u64 = 4 * 1024 * 1024;

/// How much older than the file a coded form of it may be. A form that is older is of another build.
const SAME_BUILD: i64 = 60;

const CHUNK: usize = 64 * 1024;

/// A state of a file: whoever changes the content changes one of these.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Stamp {
    file: (u64, u64),
    len: u64,
    changed_at: (i64, i64),
    modified_at: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            changed_at: (metadata.ctime(), metadata.ctime_nsec()),
            modified_at: metadata.mtime(),
        }
    }
}

/// The bytes of one form of a file.
#[derive(Debug)]
pub(super) struct Form {
    stamp: Stamp,
    path: PathBuf,
    pub(super) len: u64,
    /// Its `ETag`, quotes and all: a digest in base64url.
    tag: HeaderValue,
    /// If it is small.
    pub(super) kept: Option<Bytes>,
}

/// A file that may be served.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bare: Form,
    pub(super) media_type: &'static str,
    pub(super) modified_at: Option<SystemTime>,
    pub(super) headers: Headers,
    /// Whether a coding that does not lie beside it is made here.
    pub(super) is_worth_coding: bool,
    /// The coded forms that lie beside it.
    beside: [Option<Form>; 3],
    /// Coded here; `None` inside if that would save nothing.
    coded: [OnceLock<Option<Bytes>>; 3],
    /// When the forms beside it were looked for, in seconds of the table's clock.
    pub(super) looked_at: AtomicU64,
}

impl Entry {
    /// Opens and hashes a file and what lies beside it. Blocks.
    ///
    /// `asked` is the path below the served directory that leads to it; `is_inside` says whether a real path may be served:
    /// what lies beside may be a link.
    pub(super) fn load(
        path: PathBuf,
        asked: &Path,
        is_inside: impl Fn(&Path) -> bool,
        looked_at: u64,
    ) -> io::Result<Self> {
        let bare = Form::load(path)?;
        let name = bare.path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        let beside = Coding::ALL.map(|coding| {
            let path = beside(&bare.path, coding).canonicalize().ok();
            let form = Form::load(path.filter(|path| is_inside(path))?).ok()?;
            (form.stamp.modified_at + SAME_BUILD >= bare.stamp.modified_at).then_some(form)
        });
        let media_type = path::content_type(&name);
        let is_page = media_type.starts_with("text/html");
        let scripts = match &bare.kept {
            Some(page) if is_page => policy::inline_scripts(page),
            _ => String::new(),
        };
        let modified_at = u64::try_from(bare.stamp.modified_at)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let is_worth_coding =
            bare.len > NOT_WORTH_CODING && bare.len <= MOST_CODED && path::is_text(media_type);
        let facts = Facts {
            tag: &bare.tag,
            modified_at,
            is_immutable: path::is_immutable(asked),
            varies: is_worth_coding || beside.iter().any(Option::is_some),
        };
        let headers = Headers::new(&facts, scripts);
        Ok(Self {
            media_type,
            modified_at,
            headers,
            is_worth_coding,
            name,
            bare,
            beside,
            coded: Default::default(),
            looked_at: AtomicU64::new(looked_at),
        })
    }

    /// Whether it is the file with this stamp.
    pub(super) fn is(&self, stamp: Stamp) -> bool {
        self.bare.stamp == stamp
    }

    /// Whether what lies beside it is what did when it was loaded. Four looks at the directory.
    pub(super) fn has_same_forms(&self, now: u64) -> bool {
        let same = Coding::ALL.into_iter().all(|coding| {
            let there = std::fs::metadata(beside(&self.bare.path, coding)).ok();
            let there = there
                .filter(Metadata::is_file)
                .map(|metadata| Stamp::of(&metadata));
            let known = self.form_beside(coding).map(|form| form.stamp);
            // A form of another build was left out, and is left out again.
            known == there
                || known.is_none()
                    && there.is_some_and(|form| {
                        form.modified_at + SAME_BUILD < self.bare.stamp.modified_at
                    })
        });
        self.looked_at.store(now, Ordering::Relaxed);
        same
    }

    /// The form that lies beside it in this coding.
    pub(super) fn form_beside(&self, coding: Coding) -> Option<&Form> {
        self.beside.get(coding.index())?.as_ref()
    }

    /// Whether it comes in more than one form.
    pub(super) fn varies(&self) -> bool {
        self.is_worth_coding || self.beside.iter().any(Option::is_some)
    }

    /// The bytes in this coding, if they were made.
    pub(super) fn coded(&self, coding: Coding) -> Option<&Option<Bytes>> {
        self.coded.get(coding.index())?.get()
    }

    /// Makes them; gives how many bytes are held now that were not before. Blocks.
    pub(super) fn code(&self, coding: Coding) -> io::Result<usize> {
        let Some(slot) = self.coded.get(coding.index()) else {
            return Ok(0);
        };
        if slot.get().is_some() {
            return Ok(0);
        }
        let bare = match &self.bare.kept {
            Some(bytes) => bytes.clone(),
            None => self.bare.read()?.into(),
        };
        let coded = coding.compress(&bare)?;
        let saves = coded.len() < bare.len();
        let held = if saves { coded.len() } else { 0 };
        // Of two who make them, one is kept.
        let _ = slot.set(saves.then(|| coded.into()));
        Ok(held)
    }

    /// The bytes that it holds in memory.
    pub(super) fn held(&self) -> usize {
        let forms = self.beside.iter().flatten().chain([&self.bare]);
        let kept = forms.filter_map(|form| form.kept.as_ref());
        let coded = self.coded.iter().filter_map(|slot| slot.get()?.as_ref());
        kept.chain(coded).map(Bytes::len).sum()
    }

    /// The entity tag of a form: each has its own (RFC 9110 §8.8.3.3).
    pub(super) fn tag(&self, coding: Option<Coding>) -> HeaderValue {
        let Some(coding) = coding else {
            return self.bare.tag.clone();
        };
        if let Some(form) = self.form_beside(coding) {
            return form.tag.clone();
        }
        let bare = self.bare.tag.to_str().unwrap_or_default();
        let tag = [bare.trim_end_matches('"'), "-", coding.name(), "\""].concat();
        HeaderValue::try_from(tag).unwrap_or_else(|_| self.bare.tag.clone())
    }
}

impl Form {
    fn load(path: PathBuf) -> io::Result<Self> {
        let mut file = File::open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut hasher = Sha256::new();
        let mut kept = Vec::new();
        let mut buffer = vec![0; CHUNK];
        let mut len = 0u64;
        loop {
            let n = file.read(&mut buffer)?;
            let Some(read @ [_, ..]) = buffer.get(..n) else {
                break;
            };
            hasher.update(read);
            len = len.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
            if len <= WHOLE {
                kept.extend_from_slice(read);
            }
        }
        // Half a SHA-256 is plenty to tell versions of one file apart.
        let digest = hasher.finalize();
        let digest = URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or(&digest));
        let tag = HeaderValue::try_from(["\"", &digest, "\""].concat());
        Ok(Self {
            stamp: Stamp::of(&metadata),
            path,
            len,
            tag: tag.map_err(io::Error::other)?,
            kept: (len <= WHOLE).then(|| kept.into()),
        })
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.opener(0)()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Opens the file from this byte on, if it is still the one that was hashed. What it gives blocks.
    pub(super) fn opener(&self, from: u64) -> impl FnOnce() -> io::Result<File> + use<> {
        let (path, stamp) = (self.path.clone(), self.stamp);
        move || {
            let mut file = File::open(path)?;
            if Stamp::of(&file.metadata()?) != stamp {
                return Err(io::Error::other("the file has changed"));
            }
            file.seek(SeekFrom::Start(from))?;
            Ok(file)
        }
    }
}

fn beside(path: &Path, coding: Coding) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(coding.extension());
    name.into()
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
