//! The answer of one call, and its body as it arrives.
//!
//! # Invariants
//! - A body that breaks off or stalls ends in an error, so that nobody takes a part for the whole (RFC 9112 §8).
//! - Trailers are dropped, never merged into headers (RFC 9110 §6.5).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, response};
use hyper::body::{Body as _, Incoming};

use super::idle_timer::IdleTimer;
use super::places::{Place, TunnelPlace, Watch};
use super::upload::Upload;
use super::upstream::Upstream;
use crate::names::UpstreamName;
use crate::problem::Problem;

/// What an upstream answered. If it is dropped, its connection ends.
#[derive(Debug)]
pub struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: AnswerBody,
}

impl Answer {
    /// The status, which is not 101.
    pub const fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers as the upstream sent them: they are not checked, and few are fit for a browser.
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Reads the whole body, if it is not longer than `most` bytes. The caller sets a time limit around it.
    pub async fn read(mut self, most: usize) -> Result<Bytes, ReadError> {
        let announced = self.body.length().unwrap_or_default();
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > most {
            return Err(ReadError::TooLarge);
        }
        // One allocation, if the framing tells the length. A buffer that doubles would copy, and end up to twice as large.
        let mut whole = BytesMut::with_capacity(announced);
        while let Some(piece) = poll_fn(|cx| self.body.poll_piece(cx)).await {
            let piece = piece?;
            if piece.len() > most - whole.len() {
                return Err(ReadError::TooLarge);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    pub(in crate::proxy) fn into_parts(self) -> (response::Parts, AnswerBody) {
        (self.head, self.body)
    }
}

/// Why an answer's body could not be read whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// It broke off, or nothing came for too long.
    #[error(transparent)]
    BrokenOff(#[from] BrokenOff),
    /// It is longer than the caller takes.
    #[error("the upstream's answer is too large")]
    TooLarge,
}

/// The body did not arrive whole. The log has the cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenOff {
    /// The connection ended, or what came is not a body.
    #[error("the upstream's answer broke off")]
    Cut,
    /// Nothing came for longer than the upstream's `idle_timeout`.
    #[error("the upstream's answer stalled")]
    Stalled,
}

/// The body of an answer, with all that it keeps busy until it is over.
#[derive(Debug)]
pub(in crate::proxy) struct AnswerBody {
    incoming: Incoming,
    idle: IdleTimer,
    hold: Hold,
    /// The request's body may still be on its way. It ends with the answer.
    _upload: Option<Upload>,
    /// For the log.
    upstream: UpstreamName,
}

/// The place at the upstream that an answer holds.
#[derive(Debug)]
pub(super) enum Hold {
    Place(Place),
    Tunnel(#[expect(dead_code, reason = "held, not read")] TunnelPlace),
}

impl AnswerBody {
    pub(super) fn new(
        upstream: &Upstream,
        incoming: Incoming,
        hold: Hold,
        upload: Option<Upload>,
    ) -> Self {
        Self {
            incoming,
            idle: IdleTimer::new(upstream.settings.idle_timeout),
            hold,
            _upload: upload,
            upstream: upstream.name.clone(),
        }
    }

    /// Its length in bytes, if the framing tells.
    pub(in crate::proxy) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The upstream it comes from, for the log.
    pub(in crate::proxy) const fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    /// The place that a slow reader keeps from others, if it is one that requests wait for.
    pub(in crate::proxy) fn watch(&self) -> Option<Watch> {
        match &self.hold {
            Hold::Place(place) => Some(Watch::of(place)),
            Hold::Tunnel(_) => None,
        }
    }

    /// The next piece; `None` at the end.
    pub(in crate::proxy) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.stop();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    log::warn!(code = Problem::UpstreamUnavailable.code();
                        "upstream {}: the answer broke off: {error}", self.upstream);
                    return Poll::Ready(Some(Err(BrokenOff::Cut)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.idle.has_expired(cx) => {
                    log::warn!(code = Problem::UpstreamTimeout.code(); "upstream {}: the answer stalled", self.upstream);
                    return Poll::Ready(Some(Err(BrokenOff::Stalled)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
