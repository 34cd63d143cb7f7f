//! The client's own keys: one of them signs for the client, and the provider verifies with the public halves.
//!
//! # Invariants
//! - A private key never leaves this module. `Debug` and errors show what kind of key it is, and its public name.
//! - There is at least one key, and no key is there twice.
//!
//! # Spec
//! RFC 5958 (PKCS#8); RFC 7515; RFC 7517; RFC 7518 §3.4, §3.5, §6.2, §6.3; RFC 7638 (`kid`); RFC 8037 §2, §3.1 (Ed25519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256,
    RsaKeyPair,
};
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SigningAlgorithm;

/// The keys of one client: the first signs, all of them are published. So a key can be replaced without a gap.
#[derive(Debug)]
pub struct ClientKeys {
    signing: ClientKey,
    /// The published keys.
    public: Vec<Value>,
}

/// One key.
struct ClientKey {
    pair: Pair,
    kid: String,
}

/// `ring` keeps the private key in a form of its own, and does not erase it.
enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Ps256(RsaKeyPair),
}

/// Why a file of keys cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientKeyError {
    /// A block of PEM does not end, or is not base64.
    #[error("it is not in PEM")]
    NotPem,
    /// There is a certificate, and nothing else.
    #[error("it holds a certificate, which has no private key")]
    Certificate,
    /// A key is protected by a password.
    #[error("it holds an encrypted key")]
    Encrypted,
    /// There is no key of any form.
    #[error("it holds no private key in PEM")]
    NoKey,
    /// PKCS#1 or SEC 1.
    #[error("key {0} is in the form of {1}, not in that of PKCS#8")]
    OlderForm(usize, &'static str),
    /// An algorithm or a curve that is not ours.
    #[error("key {0} is neither RSA, nor on the curve P-256, nor Ed25519")]
    OtherKind(usize),
    /// An RSA key that is not safe any more.
    #[error("key {0} is an RSA key of fewer than 2048 bits")]
    TooSmall(usize),
    /// An RSA key that would make each login slow.
    #[error("key {0} is an RSA key of more than 4096 bits")]
    TooLarge(usize),
    /// What is in it does not fit together.
    #[error("key {0} is damaged")]
    Damaged(usize),
    /// Two keys are the same.
    #[error("key {0} stands in it twice")]
    Twice(usize),
}

impl ClientKeyError {
    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::OlderForm(..) | Self::Encrypted => {
                "turn it into PKCS#8 without a password: openssl pkcs8 -topk8 -nocrypt -in old.pem -out client.pem"
            }
            Self::Twice(_) => "remove one of the two",
            _ => {
                "make a key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client.pem"
            }
        }
    }
}

impl PartialEq for ClientKeys {
    /// A public key names its private one. The first of them signs.
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl ClientKeys {
    /// Reads the private keys of a PEM file, in order. Other blocks, such as certificates beside a key, are passed over.
    pub fn from_pem(pem: &str) -> Result<Self, ClientKeyError> {
        let mut keys: Vec<ClientKey> = Vec::new();
        let mut has_certificate = false;
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            let (kind, der) = block.map_err(|_| ClientKeyError::NotPem)?;
            let der = Zeroizing::new(der);
            let number = keys.len().saturating_add(1);
            match kind {
                SectionKind::PrivateKey => {
                    let key = ClientKey::from_pkcs8(&der, number)?;
                    if keys.iter().any(|known| known.kid == key.kid) {
                        return Err(ClientKeyError::Twice(number));
                    }
                    keys.push(key);
                }
                SectionKind::RsaPrivateKey => {
                    return Err(ClientKeyError::OlderForm(number, "PKCS#1"));
                }
                SectionKind::EcPrivateKey => {
                    return Err(ClientKeyError::OlderForm(number, "SEC 1"));
                }
                SectionKind::Certificate => has_certificate = true,
                _ => {}
            }
        }
        // The reader of PEM passes over a block whose name it does not know.
        if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(ClientKeyError::Encrypted);
        }
        let public = keys.iter().map(ClientKey::jwk).collect();
        let signing = keys.into_iter().next().ok_or(if has_certificate {
            ClientKeyError::Certificate
        } else {
            ClientKeyError::NoKey
        })?;
        Ok(Self { signing, public })
    }

    /// The public keys, each a JWK (RFC 7517 §4).
    pub fn public(&self) -> &[Value] {
        &self.public
    }

    /// What the first key signs with.
    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        self.signing.pair.algorithm()
    }

    /// A JWS with these claims, in compact serialization (RFC 7515 §7.1). `typ` says what it is, if a specification has a name for
    /// that.
    pub(super) fn sign(
        &self,
        typ: Option<&str>,
        claims: &Value,
    ) -> Result<Zeroizing<String>, Unspecified> {
        let key = &self.signing;
        let header = URL_SAFE_NO_PAD.encode(key.header(typ).to_string());
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut jws = Zeroizing::new(format!("{header}.{claims}"));
        let signature = key.pair.sign(jws.as_bytes())?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        Ok(jws)
    }
}

