//! Who calls the token and revocation endpoints: `client_secret_basic`, `client_secret_post` and `private_key_jwt`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::mint::Secret;
use super::params::Params;
use super::store::Proof;
use super::{Shared, assertion};

/// An error answer of RFC 6749 §5.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct OAuthError(pub(super) &'static str, pub(super) &'static str);

impl OAuthError {
    pub(super) fn response(self) -> HttpResponse {
        let status = match self.0 {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"demo\""));
        }
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({ "error": self.0, "error_description": self.1 }))
    }
}

/// The client that proves itself, in one way only (RFC 6749 §2.3).
pub(super) fn authenticate(
    request: &HttpRequest,
    params: &Params,
    idp: &Shared,
) -> Result<String, OAuthError> {
    let refused = OAuthError("invalid_client", "client authentication failed");
    let in_header = request.headers().get(header::AUTHORIZATION);
    if let Some(assertion) = params.one("client_assertion") {
        if in_header.is_some() || params.one("client_secret").is_some() {
            return Err(OAuthError("invalid_request", "two client authentications"));
        }
        idp.minted.record(Secret::ClientAssertion, assertion);
        return assertion::verify(assertion, params, idp)
            .map_err(|why| OAuthError("invalid_client", why));
    }
    let (client_id, secret) = match (in_header, params.one("client_secret")) {
        (Some(_), Some(_)) => {
            return Err(OAuthError("invalid_request", "two client authentications"));
        }
        (Some(value), None) => value.to_str().ok().and_then(basic).ok_or(refused)?,
        (None, Some(secret)) => (params.owned("client_id").ok_or(refused)?, secret.to_owned()),
        (None, None) => {
            let client_id = params.owned("client_id").ok_or(refused)?;
            let store = idp.store();
            let client = store.clients.get(&client_id).ok_or(refused)?;
            let is_certified = matches!(client.proof, Proof::Certificate);
            return is_certified.then_some(client_id).ok_or(refused);
        }
    };
    if params
        .one("client_id")
        .is_some_and(|also| also != client_id)
    {
        return Err(OAuthError("invalid_request", "two different clients"));
    }
    let store = idp.store();
    let client = store.clients.get(&client_id).ok_or(refused)?;
    match &client.proof {
        Proof::Secret(known) if bool::from(known.as_bytes().ct_eq(secret.as_bytes())) => {
            Ok(client_id)
        }
        Proof::Secret(_) | Proof::Keys(_) | Proof::Certificate => Err(refused),
    }
}

/// RFC 6749 §2.3.1: both parts are form-urlencoded before they are joined, so a `:` inside a part does not separate.
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = pair.split_once(':')?;
    Some((form_decoded(client_id)?, form_decoded(secret)?))
}

/// One value of `application/x-www-form-urlencoded`. It holds no bare separator.
fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=', ':', ' ']) {
        return None;
    }
    let pair = format!("v={text}");
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_urlencoded_before_base64() {
        // B43
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let secret = ":%+ /\u{e9}&=";
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        assert_eq!(
            basic(&header(&format!("shop%3A1:{encoded}"))),
            Some(("shop:1".to_owned(), secret.to_owned()))
        );
        assert_eq!(basic(&header(&format!("shop:{secret}"))), None);
        assert_eq!(basic("Bearer x"), None);
        assert_eq!(basic("Basic !"), None);
    }
}
