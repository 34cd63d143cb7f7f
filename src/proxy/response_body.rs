//! An answer's body on its way back: hyper's, read as fast as the client takes it.
//!
//! # Invariants
//! - An upstream's body that breaks off or stalls ends in an error: actix then cuts the client's connection, and
//!   nobody takes the part for the whole (RFC 9112 §8).
//! - Trailers are dropped, never merged into headers (RFC 9110 §6.5).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep, sleep};

use super::places::Place;
use super::request_body::Upload;
use super::upstream::TunnelPlace;
use crate::names::UpstreamName;

/// The body of an upstream's answer.
pub(super) struct ResponseBody {
    pub(super) incoming: Incoming,
    pub(super) size: BodySize,
    pub(super) quiet: Quiet,
    /// For the log.
    pub(super) upstream: UpstreamName,
    /// The connection is in use until the end.
    pub(super) hold: Option<Hold>,
    /// The request's body may still be on its way; it ends with the answer.
    pub(super) upload: Option<Upload>,
}

/// What an answer holds of its upstream, for as long as it lasts.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
pub(super) enum Hold {
    Place(Place),
    Tunnel(TunnelPlace),
}

/// The answer did not arrive whole; the log has the cause.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub(super) struct BrokenOff;

impl MessageBody for ResponseBody {
    type Error = BrokenOff;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.quiet.ends();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    log::warn!("upstream {}: the answer broke off: {error}", self.upstream);
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                Poll::Ready(None) => {
                    self.upload = None;
                    self.hold = None;
                    return Poll::Ready(None);
                }
                Poll::Pending if self.quiet.is_too_long(cx) => {
                    log::warn!("upstream {}: the answer stalled", self.upstream);
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Measures how long nothing comes. Costs nothing while bytes are always ready.
pub(super) struct Quiet {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Quiet {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            is_running: false,
        }
    }

    fn ends(&mut self) {
        self.is_running = false;
    }

    fn is_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.is_running {
            timer.as_mut().reset(Instant::now() + self.limit);
            self.is_running = true;
        }
        timer.as_mut().poll(cx).is_ready()
    }
}
