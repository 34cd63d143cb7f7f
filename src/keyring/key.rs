//! One key: a secret, the cipher it is for, when it begins to seal, and a name that follows from
//! the secret.
//!
//! Made by [`Key::generate`] or read by `file`; `aead` asks it for the subkey of a label.
//!
//! # Invariants
//! - The kid is computed from the secret here and nowhere taken on trust, so that no file can bear
//!   another key's name.
//! - A secret that looks written by a person is refused: with ciphers that do not commit to their
//!   key, a guessable key can be found many guesses at a time (Len, Grubbs, Ristenpart:
//!   "Partitioning Oracle Attacks"; E9).
//! - No secret in `Debug`; secrets and subkeys are erased when dropped (E23).
//!
//! # Spec
//! RFC 5869 (HKDF with SHA-256, no salt, info = label); the kid in the spirit of RFC 7638.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hkdf::{Hkdf, InvalidLength};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::aead::Cipher;
use super::error::KeyRingError;
use crate::clock::UnixTime;

/// Bytes of a secret and of a subkey.
pub(super) const SECRET_BYTES: usize = 32;

/// 32 bytes that are erased when dropped.
pub(super) type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// 32 random bytes have fewer different values than this once in 2^50 times.
const FEWEST_DISTINCT: usize = 16;

/// Keeps a kid from ever being the hash of the secret that something else computes.
const KID_PREFIX: &[u8] = b"sealgate kid 1\0";

/// A cipher: the closed list (E26). Each takes a 256-bit key and a 192-bit nonce, which may be
/// random (E4).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Alg {
    /// AES-256-GCM with an extended nonce (C2SP `XAES-256-GCM`). Fast wherever the processor knows
    /// AES.
    #[default]
    Xaes256Gcm,
    /// ChaCha20-Poly1305 with an extended nonce (draft-irtf-cfrg-xchacha). Fast without such a
    /// processor.
    XChaCha20Poly1305,
}

impl Alg {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Xaes256Gcm, Self::XChaCha20Poly1305];

    /// The first byte of what it sealed. Never reused for another cipher.
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

/// Not the name of a cipher.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cipher is unknown; write XAES-256-GCM or XChaCha20-Poly1305")]
pub struct ParseAlgError;

/// A key's name, derived from its secret. 8 bytes; 16 lower-case hex digits as text.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Kid([u8; 8]);

impl Kid {
    /// The name as it stands in sealed bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    pub(super) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    fn of(secret: &[u8; SECRET_BYTES]) -> Self {
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
        // As one number, so that widths given by a caller's format string apply to the whole.
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
        // `from_str_radix` alone would take a sign and capitals: a kid has one spelling.
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(hex) {
            return Err(ParseKidError);
        }
        u64::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| ParseKidError)
    }
}

/// Not a kid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a kid is 16 lower-case hex digits")]
pub struct ParseKidError;

/// A key of the ring.
pub struct Key {
    kid: Kid,
    alg: Alg,
    created_at: UnixTime,
    activates_at: UnixTime,
    secret: Secret,
    /// By label, made when first asked for. Labels are constants of this crate, so the list stays
    /// short.
    ciphers: ArcSwap<Vec<(&'static str, Arc<Cipher>)>>,
}

impl Key {
    /// A new random key.
    pub fn generate(
        alg: Alg,
        created_at: UnixTime,
        activates_at: UnixTime,
    ) -> Result<Self, KeyRingError> {
        let mut secret = Secret::default();
        SysRng
            .try_fill_bytes(secret.as_mut_slice())
            .map_err(|_| KeyRingError::Randomness)?;
        // A weak result means a broken generator rather than bad luck.
        Self::from_secret(secret, alg, created_at, activates_at)
            .map_err(|_| KeyRingError::Randomness)
    }

    /// The key of this secret, unless the secret is weak.
    pub(super) fn from_secret(
        secret: Secret,
        alg: Alg,
        created_at: UnixTime,
        activates_at: UnixTime,
    ) -> Result<Self, KeyRingError> {
        if let Some(why) = weakness(&secret) {
            return Err(KeyRingError::WeakSecret(why));
        }
        Ok(Self {
            kid: Kid::of(&secret),
            alg,
            created_at,
            activates_at,
            secret,
            ciphers: ArcSwap::default(),
        })
    }

    /// The same key for another ring.
    #[cfg(test)]
    pub(crate) fn twin(&self) -> Self {
        let secret = self.secret.clone();
        Self::from_secret(secret, self.alg, self.created_at, self.activates_at).unwrap()
    }

    /// Its name.
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// The one cipher it is used with.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// When it was made.
    pub const fn created_at(&self) -> UnixTime {
        self.created_at
    }

    /// From when on it may be primary.
    pub const fn activates_at(&self) -> UnixTime {
        self.activates_at
    }

    /// For the writer of its file.
    pub(super) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// The key for one use (E3): HKDF-SHA-256 of the secret with `label` as info.
    fn subkey(&self, label: &'static str) -> Result<Secret, InvalidLength> {
        derive(self.secret.as_slice(), label.as_bytes())
    }

