//! What a request says about WebSocket. It is decided here, once for each request.
//!
//! `guard` asks a handshake for its `Origin`, `proxy` makes a tunnel of it, and `server` closes the connection after a
//! refusal. All of them go by this one reading.
//!
//! # Spec
//! RFC 6455 §4.1, RFC 9110 §7.8 (`Upgrade`). Other protocols are ignored, as RFC 9110 allows.

use http::Method;
use http::header::UPGRADE;

use crate::frontend::WebSocket;
use crate::message::Request;

const NAME: &[u8] = b"websocket";

/// What a request says about WebSocket.
pub fn websocket(request: &Request) -> WebSocket {
    let mut lines = request.headers().get_all(UPGRADE).iter().peekable();
    let Some(first) = lines.next() else {
        return WebSocket::NotAsked;
    };
    let first = first.as_bytes();
    if lines.peek().is_none()
        && first.trim_ascii().eq_ignore_ascii_case(NAME)
        && *request.method() == Method::GET
    {
        return WebSocket::Handshake;
    }
    if names_websocket(first) || lines.any(|line| names_websocket(line.as_bytes())) {
        WebSocket::Unclear
    } else {
        WebSocket::NotAsked
    }
}

/// Whether a list of protocols has `websocket` in it, of any version, and of any word that begins like it.
fn names_websocket(line: &[u8]) -> bool {
    line.split(|b| *b == b',').any(|protocol| {
        let name = protocol.trim_ascii().get(..NAME.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_get_is_a_handshake() {
        use WebSocket::{Handshake, NotAsked, Unclear};
        for (method, lines, expect) in [
            (Method::GET, &[][..], NotAsked),
            (Method::GET, &["websocket"], Handshake),
            (Method::GET, &[" WebSocket "], Handshake),
            (Method::POST, &["websocket"], Unclear),
            (Method::GET, &["websocket/13"], Unclear),
            (Method::GET, &["h2c, websocket"], Unclear),
            (Method::GET, &["websocket", "h2c"], Unclear),
            (Method::GET, &["h2c", "websocket"], Unclear),
            (Method::GET, &["h2c"], NotAsked),
            (Method::GET, &["web"], NotAsked),
            (Method::GET, &[""], NotAsked),
        ] {
            let mut request = http::Request::builder().method(method.clone());
            for line in lines {
                request = request.header(UPGRADE, *line);
            }
            assert_eq!(websocket(&request.into()), expect, "{method} {lines:?}");
        }
    }
}
