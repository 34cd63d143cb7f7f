//! One key: a secret, its cipher, the time from which it seals, and a name that follows from the secret.
//!
//! [`Key::generate`] makes a key, and `file` reads one. `aead` asks it for the cipher of a label.
//!
//! # Invariants
//! - The kid is always computed from the secret, so a file cannot carry the name of another key.
//! - A secret that looks as if a person wrote it is refused. The ciphers do not commit to their key, so an attacker could
//!   test many guessable keys at once (Len, Grubbs, Ristenpart: "Partitioning Oracle Attacks").
//! - `Debug` shows no secret. Secrets and subkeys are erased when dropped.
//!
//! # Spec
//! RFC 5869 (HKDF with SHA-256, no salt, info = label).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hkdf::{Hkdf, InvalidLength};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;

use super::cipher::{Alg, Cipher, SECRET_BYTES, Secret};
use super::error::KeyRingError;
use super::kid::Kid;
use crate::clock::UnixTime;

/// 32 random bytes have fewer different values than this once in 2^50 times.
const FEWEST_DISTINCT: usize = 16;

/// Why a secret is refused: it is not 32 random bytes, but this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Weak(pub(super) &'static str);

/// A key of the ring.
pub struct Key {
    kid: Kid,
    alg: Alg,
    created_at: UnixTime,
    activates_at: UnixTime,
    secret: Secret,
    /// The ciphers by label, each made when it is first asked for. Labels are constants of this crate, so the list
    /// stays short.
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
        // A weak secret here means a broken generator rather than bad luck.
        Self::from_secret(secret, alg, created_at, activates_at)
            .map_err(|_| KeyRingError::Randomness)
    }

    /// The key with this secret, unless the secret is weak.
    pub(super) fn from_secret(
        secret: Secret,
        alg: Alg,
        created_at: UnixTime,
        activates_at: UnixTime,
    ) -> Result<Self, Weak> {
        if let Some(why) = weakness(&secret) {
            return Err(Weak(why));
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

    /// The cipher that it is used with.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// When it was made.
    pub const fn created_at(&self) -> UnixTime {
        self.created_at
    }

    /// The time from which it may be primary.
    pub const fn activates_at(&self) -> UnixTime {
        self.activates_at
    }

    /// The secret, for its file.
    pub(super) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// The key for one use: HKDF-SHA-256 of the secret, with `label` as info.
    fn subkey(&self, label: &'static str) -> Result<Secret, InvalidLength> {
        self.derive(label.as_bytes())
    }

    /// Bytes for another use than sealing: HKDF-SHA-256 of the secret, with `info`, which names the use and no label of a
    /// cipher.
    pub(crate) fn derive(&self, info: &[u8]) -> Result<Secret, InvalidLength> {
        derive(self.secret.as_slice(), info)
    }

    /// The cipher with that key.
    pub(super) fn cipher(&self, label: &'static str) -> Result<Arc<Cipher>, InvalidLength> {
        if let Some((_, cipher)) = self.ciphers.load().iter().find(|(l, _)| *l == label) {
            return Ok(Arc::clone(cipher));
        }
        let subkey = self.subkey(label)?;
        let cipher = Arc::new(Cipher::new(self.alg, &subkey));
        // Two threads may come here at once. They add the same cipher twice, which does no harm.
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

/// What a secret shows that a person or a broken generator made.
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
    use sha2::Digest as _;

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
            assert!(matches!(made, Err(Weak(_))), "{name}");
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
