//! Authorization responses: parameters on the way back to the client, by redirect or by form.

use actix_web::HttpResponse;
use actix_web::http::header;
use url::Url;

use super::faults::{AuthorizationFault, Fault};
use super::request::{AuthorizationRequest, ResponseMode};
use super::store::{Grant, SignOn};
use super::{Secret, Shared, pages};

/// Answers a request of somebody who is signed in.
pub(super) fn grant(idp: &Shared, asked: AuthorizationRequest, sign_on: SignOn) -> HttpResponse {
    let code = idp.minted.random(Secret::Code);
    let response = send(idp, &asked, vec![("code", code.clone())]);
    let mut grant = Grant::new(asked.client_id, sign_on, asked.scope);
    grant.nonce = asked.nonce;
    grant.resources = asked.resources;
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
    for fault in idp.faults.take(|fault| match fault {
        Fault::Authorization(fault) => Some(fault.clone()),
        _ => None,
    }) {
        spoil(&mut params, fault);
    }
    match (to.response_mode, Url::parse(&to.redirect_uri)) {
        (_, Err(_)) => pages::error("The registered redirect URI is not a URL."),
        (ResponseMode::FormPost, Ok(_)) => pages::form_post(&to.redirect_uri, &params),
        (ResponseMode::Query, Ok(mut location)) => {
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
        AuthorizationFault::Error(error) => fail(error),
        AuthorizationFault::NoIss => params.retain(|(name, _)| *name != "iss"),
        AuthorizationFault::Twice(name) => {
            if let Some(param) = params.iter().find(|(known, _)| *known == name).cloned() {
                params.push(param);
            }
        }
        AuthorizationFault::With(name, value) => {
            params.retain(|(known, _)| *known != name);
            params.push((name, value));
        }
    }
}
