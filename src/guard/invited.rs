//! A navigation of another site that may begin a login: a link of `logins_from`, or a login that a third party initiates.
//!
//! # Spec
//! OpenID Connect Core §4. The endpoint compares `iss`.

use http::{Method, header};

use super::navigation::{is_framed, is_navigation};
use crate::frontend::Frontend;
use crate::message::Request;

/// Whether somebody else may begin this login. Not in a frame: there the browser keeps the cookies of the login to itself.
pub(super) fn is_invited(request: &Request, frontend: &Frontend) -> bool {
    let invitations = &frontend.invitations;
    let headers = request.headers();
    if !is_navigation(headers) || is_framed(headers) {
        return false;
    }
    let referer = headers
        .get(header::REFERER)
        .and_then(|referer| referer.to_str().ok());
    (invitations.initiated && is_initiation(request)) || invitations.include(referer)
}

/// Whether the request says that it initiates a login: `iss` is required of it.
fn is_initiation(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    *request.method() == Method::POST
        || url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "iss")
}
