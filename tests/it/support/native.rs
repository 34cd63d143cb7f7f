//! An app without a cookie jar, as far as OAuth goes: it has a key, and sends the person to the system browser.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use super::{Browser, Initiator, ORIGIN, Request, Response, TestBff, Visit};

/// Where the app waits. Nothing answers there; the address is what counts.
pub const REDIRECT_URI: &str = "https://shop.test/app/cb";

/// What the configuration says of apps.
pub const NATIVE: &str = r#"
[frontend.shop.native]
redirect_uris = ["https://shop.test/app/cb", "com.example.shop:/cb", "http://127.0.0.1/cb"]
"#;

pub const VERIFIER: &str = "a-verifier-of-the-app-that-is-43-letters-long";

/// A pair of tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

pub struct App {
    addr: SocketAddr,
    key: EcdsaKeyPair,
    pub nonce: Option<String>,
    serial: u32,
    seen: Arc<Mutex<Vec<u8>>>,
}

pub fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// A query or form.
pub fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl TestBff {
    /// One whose frontend has apps.
    pub fn with_apps(tables: &str) -> Self {
        Self::with(|setup| setup.tables = format!("{NATIVE}{tables}"))
    }

    pub fn app(&self) -> App {
        self.app_at(self.addr)
    }

    /// The same at another replica.
    pub fn app_at(&self, addr: SocketAddr) -> App {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(alg, &random).expect("a key");
        App {
            addr,
            key: EcdsaKeyPair::from_pkcs8(alg, key.as_ref(), &random).expect("a key"),
            nonce: None,
            serial: 0,
            seen: Arc::clone(&self.seen),
        }
    }
}

impl App {
    pub fn use_replica(&mut self, addr: SocketAddr) {
        self.addr = addr;
    }

    pub fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
    }

    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        sha256(&format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#
        ))
    }

    /// Header and claims of a proof as it should be.
    pub fn proof_parts(&mut self, method: &str, path: &str, token: Option<&str>) -> (Value, Value) {
        self.serial += 1;
        let mut claims = json!({
            "jti": format!("proof-{}", self.serial), "iat": super::NOON, "htm": method,
            "htu": format!("{ORIGIN}{path}"),
        });
        if let Some(nonce) = &self.nonce {
            claims["nonce"] = json!(nonce);
        }
        if let Some(token) = token {
            claims["ath"] = json!(sha256(token));
        }
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()});
        (header, claims)
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
        format!("{signed}.{signature}")
    }

    pub fn proof(&mut self, method: &str, path: &str, token: Option<&str>) -> String {
        let (header, claims) = self.proof_parts(method, path, token);
        self.sign(&header, &claims)
    }

    /// Sends a request as it is, and takes the nonce of its answer.
    pub fn send(&mut self, request: Request) -> Response {
        let answer = request.header("host", "shop.test").send(self.addr);
        if let Some(nonce) = answer.header("dpop-nonce") {
            self.nonce = Some(nonce.to_owned());
        }
        self.seen.lock().unwrap().extend_from_slice(&answer.raw);
        answer
    }

    /// Posts a form below `/bff/native` without a proof.
    pub fn post(&mut self, name: &str, body: &str) -> Response {
        let request = Request::new("POST", &format!("/bff/native/{name}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(request)
    }

    /// The same with this proof.
    pub fn post_with(&mut self, proof: &str, body: &str) -> Response {
        let request = Request::new("POST", "/bff/native/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("dpop", proof)
            .body(body);
        self.send(request)
    }

    /// Asks the token endpoint, with a nonce. The form has `client_id`.
    pub fn token(&mut self, pairs: &[(&str, &str)]) -> Response {
        if self.nonce.is_none() {
            let proof = self.proof("POST", "/bff/native/token", None);
            self.post_with(
                &proof,
                "client_id=shop&grant_type=refresh_token&refresh_token=x",
            );
        }
        let proof = self.proof("POST", "/bff/native/token", None);
        let body = form(&[&[("client_id", "shop")], pairs].concat());
        self.post_with(&proof, &body)
    }

    /// Calls an API with a token and a proof.
    pub fn call(&mut self, method: &str, path: &str, token: &str) -> Response {
        let request = self.request(method, path, token);
        self.send(request)
    }

    /// Such a call, not sent yet.
    pub fn request(&mut self, method: &str, path: &str, token: &str) -> Request {
        let bare = path.split('?').next().unwrap_or_default().to_owned();
        let proof = self.proof(method, &bare, Some(token));
        Request::new(method, path)
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof)
    }

    /// The address that the system browser opens.
    pub fn authorize_path(changes: &[(&str, &str)]) -> String {
        let challenge = sha256(VERIFIER);
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", "shop"),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
            ("state", "app-state"),
        ];
        for (name, value) in changes {
            params.retain(|(known, _)| known != name);
            if !value.is_empty() {
                params.push((name, value));
            }
        }
        format!("/bff/native/authorize?{}", form(&params))
    }

    /// Signs `alice` in, up to the address that the app gets.
    pub fn authorize(browser: &mut Browser, changes: &[(&str, &str)]) -> Visit {
        let uri = changes.iter().find(|(name, _)| *name == "redirect_uri");
        browser.leaves_to = Some(uri.map_or(REDIRECT_URI, |(_, uri)| uri).to_owned());
        let visit = browser.navigate(&Self::authorize_path(changes), Initiator::User);
        if !visit.response.text().contains("type=\"password\"") {
            return visit;
        }
        browser.fill_in(&visit, "alice", "wonderland")
    }

    /// A code.
    #[track_caller]
    pub fn code(bff: &TestBff, changes: &[(&str, &str)]) -> String {
        let visit = Self::authorize(&mut bff.browser(), changes);
        param(&visit.url, "code").unwrap_or_else(|| panic!("no code: {}", visit.url))
    }

    /// Redeems a code.
    pub fn redeem(&mut self, code: &str) -> Response {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ])
    }

    pub fn refresh(&mut self, token: &str) -> Response {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// Signs `alice` in.
    #[track_caller]
    pub fn sign_in(&mut self, bff: &TestBff) -> Tokens {
        let code = Self::code(bff, &[]);
        Tokens::of(&self.redeem(&code))
    }
}

impl Tokens {
    #[track_caller]
    pub fn of(answer: &Response) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let text = |name: &str| body[name].as_str().expect(name).to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// The value of a query parameter.
pub fn param(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// The error of an answer in OAuth's own form (RFC 6749 §5.2).
#[track_caller]
pub fn oauth_error(answer: &Response) -> (u16, String) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert!(body["error_description"].is_string(), "{body}");
    let error = body["error"].as_str().expect("an error");
    (answer.status, error.to_owned())
}

/// Status and challenge of a 401 at an API.
pub fn challenge(answer: &Response) -> (u16, String) {
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    (answer.status, challenge.to_owned())
}
