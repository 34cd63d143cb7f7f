//! The answer that shows the request, without its secrets.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::{Map, Value, json};

use super::{Shared, proof, receive};

/// Any other path: the request, as JSON.
pub(super) async fn echo(request: HttpRequest, body: Payload, api: Data<Shared>) -> HttpResponse {
    if let Some(refusal) = proof::refusal(&request, &api) {
        return refusal;
    }
    let mut hash = digest::Context::new(&digest::SHA256);
    let received = match receive(&request, body, &mut hash).await {
        Ok(received) => received,
        Err(refusal) => return refusal,
    };
    let mut headers = Map::new();
    for (name, value) in &received.headers {
        let shown = match name.as_str() {
            "authorization" => shortened(value),
            _ => value.clone(),
        };
        match headers.get_mut(name) {
            Some(Value::Array(values)) => values.push(shown.into()),
            Some(first) => *first = json!([first.take(), shown]),
            None => {
                headers.insert(name.clone(), shown.into());
            }
        }
    }
    let answer = json!({
        "method": received.method,
        "path": received.path,
        "query": received.query,
        "headers": headers,
        "body_bytes": received.body_bytes,
        "body_sha256": hex(hash.finish().as_ref()),
        "authorization": received.header("authorization").map(|value| credentials(value, &api)),
    });
    api.remember(received);
    let mut response = HttpResponse::Ok();
    if let Some(nonce) = api.proofs.nonce() {
        response.insert_header(("dpop-nonce", nonce));
    }
    response.json(answer)
}

/// Shows enough of `Authorization` to tell tokens apart, and too little to use one.
fn credentials(value: &str, api: &Shared) -> Value {
    let (scheme, token) = value.split_once(' ').unwrap_or(("", value));
    let mut shown = json!({
        "scheme": scheme,
        "length": token.len(),
        "fingerprint": fingerprint(token),
        "token_claims": claims(token).unwrap_or_else(|| "opaque".into()),
    });
    if let (Some(introspection), Some(shown)) = (&api.introspection, shown.as_object_mut()) {
        let active = introspection.check(token).get("active").cloned();
        shown.insert("active".to_owned(), active.unwrap_or(Value::Null));
    }
    shown
}

/// A JWT's claims, unverified.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn shortened(authorization: &str) -> String {
    let (scheme, token) = authorization.split_once(' ').unwrap_or(("", authorization));
    let start: String = token.chars().take(6).collect();
    format!("{scheme} {start}… ({} characters)", token.len())
}

fn fingerprint(token: &str) -> String {
    let mut hash = hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash.truncate(12);
    hash
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_that_is_worth_stealing_is_shown() {
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
        let shown = shortened(&format!("Bearer {token}"));
        assert_eq!(shown, "Bearer eyJhbG… (49 characters)");
        assert_eq!(claims(token), Some(json!({ "sub": "x" })));
        assert_eq!(claims("at-opaque"), None);
        assert_eq!(fingerprint(token).len(), 12);
    }
}
