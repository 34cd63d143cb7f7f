//! The name of a key.
//!
//! # Spec
//! In the spirit of RFC 7638: a hash of the key is its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cipher::SECRET_BYTES;

/// No other use of the secret hashes it with this prefix, so a kid never equals another hash of it.
const KID_PREFIX: &[u8] = b"sealgate kid 1\0";

/// A key's name: 8 bytes that follow from its secret. As text it has 16 lower-case hex digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Kid([u8; 8]);

impl Kid {
    /// The bytes, as they stand in sealed bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// The name with these bytes.
    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The name of the key with this secret.
    pub(super) fn of(secret: &[u8; SECRET_BYTES]) -> Self {
        let digest = Sha256::new()
            .chain_update(KID_PREFIX)
            .chain_update(secret)
            .finalize();
        Self::leading(&digest)
    }

    /// The first 8 bytes of a digest.
    pub(super) fn leading(digest: &[u8]) -> Self {
        let mut kid = [0; 8];
        for (to, from) in kid.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(kid)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padded as one, so that the width of a format string applies to all digits together.
        f.pad(&format!("{:016x}", u64::from_be_bytes(self.0)))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Kid {
    type Err = ParseKidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A kid has one spelling, but `from_str_radix` also takes a sign and capitals.
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(hex) {
            return Err(ParseKidError);
        }
        u64::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| ParseKidError)
    }
}

impl TryFrom<String> for Kid {
    type Error = ParseKidError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Kid> for String {
    fn from(kid: Kid) -> Self {
        kid.to_string()
    }
}

/// The text is not a kid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a kid is 16 lower-case hex digits")]
pub struct ParseKidError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_has_one_spelling() {
        let kid: Kid = "00ff00ff0a0b0c0d".parse().unwrap();
        assert_eq!(kid.to_string(), "00ff00ff0a0b0c0d");
        assert_eq!(kid.as_bytes(), &[0, 255, 0, 255, 10, 11, 12, 13]);
        for bad in [
            "",
            "00ff00ff0a0b0c0",
            "00ff00ff0a0b0c0d0",
            "00FF00ff0a0b0c0d",
            "+0ff00ff0a0b0c0d",
            "00ff00ff0a0b0cé",
            "../../etc/passwd",
        ] {
            assert_eq!(bad.parse::<Kid>(), Err(ParseKidError), "{bad}");
        }
    }
}
