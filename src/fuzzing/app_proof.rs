//! The claims of an app's proof, signed here, so that the fuzzer gets past the signature.
//!
//! # Spec
//! RFC 9449 §4.2, §4.3.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::names::Origin;
use crate::proof::{Dpop, Proven, ath};

const PATH: &str = "/api/a%20b";
const TOKEN: &str = "sealed";

/// An app with a key.
struct App {
    pair: EcdsaKeyPair,
    header: String,
    home: Origin,
    elsewhere: Origin,
}

static APP: LazyLock<Option<App>> = LazyLock::new(App::new);

impl App {
    fn new() -> Option<Self> {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &random).ok()?;
        let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)});
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
        Some(Self {
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            pair,
            home: Origin::parse("https://shop.example.com").ok()?,
            elsewhere: Origin::parse("https://shop.example.com:8443").ok()?,
        })
    }

    fn sign(&self, claims: &[u8]) -> Option<String> {
        let signed = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        Some(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature.ok()?)
        ))
    }
}

/// Whether a proof with these claims is accepted for a request.
///
/// # Panics
/// If it is accepted for another request too, or is read as something that it does not say.
pub(super) fn accepts(claims: &[u8]) -> bool {
    let Some((app, proof)) = APP.as_ref().and_then(|app| Some((app, app.sign(claims)?))) else {
        return false;
    };
    let asked = Proven {
        method: "GET",
        origin: &app.home,
        path: PATH,
        token: Some(TOKEN),
    };
    let Ok(read) = Dpop::read(&proof, asked) else {
        return false;
    };
    let claims: Value = serde_json::from_slice(claims).unwrap_or_default();
    let says = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(says("htm"), Some("GET"));
    assert_eq!(says("ath"), Some(&*ath(TOKEN)));
    assert_eq!(says("jti"), Some(&*read.jti));
    assert_eq!(says("nonce"), read.nonce.as_deref());
    let others = ["/api/a", "/api/a%20b/", "/api/a%2520b", "/API/a%20b", "/"]
        .map(|path| Proven { path, ..asked })
        .into_iter()
        .chain([
            Proven {
                method: "POST",
                ..asked
            },
            Proven {
                origin: &app.elsewhere,
                ..asked
            },
            Proven {
                token: Some("other"),
                ..asked
            },
        ]);
    for other in others {
        assert!(
            Dpop::read(&proof, other).is_err(),
            "good for {other:?}, too"
        );
    }
    true
}
