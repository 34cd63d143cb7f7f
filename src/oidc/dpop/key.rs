//! A key that proves possession, and the proofs that it signs.
//!
//! # Invariants
//! - The private key stays in here. `Debug` shows whose it is and its thumbprint.
//!
//! # Spec
//! RFC 9449 §4.2; RFC 7515; RFC 7518 §3.4, §6.2; RFC 7638; FIPS 186-5 §A.2.2 (a private key from bytes, by rejection).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::keyring::{Key, Kid};

/// What the derived bytes are for. No label of a cipher begins so.
const USE: &[u8] = b"dpop\0";

/// An ES256 key that follows from a key of the ring and an issuer.
pub(in crate::oidc) struct ProofKey {
    kid: Kid,
    pair: EcdsaKeyPair,
    /// The public key: the members that its thumbprint is made of.
    jwk: Value,
    /// RFC 7638.
    thumbprint: String,
    /// The header of all its proofs, in base64url.
    header: String,
}

/// What one proof says.
pub(super) struct Statement<'a> {
    pub(super) method: &'a Method,
    /// The URL without query and fragment.
    pub(super) target: &'a str,
    pub(super) now: UnixTime,
    /// The hash of the access token that goes along.
    pub(super) ath: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
}

impl ProofKey {
    /// The key of this key of the ring, for one issuer.
    pub(super) fn derive(key: &Key, issuer: &str) -> Result<Self, Unspecified> {
        // 32 random bytes are no private key once in 2^32 times. Then the next ones count.
        let private = (0..=u8::MAX).find_map(|attempt| {
            let info = [USE, &[attempt], issuer.as_bytes()].concat();
            let bytes = key.derive(&info).ok()?;
            let private = p256::SecretKey::from_slice(bytes.as_slice()).ok()?;
            Some((bytes, private))
        });
        let (bytes, private) = private.ok_or(Unspecified)?;
        let point = private.public_key().to_sec1_point(false);
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            bytes.as_slice(),
            point.as_bytes(),
            &SystemRandom::new(),
        );
        let pair = pair.map_err(|_| Unspecified)?;
        // SEC 1 §2.3.3: 0x04, then x and y.
        let point = point.as_bytes().get(1..).ok_or(Unspecified)?;
        let (x, y) = point.split_at_checked(32).ok_or(Unspecified)?;
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // serde_json writes members by name, as RFC 7638 §3 wants them.
        let jwk = json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        Ok(Self {
            kid: key.kid(),
            pair,
            thumbprint: encode(&Sha256::digest(jwk.to_string())),
            header: encode(header.to_string().as_bytes()),
            jwk,
        })
    }

    /// The key of the ring that it follows from.
    pub(in crate::oidc) const fn kid(&self) -> Kid {
        self.kid
    }

    /// The JWK thumbprint, which names the key in `dpop_jkt` and in tokens.
    pub(in crate::oidc) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public key, with what it is for.
    pub(super) fn public(&self) -> Value {
        let mut jwk = self.jwk.clone();
        if let Some(jwk) = jwk.as_object_mut() {
            for (name, value) in [("use", "sig"), ("alg", "ES256"), ("kid", &self.thumbprint)] {
                jwk.insert(name.to_owned(), value.into());
            }
        }
        jwk
    }

    /// The value of a `DPoP` header, marked sensitive.
    pub(super) fn proof(&self, statement: &Statement<'_>) -> Result<HeaderValue, Unspecified> {
        let random = SystemRandom::new();
        let mut jti = [0; 16];
        random.fill(&mut jti)?;
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(jti),
            "htm": statement.method.as_str(),
            "htu": statement.target,
            "iat": statement.now.as_secs(),
        });
        if let Some(claims) = claims.as_object_mut() {
            for (name, value) in [("ath", statement.ath), ("nonce", statement.nonce)] {
                claims.extend(value.map(|value| (name.to_owned(), value.into())));
            }
        }
        let mut jws = String::with_capacity(768);
        jws.push_str(&self.header);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut jws);
        let signature = self.pair.sign(&random, jws.as_bytes())?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        let mut value = HeaderValue::try_from(jws).map_err(|_| Unspecified)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofKey")
            .field("kid", &self.kid)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::keyring::Alg;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn random_key() -> Key {
        Key::generate(Alg::default(), NOW, NOW).unwrap()
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_key_follows_from_the_ring_and_the_issuer_and_from_nothing_else() {
        let key = &random_key();
        let derive = |key, issuer| ProofKey::derive(key, issuer).unwrap();
        let one = derive(key, "https://id.example.com");
        assert_eq!(one.kid(), key.kid());
        let twin = key.twin();
        let again = derive(&twin, "https://id.example.com");
        assert_eq!(one.thumbprint(), again.thumbprint());
        assert_ne!(
            one.thumbprint(),
            derive(key, "https://id.example.org").thumbprint()
        );
        let other = derive(&random_key(), "https://id.example.com");
        assert_ne!(one.thumbprint(), other.thumbprint());
        let shown = format!("{one:?}");
        assert!(
            shown.ends_with(", .. }") && !shown.contains("pair"),
            "{shown}"
        );
    }

    #[test]
    fn a_proof_is_signed_by_the_key_in_its_header_and_never_the_same_twice() {
        // B49
        let key = ProofKey::derive(&random_key(), "https://id.example.com").unwrap();
        let prove = |ath, nonce| {
            let statement = Statement {
                method: &Method::POST,
                target: "https://id.example.com/token",
                now: NOW,
                ath,
                nonce,
            };
            let proof = key.proof(&statement).unwrap();
            assert!(proof.is_sensitive());
            proof.to_str().unwrap().to_owned()
        };
        let proof = prove(Some("hash"), Some("n\"1"));
        let (input, signature) = proof.rsplit_once('.').unwrap();
        let (header, claims) = input.split_once('.').unwrap();
        let (header, claims) = (decoded(header), decoded(claims));
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&"dpop+jwt".into(), &"ES256".into())
        );
        let member = |name: &str| {
            let text = header["jwk"][name].as_str().unwrap();
            URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let point = [vec![4], member("x"), member("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                input.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
        assert_eq!(
            header["jwk"].as_object().unwrap().len(),
            4,
            "nothing private"
        );
        for (name, value) in [
            ("htm", json!("POST")),
            ("htu", json!("https://id.example.com/token")),
            ("iat", json!(NOW.as_secs())),
            ("ath", json!("hash")),
            ("nonce", json!("n\"1")),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        let bare = prove(None, None);
        let bare = decoded(bare.split('.').nth(1).unwrap());
        assert!(bare.get("ath").is_none() && bare.get("nonce").is_none());
        assert_ne!(bare["jti"], claims["jti"]);
        assert!(bare["jti"].as_str().unwrap().len() >= 22, "128 bits");
    }
}
