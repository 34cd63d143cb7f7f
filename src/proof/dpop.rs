//! A proof of possession as it comes in `DPoP`, checked against the request that it came with.
//!
//! # Invariants
//! - How old a proof is, its nonce says, which we have sealed. `iat` must be there; the app's clock may be wrong.
//!
//! # Spec
//! RFC 9449 §4.2, §4.3.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::jws::{Proof, Refused};
use crate::names::{Origin, decode_alike};

/// The `typ` of such a proof.
const TYP: &str = "dpop+jwt";

/// Longest `jti`. Most are a UUID.
const LONGEST_JTI: usize = 256;

/// A request that a proof is for.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'r> {
    /// Its method.
    pub method: &'r str,
    /// The public origin that it came to.
    pub origin: &'r Origin,
    /// Its path.
    pub path: &'r str,
    /// The access token that came with it.
    pub token: Option<&'r str>,
}

/// A proof that fits its request.
pub struct Dpop {
    /// The thumbprint of its key (RFC 7638).
    pub key: [u8; 32],
    /// The name that no other proof of this key has.
    pub jti: String,
    /// The nonce that it was made with.
    pub nonce: Option<String>,
}

impl Dpop {
    /// Reads a proof and checks all of it but the nonce.
    pub fn read(text: &str, request: Proven<'_>) -> Result<Self, Refused> {
        let Proof { key, claims } = Proof::read(text, TYP)?;
        let says = |name: &str| claims.get(name).and_then(Value::as_str);
        let fits = says("htm") == Some(request.method)
            && says("htu").is_some_and(|htu| is_target(htu, request.origin, request.path))
            && claims.get("iat").is_some_and(Value::is_number)
            && request
                .token
                .is_none_or(|token| says("ath") == Some(&*ath(token)));
        let jti = says("jti").filter(|jti| (1..=LONGEST_JTI).contains(&jti.len()));
        let jti = jti.filter(|_| fits).ok_or(Refused)?.to_owned();
        Ok(Self {
            key: key.thumbprint_bytes(),
            jti,
            nonce: nonce(&claims)?,
        })
    }
}

/// A nonce that is no text counts as one that is not ours.
fn nonce(claims: &Map<String, Value>) -> Result<Option<String>, Refused> {
    match claims.get("nonce") {
        None => Ok(None),
        Some(Value::String(nonce)) => Ok(Some(nonce.clone())),
        Some(_) => Err(Refused),
    }
}

/// `ath`: the hash of an access token's characters (RFC 9449 §4.2).
pub fn ath(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Whether `htu` is this address. Query and fragment do not count, nor does how scheme, host, port and the path's escapes are
/// spelt (RFC 9449 §4.3, RFC 3986 §6.2.2, §6.2.3).
fn is_target(htu: &str, origin: &Origin, path: &str) -> bool {
    let is_plain = htu
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let Some(url) = Url::parse(htu).ok().filter(|_| is_plain) else {
        return false;
    };
    let is_path = |asked: &str| {
        let count = |path: &str| path.split('/').count();
        let mut segments = asked.split('/').zip(path.split('/'));
        asked == path
            || (count(asked) == count(path)
                && segments.all(|(one, other)| decode_alike(one, other)))
    };
    url.username().is_empty()
        && url.password().is_none()
        && url.origin().ascii_serialization() == origin.as_str()
        && is_path(url.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::samples::Signer;
    use serde_json::json;

    const TOKEN: &str = "sealed";

    fn read(signer: &Signer, header: &Value, claims: &Value, token: Option<&str>) -> bool {
        let origin = Origin::parse("https://shop.example.com").unwrap();
        let request = Proven {
            method: "GET",
            origin: &origin,
            path: "/api/a%20b",
            token,
        };
        Dpop::read(&signer.sign(header, claims), request).is_ok()
    }

    fn header(signer: &Signer) -> Value {
        json!({"alg": "ES256", "typ": TYP, "jwk": signer.jwk()})
    }

    fn claims() -> Value {
        json!({
            "htm": "GET", "htu": "https://shop.example.com/api/a%20b", "iat": 7, "jti": "j", "nonce": "n",
            "ath": ath(TOKEN),
        })
    }

    #[test]
    fn a_proof_is_for_one_method_address_and_token() {
        // RFC 9449 §4.3
        let signer = Signer::new();
        let reads = |claims: &Value, token| read(&signer, &header(&signer), claims, token);
        assert!(reads(&claims(), Some(TOKEN)));
        assert!(
            reads(&claims(), None),
            "without a token there is no hash to compare"
        );
        assert!(!reads(&claims(), Some("other")));
        for (name, value) in [
            ("htm", json!("get")),
            ("htm", json!("POST")),
            ("htm", Value::Null),
            ("htu", json!("https://shop.example.com/api/a")),
            ("iat", json!("7")),
            ("iat", Value::Null),
            ("jti", json!("")),
            ("jti", json!("j".repeat(257))),
            ("jti", json!(7)),
            ("nonce", json!(7)),
            ("nonce", Value::Null),
            ("ath", json!("")),
            ("ath", json!(ath("other"))),
            ("ath", Value::Null),
        ] {
            let mut claims = claims();
            claims[name] = value.clone();
            assert!(!reads(&claims, Some(TOKEN)), "{name} {value}");
        }
        let typ = json!({"alg": "ES256", "typ": "jwt", "jwk": signer.jwk()});
        assert!(!read(&signer, &typ, &claims(), Some(TOKEN)));
    }

    #[test]
    fn an_address_has_many_spellings() {
        let origin = Origin::parse("https://shop.example.com").unwrap();
        for htu in [
            "https://shop.example.com/api/a%20b",
            "https://shop.example.com/api/a%20b?x=1#f",
            "https://SHOP.example.com:443/api/a%20b",
            "HTTPS://shop.example.com/%61pi/a%20%62",
        ] {
            assert!(is_target(htu, &origin, "/api/a%20b"), "{htu}");
        }
        for htu in [
            "",
            "/api/a%20b",
            "http://shop.example.com/api/a%20b",
            "https://shop.example.com:8443/api/a%20b",
            "https://shop.example.com.evil.test/api/a%20b",
            "https://u@shop.example.com/api/a%20b",
            "https://shop.example.com/api/a%20b/",
            "https://shop.example.com/api%2Fa%20b",
            "https://shop.example.com/api/a b",
            "https:\\\\shop.example.com/api/a%20b",
        ] {
            assert!(!is_target(htu, &origin, "/api/a%20b"), "{htu}");
        }
    }
}
