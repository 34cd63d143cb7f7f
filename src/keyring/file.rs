//! One key as a file, `<kid>.toml`: read strictly, written whole or not at all.
//!
//! `directory` [`read`]s all files of a directory, and `rotate` [`write`]s new ones. `keys/README.md` describes the format
//! for people.
//!
//! # Invariants
//! - A file that is not exactly a key file is refused. The error repeats nothing that stands in it.
//! - A file appears under its name with all its bytes on the disk, or it does not appear.
//! - A file is never written twice: its name follows from the secret, and the secret is new.
//!
//! # Spec
//! RFC 3339 (times), RFC 4648 §5 (base64url, no padding), TOML 1.0.
//!
//! # Why
//! The fields are read by hand, because serde's errors quote the value they refuse. The text and the secret are erased;
//! the TOML parser's own copies of the text are out of reach.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustix::fs::OFlags;
use toml::{Table, Value};
use zeroize::Zeroizing;

use super::cipher::{SECRET_BYTES, Secret};
use super::error::{Flaw, KeyRingError};
use super::key::{Key, Weak};
use super::kid::Kid;
use super::owner;
use crate::clock::UnixTime;

/// The longest key file. One has about 220 bytes; the rest is room for comments.
const LONGEST: u64 = 4096;

/// The group may write, or others may read or write.
const FORBIDDEN_MODE: u32 = 0o026;

/// The end of the name of a file that is still being written. Such a name begins with a dot.
const DRAFT: &str = ".draft";

/// The key that a file is named after.
pub(super) fn kid(path: &Path) -> Option<Kid> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Reads one key file, and who owns it. It follows symbolic links, because Kubernetes mounts Secrets through them.
pub(super) fn read(path: &Path) -> Result<(Key, u32), Flaw> {
    let named = kid(path).ok_or(Flaw::Name)?;
    // To open a pipe would wait for its other end.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(Flaw::Unreadable)?;
    // Those of the open file, not of the path: the file that is checked is the file that is read.
    let metadata = file.metadata().map_err(Flaw::Unreadable)?;
    if !metadata.is_file() {
        return Err(Flaw::NotAFile);
    }
    let mode = metadata.mode() & 0o7777;
    if mode & FORBIDDEN_MODE != 0 {
        return Err(Flaw::Mode(mode));
    }
    // It has all its room from the start, because growth would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    file.take(LONGEST.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Flaw::Unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Flaw::TooLong(LONGEST));
    }
    let key = parse(&bytes)?;
    if key.kid() == named {
        Ok((key, metadata.uid()))
    } else {
        Err(Flaw::Kid(key.kid()))
    }
}

/// Text to key.
pub(super) fn parse(bytes: &[u8]) -> Result<Key, Flaw> {
    let text = str::from_utf8(bytes).map_err(|why| syntax(bytes, why.valid_up_to()))?;
    let mut table: Table =
        toml::from_str(text).map_err(|why| syntax(bytes, why.span().map_or(0, |at| at.start)))?;

    let mut field = |name: &'static str| table.remove(name).ok_or(Flaw::Missing(name));
    // The version comes first, because another version may have other fields.
    if field("version")? != Value::Integer(1) {
        return Err(Flaw::Version);
    }
    let alg = field("alg")?
        .as_str()
        .and_then(|name| name.parse().ok())
        .ok_or(Flaw::UnknownAlg)?;
    let created_at = time("created_at", &field("created_at")?)?;
    let activates_at = time("activates_at", &field("activates_at")?)?;
    let secret = secret(field("secret")?)?;
    if !table.is_empty() {
        return Err(Flaw::UnknownField);
    }
    Key::from_secret(secret, alg, created_at, activates_at).map_err(|Weak(why)| Flaw::Weak(why))
}

fn syntax(bytes: &[u8], at: usize) -> Flaw {
    let before = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
    Flaw::Syntax {
        line: before.saturating_add(1),
    }
}

/// A time of RFC 3339, as a string or as a date-time of TOML.
fn time(field: &'static str, value: &Value) -> Result<UnixTime, Flaw> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Datetime(at) => at.to_string(),
        _ => String::new(),
    };
    text.parse::<Timestamp>()
        .ok()
        .and_then(|at| u64::try_from(at.as_second()).ok())
        .map(UnixTime::from_secs)
        .ok_or(Flaw::Field {
            field,
            expected: "an RFC 3339 time such as 2026-11-21T08:00:00Z",
        })
}

fn secret(value: Value) -> Result<Secret, Flaw> {
    const FLAW: Flaw = Flaw::Field {
        field: "secret",
        expected: "32 bytes in base64url without padding",
    };
    let Value::String(text) = value else {
        return Err(FLAW);
    };
    let text = Zeroizing::new(text);
    // A little longer than the secret, because the decoder writes whole groups.
    let mut bytes = Zeroizing::new([0; SECRET_BYTES + 4]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(text.as_bytes(), bytes.as_mut_slice())
        .map_err(|_| FLAW)?;
    let mut secret = Secret::default();
    for (to, from) in secret.iter_mut().zip(bytes.iter()) {
        *to = *from;
    }
    if length == SECRET_BYTES {
        Ok(secret)
    } else {
        Err(FLAW)
    }
}

/// The path of the file of a key.
pub(super) fn path(dir: &Path, kid: Kid) -> PathBuf {
    dir.join(format!("{kid}.toml"))
}

/// Writes the key's file with mode 0600. It returns once the file survives a power failure.
pub(super) fn write(dir: &Path, key: &Key) -> Result<(), KeyRingError> {
    let text = text(key)?;
    let path = path(dir, key.kid());
    // No reader looks at a name with a dot in front.
    let draft = dir.join(format!(".{}{DRAFT}", key.kid()));
    let written = absent(&path)
        .and_then(|()| write_new(&draft, dir, &text))
        .and_then(|()| fs::rename(&draft, &path))
        .and_then(|()| sync(dir));
    written.map_err(|why| {
        // A file under its own name may already be known to a replica. A draft is not.
        let _ = fs::remove_file(&draft);
        KeyRingError::Write { path, why }
    })
}

/// Whether a crash may have left a file with this name.
pub(super) fn is_draft(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix('.'));
    let kid = name.and_then(|name| name.strip_suffix(DRAFT));
    kid.is_some_and(|kid| kid.parse::<Kid>().is_ok())
}

/// Refuses to replace a file that is there. The name is as random as the key, so this guards against mistakes, not against
/// races.
fn absent(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(())
}

fn write_new(draft: &Path, dir: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    owner::hand_over(&file, dir);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes additions to a directory, and deletions from it, durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Key to text.
pub(super) fn text(key: &Key) -> Result<Zeroizing<String>, KeyRingError> {
    let created_at = key
        .created_at()
        .to_rfc3339()
        .ok_or(KeyRingError::FarFuture)?;
    let activates_at = key
        .activates_at()
        .to_rfc3339()
        .ok_or(KeyRingError::FarFuture)?;
    // It has all its room from the start, because growth would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    for part in [
        "# A key of sealgate. Never edit it: add and delete keys with `sealgate --rotate-keys`.\n",
        "version = 1\nalg = \"",
        key.alg().name(),
        "\"\ncreated_at = \"",
        &created_at,
        "\"\nactivates_at = \"",
        &activates_at,
        "\"\nsecret = \"",
    ] {
        text.push_str(part);
    }
    URL_SAFE_NO_PAD.encode_string(key.secret(), &mut text);
    text.push_str("\"\n");
    Ok(text)
}
