//! The WebSocket handshake: what is asked of the upstream, and what its 101 becomes.
//!
//! A handshake on a route with `websocket = true` first passes all that any request passes: origin, session, refresh,
//! headers. After the 101 the bytes go through a [`Tunnel`], and `lasting` ends it in time.
//!
//! # Invariants
//! - A handshake that two servers could read differently is refused.
//! - If the upstream refuses, its answer is an ordinary one, and sealgate sends none of the client's bytes after it.
//!
//! # Spec
//! RFC 6455 §4, RFC 9110 §7.8.
//!
//! # Why no extension is negotiated
//! `permessage-deflate` compresses secrets together with text that an attacker chose, and the length tells what they have
//! in common (CRIME). It also costs memory for each connection. Without the header an upstream may not use it.

use actix_web::body::MessageBody as _;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Version};

use super::tunnel::Tunnel;
use crate::frontend::WebSocket;
use crate::message::{Answer, Request};
use crate::problem::Problem;

/// The one version there is (RFC 6455 §4.1).
const VERSION: &[u8] = b"13";

/// The headers of an upstream's 101 that the browser gets.
const PASSED: [&str; 3] = [
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "set-cookie",
];

/// Refuses what is not a plain handshake (RFC 6455 §4.2.1). Gives its `Sec-WebSocket-Key`.
pub(super) fn check(request: &Request, websocket: WebSocket) -> Result<&[u8], Problem> {
    let headers = request.headers();
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || (headers.contains_key(header::CONTENT_LENGTH)
            && only("content-length").is_none_or(|length| length != "0"));
    let is_plain = websocket == WebSocket::Handshake
        && request.version() == Version::HTTP_11
        && asks_for_upgrade(headers)
        && !has_body;
    if !is_plain {
        return Err(Problem::BadRequest("this is not a WebSocket handshake"));
    }
    if only("sec-websocket-version").is_none_or(|version| version.as_bytes() != VERSION) {
        return Err(Problem::WebSocketVersion);
    }
    let key = only("sec-websocket-key").filter(|key| is_key(key));
    key.map(HeaderValue::as_bytes)
        .ok_or(Problem::BadRequest("Sec-WebSocket-Key is missing or wrong"))
}

/// Whether `Connection` names `upgrade`, and not `close`.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let options: Vec<_> = lines
        .flat_map(|line| line.split(',').map(str::trim))
        .collect();
    let names = |wanted: &str| {
        options
            .iter()
            .any(|option| option.eq_ignore_ascii_case(wanted))
    };
    names("upgrade") && !names("close")
}

/// 16 bytes in base64.
fn is_key(value: &HeaderValue) -> bool {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

/// Turns a request's headers into those of a handshake. Key, version and subprotocols are the client's own.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    let protocol = HeaderValue::from_static("websocket");
    headers.insert(header::UPGRADE, protocol);
    let option = HeaderValue::from_static("upgrade");
    headers.insert(header::CONNECTION, option);
}

/// The proof that an upstream has read the handshake (RFC 6455 §4.2.2).
fn accept_of(key: &[u8]) -> String {
    use base64::Engine as _;
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        &[key, GUID].concat(),
    );
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Whether an upstream's 101 answers [`ask`] with this key. Without the proof, the connection might still speak HTTP, and
/// the client could send any request on it.
pub(super) fn is_accepted(headers: &HeaderMap, key: &[u8]) -> bool {
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    let is_proven = accept.is_some_and(|accept| accept.as_bytes() == accept_of(key).as_bytes());
    let upgrade = headers.get(header::UPGRADE).map(HeaderValue::as_bytes);
    is_proven
        && upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
}

/// The 101 for the client, with the headers that may pass.
pub(super) fn switch(headers: &HeaderMap, tunnel: Tunnel) -> Answer {
    let mut answer = Answer::new(tunnel.boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let own = answer.headers_mut();
    for (name, value) in headers {
        if PASSED.contains(&name.as_str()) {
            own.append(name, value.clone());
        }
    }
    own.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    own.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer
}

/// An upstream's refusal. What the client has sent after its handshake is not a request, so the connection ends.
pub(super) fn refuse(mut answer: Answer) -> Answer {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}
