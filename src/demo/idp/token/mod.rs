//! `/token`: a code, a refresh token, another access token or the client itself becomes tokens (RFC 6749 §4.1.3, §4.4, §6;
//! OpenID Connect Core §3.1.3, §12; RFC 8693).

mod issue;
pub(super) mod revoke;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::{Map, Value};

use super::Shared;
use super::client_auth::{self, OAuthError};
use super::faults::{Fault, TokenFault};
use super::params::Params;
use super::proof;
use crate::demo::loopback::RawConnection;

/// A successful answer: its members.
type Tokens = Map<String, Value>;

pub(super) async fn token(request: HttpRequest, body: Bytes, idp: Data<Shared>) -> HttpResponse {
    let faults = idp.faults.take(|fault| match fault {
        Fault::Token(fault) => Some(fault.clone()),
        _ => None,
    });
    let params = Params::parse(&body);
    let grant_type = params
        .as_ref()
        .ok()
        .and_then(|params| params.one("grant_type"));
    let grant_type = grant_type.unwrap_or("none").to_owned();
    *idp.observed().token.entry(grant_type).or_default() += 1;
    for fault in &faults {
        match fault {
            TokenFault::Delay(delay) => actix_web::rt::time::sleep(*delay).await,
            TokenFault::Answer { status, body } => {
                let status = StatusCode::from_u16(*status);
                return HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
                    .content_type("application/json")
                    .body(body.clone());
            }
            TokenFault::InvalidGrant => {
                return OAuthError("invalid_grant", "a fault was injected").response();
            }
            _ => {}
        }
    }
    let tokens = match params {
        Ok(params) => proven(&request, &params, &idp),
        Err(_) => Err(OAuthError("invalid_request", "a parameter comes twice")),
    };
    proof::with_nonce(answer(&request, tokens, &faults), &idp)
}

/// The tokens of a request with the proof that is wanted, before anything else is looked at.
fn proven(request: &HttpRequest, params: &Params, idp: &Shared) -> Result<Tokens, OAuthError> {
    grant(request, params, idp, proof::key_of(request, idp)?)
}

fn grant(
    request: &HttpRequest,
    params: &Params,
    idp: &Shared,
    key: Option<String>,
) -> Result<Tokens, OAuthError> {
    let client_id = client_auth::authenticate(request, params, idp)?;
    let missing = OAuthError("invalid_request", "a parameter is missing");
    match params.one("grant_type") {
        Some("authorization_code") => {
            let code = params.one("code").ok_or(missing)?;
            let verifier = params.one("code_verifier").ok_or(missing)?;
            let challenge = s256(verifier).ok_or(OAuthError(
                "invalid_request",
                "code_verifier is not as RFC 7636 §4.1 wants it",
            ))?;
            let redirect_uri = params.one("redirect_uri");
            let grant = idp
                .store()
                .redeem_code(code, &client_id, redirect_uri, &challenge, idp.now())
                .map_err(|refusal| OAuthError("invalid_grant", refusal))?;
            if grant.thumbprint.is_some() && grant.thumbprint != key {
                return Err(OAuthError(
                    "invalid_grant",
                    "the code is bound to another key",
                ));
            }
            issue::for_code(idp, grant, params, key)
        }
        Some("refresh_token") => {
            let token = params.one("refresh_token").ok_or(missing)?;
            issue::for_refresh_token(idp, token, &client_id, params, key)
        }
        Some("client_credentials") => issue::for_client(idp, &client_id, params, key.as_deref()),
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
            let subject = params.one("subject_token").ok_or(missing)?;
            issue::in_exchange(idp, subject, &client_id, params, key)
        }
        // Entra ID's on-behalf-of flow.
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
            if params.one("requested_token_use") == Some("on_behalf_of") =>
        {
            let assertion = params.one("assertion").ok_or(missing)?;
            issue::in_exchange(idp, assertion, &client_id, params, key)
        }
        Some(_) => Err(OAuthError(
            "unsupported_grant_type",
            "code, refresh_token, client_credentials, token exchange or on-behalf-of",
        )),
        None => Err(missing),
    }
}

/// The challenge of a verifier (RFC 7636 §4.1, §4.6).
fn s256(verifier: &str) -> Option<String> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    fits.then(|| URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes())))
}

/// RFC 6749 §5.1, with what the faults make of it.
fn answer(
    request: &HttpRequest,
    tokens: Result<Tokens, OAuthError>,
    faults: &[TokenFault],
) -> HttpResponse {
    for fault in faults {
        let tampered = match (fault, RawConnection::of(request)) {
            (TokenFault::DropConnection, Some(connection)) => connection.cut(),
            (TokenFault::EarlyHints, Some(connection)) => connection
                .write(b"HTTP/1.1 103 Early Hints\r\nLink: </idp.css>; rel=preload\r\n\r\n"),
            _ => Ok(()),
        };
        if let Err(error) = tampered {
            log::warn!("the fault could not be made: {error}");
        }
    }
    let mut tokens = match tokens {
        Ok(tokens) => tokens,
        Err(error) => return error.response(),
    };
    for fault in faults {
        match fault {
            TokenFault::With(name, value) => {
                tokens.insert((*name).to_owned(), value.clone());
            }
            TokenFault::Without(name) => {
                tokens.remove(*name);
            }
            _ => {}
        }
    }
    let mut body = Value::Object(tokens).to_string();
    let mut status = StatusCode::OK;
    for fault in faults {
        match fault {
            TokenFault::TruncatedJson => body.truncate(body.len() / 2),
            TokenFault::ByteOrderMark => body.insert(0, '\u{feff}'),
            TokenFault::Status(asked) => status = StatusCode::from_u16(*asked).unwrap_or(status),
            _ => {}
        }
    }
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").as_deref(),
            Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        );
        assert_eq!(s256("short"), None);
        assert_eq!(s256(&"/".repeat(43)), None);
    }
}
