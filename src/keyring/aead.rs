//! Sealing and opening: authenticated encryption under a key of the ring. All cryptography of the
//! crate is here and in `key`.
//!
//! `session` is the caller: it names the use (`label`) and whatever else the bytes belong to
//! (`aad`).
//!
//! # Wire format
//! | bytes | what |
//! |---|---|
//! | 1 | algorithm: [`Alg::id`] |
//! | 8 | kid |
//! | 24 | nonce, random |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! Associated data: algorithm, kid and the caller's aad, each after its length as 8 bytes,
//! big-endian.
//!
//! # Invariants
//! - The kid decides on the key; no other key is tried (E8), and the key's own cipher is the only
//!   one it opens with (E26).
//! - Whatever fails, fails as [`OpenError::Rejected`] (E11). [`OpenError::UnknownKey`] tells only
//!   what the sender of the bytes knew already, and is needed to leave alone what another replica
//!   can open (E19).
//! - Without randomness nothing is sealed (E5).
//!
//! # Spec
//! RFC 5116 §2; C2SP XAES-256-GCM; draft-irtf-cfrg-xchacha-03; RFC 5869.
//!
//! # Why
//! - 192-bit nonces: random ones may be used without counting seals over all replicas (E4; NIST SP
//!   800-38D §8.3 would stop a 96-bit nonce at 2^32).
//! - Neither cipher commits to its key. The kid in front does (E10): it is a hash of the key, it is
//!   looked up exactly, and the keys are random and of one owner, so bytes that open under two keys
//!   have no second key to be tried with.

use std::fmt;
use std::ops::Range;

use chacha20poly1305::XChaCha20Poly1305;
use rand::TryCryptoRng;
use rand::rngs::SysRng;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{self, AeadInOut, KeyInit};

use super::KeyRing;
use super::erased::Erased;
use super::key::{Alg, Kid, SECRET_BYTES};
use crate::clock::UnixTime;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + 8 + NONCE_BYTES;

/// Bytes that `seal` adds to a plaintext: algorithm, kid, nonce, tag.
pub const SEAL_OVERHEAD: usize = HEAD_BYTES + TAG_BYTES;

/// What `open` gives.
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

