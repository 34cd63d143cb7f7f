//! Refusals that need neither session nor network.
//!
//! `server::pipeline` calls [`admit`] before it opens a cookie. The order of the checks is the order below.
//!
//! # Invariants
//! - A request that is refused here causes no call to an upstream or to an identity provider.
//! - Only this module answers CORS. `Access-Control-Allow-*` is never sent, so a foreign page cannot read an answer.

pub mod csrf;
mod invited;
mod navigation;
mod rate_limit;
mod speaker;
mod speculative;
mod websocket;

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Uri};

use crate::frontend::{Ahead, Frontend, Matched, Proof, Rules, Spender, Target, WebSocket};
use crate::message::Request;
use crate::problem::Problem;

pub use navigation::{is_fetch, is_framed, is_navigation, site, wants_page};
pub use rate_limit::{spend_login, spender};
pub use speaker::{Scheme, Speaker, presented};
pub use speculative::is_speculative;
pub use websocket::websocket;

/// Longest header section, in bytes of names and values. Reverse proxies in front allow less.
pub const MAX_HEADER_BYTES: usize = 48 * 1024;

const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// Destinations whose content would run with all rights of the application's origin, or would look like a part of its pages
/// (Fetch Metadata §2.1, Fetch §"script-like").
const ACTIVE: [&[u8]; 11] = [
    b"audioworklet",
    b"embed",
    b"manifest",
    b"object",
    b"paintworklet",
    b"script",
    b"serviceworker",
    b"sharedworker",
    b"style",
    b"worker",
    b"xslt",
];

/// Proof that [`admit`] has run. Code that acts on a session or calls an upstream asks for it.
#[derive(Debug)]
pub struct Admitted {
    client: IpAddr,
    speaker: Speaker,
}

impl Admitted {
    /// The client's address, behind trusted proxies.
    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// By what the request wants to be known.
    pub const fn speaker(&self) -> Speaker {
        self.speaker
    }

    /// Who is counted where there is no session.
    pub fn spender(&self) -> Spender {
        rate_limit::spender(self.client)
    }
}

/// Lets a request through to an endpoint or API route, or says why not.
pub fn admit(
    request: &Request,
    frontend: &Frontend,
    target: Target<'_, '_>,
    client: IpAddr,
) -> Result<Admitted, Problem> {
    let headers = request.headers();
    if request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        // A preflight (Fetch §4.8). The frontend's own pages are same-origin and never send one.
        return Err(Problem::CrossSiteRequest(
            "cross-origin requests are not served",
        ));
    }
    let speaker = speaker::speaker(request, frontend, target);
    match target {
        // The app's files are public.
        Target::Assets(..) => {}
        Target::Endpoint(endpoint) if speaker == Speaker::Token => {
            check_speculative(request.headers(), &endpoint.rules())?;
        }
        Target::Endpoint(endpoint) => check_endpoint(request, frontend, &endpoint.rules())?,
        Target::Route(matched) => {
            if speaker == Speaker::Cookies {
                check_csrf(request, frontend, Some(matched))?;
            }
            check_route(request, matched)?;
        }
    }
    rate_limit::spend(frontend, target, client)?;
    Ok(Admitted { client, speaker })
}

/// Refuses a header section that is longer than [`MAX_HEADER_BYTES`].
pub fn check_header_size(headers: &HeaderMap) -> Result<(), Problem> {
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let bytes: usize = fields.map(|field| field + 4).sum();
    if bytes > MAX_HEADER_BYTES {
        Err(Problem::HeadersTooLarge)
    } else {
        Ok(())
    }
}

/// Refuses a query with bytes that no URI has (RFC 3986 §3.4). hyper lets through what is UTF-8, and upstreams differ about it.
pub fn check_query(target: &Uri) -> Result<(), Problem> {
    if target.query().is_none_or(str::is_ascii) {
        Ok(())
    } else {
        Err(Problem::BadRequest(
            "the query has characters that must be percent-encoded",
        ))
    }
}

/// Asks for what an endpoint's row demands.
fn check_endpoint(request: &Request, frontend: &Frontend, rules: &Rules) -> Result<(), Problem> {
    let headers = request.headers();
    check_speculative(headers, rules)?;
    match rules.proof {
        Proof::CsrfHeader => check_csrf(request, frontend, None),
        Proof::Browser => check_browser(headers, frontend),
        Proof::InvitedNavigation(_) if invited::is_invited(request, frontend) => Ok(()),
        Proof::InvitedNavigation(whose) | Proof::Navigation(whose) => {
            check_navigation(headers, whose)
        }
        Proof::RedirectUri => check_top_level(headers),
        // What else proves something is for the endpoint itself to read: it does nothing without it.
        Proof::Nothing | Proof::Sealed | Proof::Signature | Proof::State => Ok(()),
    }
}

