//! Sealing and opening: authenticated encryption under a key of the ring. All encryption of the crate is here, in
//! `cipher` and in `key`.
//!
//! `session` seals cookies, and `coordination` seals what it writes to the store. The caller names the use (`label`) and
//! the place that the bytes belong to (`aad`).
//!
//! # Wire format
//! | bytes | what |
//! |---|---|
//! | 1 | algorithm: [`Alg::id`](super::Alg::id) |
//! | 8 | kid |
//! | 24 | nonce, random |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! Associated data: algorithm, kid and the caller's aad, each after its length as 8 bytes,
//! big-endian.
//!
//! # Invariants
//! - The kid selects the key. No other key is tried, and a key opens only with its own cipher.
//! - All failures are one: [`OpenError::Rejected`]. [`OpenError::UnknownKey`] says only what the sender of the bytes
//!   already knew. A caller needs it to leave alone what another replica can open.
//! - Nothing is sealed without randomness.
//!
//! # Spec
//! RFC 5116 §2; C2SP XAES-256-GCM; draft-irtf-cfrg-xchacha-03; RFC 5869.
//!
//! # Why
//! - 192-bit nonces can be random, so replicas need not count their seals together (NIST SP 800-38D §8.3 stops random
//!   96-bit nonces at 2^32).
//! - Neither cipher commits to its key; the kid does. It is a hash of the key and is looked up exactly, and all keys are
//!   random and have one owner. Bytes that open under two keys have no second key to be tried with.

use std::fmt;
use std::ops::Range;

use rand::TryCryptoRng;
use rand::rngs::SysRng;

use super::cipher::{NONCE_BYTES, TAG_BYTES};
use super::erased::Erased;
use super::kid::Kid;
use super::ring::KeyRing;
use crate::clock::UnixTime;

pub(super) const HEAD_BYTES: usize = 1 + 8 + NONCE_BYTES;

/// Bytes that `seal` adds to a plaintext: algorithm, kid, nonce, tag.
pub const SEAL_OVERHEAD: usize = HEAD_BYTES + TAG_BYTES;

/// What was opened.
pub struct Opened {
    /// The authenticated plaintext.
    pub plaintext: Erased,
    /// The key it was sealed with.
    pub kid: Kid,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Why bytes did not open. A client never learns which it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// No key of this ring sealed them for this use.
    #[error("rejected")]
    Rejected,
    /// They name a key that this ring does not have, or a format of a later release. Another replica may open them.
    #[error("unknown key")]
    UnknownKey,
}

/// The operating system gave no randomness (or the plaintext is over 64 GiB).
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct SealError;

impl KeyRing {
    /// Seals with the primary key of `now`: alg(1) | kid(8) | nonce(24) | ciphertext | tag(16).
    /// `label` selects the subkey (HKDF info); alg and kid join `aad` as associated data.
    pub fn seal(
        &self,
        now: UnixTime,
        label: &'static str,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_with(&mut SysRng, now, label, aad, plaintext)
    }

    /// The same with other randomness, for tests.
    pub(super) fn seal_with(
        &self,
        random: &mut impl TryCryptoRng,
        now: UnixTime,
        label: &'static str,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let key = self.primary(now);
        let mut nonce = [0; NONCE_BYTES];
        random.try_fill_bytes(&mut nonce).map_err(|_| SealError)?;
        let cipher = key.cipher(label).map_err(|_| SealError)?;
        let aad = associated_data(key.alg().id(), key.kid(), aad);

        let mut sealed = Vec::with_capacity(SEAL_OVERHEAD.saturating_add(plaintext.len()));
        sealed.push(key.alg().id());
        sealed.extend_from_slice(key.kid().as_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let body = sealed.get_mut(HEAD_BYTES..).unwrap_or_default();
        let tag = cipher.encrypt(&nonce, &aad, body).map_err(|_| SealError)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what `seal` made with the same label and aad under any key of the ring.
    pub fn open(
        &self,
        label: &'static str,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Opened, OpenError> {
        let mut plaintext = Erased::default();
        plaintext.push(sealed);
        let (kid, range) = self.open_in_place(label, aad, &mut plaintext)?;
        Ok(Opened {
            plaintext: plaintext.get(range).unwrap_or_default().to_vec().into(),
            kid,
        })
    }

    /// The same where the bytes stand; gives the key, and where the plaintext is now.
    pub fn open_in_place(
        &self,
        label: &'static str,
        aad: &[u8],
        bytes: &mut [u8],
    ) -> Result<(Kid, Range<usize>), OpenError> {
        let len = bytes.len();
        let sealed = Sealed::parse(bytes).ok_or(OpenError::Rejected)?;
        // The kid before the algorithm: a key of a cipher that only a newer release knows is an
        // unknown key here.
        let key = self.key(sealed.kid).ok_or(OpenError::UnknownKey)?;
        if sealed.alg != key.alg().id() {
            return Err(OpenError::Rejected);
        }
        let cipher = key.cipher(label).map_err(|_| OpenError::Rejected)?;
        let aad = associated_data(sealed.alg, sealed.kid, aad);
        cipher
            .decrypt(sealed.nonce, &aad, sealed.ciphertext, sealed.tag)
            .map_err(|_| OpenError::Rejected)?;
        Ok((sealed.kid, HEAD_BYTES..len.saturating_sub(TAG_BYTES)))
    }
}

/// The parts of sealed bytes; nothing of it is to be believed yet.
struct Sealed<'a> {
    alg: u8,
    kid: Kid,
    nonce: &'a [u8; NONCE_BYTES],
    ciphertext: &'a mut [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Sealed<'a> {
    fn parse(bytes: &'a mut [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_mut_checked(HEAD_BYTES)?;
        let (alg, head) = head.split_first()?;
        let (kid, head) = head.split_first_chunk()?;
        let nonce = head.first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk_mut()?;
        Some(Self {
            alg: *alg,
            kid: Kid::from_bytes(*kid),
            nonce,
            ciphertext,
            tag,
        })
    }
}

/// Each part after its length, so that no two lists of parts make the same bytes.
fn associated_data(alg: u8, kid: Kid, aad: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&[alg], kid.as_bytes(), aad];
    let mut bytes = Vec::with_capacity(aad.len().saturating_add(3 * 8 + 1 + 8));
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
