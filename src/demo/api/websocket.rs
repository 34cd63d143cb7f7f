//! A WebSocket that echoes each frame, so that fragments come back as they were sent (RFC 6455).

use std::sync::atomic::Ordering;

use actix_http::ws::{OpCode, Parser, hash_key};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt as _, stream};

use super::paths::OpenStream;
use super::{Shared, proof, received};

/// The longest frame that it accepts.
const LONGEST: usize = 4 << 20;

/// Accepts any handshake with a key, and the first subprotocol that is offered. Remembers the request.
pub(super) async fn echo(request: HttpRequest, body: Payload, api: Data<Shared>) -> HttpResponse {
    if let Some(refusal) = proof::refusal(&request, &api) {
        return refusal;
    }
    api.remember(received(&request));
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return HttpResponse::BadRequest().body("no Sec-WebSocket-Key");
    };
    let mut answer = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    let accept = hash_key(key.as_bytes());
    answer
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, &accept[..]));
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|list| list.to_str().ok()?.split(',').next());
    if let Some(protocol) = offered {
        answer.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol.trim()));
    }
    let open = OpenStream::new(&api.sockets);
    let talk = Talk {
        body,
        heard: BytesMut::new(),
        is_over: false,
        _open: open,
    };
    answer.streaming(stream::unfold(talk, |mut talk| async move {
        Some((Ok::<_, actix_web::Error>(talk.say().await?), talk))
    }))
}

struct Talk {
    body: Payload,
    heard: BytesMut,
    is_over: bool,
    _open: OpenStream,
}

impl Talk {
    /// The next bytes to send; `None` when the client has closed, left, or broken the protocol.
    async fn say(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let mut said = BytesMut::new();
            if let Some((is_last, opcode, payload)) =
                Parser::parse(&mut self.heard, true, LONGEST).ok()?
            {
                let payload = payload.unwrap_or_default();
                let answer = match opcode {
                    OpCode::Ping => OpCode::Pong,
                    OpCode::Pong => continue,
                    opcode => opcode,
                };
                self.is_over = opcode == OpCode::Close;
                Parser::write_message(&mut said, payload, answer, is_last, false);
                return Some(said.freeze());
            }
            self.heard.extend_from_slice(&self.body.next().await?.ok()?);
        }
        None
    }
}

/// The number of open connections.
pub(super) fn open(api: &Shared) -> usize {
    api.sockets.load(Ordering::SeqCst)
}
