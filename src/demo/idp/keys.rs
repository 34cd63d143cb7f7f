//! Signing keys, ES256 or ES384: what signs, what the JWKS shows, what once signed (RFC 7515, RFC 7517, RFC 7518 §3.4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair, UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use super::mint;

/// No key could be made, or no signature.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the cryptographic library failed")]
pub(super) struct KeyFailure;

impl From<Unspecified> for KeyFailure {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// What a key signs with (RFC 7518 §3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
}

impl KeyAlgorithm {
    /// The value of `alg`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    /// What `at_hash` is made with (OpenID Connect Core §3.1.3.6).
    pub(super) fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::Es256 => &digest::SHA256,
            Self::Es384 => &digest::SHA384,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &ECDSA_P384_SHA384_FIXED,
        }
    }

    /// `crv`, and the bytes of a coordinate.
    const fn curve(self) -> (&'static str, usize) {
        match self {
            Self::Es256 => ("P-256", 32),
            Self::Es384 => ("P-384", 48),
        }
    }
}

#[derive(Debug)]
struct SigningKey {
    kid: String,
    algorithm: KeyAlgorithm,
    pair: EcdsaKeyPair,
}

/// The last published key signs.
#[derive(Debug)]
pub(super) struct KeySet {
    published: Vec<SigningKey>,
    retired: Vec<SigningKey>,
}

impl KeySet {
    pub(super) fn new() -> Result<Self, KeyFailure> {
        Ok(Self {
            published: vec![SigningKey::generate(KeyAlgorithm::Es256)?],
            retired: Vec::new(),
        })
    }

    /// A new key signs; the old ones leave the JWKS.
    pub(super) fn rotate(&mut self) -> Result<(), KeyFailure> {
        let next = SigningKey::generate(self.algorithm())?;
        self.retired.append(&mut self.published);
        self.published.push(next);
        Ok(())
    }

    /// A new key signs; the old ones stay in the JWKS.
    pub(super) fn add(&mut self, algorithm: KeyAlgorithm) -> Result<(), KeyFailure> {
        self.published.push(SigningKey::generate(algorithm)?);
        Ok(())
    }

    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// The `kid` of the key that signs.
    pub(super) fn kid(&self) -> &str {
        self.published.last().map_or("", |key| key.kid.as_str())
    }

    /// What the key that signs signs with.
    pub(super) fn algorithm(&self) -> KeyAlgorithm {
        let last = self.published.last();
        last.map_or(KeyAlgorithm::Es256, |key| key.algorithm)
    }

    /// A JWS in compact serialisation.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> Result<String, KeyFailure> {
        let key = self.published.last().ok_or(KeyFailure)?;
        let input = signing_input(header, claims);
        let signature = key.pair.sign(&SystemRandom::new(), input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWS that one of our keys, past ones too, has signed. Times are not looked at.
    pub(super) fn verify(&self, jws: &str) -> Option<Map<String, Value>> {
        let (input, signature) = jws.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let ours = self.published.iter().chain(&self.retired).any(|key| {
            UnparsedPublicKey::new(key.algorithm.verification(), key.pair.public_key())
                .verify(input.as_bytes(), &signature)
                .is_ok()
        });
        let claims = input.split_once('.')?.1;
        ours.then(|| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok())?
    }
}

impl SigningKey {
    fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyFailure> {
        let random = SystemRandom::new();
        let signing = algorithm.signing();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random)?;
        let pair =
            EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).map_err(|_| KeyFailure)?;
        Ok(Self {
            kid: mint::random_text(8),
            algorithm,
            pair,
        })
    }

    fn jwk(&self) -> Value {
        // SEC 1 §2.3.3: 0x04, then x and y.
        let (curve, bytes) = self.algorithm.curve();
        let point = self.pair.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .unwrap_or_default()
            .split_at_checked(bytes)
            .unwrap_or_default();
        json!({
            "alg": self.algorithm.as_str(), "crv": curve, "kid": self.kid, "kty": "EC", "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// What is signed: `BASE64URL(header) . BASE64URL(claims)` (RFC 7515 §5.1).
pub(super) fn signing_input(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_outlives_the_rotation_of_its_key_but_not_a_changed_byte() {
        let mut keys = KeySet::new().unwrap();
        let jws = keys
            .sign(&json!({"alg": "ES256"}), &json!({"sub": "x"}))
            .unwrap();
        let before = keys.jwks();
        keys.rotate().unwrap();
        assert_ne!(keys.jwks(), before);
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 1);
        assert_eq!(keys.verify(&jws).unwrap()["sub"], "x");
        assert!(keys.verify(&jws.replacen("eyJ", "eyK", 1)).is_none());
        keys.add(KeyAlgorithm::Es384).unwrap();
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 2);
        let jws = keys
            .sign(&json!({"alg": "ES384"}), &json!({"sub": "y"}))
            .unwrap();
        assert_eq!(keys.verify(&jws).unwrap()["sub"], "y");
    }
}
