//! A browser's part of Device Bound Session Credentials: a key, and what Chromium sends with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{Browser, Request, Response};

/// The cookie that a proof brings.
pub const COOKIE: &str = "__Host-shop-device";

/// A device with a key, and what it remembers of the session.
pub struct Device {
    pair: EcdsaKeyPair,
    /// `session_identifier`
    pub id: String,
    /// The challenge for the next proof.
    pub challenge: String,
}

impl Device {
    pub fn new() -> Self {
        let (alg, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).expect("a key");
        Self {
            pair: EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &random).expect("a key"),
            id: String::new(),
            challenge: String::new(),
        }
    }

    /// Takes up the offer that `/bff/session` makes.
    pub fn bind(browser: &mut Browser) -> Self {
        let challenge = offered(&browser.fetch("GET", "/bff/session")).expect("an offer");
        let mut device = Self::new();
        let answer = device.register(browser, &challenge);
        assert_eq!(answer.status, 200, "{}", answer.text());
        device
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
    }

    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", text(header), text(payload));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
        format!("{signed}.{signature}")
    }

    /// The proof that registers the key.
    pub fn registration(&self, challenge: &str) -> String {
        let header = json!({"alg": "ES256", "jwk": self.jwk(), "typ": "dbsc+jwt"});
        self.sign(&header, &json!({"jti": challenge}))
    }

    /// A proof of the key that is known.
    pub fn proof(&self, challenge: &str) -> String {
        let header = json!({"alg": "ES256", "typ": "dbsc+jwt"});
        self.sign(&header, &json!({"jti": challenge}))
    }

    pub fn register(&mut self, browser: &mut Browser, challenge: &str) -> Response {
        let answer = send(browser, registration(&self.registration(challenge)));
        self.remember(&answer);
        answer
    }

    /// Proves as Chromium does: with the challenge that it has, and once more if that was stale.
    pub fn prove(&mut self, browser: &mut Browser) -> Response {
        let mut answer = send(browser, self.refresh(Some(&self.proof(&self.challenge))));
        self.remember(&answer);
        if answer.status == 403 {
            answer = send(browser, self.refresh(Some(&self.proof(&self.challenge))));
            self.remember(&answer);
        }
        answer
    }

    /// The request that proves.
    pub fn refresh(&self, proof: Option<&str>) -> Request {
        let request =
            Request::new("POST", "/bff/device/refresh").header("sec-secure-session-id", &self.id);
        match proof {
            Some(proof) => request.header("secure-session-response", proof),
            None => request,
        }
    }

    fn remember(&mut self, answer: &Response) {
        if let Some(challenge) = challenge_of(answer) {
            self.challenge = challenge;
        }
        if answer.status == 200 {
            let id = answer.json()["session_identifier"].clone();
            self.id = id.as_str().expect("a name").to_owned();
        }
    }
}

/// The request that registers a key.
pub fn registration(proof: &str) -> Request {
    Request::new("POST", "/bff/device").header("secure-session-response", proof)
}

/// Sends what a browser sends by itself.
pub fn send(browser: &mut Browser, request: Request) -> Response {
    let origin = browser.app().origin().ascii_serialization();
    let request = request
        .header("origin", &origin)
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "no-cors")
        .header("sec-fetch-dest", "empty");
    browser.send_bare(request)
}

/// The challenge of an offer to register.
pub fn offered(answer: &Response) -> Option<String> {
    let offer = answer.header("secure-session-registration")?;
    let rest = offer.strip_prefix("(ES256);path=\"/bff/device\";challenge=\"");
    let challenge = rest.and_then(|rest| rest.strip_suffix('"'));
    Some(challenge.expect("as Chromium reads it").to_owned())
}

/// The challenge of an answer.
pub fn challenge_of(answer: &Response) -> Option<String> {
    let line = answer.header("secure-session-challenge")?;
    let (challenge, _) = line.strip_prefix('"')?.split_once('"')?;
    Some(challenge.to_owned())
}
