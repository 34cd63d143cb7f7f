//! What may sign an ID token or a logout token.
//!
//! # Invariants
//! - `none` and the HMACs are not here. Nobody may sign with the client secret (RFC 8725 §3.1).
//!
//! # Spec
//! RFC 7518 §3.1; RFC 8037 §3.1 (`EdDSA`, here with Ed25519 only).

use openidconnect::core::CoreJwsSigningAlgorithm;
use ring::digest;

/// A signature algorithm (`alg`, RFC 7515 §4.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "their names are all there is to say of them")]
pub enum SigningAlgorithm {
    EdDsa,
    Es256,
    Es384,
    Es512,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

impl SigningAlgorithm {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 10] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("EdDSA", Self::EdDsa),
    ];

    /// The algorithm of a name. Case matters (RFC 7515 §4.1.1).
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(known, algorithm)| (known == name).then_some(algorithm))
    }

    /// The name.
    pub(super) fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(name, known)| (known == self).then_some(name))
            .unwrap_or_default()
    }

    /// The hash that `at_hash` is made with (OpenID Connect Core §3.1.3.6).
    pub(super) fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::Es256 | Self::Ps256 | Self::Rs256 => &digest::SHA256,
            Self::Es384 | Self::Ps384 | Self::Rs384 => &digest::SHA384,
            // RFC 8032 §5.1: Ed25519 hashes with SHA-512.
            Self::EdDsa | Self::Es512 | Self::Ps512 | Self::Rs512 => &digest::SHA512,
        }
    }

    /// The curve of its keys (RFC 7518 §6.2.1.1, RFC 8037 §2).
    pub(super) const fn curve(self) -> Option<&'static str> {
        match self {
            Self::EdDsa => Some("Ed25519"),
            Self::Es256 => Some("P-256"),
            Self::Es384 => Some("P-384"),
            Self::Es512 => Some("P-521"),
            _ => None,
        }
    }

    /// What `openidconnect` calls it.
    pub(super) const fn core(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::Es512 => CoreJwsSigningAlgorithm::EcdsaP521Sha512,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Ps384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            Self::Ps512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Rs384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            Self::Rs512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        }
    }
}
