//! One request of a connection: hyper has read it, and the listener's application answers.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::{BodySize, MessageBody as _};
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};

use super::Closing;
use super::body::{Received, Sent, Switched};
use super::head::Framing;
use super::message;
use super::wire::Wire;
use crate::message::{Answer, BoxBody, Payload, Request};

/// What answers the requests of a listener in one worker.
pub(in crate::server) trait Application: 'static {
    /// Answers one request. The body of a handshake (RFC 9110 §7.8) is what the client sends after a 101.
    fn answer(&self, request: Request, body: Payload) -> impl Future<Output = Answer> + 'static;
}

/// Answers the requests of one connection.
pub(super) struct Exchanges<S> {
    pub(super) app: Rc<S>,
    pub(super) wire: Rc<Wire>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) closing: Closing,
}

impl<S> Clone for Exchanges<S> {
    fn clone(&self) -> Self {
        Self {
            app: Rc::clone(&self.app),
            wire: Rc::clone(&self.wire),
            peer: self.peer,
            closing: self.closing.clone(),
        }
    }
}

type Framed = http::Response<Sent>;

impl<S: Application> hyper::service::Service<http::Request<Incoming>> for Exchanges<S> {
    type Response = Framed;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Framed, Infallible>>>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        // The wire counts this request until the answer's body is dropped, or this future is.
        self.wire.begin();
        let open = Open(Some(Rc::clone(&self.wire)));
        let (head, body) = request.into_parts();
        let is_whole = Rc::new(Cell::new(body.is_end_stream()));
        let asks_for_switch = head.version == Version::HTTP_11
            && head.headers.contains_key(header::UPGRADE)
            && is_whole.get();
        let payload: Payload = if asks_for_switch {
            let raw = Rc::clone(&self.wire.raw);
            Payload::Stream {
                payload: Box::pin(Switched(raw)),
            }
        } else if is_whole.get() {
            Payload::None
        } else {
            let wire = Rc::clone(&self.wire);
            Payload::Stream {
                payload: Box::pin(Received::new(body, wire, Rc::clone(&is_whole))),
            }
        };
        let version = head.version;
        // HTTP/2 lets any method have a body. For these two a body has no meaning (RFC 9110 §9.3.1), so we take none.
        let is_plain = self.is_plain(&head)
            && (version != Version::HTTP_2
                || is_whole.get()
                || !matches!(head.method, Method::GET | Method::HEAD));
        let framing = Answering {
            version,
            is_head: head.method == Method::HEAD,
            is_whole: Rc::clone(&is_whole),
            closing: self.closing.clone(),
            wire: Rc::clone(&self.wire),
            open,
        };
        if !is_plain {
            return Box::pin(ready(Ok(framing.frame(refusal()))));
        }
        boxed(|| {
            let request = message::request(head, self.peer, is_whole.get());
            let answer = self.app.answer(request, payload);
            // Not in an `async` block, which would keep room for the request beside the future that has it.
            answer.map(|answer| Ok(framing.frame(answer)))
        })
    }
}

/// What of a request says how its answer is framed.
struct Answering {
    version: Version,
    is_head: bool,
    is_whole: Rc<Cell<bool>>,
    closing: Closing,
    wire: Rc<Wire>,
    open: Open,
}

impl Answering {
    /// The answer as hyper sends it.
    fn frame(self, answer: Answer) -> Framed {
        let Self { version, wire, .. } = self;
        wire.leave();
        let (mut head, body) = answer.into_parts();
        // HTTP/2 has no such header (RFC 9113 §8.2.2).
        if version == Version::HTTP_2 {
            head.headers.remove(header::CONNECTION);
        }
        // An answer without a body may still state a length. In all other answers hyper states it.
        if !matches!(body.size(), BodySize::None) {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        let body = if head.status == StatusCode::SWITCHING_PROTOCOLS {
            *wire.switched.borrow_mut() = Some(body);
            BoxBody::new(())
        } else if self.is_head {
            // hyper would send the body in HTTP/2. Its length stays, as a header (RFC 9110 §9.3.2).
            if let BodySize::Sized(length) = body.size() {
                head.headers.insert(header::CONTENT_LENGTH, length.into());
            }
            BoxBody::new(())
        } else {
            body
        };
        // HTTP/1.0 has no chunks: the end of the connection says that the answer is whole (RFC 9112 §6.3).
        let is_delimited_by_end =
            version == Version::HTTP_10 && matches!(body.size(), BodySize::Stream);
        wire.is_part.set(is_delimited_by_end);
        // We do not read the rest of a request that is answered. So the client must not send another one behind it.
        let is_cut_short = version != Version::HTTP_2 && !self.is_whole.get();
        // A client that keeps its connection until we close it may send a request that nobody reads any more.
        let is_last = self.closing.is_announced()
            && version != Version::HTTP_2
            && head.status != StatusCode::SWITCHING_PROTOCOLS;
        if is_delimited_by_end || is_cut_short || is_last {
            let close = HeaderValue::from_static("close");
            head.headers.insert(header::CONNECTION, close);
        }
        self.open.hand_over();
        Framed::from_parts(head, Sent::new(body, wire))
    }
}

/// Makes a future where it will stay. `Box::pin` makes it on the stack and copies all of it: several KiB, of which a request that
/// begins has set some 300 bytes.
fn boxed<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

impl<S> Exchanges<S> {
    /// Whether a server between the client and us must have read the same request and the same body (RFC 9112 §11.2).
    fn is_plain(&self, head: &http::request::Parts) -> bool {
        if head.version == Version::HTTP_2 {
            return true;
        }
        let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
        let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let has_framing = head.headers.contains_key(header::CONTENT_LENGTH)
            || head.headers.contains_key(header::TRANSFER_ENCODING);
        let framing = self.wire.heads.borrow_mut().judge(has_framing);
        framing == Framing::Plain && codings.all(is_chunked)
    }
}

/// The same answer that hyper gives to what it cannot parse.
fn refusal() -> Answer {
    let mut refusal = Answer::new(BoxBody::new(()));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    let close = HeaderValue::from_static("close");
    refusal.headers_mut().insert(header::CONNECTION, close);
    refusal
}

/// Counts a request that is being answered.
struct Open(Option<Rc<Wire>>);

impl Open {
    /// The body of the answer takes over the count.
    fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(wire) = self.0.take() {
            wire.end();
        }
    }
}
