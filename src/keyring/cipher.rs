//! The ciphers: a closed list, and a cipher that is ready to use.
//!
//! `aead` decides what is encrypted and with which associated data; this file only runs the cipher.
//!
//! # Spec
//! RFC 5116 §2; C2SP XAES-256-GCM; draft-irtf-cfrg-xchacha-03.

use std::fmt;
use std::str::FromStr;

use chacha20poly1305::XChaCha20Poly1305;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{self, AeadInOut, KeyInit};
use zeroize::Zeroizing;

/// Bytes of a secret and of a subkey.
pub(super) const SECRET_BYTES: usize = 32;

/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 24;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 16;

/// 32 bytes that are erased when dropped.
pub(crate) type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// A cipher of the closed list. Each takes a 256-bit key and a 192-bit nonce, which is long enough to be random.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Alg {
    /// AES-256-GCM with an extended nonce (C2SP `XAES-256-GCM`). Fast on a processor that has AES instructions.
    #[default]
    Xaes256Gcm,
    /// ChaCha20-Poly1305 with an extended nonce (draft-irtf-cfrg-xchacha). Fast on any processor.
    XChaCha20Poly1305,
}

impl Alg {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Xaes256Gcm, Self::XChaCha20Poly1305];

    /// The first byte of all that it seals. It never stands for another cipher.
    pub const fn id(self) -> u8 {
        match self {
            Self::Xaes256Gcm => 1,
            Self::XChaCha20Poly1305 => 2,
        }
    }

    /// The name in key files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xaes256Gcm => "XAES-256-GCM",
            Self::XChaCha20Poly1305 => "XChaCha20-Poly1305",
        }
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Alg {
    type Err = ParseAlgError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|alg| alg.name() == name)
            .ok_or(ParseAlgError)
    }
}

/// The text does not name a cipher.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cipher is unknown; write XAES-256-GCM or XChaCha20-Poly1305")]
pub struct ParseAlgError;

/// A cipher with the subkey of one label. Its key schedule is computed once.
pub(super) enum Cipher {
    Xaes256Gcm(Box<Xaes256Gcm>),
    XChaCha20Poly1305(Box<XChaCha20Poly1305>),
}

impl Cipher {
    /// The cipher `alg` with this key.
    pub(super) fn new(alg: Alg, key: &[u8; SECRET_BYTES]) -> Self {
        match alg {
            Alg::Xaes256Gcm => Self::Xaes256Gcm(Box::new(Xaes256Gcm::new(key.into()))),
            Alg::XChaCha20Poly1305 => {
                Self::XChaCha20Poly1305(Box::new(XChaCha20Poly1305::new(key.into())))
            }
        }
    }

    /// Encrypts `body` in place.
    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], aead::Error> {
        let (nonce, body) = (nonce.into(), body.into());
        match self {
            Self::Xaes256Gcm(cipher) => cipher.encrypt_inout_detached(nonce, aad, body),
            Self::XChaCha20Poly1305(cipher) => cipher.encrypt_inout_detached(nonce, aad, body),
        }
        .map(Into::into)
    }

    /// Decrypts `body` in place, if the tag is right.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), aead::Error> {
        let (nonce, body, tag) = (nonce.into(), body.into(), tag.into());
        match self {
            Self::Xaes256Gcm(cipher) => cipher.decrypt_inout_detached(nonce, aad, body, tag),
            Self::XChaCha20Poly1305(cipher) => cipher.decrypt_inout_detached(nonce, aad, body, tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_ciphers_is_closed() {
        // E26
        for alg in Alg::ALL {
            assert_eq!(alg.name().parse(), Ok(alg));
        }
        for bad in ["", "AES-256-GCM", "xaes-256-gcm", "none", "XAES-256-GCM "] {
            assert_eq!(bad.parse::<Alg>(), Err(ParseAlgError), "{bad}");
        }
    }
}
