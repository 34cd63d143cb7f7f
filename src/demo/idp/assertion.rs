//! What a client signs to say who it is: `private_key_jwt` (RFC 7523 §3; OpenID Connect Core §9; FAPI 2.0 §5.3.2.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

use super::Shared;
use super::params::Params;
use super::store::Proof;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest life of an assertion, in seconds.
const LIFETIME: u64 = 60;

/// The client that has signed an assertion for this provider, which nobody has presented before.
pub(super) fn verify(
    assertion: &str,
    params: &Params,
    idp: &Shared,
) -> Result<String, &'static str> {
    if params.one("client_assertion_type") != Some(JWT_BEARER) {
        return Err("client_assertion_type is another one");
    }
    let signed = Jws::read(assertion).ok_or("the assertion is no JWS")?;
    let claims = &signed.claims;
    let client_id = text(claims, "sub").ok_or("it has no sub")?;
    if text(claims, "iss") != Some(client_id) || params.one("client_id") != Some(client_id) {
        return Err("iss, sub and client_id are not the same");
    }
    let mut store = idp.store();
    let client = store.clients.get(client_id).ok_or("no such client")?;
    let Proof::Keys(jwks) = &client.proof else {
        return Err("the client has no keys here");
    };
    signed.check(jwks)?;
    if text(claims, "aud") != Some(&idp.issuer) {
        return Err("aud is not the issuer");
    }
    let second = |name: &str| claims.get(name).and_then(Value::as_u64);
    let (iat, exp) = second("iat")
        .zip(second("exp"))
        .ok_or("iat or exp is missing")?;
    let now = idp.now().as_secs();
    if exp <= now || iat > now || exp.saturating_sub(iat) > LIFETIME {
        return Err("it is not of this minute");
    }
    let jti = text(claims, "jti").ok_or("jti is missing")?;
    if !store.take_assertion(client_id, jti) {
        return Err("it was presented before");
    }
    Ok(client_id.to_owned())
}

pub(super) fn text<'j>(json: &'j Value, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Value::as_str)
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// What a client has signed.
pub(super) struct Jws<'j> {
    pub(super) header: Value,
    pub(super) claims: Value,
    input: &'j str,
    signature: Vec<u8>,
}

impl<'j> Jws<'j> {
    pub(super) fn read(jws: &'j str) -> Option<Self> {
        let (input, signature) = jws.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        Some(Self {
            header: decoded(header)?,
            claims: decoded(claims)?,
            input,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether one of these keys has signed it, a JWK Set.
    pub(super) fn check(&self, jwks: &Value) -> Result<(), &'static str> {
        let keys = jwks.get("keys").and_then(Value::as_array);
        let is_named = |key: &&Value| {
            ["kid", "alg"]
                .iter()
                .all(|name| text(key, name) == text(&self.header, name))
        };
        let key = keys.into_iter().flatten().find(is_named);
        if !is_signed(
            key.ok_or("the key is unknown")?,
            self.input,
            &self.signature,
        ) {
            return Err("the signature is wrong");
        }
        Ok(())
    }
}

/// Whether the key's owner has signed this. The algorithm is that of the key, whatever the header says.
fn is_signed(key: &Value, input: &str, signature: &[u8]) -> bool {
    let member = |name: &str| {
        let text = text(key, name).unwrap_or_default();
        URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
    };
    let input = input.as_bytes();
    let verified = match text(key, "alg") {
        Some("ES256") => {
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input, signature)
        }
        Some("EdDSA") => UnparsedPublicKey::new(&ED25519, member("x")).verify(input, signature),
        Some("PS256") => {
            let (n, e) = (member("n"), member("e"));
            RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, input, signature)
        }
        _ => return false,
    };
    verified.is_ok()
}
