//! A provider that answers each path with what a test gave it, byte by byte if need be.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes, each part after a pause; the connection is closed at the end if `close`.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) parts: Vec<(Duration, Vec<u8>)>,
    pub(super) close: bool,
}

impl Reply {
    pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let parts = vec![(Duration::ZERO, bytes.into())];
        Self {
            parts,
            close: false,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// After a pause.
    pub(super) fn after(mut self, pause: Duration) -> Self {
        self.parts[0].0 = pause;
        self
    }

    pub(super) fn and_close(mut self) -> Self {
        self.close = true;
        self
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) connection: usize,
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Heard {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Values of a form field, in order.
    pub(super) fn form(&self, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .filter(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }
}

#[derive(Default)]
struct Script {
    replies: RefCell<HashMap<String, Reply>>,
    heard: RefCell<Vec<Heard>>,
}

pub(super) struct Hostile {
    pub(super) issuer: String,
    script: Rc<Script>,
}

impl Hostile {
    /// Listens on loopback with sound metadata and the given keys.
    pub(super) async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Rc::new(Script::default());
        let idp = Self {
            issuer,
            script: Rc::clone(&script),
        };
        idp.metadata(|_| {});
        idp.keys(keys);
        tokio::task::spawn_local(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(serve(connection, stream, Rc::clone(&script)));
            }
        });
        idp
    }

    /// Sets the metadata document, after a change to the sound one.
    pub(super) fn metadata(&self, change: impl FnOnce(&mut Value)) {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "revocation_endpoint": at("/revoke"),
            "end_session_endpoint": at("/logout"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none", "X1"],
            "op_tos_uri": at("/terms"),
        });
        change(&mut document);
        self.reply(
            "/.well-known/openid-configuration",
            Reply::json(200, &document),
        );
    }

    /// Sets the key set; a key of an unknown type is always among them.
    pub(super) fn keys(&self, keys: &[&SigningKey]) {
        let mut set = vec![json!({"kty": "LATTICE", "kid": "future", "q": 7})];
        set.extend(keys.iter().map(|key| key.jwk()));
        self.reply("/jwks", Reply::json(200, &json!({ "keys": set })));
    }

    pub(super) fn reply(&self, path: &str, reply: Reply) {
        self.script
            .replies
            .borrow_mut()
            .insert(path.to_owned(), reply);
    }

    pub(super) fn heard(&self, path: &str) -> Vec<Heard> {
        let heard = self.script.heard.borrow();
        heard.iter().filter(|h| h.path == path).cloned().collect()
    }

    pub(super) fn discoveries(&self) -> usize {
        self.heard("/.well-known/openid-configuration").len()
    }
}

async fn serve(connection: usize, mut stream: TcpStream, script: Rc<Script>) {
    while let Some((path, head, body)) = read_request(&mut stream).await {
        let reply = script.replies.borrow().get(&path).cloned();
        script.heard.borrow_mut().push(Heard {
            connection,
            path,
            head,
            body,
        });
        let reply = reply.unwrap_or_else(|| Reply::text(404, "text/plain", "no"));
        for (pause, bytes) in reply.parts {
            tokio::time::sleep(pause).await;
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        if reply.close {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let path = head.split(' ').nth(1)?.to_owned();
    let body = String::from_utf8(bytes[end..].to_vec()).unwrap();
    Some((path, head, body))
}

/// An ES256 key.
pub(super) struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    pub(super) fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    /// A JWT under this key's name.
    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "kid": self.kid}), claims)
    }

    /// A JWT with any header.
    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let input = signing_input(header, claims);
        let signature = self
            .pair
            .sign(&SystemRandom::new(), input.as_bytes())
            .unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(super) fn signing_input(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}
