//! `DPoP` as a server sees it: is the proof right, and has it the nonce that the server wants (RFC 9449 §4.3, §8, §9)?
//!
//! Identity provider and API have one [`Proofs`] each. Only the Rust API says what a server wants; a request cannot.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

/// What a server wants of requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Wants {
    /// Nothing. A proof that comes all the same must be right.
    #[default]
    Nothing,
    /// A proof.
    Proofs,
    /// A proof with the server's nonce.
    Nonces,
    /// A proof with another nonce, whatever comes.
    AnotherNonce,
}

/// A proof that was right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    /// The thumbprint of its key (RFC 7638).
    pub thumbprint: String,
    /// `htm` and `htu`.
    pub target: (String, String),
    /// Its nonce.
    pub nonce: Option<String>,
    /// When it was made, in seconds.
    pub iat: u64,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// It has not the server's nonce.
    Nonce,
    /// It is wrong.
    Wrong(&'static str),
}

/// What one server knows of proofs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Proofs(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    wants: Wants,
    scheme: Option<&'static str>,
    nonce: u32,
    seen: HashSet<String>,
    taken: Vec<Proof>,
    refused: Vec<&'static str>,
}

impl Proofs {
    /// From now on the server wants this.
    pub fn want(&self, wants: Wants) {
        self.state().wants = wants;
    }

    /// What the server wants now.
    pub(super) fn wants(&self) -> Wants {
        self.state().wants
    }

    /// From now on challenges spell the scheme so.
    pub fn spell(&self, scheme: &'static str) {
        self.state().scheme = Some(scheme);
    }

    /// The scheme of challenges.
    pub(super) fn scheme(&self) -> &'static str {
        self.state().scheme.unwrap_or("DPoP")
    }

    /// From now on it wants another nonce.
    pub fn rotate(&self) {
        self.state().nonce += 1;
    }

    /// The proofs that were right, in the order that they came in.
    pub fn taken(&self) -> Vec<Proof> {
        self.state().taken.clone()
    }

    /// Why others were refused.
    pub fn refused(&self) -> Vec<&'static str> {
        self.state().refused.clone()
    }

    /// The nonce for the next proof, if the server has nonces.
    pub(super) fn nonce(&self) -> Option<String> {
        let state = self.state();
        let has_nonces = matches!(state.wants, Wants::Nonces | Wants::AnotherNonce);
        has_nonces.then(|| format!("nonce-{}", state.nonce))
    }

    /// The proof of a request to this server, whose origin is `origin`. `token` is the access token that came along.
    pub(super) fn check(
        &self,
        request: &HttpRequest,
        origin: &str,
        token: Option<&str>,
    ) -> Result<Option<Proof>, Refusal> {
        let current = self.nonce();
        let mut state = self.state();
        let verdict = match read(request, origin, token) {
            Ok(None) if state.wants == Wants::Nothing => return Ok(None),
            Ok(None) => Err(Refusal::Wrong("a proof is missing")),
            Ok(Some((jti, _))) if !state.seen.insert(jti.clone()) => {
                Err(Refusal::Wrong("it was presented before"))
            }
            Ok(Some((_, proof))) => match state.wants {
                Wants::AnotherNonce => {
                    state.nonce += 1;
                    Err(Refusal::Nonce)
                }
                Wants::Nonces if proof.nonce != current => Err(Refusal::Nonce),
                _ => Ok(Some(proof)),
            },
            Err(why) => Err(Refusal::Wrong(why)),
        };
        match &verdict {
            Ok(proof) => state.taken.extend(proof.clone()),
            Err(Refusal::Nonce) => state.refused.push("use_dpop_nonce"),
            Err(Refusal::Wrong(why)) => state.refused.push(why),
        }
        verdict
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scheme and token of `Authorization`.
pub(super) fn authorization(request: &HttpRequest) -> Option<(&str, &str)> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    value.to_str().ok()?.split_once(' ')
}

/// The key that a JWT access token is bound to (RFC 9449 §6.1), unverified.
pub(super) fn bound_to(token: &str) -> Option<String> {
    let claims = decoded(token.split('.').nth(1)?)?;
    claims.pointer("/cnf/jkt")?.as_str().map(str::to_owned)
}

/// The proof of a request, and its `jti`, if there is one and it is for this request.
fn read(
    request: &HttpRequest,
    origin: &str,
    token: Option<&str>,
) -> Result<Option<(String, Proof)>, &'static str> {
    let mut lines = request.headers().get_all("dpop");
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err("there are two proofs");
    }
    let malformed = "it is no JWS";
    let jws = line.to_str().map_err(|_| malformed)?;
    let (input, signature) = jws.rsplit_once('.').ok_or(malformed)?;
    let (header, claims) = input.split_once('.').ok_or(malformed)?;
    let (header, claims) = decoded(header).zip(decoded(claims)).ok_or(malformed)?;
    if (text(&header, "typ"), text(&header, "alg")) != (Some("dpop+jwt"), Some("ES256")) {
        return Err("typ or alg is another one");
    }
    let jwk = header.get("jwk").ok_or("there is no key in it")?;
    let thumbprint = verify(jwk, input, signature).ok_or("the signature is wrong")?;
    let target = [text(&claims, "htm"), text(&claims, "htu")].map(Option::unwrap_or_default);
    let url = format!("{origin}{}", request.uri().path());
    if target != [request.method().as_str(), &url] {
        return Err("it is for another request");
    }
    let ath = token.map(|token| URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
    if text(&claims, "ath") != ath.as_deref() {
        return Err("it is for another token");
    }
    let iat = claims.get("iat").and_then(Value::as_u64);
    let jti = text(&claims, "jti").ok_or("jti is missing")?.to_owned();
    let proof = Proof {
        thumbprint,
        target: target.map(str::to_owned).into(),
        nonce: text(&claims, "nonce").map(str::to_owned),
        iat: iat.ok_or("iat is missing")?,
    };
    Ok(Some((jti, proof)))
}

/// The thumbprint of the key, if it has signed this.
fn verify(jwk: &Value, input: &str, signature: &str) -> Option<String> {
    let member = |name: &str| text(jwk, name);
    if member("kty") != Some("EC") || member("crv") != Some("P-256") || jwk.get("d").is_some() {
        return None;
    }
    let (x, y) = (member("x")?, member("y")?);
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let point = [vec![4], decode(x)?, decode(y)?].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(input.as_bytes(), &decode(signature)?).ok()?;
    // RFC 7638 §3.1.
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes())))
}

fn text<'j>(json: &'j Value, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Value::as_str)
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
