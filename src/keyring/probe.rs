//! The parser of key files, for the fuzzer.

use sha2::{Digest, Sha256};

use super::file;
use super::key::Key;

/// What the parser made of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Probed {
    /// A key that has a wrong name, or is another one once it is written and read again. That is a fault.
    Ambiguous,
    /// A key, and the same one once it is written and read again.
    Key,
    /// Refused.
    Refused,
}

/// Reads `bytes` as a key file.
pub(crate) fn key_file(bytes: &[u8]) -> Probed {
    let Ok(key) = file::parse(bytes) else {
        return Probed::Refused;
    };
    let again = file::text(&key)
        .ok()
        .and_then(|text| file::parse(text.as_bytes()).ok());
    if again.is_some_and(|again| traits(&again) == traits(&key)) && is_well_named(&key) {
        Probed::Key
    } else {
        Probed::Ambiguous
    }
}

fn traits(key: &Key) -> impl PartialEq {
    let (created_at, activates_at) = (key.created_at(), key.activates_at());
    (
        key.kid(),
        key.alg(),
        created_at,
        activates_at,
        *key.secret(),
    )
}

/// Whether the kid is the one that `keys/README.md` defines.
fn is_well_named(key: &Key) -> bool {
    let mut hash = Sha256::new();
    hash.update(b"sealgate kid 1\0");
    hash.update(key.secret());
    hash.finalize().starts_with(key.kid().as_bytes())
}
