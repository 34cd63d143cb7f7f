//! Authorization responses: parameters on the way back to the client, by redirect or by form.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::Map;
use url::Url;

use super::faults::{AuthorizationFault, Fault};
use super::keys::KeyFailure;
use super::request::{AuthorizationRequest, ResponseMode};
use super::store::{Grant, SignOn};
use super::{Secret, Shared, forge, pages};

/// JARM §2.1 recommends ten minutes at most.
const RESPONSE_LIFETIME: Duration = Duration::from_mins(1);

/// Answers a request of somebody who is signed in.
pub(super) fn grant(idp: &Shared, asked: AuthorizationRequest, sign_on: SignOn) -> HttpResponse {
    let code = idp.minted.random(Secret::Code);
    let response = send(idp, &asked, vec![("code", code.clone())]);
    let mut grant = Grant::new(asked.client_id, sign_on, asked.scope);
    grant.nonce = asked.nonce;
    grant.resources = asked.resources;
    grant.thumbprint = asked.dpop_jkt;
    idp.store().add_code(
        &code,
        grant,
        asked.redirect_uri,
        asked.code_challenge,
        idp.now(),
    );
    response
}

/// Sends the browser back with an error (RFC 6749 §4.1.2.1).
pub(super) fn error(
    idp: &Shared,
    to: &AuthorizationRequest,
    error: &str,
    description: &str,
) -> HttpResponse {
    send(
        idp,
        to,
        vec![
            ("error", error.to_owned()),
            ("error_description", description.to_owned()),
        ],
    )
}

fn send(
    idp: &Shared,
    to: &AuthorizationRequest,
    mut params: Vec<(&'static str, String)>,
) -> HttpResponse {
    if let Some(state) = &to.state {
        params.push(("state", state.clone()));
    }
    params.push(("iss", idp.issuer.clone()));
    let mut beside = Vec::new();
    for fault in idp.faults.take(|fault| match fault {
        Fault::Authorization(fault) => Some(fault.clone()),
        _ => None,
    }) {
        match fault {
            AuthorizationFault::Beside(name, value) => beside.push((name, value.to_owned())),
            fault => spoil(&mut params, fault),
        }
    }
    if to.response_mode == ResponseMode::Jwt {
        params = match signed(idp, to, params) {
            Ok(response) => [beside, vec![("response", response)]].concat(),
            Err(_) => return pages::error("No signature could be made."),
        };
    }
    match (to.response_mode, Url::parse(&to.redirect_uri)) {
        (_, Err(_)) => pages::error("The registered redirect URI is not a URL."),
        (ResponseMode::FormPost, Ok(_)) => pages::form_post(&to.redirect_uri, &params),
        (ResponseMode::Jwt | ResponseMode::Query, Ok(mut location)) => {
            location.query_pairs_mut().extend_pairs(params);
            // RFC 9700 §4.12: 303, so that no browser sends the password along.
            HttpResponse::SeeOther()
                .insert_header((header::LOCATION, location.as_str()))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .insert_header((header::REFERRER_POLICY, "no-referrer"))
                .finish()
        }
    }
}

/// JARM §2.1: the parameters as claims.
fn signed(
    idp: &Shared,
    to: &AuthorizationRequest,
    params: Vec<(&'static str, String)>,
) -> Result<String, KeyFailure> {
    let mut claims = Map::new();
    claims.insert("aud".to_owned(), to.client_id.clone().into());
    let exp = idp.now().plus(RESPONSE_LIFETIME).as_secs();
    claims.insert("exp".to_owned(), exp.into());
    claims.extend(
        params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into())),
    );
    forge::response(idp, &to.client_id, claims.into())
}

fn spoil(params: &mut Vec<(&'static str, String)>, fault: AuthorizationFault) {
    let mut fail = |error: &str| {
        params.retain(|(name, _)| *name != "code");
        params.push(("error", error.to_owned()));
    };
    match fault {
        AuthorizationFault::AccessDenied => {
            fail("access_denied");
            let markup = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'";
            params.push(("error_description", markup.to_owned()));
            params.push(("error_uri", "javascript:alert(3)".to_owned()));
        }
        AuthorizationFault::Beside(..) => {}
        AuthorizationFault::Error(error) => fail(error),
        AuthorizationFault::NoIss => params.retain(|(name, _)| *name != "iss"),
        AuthorizationFault::Twice(name) => {
            if let Some(param) = params.iter().find(|(known, _)| *known == name).cloned() {
                params.push(param);
            }
        }
        AuthorizationFault::Without(name) => params.retain(|(known, _)| *known != name),
        AuthorizationFault::With(name, value) => {
            params.retain(|(known, _)| *known != name);
            params.push((name, value));
        }
    }
}
