//! ID tokens and authorization responses, signed as they should be or as a test wants them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value, json};

use super::Shared;
use super::faults::{Fault, IdTokenFault};
use super::keys::{KeyFailure, signing_input};
use super::store::Proof;

pub(super) fn id_token(idp: &Shared, client_id: &str, claims: Value) -> Result<String, KeyFailure> {
    let faults = idp.faults.take(|fault| match fault {
        Fault::IdToken(fault) => Some(fault.clone()),
        _ => None,
    });
    signed(idp, client_id, claims, &faults)
}

/// A signed authorization response (JARM §2.1).
pub(super) fn response(idp: &Shared, client_id: &str, claims: Value) -> Result<String, KeyFailure> {
    let faults = idp.faults.take(|fault| match fault {
        Fault::SignedResponse(fault) => Some(fault.clone()),
        _ => None,
    });
    signed(idp, client_id, claims, &faults)
}

fn signed(
    idp: &Shared,
    client_id: &str,
    mut claims: Value,
    faults: &[IdTokenFault],
) -> Result<String, KeyFailure> {
    let keys = idp.keys();
    let mut header = json!({ "alg": keys.algorithm().as_str(), "kid": keys.kid(), "typ": "JWT" });
    for fault in faults {
        match fault {
            IdTokenFault::Claim(name, value) => set(&mut claims, name, value.clone()),
            IdTokenFault::WithoutClaim(name) => unset(&mut claims, name),
            IdTokenFault::Header(name, value) => set(&mut header, name, value.clone()),
            IdTokenFault::NoKid => unset(&mut header, "kid"),
            IdTokenFault::UnknownKid => set(&mut header, "kid", "../../nobody' --".into()),
            IdTokenFault::AlgNone => set(&mut header, "alg", "none".into()),
            IdTokenFault::HmacWithClientSecret => set(&mut header, "alg", "HS256".into()),
            IdTokenFault::BadSignature => {}
        }
    }
    if faults.contains(&IdTokenFault::AlgNone) {
        return Ok(format!("{}.", signing_input(&header, &claims)));
    }
    if faults.contains(&IdTokenFault::HmacWithClientSecret) {
        let secret = idp
            .store()
            .clients
            .get(client_id)
            .and_then(|client| match &client.proof {
                Proof::Secret(secret) => Some(secret.clone()),
                Proof::Keys(_) | Proof::Certificate => None,
            });
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.unwrap_or_default().as_bytes());
        let input = signing_input(&header, &claims);
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, input.as_bytes()));
        return Ok(format!("{input}.{signature}"));
    }
    let token = keys.sign(&header, &claims)?;
    if faults.contains(&IdTokenFault::BadSignature) {
        return Ok(with_one_bit_wrong(&token).unwrap_or(token));
    }
    Ok(token)
}

fn with_one_bit_wrong(token: &str) -> Option<String> {
    let (input, signature) = token.rsplit_once('.')?;
    let mut signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    *signature.last_mut()? ^= 1;
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = members(object) {
        members.insert(name.to_owned(), value);
    }
}

fn unset(object: &mut Value, name: &str) {
    if let Some(members) = members(object) {
        members.remove(name);
    }
}

fn members(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.as_object_mut()
}
