//! What a proof must be before its claims count: a compact JWS that a P-256 key has signed.
//!
//! # Invariants
//! - Header and payload are JSON objects in which no name comes twice; base64url is canonical, without padding.
//! - A header with `crit` is refused: we know no extension (RFC 7515 §4.1.11).
//! - Keys come from the header's `jwk`, or the caller knows them. `jku`, `kid`, `x5u` and `x5c` are not read.
//!
//! # Spec
//! RFC 7515 §5.2, §7.1; RFC 8725; RFC 9449 §4.3.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;
use super::key::PublicKey;

/// The longest proof. Real ones have some hundred bytes.
const LONGEST: usize = 8192;

/// The proof is not believed. What is wrong with it helps nobody who makes proofs as he should.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the proof is not valid")]
pub struct Refused;

/// A proof that brought its own key: the signature is that key's. Whether the key is the right one is for the caller to say.
pub struct Proof {
    /// The key.
    pub key: PublicKey,
    /// The payload.
    pub claims: Map<String, Value>,
}

impl Proof {
    /// Reads a proof whose header has the key as `jwk`, and is of this `typ`.
    pub fn read(text: &str, typ: &str) -> Result<Self, Refused> {
        let parts = Parts::of(text, typ).ok_or(Refused)?;
        let key = parts.embedded_key()?.ok_or(Refused)?;
        let claims = parts.verified_by(&key)?;
        Ok(Self { key, claims })
    }
}

/// The payload of a proof of this `typ`, if this key has signed it.
pub fn claims_of(text: &str, typ: &str, key: &PublicKey) -> Result<Map<String, Value>, Refused> {
    let parts = Parts::of(text, typ).ok_or(Refused)?;
    // It may repeat the key, but not name another.
    if parts.embedded_key()?.is_some_and(|named| named != *key) {
        return Err(Refused);
    }
    parts.verified_by(key)
}