impl ClientKey {
    /// `number` is the key's place in its file, for the error.
    fn from_pkcs8(der: &[u8], number: usize) -> Result<Self, ClientKeyError> {
        let pair = Pair::from_pkcs8(der, number)?;
        let kid = thumbprint(&pair.public());
        Ok(Self { pair, kid })
    }

    /// The header of what it signs.
    fn header(&self, typ: Option<&str>) -> Value {
        let alg = self.pair.algorithm().as_str();
        let mut header = json!({ "alg": alg, "kid": self.kid });
        if let (Some(typ), Some(members)) = (typ, header.as_object_mut()) {
            members.insert("typ".to_owned(), typ.into());
        }
        header
    }

    /// The public key, with what it is for.
    fn jwk(&self) -> Value {
        let mut jwk = self.pair.public();
        if let Some(jwk) = jwk.as_object_mut() {
            for (name, value) in [
                ("use", "sig"),
                ("alg", self.pair.algorithm().as_str()),
                ("kid", &self.kid),
            ] {
                jwk.insert(name.to_owned(), value.into());
            }
        }
        jwk
    }
}

/// The name of a key (RFC 7638 §3): `public` has the required members alone, and `serde_json` writes them in the order of their names,
/// without spaces.
pub(super) fn thumbprint(public: &Value) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(public.to_string()))
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey")
            .field("alg", &self.pair.algorithm())
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn from_pkcs8(der: &[u8], number: usize) -> Result<Self, ClientKeyError> {
        let random = SystemRandom::new();
        let attempts = [
            // RFC 5958 lets the public key be left out, and OpenSSL leaves it out.
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::EdDsa),
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .map(Self::Es256),
            RsaKeyPair::from_pkcs8(der).map(Self::Ps256),
        ];
        let mut cause = ClientKeyError::OtherKind(number);
        for attempt in attempts {
            match attempt {
                Ok(pair) => return Ok(pair),
                // `ring` tells its reasons apart by their texts alone.
                Err(rejected) => match rejected.to_string().as_str() {
                    "WrongAlgorithm" => {}
                    "TooSmall" => cause = ClientKeyError::TooSmall(number),
                    "TooLarge" => cause = ClientKeyError::TooLarge(number),
                    _ => cause = ClientKeyError::Damaged(number),
                },
            }
        }
        Err(cause)
    }

    const fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::EdDsa(_) => SigningAlgorithm::EdDsa,
            Self::Es256(_) => SigningAlgorithm::Es256,
            Self::Ps256(_) => SigningAlgorithm::Ps256,
        }
    }

    /// The members that a JWK of this kind must have, and no others.
    fn public(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::EdDsa(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) })
            }
            Self::Es256(pair) => {
                // SEC 1 §2.3.3: 0x04, then x and y.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).unwrap_or_default();
                json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
            }
            Self::Ps256(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "e": encode(&public.e), "kty": "RSA", "n": encode(&public.n) })
            }
        }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::EdDsa(pair) => Ok(pair.sign(input).as_ref().to_vec()),
            Self::Es256(pair) => Ok(pair.sign(&random, input)?.as_ref().to_vec()),
            Self::Ps256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, input, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_thumbprint_of_the_public_key() {
        // RFC 8037 appendix A.1 to A.3: an Ed25519 key and its thumbprint.
        let seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
        let seed = URL_SAFE_NO_PAD.decode(seed).unwrap();
        let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let key = ClientKey::from_pkcs8(&[&prefix[..], &seed].concat(), 1).unwrap();
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(
            key.jwk()["x"],
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        let shown = format!("{key:?}");
        assert!(shown.contains("kPrK_qmx") && !shown.contains("nWGx"));
    }
}