/// A browser uses the answer of a prefetch only if it is a success. Else it asks again when the person goes there.
fn check_speculative(headers: &HeaderMap, rules: &Rules) -> Result<(), Problem> {
    if rules.ahead == Ahead::Refused && is_speculative(headers) {
        return Err(Problem::BadRequest(
            "a speculative load begins and ends nothing",
        ));
    }
    Ok(())
}

fn check_route(request: &Request, matched: Matched<'_, '_>) -> Result<(), Problem> {
    let headers = request.headers();
    // What answers pages is the application itself: its scripts and workers are its own.
    if matched.route.documents().is_none() {
        check_destination(headers)?;
    }
    if content_length(headers).is_some_and(|length| length > matched.route.action.body_limit()) {
        return Err(Problem::BodyTooLarge);
    }
    Ok(())
}

/// Refuses to load an API's answer as code. If users can store what an API serves, an attacker's document there could
/// otherwise run as a script of our origin, which our own content security policy allows.
fn check_destination(headers: &HeaderMap) -> Result<(), Problem> {
    if navigation::destination(headers).is_some_and(|destination| ACTIVE.contains(&destination)) {
        return Err(Problem::Forbidden(
            "an API serves no scripts, styles or embedded documents".to_owned(),
        ));
    }
    if headers.contains_key(SERVICE_WORKER) {
        // A service worker would answer for the pages of our origin (Service Workers §"Service-Worker").
        return Err(Problem::Forbidden("an API is no service worker".to_owned()));
    }
    Ok(())
}

/// A login or logout begins with a navigation from the frontend's own origin, or by the person's own hand.
///
/// A logout needs that beside the session's `sid`: a sibling host can plant a hint cookie and know its `sid`, and a script
/// would see the ID token in the address it is sent to. Browsers too old for Fetch Metadata pass: state, nonce and PKCE
/// protect a login, the `sid` a logout.
fn check_navigation(headers: &HeaderMap, whose: &'static str) -> Result<(), Problem> {
    if !matches!(site(headers), None | Some(b"same-origin" | b"none")) {
        return Err(Problem::CrossSiteRequest(whose));
    }
    if is_fetch(headers) {
        return Err(Problem::BadRequest(
            "this address is for navigation, not for fetch",
        ));
    }
    Ok(())
}

/// The login of an app happens before the person's eyes: not in a frame, and not by a script.
fn check_top_level(headers: &HeaderMap) -> Result<(), Problem> {
    if is_framed(headers) || is_fetch(headers) {
        return Err(Problem::BadRequest(
            "this address is for navigation, not for frames and fetch",
        ));
    }
    Ok(())
}

/// What a browser sends by itself for a page names the page's origin twice.
fn check_browser(headers: &HeaderMap, frontend: &Frontend) -> Result<(), Problem> {
    let origin = headers
        .get(header::ORIGIN)
        .map(header::HeaderValue::as_bytes);
    let is_own = origin == Some(frontend.origin.as_str().as_bytes());
    if is_own && site(headers) == Some(b"same-origin") {
        return Ok(());
    }
    Err(Problem::CrossSiteRequest(
        "a browser sends this by itself, with Origin and Sec-Fetch-Site",
    ))
}

fn check_csrf(
    request: &Request,
    frontend: &Frontend,
    route: Option<Matched<'_, '_>>,
) -> Result<(), Problem> {
    let headers = request.headers();
    let value = |name: HeaderName| headers.get(name).map(header::HeaderValue::as_bytes);
    let is_handshake = |matched: Matched<'_, '_>| {
        matched.websocket == WebSocket::Handshake && matched.route.action.takes_websocket()
    };
    let provenance = csrf::Provenance {
        kind: match *request.method() {
            _ if route.is_some_and(is_handshake) => csrf::Kind::Handshake,
            Method::GET | Method::HEAD | Method::OPTIONS => csrf::Kind::Safe,
            _ => csrf::Kind::Unsafe,
        },
        has_csrf_header: headers.contains_key(frontend.csrf_header.as_str()),
        origin: value(header::ORIGIN),
        site: site(headers),
        is_api: route.is_some(),
    };
    let checked = match route {
        Some(matched) if matched.route.documents().is_some() => {
            csrf::check_page(provenance, is_navigation(headers), &frontend.origin)
        }
        _ => csrf::check(provenance, &frontend.origin),
    };
    checked.map_err(Problem::CrossSiteRequest)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