/// A compact JWS of the right type, not verified yet.
struct Parts<'t> {
    header: Map<String, Value>,
    payload: &'t str,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, typ: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let parts = Self {
            header: json::object(&URL_SAFE_NO_PAD.decode(header).ok()?)?,
            payload,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        };
        let says = |name: &str| parts.header.get(name).and_then(Value::as_str);
        let is_ours = says("alg") == Some("ES256") && says("typ") == Some(typ);
        (is_ours && !parts.header.contains_key("crit")).then_some(parts)
    }

    /// The key in the header, if there is one.
    fn embedded_key(&self) -> Result<Option<PublicKey>, Refused> {
        let Some(jwk) = self.header.get("jwk") else {
            return Ok(None);
        };
        let key = jwk.as_object().and_then(PublicKey::from_jwk);
        key.map(Some).ok_or(Refused)
    }

    fn verified_by(&self, key: &PublicKey) -> Result<Map<String, Value>, Refused> {
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(Refused);
        }
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| Refused)?;
        json::object(&payload).ok_or(Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::samples::{Signer, compact};
    use serde_json::json;

    const TYP: &str = "dbsc+jwt";

    fn header(device: &Signer) -> Value {
        json!({"alg": "ES256", "typ": TYP, "jwk": device.jwk()})
    }

    #[test]
    fn a_proof_with_its_key_is_read() {
        let device = Signer::new();
        let text = device.sign(&header(&device), &json!({"jti": "c", "n": 7}));
        let proof = Proof::read(&text, TYP).unwrap();
        assert_eq!(json!(proof.claims), json!({"jti": "c", "n": 7}));
        assert_eq!(proof.key.thumbprint(), device.public().thumbprint());
        assert_eq!(claims_of(&text, TYP, &proof.key), Ok(proof.claims));
    }

    #[test]
    fn a_proof_of_a_known_key_needs_none_in_it_and_takes_no_other() {
        let (device, other) = (Signer::new(), Signer::new());
        let bare = json!({"alg": "ES256", "typ": TYP});
        let text = device.sign(&bare, &json!({"jti": "c"}));
        assert!(claims_of(&text, TYP, &device.public()).is_ok());
        assert!(claims_of(&text, TYP, &other.public()).is_err());
        assert!(Proof::read(&text, TYP).is_err(), "which key it should be?");
        let named = device.sign(&header(&other), &json!({"jti": "c"}));
        assert!(claims_of(&named, TYP, &device.public()).is_err());
        assert!(Proof::read(&named, TYP).is_err(), "signed by another key");
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused() {
        // RFC 9449 §4.3, RFC 8725 §3.1
        let device = Signer::new();
        let mut private = device.jwk();
        private["d"] = json!("AAAA");
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("ES384")),
            ("alg", json!("HS256")),
            ("alg", json!("es256")),
            ("alg", json!(null)),
            ("typ", json!("jwt")),
            ("typ", json!("dpop+jwt")),
            ("typ", json!(null)),
            ("crit", json!([])),
            ("crit", json!(["exp"])),
            ("jwk", json!(null)),
            ("jwk", json!({})),
            ("jwk", private),
        ] {
            let mut header = header(&device);
            header[name] = value.clone();
            let text = device.sign(&header, &json!({"jti": "c"}));
            assert!(Proof::read(&text, TYP).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_not_one_canonical_jws_is_refused() {
        let device = Signer::new();
        let text = device.sign(&header(&device), &json!({"jti": "c"}));
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (head, payload) = signed.split_once('.').unwrap();
        let jwk = device.jwk();
        let twice = format!(r#"{{"alg":"ES256","typ":"{TYP}","alg":"ES256","jwk":{jwk}}}"#);
        let inside = jwk.to_string().replacen('{', r#"{"kty":"EC","#, 1);
        let inside = format!(r#"{{"alg":"ES256","typ":"{TYP}","jwk":{inside}}}"#);
        let whole = header(&device).to_string();
        let long = json!({"jti": "x".repeat(LONGEST)}).to_string();
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[63] ^= 1;
        let flipped = URL_SAFE_NO_PAD.encode(flipped);
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        for (why, text) in [
            ("empty", String::new()),
            ("dots", "..".to_owned()),
            ("no signature", format!("{head}.{payload}.")),
            ("cut", text[..text.len() - 2].to_owned()),
            ("four parts", format!("{text}.")),
            ("in front", format!(".{text}")),
            ("padding", format!("{text}==")),
            ("padded header", format!("{head}=.{payload}.{signature}")),
            ("space", format!("{text} ")),
            ("flipped", format!("{signed}.{flipped}")),
            ("zeros", format!("{signed}.{zeros}")),
            ("other payload", format!("{head}.e30.{signature}")),
            ("alg twice", device.sign_text(&twice, "{}")),
            ("kty twice", device.sign_text(&inside, "{}")),
            (
                "jti twice",
                device.sign_text(&whole, r#"{"jti":"a","jti":"a"}"#),
            ),
            ("a payload that is a list", device.sign_text(&whole, "[]")),
            ("a payload that is no JSON", device.sign_text(&whole, "x")),
            ("too long", device.sign_text(&whole, &long)),
            ("DER", format!("{signed}.{}", device.der(signed))),
        ] {
            assert!(Proof::read(&text, TYP).is_err(), "{why}");
        }
        assert!(Proof::read(&text, TYP).is_ok());
    }

    #[test]
    fn a_key_that_is_not_on_the_curve_verifies_nothing() {
        let device = Signer::new();
        let off = URL_SAFE_NO_PAD.encode([7; 32]);
        let mut header = header(&device);
        header["jwk"] = json!({"kty": "EC", "crv": "P-256", "x": off, "y": off});
        let signed = format!("{}.{}", compact(&header.to_string()), compact("{}"));
        for signature in [[0; 64], [1; 64], [7; 64]] {
            let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            assert!(Proof::read(&text, TYP).is_err());
        }
    }
}