/// Outwardly one failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Not sealed by any key of this ring for this use.
    #[error("rejected")]
    Rejected,
    /// Names a key this ring does not have, or a format that only a later release knows: another replica may open it.
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

    fn seal_with(
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

/// With lengths, so that no two lists of parts make the same bytes (E2).
fn associated_data(alg: u8, kid: Kid, aad: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&[alg], kid.as_bytes(), aad];
    let mut bytes = Vec::with_capacity(aad.len().saturating_add(3 * 8 + 1 + 8));
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A cipher with the subkey of one label, scheduled once.
pub(super) enum Cipher {
    Xaes256Gcm(Box<Xaes256Gcm>),
    XChaCha20Poly1305(Box<XChaCha20Poly1305>),
}

impl Cipher {
    pub(super) fn new(alg: Alg, key: &[u8; SECRET_BYTES]) -> Self {
        match alg {
            Alg::Xaes256Gcm => Self::Xaes256Gcm(Box::new(Xaes256Gcm::new(key.into()))),
            Alg::XChaCha20Poly1305 => {
                Self::XChaCha20Poly1305(Box::new(XChaCha20Poly1305::new(key.into())))
            }
        }
    }

    /// Encrypts `body` where it stands.
    fn encrypt(
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

    /// Decrypts `body` where it stands, if the tag is right.
    fn decrypt(
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
    use std::convert::Infallible;

    use proptest::prelude::*;
    use rand::TryRng;

    use super::super::key::{Key, Secret};
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_248_000);

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// A key that is the same at every call.
    fn key(alg: Alg, first: u8) -> Key {
        let mut secret = Secret::default();
        for (byte, at) in secret.iter_mut().zip(0_u8..) {
            *byte = first.wrapping_add(at.wrapping_mul(at).wrapping_mul(7));
        }
        Key::from_secret(secret, alg, NOW, NOW).unwrap()
    }

    fn fixed(alg: Alg, first: u8) -> KeyRing {
        KeyRing::from_keys(vec![key(alg, first)], NOW).unwrap()
    }

    /// "Random" bytes 0, 1, 2, …, or the generator's failure.
    struct Counting;
    struct Broken;

    impl TryRng for Counting {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes
                .iter_mut()
                .zip(0..)
                .for_each(|(byte, value)| *byte = value);
            Ok(())
        }
    }

    impl TryRng for Broken {
        type Error = SealError;
        fn try_next_u32(&mut self) -> Result<u32, SealError> {
            Err(SealError)
        }
        fn try_next_u64(&mut self) -> Result<u64, SealError> {
            Err(SealError)
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), SealError> {
            Err(SealError)
        }
    }

    impl TryCryptoRng for Counting {}
    impl TryCryptoRng for Broken {}

    #[test]
    fn the_ciphers_match_the_published_vectors() {
        // E24: C2SP XAES-256-GCM, both vectors; draft-irtf-cfrg-xchacha-03 §A.3.1.
        let rows = [
            (
                Alg::Xaes256Gcm,
                [1; 32],
                *b"ABCDEFGHIJKLMNOPQRSTUVWX",
                Vec::new(),
                "XAES-256-GCM",
                "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
            ),
            (
                Alg::Xaes256Gcm,
                [3; 32],
                *b"ABCDEFGHIJKLMNOPQRSTUVWX",
                b"c2sp.org/XAES-256-GCM".to_vec(),
                "XAES-256-GCM",
                "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
            ),
            (
                Alg::XChaCha20Poly1305,
                hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
                    .try_into()
                    .unwrap(),
                *b"@ABCDEFGHIJKLMNOPQRSTUVW",
                hex("50515253c0c1c2c3c4c5c6c7"),
                "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                 the future, sunscreen would be it.",
                "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
                 731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
                 2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                 21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
            ),
        ];
        for (alg, key, nonce, aad, plaintext, expected) in rows {
            let mut body = plaintext.as_bytes().to_vec();
            let cipher = Cipher::new(alg, &key);
            let tag = cipher.encrypt(&nonce, &aad, &mut body).unwrap();
            assert_eq!([body.as_slice(), &tag].concat(), hex(expected), "{alg}");
            cipher.decrypt(&nonce, &aad, &mut body, &tag).unwrap();
            assert_eq!(body, plaintext.as_bytes(), "{alg}");
        }
    }

    #[test]
    fn sealed_bytes_are_fixed_for_ever() {
        // E17: what is in browsers today must open tomorrow. Head, then ciphertext and tag.
        for (alg, expected) in [
            (
                Alg::Xaes256Gcm,
                "01d5b8795d2a324ef3000102030405060708090a0b0c0d0e0f1011121314151617\
                 ef8814da84993fe7c80a51de24ebe2ca736976ecd455220ffa",
            ),
            (
                Alg::XChaCha20Poly1305,
                "02d5b8795d2a324ef3000102030405060708090a0b0c0d0e0f1011121314151617\
                 3fa342dc99602f72f2da0e2d2c0c0c769c321e2a0c47919266",
            ),
        ] {
            let ring = fixed(alg, 1);
            let sealed = ring
                .seal_with(&mut Counting, NOW, "session", b"aad", b"plaintext")
                .unwrap();
            assert_eq!(sealed, hex(expected), "{alg}");
            let opened = ring.open("session", b"aad", &sealed).unwrap();
            assert_eq!(&*opened.plaintext, b"plaintext");
            assert_eq!(opened.kid, ring.primary(NOW).kid());
        }
    }

    #[test]
    fn without_randomness_nothing_is_sealed() {
        // E5
        let ring = fixed(Alg::default(), 1);
        assert!(
            ring.seal_with(&mut Broken, NOW, "session", b"", b"x")
                .is_err()
        );
    }

    #[test]
    fn nonces_do_not_repeat() {
        // E4
        let ring = fixed(Alg::default(), 1);
        let nonces: std::collections::HashSet<Vec<u8>> = (0..1000)
            .map(|_| ring.seal(NOW, "session", b"", b"").unwrap()[9..HEAD_BYTES].to_vec())
            .collect();
        assert_eq!(nonces.len(), 1000);
    }

    #[test]
    fn only_the_named_key_is_tried() {
        // E8: sealed by one key under the name of another, in a ring that has both.
        let both = vec![key(Alg::default(), 1), key(Alg::default(), 2)];
        let both = KeyRing::from_keys(both, NOW).unwrap();
        let ring = fixed(Alg::default(), 1);
        let mut sealed = ring.seal(NOW, "session", b"", b"x").unwrap();
        assert!(both.open("session", b"", &sealed).is_ok());
        let other = both
            .kids()
            .find(|kid| *kid != ring.primary(NOW).kid())
            .unwrap();
        sealed[1..9].copy_from_slice(other.as_bytes());
        assert_eq!(
            both.open("session", b"", &sealed).unwrap_err(),
            OpenError::Rejected
        );
        // E19: to the ring without it, that key is unknown rather than wrong.
        assert_eq!(
            ring.open("session", b"", &sealed).unwrap_err(),
            OpenError::UnknownKey
        );
    }

    #[test]
    fn the_algorithm_belongs_to_the_key() {
        // E26
        for alg in Alg::ALL {
            let ring = fixed(alg, 1);
            let sealed = ring.seal(NOW, "session", b"", b"x").unwrap();
            for id in (0..=255).filter(|id| *id != alg.id()) {
                let mut other = sealed.clone();
                other[0] = id;
                assert_eq!(
                    ring.open("session", b"", &other).unwrap_err(),
                    OpenError::Rejected
                );
            }
        }
    }

    #[test]
    fn anything_too_short_is_rejected() {
        // E11
        let ring = fixed(Alg::default(), 1);
        let sealed = ring.seal(NOW, "session", b"", b"").unwrap();
        assert_eq!(sealed.len(), SEAL_OVERHEAD);
        for length in 0..SEAL_OVERHEAD {
            let opened = ring.open("session", b"", &sealed[..length]);
            assert_eq!(opened.unwrap_err(), OpenError::Rejected, "{length}");
        }
    }

    #[test]
    fn debug_shows_no_plaintext() {
        // E23
        let ring = fixed(Alg::default(), 1);
        let sealed = ring.seal(NOW, "session", b"", b"token").unwrap();
        let shown = format!("{:?} {ring:?}", ring.open("session", b"", &sealed).unwrap());
        assert!(shown.starts_with("Opened { kid: "), "{shown}");
        assert!(
            !shown.contains("plaintext") && !shown.contains("secret:"),
            "{shown}"
        );
    }

    fn alg() -> impl Strategy<Value = Alg> {
        prop::sample::select(Alg::ALL.as_slice())
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(
            alg in alg(),
            aad in prop::collection::vec(any::<u8>(), 0..60),
            plaintext in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let ring = fixed(alg, 1);
            let sealed = ring.seal(NOW, "session", &aad, &plaintext).unwrap();
            prop_assert_eq!(sealed.len(), plaintext.len() + SEAL_OVERHEAD);
            let opened = ring.open("session", &aad, &sealed).unwrap();
            prop_assert_eq!(&*opened.plaintext, &plaintext);
        }

        #[test]
        fn any_change_is_rejected(
            alg in alg(),
            aad in prop::collection::vec(any::<u8>(), 0..30),
            other in prop::collection::vec(any::<u8>(), 0..30),
            plaintext in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let ring = fixed(alg, 1);
            let sealed = ring.seal(NOW, "session", &aad, &plaintext).unwrap();
            // E3, E2
            let relabelled = ring.open("login", &aad, &sealed);
            prop_assert_eq!(relabelled.unwrap_err(), OpenError::Rejected);
            if other != aad {
                let elsewhere = ring.open("session", &other, &sealed);
                prop_assert_eq!(elsewhere.unwrap_err(), OpenError::Rejected);
            }
            let at = at.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            let expected = match at {
                1..9 => OpenError::UnknownKey,
                _ => OpenError::Rejected,
            };
            prop_assert_eq!(ring.open("session", &aad, &flipped).unwrap_err(), expected);
            prop_assert!(ring.open("session", &aad, &sealed[..at]).is_err());
            let longer = [sealed.as_slice(), &[0]].concat();
            prop_assert!(ring.open("session", &aad, &longer).is_err());
            // Another secret is another kid.
            let stranger = fixed(alg, 2).open("session", &aad, &sealed);
            prop_assert_eq!(stranger.unwrap_err(), OpenError::UnknownKey);
        }

        #[test]
        fn no_bytes_make_open_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(fixed(Alg::default(), 1).open("session", b"", &bytes).is_err());
        }
    }
}
