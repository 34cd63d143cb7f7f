//! Known answers of the ciphers and of the wire format, and all that must not open.

use std::convert::Infallible;

use proptest::prelude::*;
use rand::{TryCryptoRng, TryRng};

use super::NOW;
use crate::keyring::aead::HEAD_BYTES;
use crate::keyring::cipher::{Cipher, Secret};
use crate::keyring::{Alg, Key, KeyRing, OpenError, SEAL_OVERHEAD, SealError};

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
