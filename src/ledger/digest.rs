//! Digests as names: whoever reads a name does not learn whom it is about.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The digest of some parts. The length of each part is hashed before it, so that no two lists of parts are the same
/// bytes.
pub(super) fn digest(kind: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The same in hexadecimal digits, for a name in the store.
pub(crate) fn digest_text(kind: &str, parts: &[&[u8]]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(kind, parts) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
