//! Keys and proofs for unit tests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use serde_json::{Value, json};

use super::PublicKey;

/// A client with a key.
pub(crate) struct Signer {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        let pkcs8 = pkcs8.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(alg, &pkcs8, &random).unwrap();
        Self { pkcs8, pair }
    }

    pub(crate) fn public(&self) -> PublicKey {
        let point = self.pair.public_key().as_ref();
        PublicKey::from_bytes(point[1..].try_into().unwrap())
    }

    pub(crate) fn jwk(&self) -> Value {
        let key = self.public();
        let (x, y) = key.as_bytes().split_at(32);
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", compact(header), compact(claims));
        let random = SystemRandom::new();
        let signature = self.pair.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The same signature in the other form there is, which JWS does not use.
    pub(crate) fn der(&self, signed: &str) -> String {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(alg, &self.pkcs8, &random).unwrap();
        let signature = pair.sign(&random, signed.as_bytes()).unwrap();
        URL_SAFE_NO_PAD.encode(signature)
    }
}

pub(crate) fn compact(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}
