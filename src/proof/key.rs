//! Public keys on the curve P-256.
//!
//! # Invariants
//! - A key verifies ES256 signatures and nothing else.
//! - A key that came as a `jwk` with a private part is refused: whoever sent it has shown the private key (RFC 9449 §4.3).
//!
//! # Spec
//! RFC 7517; RFC 7518 §3.4, §6.2; RFC 7638; SEC 1 §2.3.4.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Bytes of x and y.
pub const KEY_BYTES: usize = 64;

const COORDINATE: usize = KEY_BYTES / 2;

/// Members that only a private or a symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// A public key: x, then y. Whether they are a point of the curve shows when it verifies.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key of these coordinates.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// x, then y.
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Reads the members of a `jwk`.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let is = |name: &str, wanted: &str| jwk.get(name).and_then(Value::as_str) == Some(wanted);
        let is_or_absent = |name: &str, wanted: &str| !jwk.contains_key(name) || is(name, wanted);
        let is_public = !PRIVATE.iter().any(|name| jwk.contains_key(*name));
        let is_ours = is("kty", "EC") && is("crv", "P-256");
        if !(is_public && is_ours && is_or_absent("alg", "ES256") && is_or_absent("use", "sig")) {
            return None;
        }
        let mut bytes = [0; KEY_BYTES];
        let (x, y) = bytes.split_at_mut(COORDINATE);
        for (name, half) in [("x", x), ("y", y)] {
            let coordinate = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
            // RFC 7518 §6.2.1.2: as long as the curve's, zeros in front included.
            if coordinate.len() != COORDINATE {
                return None;
            }
            half.copy_from_slice(&coordinate);
        }
        Some(Self(bytes))
    }

    /// Whether this key made the signature: r, then s (RFC 7518 §3.4).
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let mut point = [4; KEY_BYTES + 1];
        if let Some(rest) = point.get_mut(1..) {
            rest.copy_from_slice(&self.0);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(signed, signature).is_ok()
    }

    /// The thumbprint, in base64url (RFC 7638): `jkt` of RFC 9449.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.thumbprint_bytes())
    }

    /// The same as bytes.
    pub fn thumbprint_bytes(&self) -> [u8; 32] {
        let (x, y) = self.0.split_at(COORDINATE);
        // RFC 7638 §3.2: the required members, by name, without spaces.
        let members = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(x),
            URL_SAFE_NO_PAD.encode(y)
        );
        Sha256::digest(members).into()
    }
}

impl fmt::Debug for PublicKey {
    // A public key is not a secret, but it names a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const X: &str = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
    const Y: &str = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";

    fn read(jwk: &Value) -> Option<PublicKey> {
        PublicKey::from_jwk(jwk.as_object().unwrap())
    }

    #[test]
    fn a_thumbprint_is_that_of_the_rfc() {
        // RFC 9449 §4.2 has the key, §6.1 its jkt.
        let key = read(&json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})).unwrap();
        assert_eq!(
            key.thumbprint(),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
        assert_eq!(PublicKey::from_bytes(*key.as_bytes()), key);
    }

    #[test]
    fn only_a_public_key_of_the_curve_is_read() {
        let with = |name: &str, value: Value| {
            let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y});
            jwk[name] = value;
            jwk
        };
        for (name, value) in [("alg", "ES256"), ("use", "sig"), ("kid", "k"), ("x", X)] {
            assert!(read(&with(name, json!(value))).is_some(), "{name}");
        }
        let short = &X[..42];
        let padded = format!("{X}=");
        for (name, value) in [
            ("kty", json!("RSA")),
            ("crv", json!("P-384")),
            ("crv", json!(null)),
            ("alg", json!("ES384")),
            ("use", json!("enc")),
            ("x", json!(short)),
            ("x", json!(padded)),
            ("x", json!(7)),
            ("y", json!("")),
            ("y", json!(null)),
            ("d", json!(X)),
            ("d", json!(null)),
            ("k", json!("x")),
            ("oth", json!([])),
        ] {
            assert!(read(&with(name, value.clone())).is_none(), "{name} {value}");
        }
    }
}
