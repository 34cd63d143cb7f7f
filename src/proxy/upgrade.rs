//! The WebSocket handshake: what is asked of the upstream, and what its 101 becomes.
//!
//! `forward` calls it for routes with `websocket = true`, after everything that holds for any request: origin, session,
//! refresh, headers. After the 101 the bytes go through a [`Tunnel`]; `lasting` ends it in time.
//!
//! # Invariants
//! - A handshake that this server and another could read differently goes nowhere (D8).
//! - A refusal by the upstream is an ordinary answer; no byte of the client is sent after it.
//!
//! # Spec
//! RFC 6455 §4, RFC 9110 §7.8.
//!
//! # Why no extension is negotiated
//! `permessage-deflate` compresses secrets beside what others chose, and its length shows (CRIME); and it costs
//! memory for each connection (D37). Without the header no upstream may use it.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use http::{Response, header};
use hyper::body::Incoming;

use super::tunnel::Tunnel;
use crate::problem::Problem;

/// The one version there is (RFC 6455 §4.1).
const VERSION: &[u8] = b"13";

/// What of an upstream's 101 is the browser's business.
const PASSED: [&str; 3] = [
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "set-cookie",
];

/// Refuses what is no plain handshake (RFC 6455 §4.2.1).
pub(super) fn check(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    let only = |name: &str| {
        let mut values = headers.get_all(name);
        values.next().filter(|_| values.next().is_none())
    };
    let has_body = request.chunked().unwrap_or(true)
        || (headers.contains_key(CONTENT_LENGTH)
            && only("content-length").is_none_or(|length| length != "0"));
    let protocol = only("upgrade").map(|value| value.as_bytes().trim_ascii());
    let is_plain = *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        // Says that `Connection` names `upgrade`, and not `close`.
        && request.head().upgrade()
        && protocol.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
        && !has_body;
    if !is_plain {
        return Err(Problem::BadRequest("this is no WebSocket handshake"));
    }
    if only("sec-websocket-version").is_none_or(|version| version.as_bytes() != VERSION) {
        return Err(Problem::WebSocketVersion);
    }
    if !only("sec-websocket-key").is_some_and(is_key) {
        return Err(Problem::BadRequest("Sec-WebSocket-Key is missing or wrong"));
    }
    Ok(())
}

/// 16 bytes in base64.
fn is_key(value: &HeaderValue) -> bool {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

/// Makes a request's headers those of a handshake; key, version and subprotocols are the client's own.
pub(super) fn ask(headers: &mut http::HeaderMap) {
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    let protocol = http::HeaderValue::from_static("websocket");
    headers.insert(header::UPGRADE, protocol);
    let option = http::HeaderValue::from_static("upgrade");
    headers.insert(header::CONNECTION, option);
}

/// What proves that an upstream has read the handshake and switched (RFC 6455 §4.2.2).
fn accept_of(key: &[u8]) -> String {
    use base64::Engine as _;
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        &[key, GUID].concat(),
    );
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Whether an upstream's 101 is an answer to [`ask`] with this key. Without the proof, what follows might be an ordinary
/// connection, on which a client could say anything.
pub(super) fn is_accepted(answer: &Response<Incoming>, key: &[u8]) -> bool {
    let headers = answer.headers();
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    let is_proven = accept.is_some_and(|accept| accept.as_bytes() == accept_of(key).as_bytes());
    let upgrade = headers
        .get(header::UPGRADE)
        .map(http::HeaderValue::as_bytes);
    answer.status() == http::StatusCode::SWITCHING_PROTOCOLS
        && is_proven
        && upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
}

/// The 101 for the client, made of the headers that may pass.
pub(super) fn switch(headers: HeaderMap, tunnel: Tunnel) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS)
        .upgrade("websocket")
        .body(tunnel);
    for (name, value) in headers {
        if PASSED.contains(&name.as_str()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// An upstream's refusal. What the client has sent behind its handshake is not a request, so the connection ends.
pub(super) fn refuse(mut response: HttpResponse) -> HttpResponse {
    let close = actix_http::ConnectionType::Close;
    response.head_mut().set_connection_type(close);
    response
}