    /// The cipher with that key.
    pub(super) fn cipher(&self, label: &'static str) -> Result<Arc<Cipher>, InvalidLength> {
        if let Some((_, cipher)) = self.ciphers.load().iter().find(|(l, _)| *l == label) {
            return Ok(Arc::clone(cipher));
        }
        let subkey = self.subkey(label)?;
        let cipher = Arc::new(Cipher::new(self.alg, &subkey));
        // Two threads may come here at once; they add the same cipher, and one entry too many does
        // no harm.
        self.ciphers.rcu(|known| {
            let mut ciphers = Vec::clone(known);
            ciphers.push((label, Arc::clone(&cipher)));
            ciphers
        });
        Ok(cipher)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("created_at", &self.created_at)
            .field("activates_at", &self.activates_at)
            .finish_non_exhaustive()
    }
}

fn derive(secret: &[u8], info: &[u8]) -> Result<Secret, InvalidLength> {
    let mut subkey = Secret::default();
    Hkdf::<Sha256>::new(None, secret).expand(info, subkey.as_mut_slice())?;
    Ok(subkey)
}

/// What a person or a broken generator left in a secret.
fn weakness(secret: &[u8; SECRET_BYTES]) -> Option<&'static str> {
    let mut steps = secret
        .windows(2)
        .map(|two| two.iter().fold(0_u8, |a, b| b.wrapping_sub(a)));
    let first = steps.next();
    if steps.all(|step| Some(step) == first) {
        Some("one byte repeated, or a plain sequence")
    } else if secret.iter().collect::<BTreeSet<_>>().len() < FEWEST_DISTINCT {
        Some("made of a few byte values only")
    } else if secret
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
    {
        Some("printable text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// A secret that passes as random: the bytes of a hash.
    fn secret(seed: &str) -> Secret {
        Secret::new(Sha256::digest(seed).into())
    }

    fn key(seed: &str) -> Key {
        let at = UnixTime::from_secs(0);
        Key::from_secret(secret(seed), Alg::default(), at, at).unwrap()
    }

    #[test]
    fn subkeys_are_hkdf_sha_256() {
        // RFC 5869 A.3 (no salt, no info), the first 32 bytes. E24
        let okm = derive(&[0x0b; 22], b"").unwrap();
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(okm.as_slice(), hex(expected));
    }

    #[test]
    fn every_label_has_its_own_subkey_and_keeps_it() {
        // E3
        let key = key("a");
        let session = key.subkey("session").unwrap();
        assert_ne!(session, key.subkey("login").unwrap());
        assert_eq!(session, key.subkey("session").unwrap());
        for label in ["session", "login", "session"] {
            key.cipher(label).unwrap();
        }
        assert_eq!(
            key.ciphers.load().len(),
            2,
            "the third asking was answered from memory"
        );
        assert_ne!(session, super::tests::key("b").subkey("session").unwrap());
    }

    #[test]
    fn a_kid_follows_from_the_secret_and_never_changes() {
        // Fixed for ever: key files in use are named by it.
        assert_eq!(key("a").kid().to_string(), "5b03d8afc302d0b7");
        assert_ne!(key("a").kid(), key("b").kid());
    }

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

    #[test]
    fn a_secret_that_is_not_random_is_refused() {
        // E9
        let mut sequence = [0; SECRET_BYTES];
        for (byte, value) in sequence.iter_mut().zip(200_u8..=255) {
            *byte = value.wrapping_mul(3);
        }
        let few: [u8; SECRET_BYTES] = std::array::from_fn(|at| [200, 3, 77, 9, 250][at * at % 5]);
        let rows: [(&str, [u8; SECRET_BYTES]); 6] = [
            ("zeros", [0; SECRET_BYTES]),
            ("one byte", [0xa5; SECRET_BYTES]),
            ("sequence", sequence),
            ("few values", few),
            ("passphrase", *b"password123 correct horse batter"),
            ("hex digits", *b"0123456789abcdef8899aabbccddeeff"),
        ];
        let at = UnixTime::from_secs(0);
        for (name, bytes) in rows {
            let made = Key::from_secret(Secret::new(bytes), Alg::default(), at, at);
            assert!(matches!(made, Err(KeyRingError::WeakSecret(_))), "{name}");
        }
        for seed in 0..200 {
            assert_eq!(weakness(&secret(&seed.to_string())), None);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        // E23
        let key = key("a");
        key.cipher("session").unwrap();
        let shown = format!("{key:?}");
        assert!(shown.starts_with("Key { kid: "));
        assert!(shown.ends_with(", .. }"), "{shown}");
        assert!(
            !shown.contains("secret") && !shown.contains("cipher"),
            "{shown}"
        );
    }

    #[test]
    fn generated_keys_differ() {
        let at = UnixTime::from_secs(7);
        let made = Key::generate(Alg::XChaCha20Poly1305, at, at).unwrap();
        assert_eq!(made.alg(), Alg::XChaCha20Poly1305);
        assert_ne!(
            made.kid(),
            Key::generate(Alg::default(), at, at).unwrap().kid()
        );
    }
}
