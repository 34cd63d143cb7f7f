//! What the client publishes of itself: the public keys that a provider verifies its signatures and finds its certificate with.
//!
//! # Spec
//! RFC 7517 §4.7, §5; RFC 7518 §6.2.1, §6.3.1; RFC 8037 §2; RFC 8410 §4; RFC 8705 §2.2.2.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::alg_id;
use serde_json::{Value, json};

use super::client_key::thumbprint;
use super::{ClientAuth, Dpop, Provider};
use crate::tls::ClientCertificate;

impl Provider {
    /// The public keys of the client, a JWK Set (RFC 7517 §5): those of `client_key`, that of a certificate which is registered by its
    /// key, then those of `DPoP`. `None` if there is none.
    pub fn jwks(&self) -> Option<String> {
        let settings = self.settings();
        let own = settings.client_keys.as_ref();
        let mut keys = own.map_or_else(Vec::new, |keys| keys.public().to_vec());
        if let (ClientAuth::SelfSignedTls, Some(certificate)) =
            (&settings.client_auth, &settings.certificate)
        {
            add(&mut keys, certificate);
        }
        if settings.dpop != Dpop::Never {
            keys.extend(self.prover().public());
        }
        let jwks = json!({ "keys": keys });
        (!keys.is_empty()).then(|| jwks.to_string())
    }
}

/// RFC 8705 §2.2.2: the provider compares the certificate that it is shown with the `x5c` of the client's keys.
fn add(keys: &mut Vec<Value>, certificate: &ClientCertificate) {
    let Some(mut jwk) = certificate.public_key().as_deref().and_then(jwk) else {
        return;
    };
    let kid = thumbprint(&jwk);
    let known = keys
        .iter()
        .position(|key| key.get("kid") == Some(&json!(kid)));
    if let Some(known) = known {
        // A key that signs, too.
        jwk = keys.remove(known);
    }
    if let Some(members) = jwk.as_object_mut() {
        let chain = certificate.chain().iter();
        let chain: Vec<String> = chain.map(|der| STANDARD.encode(der)).collect();
        members.insert("x5c".to_owned(), json!(chain));
        members.insert("kid".to_owned(), json!(kid));
        members.insert("use".to_owned(), json!("sig"));
    }
    keys.insert(known.unwrap_or(keys.len()), jwk);
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The members that a JWK must have, from a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7). `None` for a kind of key that TLS does not
/// take from us.
fn jwk(spki: &[u8]) -> Option<Value> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (info, _) = element(SEQUENCE, spki)?;
    let (algorithm, rest) = element(SEQUENCE, info)?;
    // RFC 5280: no bit of the last byte is unused.
    let key = element(BIT_STRING, rest)?.0.strip_prefix(&[0])?;
    let on_curve = |name: &str| {
        // SEC 1 §2.3.3: 0x04, then x and y.
        let point = key.strip_prefix(&[4])?;
        let (x, y) = point.split_at_checked(point.len() / 2)?;
        Some(json!({ "crv": name, "kty": "EC", "x": encode(x), "y": encode(y) }))
    };
    if algorithm == alg_id::ECDSA_P256.as_ref() {
        on_curve("P-256")
    } else if algorithm == alg_id::ECDSA_P384.as_ref() {
        on_curve("P-384")
    } else if algorithm == alg_id::ED25519.as_ref() {
        Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(key) }))
    } else if algorithm == alg_id::RSA_ENCRYPTION.as_ref() {
        // RFC 8017 appendix A.1.1
        let (numbers, _) = element(SEQUENCE, key)?;
        let (n, rest) = element(INTEGER, numbers)?;
        let (e, _) = element(INTEGER, rest)?;
        Some(json!({ "e": encode(unsigned(e)), "kty": "RSA", "n": encode(unsigned(n)) }))
    } else {
        None
    }
}

/// What is in a DER element with this tag, and what follows it (X.690 §8.1.3, §10.1).
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte));
            (length, rest)
        }
        // None of our keys is 64 KiB long.
        _ => return None,
    };
    (found == tag)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// A positive number whose first bit is set has a zero byte before it.
fn unsigned(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::ClientKeys;
    use crate::tls;

    const KEYS: [(&str, &str); 3] = [
        (
            "ed25519",
            include_str!("../../tests/client-keys/ed25519.pem"),
        ),
        ("p-256", include_str!("../../tests/client-keys/p-256.pem")),
        (
            "rsa-2048",
            include_str!("../../tests/client-keys/rsa-2048.pem"),
        ),
    ];

    /// A `SubjectPublicKeyInfo` of each kind, as the TLS library gives it.
    fn spki(pem: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, pem).unwrap();
        let key = tls::private_key(&path).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        key.public_key().unwrap().to_vec()
    }

    #[test]
    fn a_public_key_is_read_as_the_one_that_signs() {
        for (name, pem) in KEYS {
            let keys = ClientKeys::from_pem(pem).unwrap();
            let spki = spki(pem);
            let read = jwk(&spki).unwrap();
            for (member, value) in read.as_object().unwrap() {
                assert_eq!(
                    keys.public()[0].get(member),
                    Some(value),
                    "{name}: {member}"
                );
            }
            assert_eq!(keys.public()[0]["kid"], thumbprint(&read), "{name}");
            for cut in 0..spki.len() {
                assert_eq!(jwk(&spki[..cut]), None, "{name}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_longer_curve_is_read() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let read = jwk(&rcgen::PublicKeyData::subject_public_key_info(&key)).unwrap();
        let length = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(read[name].as_str().unwrap())
                .unwrap()
                .len()
        };
        assert_eq!(
            (read["crv"].as_str(), length("x"), length("y")),
            (Some("P-384"), 48, 48)
        );
    }
}
