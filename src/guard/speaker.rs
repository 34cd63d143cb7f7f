//! Who a request says to come from: a browser, by its cookies, or an app, by its token.
//!
//! # Why a token needs no proof against forgery
//! No page makes a browser send `Authorization`: a foreign page would need a preflight, which is never granted. Where a token
//! speaks, cookies are not opened.

use http::header::{AUTHORIZATION, HeaderMap};

use crate::frontend::{Frontend, Target};
use crate::message::Request;

/// By what a request wants to be known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaker {
    /// Its cookies, if there are any.
    Cookies,
    /// The token in `Authorization`.
    Token,
}

/// How an app presents its token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// With a proof of possession (RFC 9449 §7.1).
    Dpop,
    /// As a bearer token (RFC 6750 §2.1).
    Bearer,
}

impl Scheme {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "DPoP",
            Self::Bearer => "Bearer",
        }
    }
}

/// By what this request wants to be known. `Authorization` counts only where the frontend has apps.
pub(super) fn speaker(request: &Request, frontend: &Frontend, target: Target<'_, '_>) -> Speaker {
    let takes_token = match target {
        Target::Assets(..) => false,
        Target::Endpoint(endpoint) => endpoint.takes_token(),
        Target::Route(_) => true,
    };
    if takes_token && frontend.native.is_some() && names_token(request.headers()) {
        Speaker::Token
    } else {
        Speaker::Cookies
    }
}

fn names_token(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    lines.any(|line| split(line.as_bytes()).is_some())
}

/// The token of a request, and how it is presented; `None` if there is not exactly one.
pub fn presented(headers: &HeaderMap) -> Option<(Scheme, &str)> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let (scheme, token) = split(line.as_bytes())?;
    let token = std::str::from_utf8(token).ok()?;
    Some((scheme, token))
}

/// Scheme and token of an `Authorization`; no other schemes are ours (RFC 9110 §11.4).
fn split(line: &[u8]) -> Option<(Scheme, &[u8])> {
    let (name, token) = match line.iter().position(|byte| *byte == b' ') {
        Some(at) => line.split_at_checked(at)?,
        None => (line, &[][..]),
    };
    let scheme = [Scheme::Dpop, Scheme::Bearer]
        .into_iter()
        .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str().as_bytes()))?;
    Some((scheme, token.trim_ascii()))
}
