//! Bodies between hyper and actix: a request's as actix's payload, an answer's as hyper's body.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::error::PayloadError;
use actix_web::body::{BodySize, MessageBody};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead as _, ReadBuf};

use super::wire::{Raw, RawState, Wire};
use crate::message::BoxBody;

/// How much is read at a time after a 101.
const PIECE: usize = 8 * 1024;

/// A request's body. hyper asks the client for it (`100 Continue`) when it is first read.
pub(super) struct Received {
    body: Incoming,
    wire: Rc<Wire>,
    is_whole: Rc<Cell<bool>>,
}

impl Received {
    /// `is_whole` becomes true when somebody has taken the last byte.
    pub(super) fn new(body: Incoming, wire: Rc<Wire>, is_whole: Rc<Cell<bool>>) -> Self {
        // While somebody may still read this body, the bytes that come are not a head.
        wire.hold();
        Self {
            body,
            wire,
            is_whole,
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.wire.end();
    }
}

impl Stream for Received {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else {
                this.is_whole.set(true);
                return Poll::Ready(None);
            };
            this.wire.moves();
            match frame {
                Ok(frame) => {
                    this.is_whole.set(this.body.is_end_stream());
                    // We do not forward trailers (RFC 9110 §6.5.1). hyper has checked their form.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Err(error) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(Some(error)))));
                }
            }
        }
    }
}

/// What a client sends after a 101, as the body of the request that asked for it.
pub(super) struct Switched(pub(super) Rc<Raw>);

impl Drop for Switched {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Stream for Switched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        match &mut *state {
            RawState::Waiting => {
                self.0.wait(cx.waker());
                Poll::Pending
            }
            RawState::Closed => Poll::Ready(None),
            RawState::Open(before, _) if !before.is_empty() => {
                Poll::Ready(Some(Ok(std::mem::take(before))))
            }
            RawState::Open(_, connection) => {
                self.0.wait(cx.waker());
                let mut piece = BytesMut::zeroed(PIECE);
                let mut read = ReadBuf::new(&mut piece);
                ready!(Pin::new(connection).poll_read(cx, &mut read))?;
                let n = read.filled().len();
                piece.truncate(n);
                Poll::Ready((n > 0).then(|| Ok(piece.freeze())))
            }
        }
    }
}

/// An answer's body.
pub(super) struct Sent {
    body: BoxBody,
    left: Option<u64>,
    wire: Rc<Wire>,
}

impl Sent {
    pub(super) fn new(body: BoxBody, wire: Rc<Wire>) -> Self {
        let left = match body.size() {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
        Self { body, left, wire }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.wire.end();
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let next = ready!(Pin::new(&mut this.body).poll_next(cx));
        this.wire.moves();
        Poll::Ready(match next {
            Some(Ok(bytes)) => {
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                this.left = this.left.map(|left| left.saturating_sub(len));
                Some(Ok(Frame::data(bytes)))
            }
            // Whoever made the error has logged it. hyper only needs to know that the answer is not whole.
            Some(Err(_)) => Some(Err(BrokenOff.into())),
            None => {
                this.wire.is_part.set(false);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct BrokenOff;
