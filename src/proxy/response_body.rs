//! An answer's body on its way back: hyper's, read as fast as the client takes it.
//!
//! # Invariants
//! - An upstream's body that breaks off or stalls ends in an error: actix then cuts the client's connection, and
//!   nobody takes the part for the whole (RFC 9112 §8).
//! - Who does not read loses the answer when others need its place at the upstream.
//! - Trailers are dropped, never merged into headers (RFC 9110 §6.5).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::places::{Awaited, Place, Watch};
use super::request_body::Upload;
use super::upstream::TunnelPlace;
use crate::names::UpstreamName;

/// The body of an upstream's answer.
pub(super) struct ResponseBody {
    /// `None` when it is over, or was cut.
    open: Rc<RefCell<Option<Open>>>,
    size: BodySize,
    quiet: Quiet,
    /// For the log.
    upstream: UpstreamName,
    reader: Option<Reader>,
}

/// What an answer holds as long as it lasts. Dropped, it ends the upstream's connection.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) incoming: Incoming,
    /// The connection is in use until the end.
    pub(super) hold: Hold,
    /// The request's body may still be on its way; it ends with the answer.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) upload: Option<Upload>,
}

/// A place at the upstream.
#[derive(Debug)]
pub(super) enum Hold {
    Place(Place),
    #[expect(dead_code, reason = "held, not read")]
    Tunnel(TunnelPlace),
}

/// Who takes the answer, piece by piece.
struct Reader {
    place: Watch,
    /// Length of the piece that it has been given last.
    given: usize,
    /// Cuts the answer when others need the place and nothing is read. Most answers are over before that is worth a task.
    watcher: Option<JoinHandle<()>>,
}

/// The answer did not arrive whole; the log has the cause.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub(super) struct BrokenOff;

impl ResponseBody {
    /// `idle` is how long the upstream may send nothing.
    pub(super) fn new(open: Open, size: BodySize, idle: Duration, upstream: UpstreamName) -> Self {
        let reader = match &open.hold {
            Hold::Place(place) => Some(Reader {
                place: place.watch(),
                given: 0,
                watcher: None,
            }),
            Hold::Tunnel(_) => None,
        };
        Self {
            open: Rc::new(RefCell::new(Some(open))),
            size,
            quiet: Quiet::new(idle),
            upstream,
            reader,
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut open = self.open.borrow_mut();
        loop {
            let Some(Open { incoming, .. }) = &mut *open else {
                return Poll::Ready(Some(Err(BrokenOff)));
            };
            match Pin::new(incoming).poll_frame(cx) {
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
                    *open = None;
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

    /// Notes that it is the client's turn, and from its second piece on has somebody look at that.
    fn give(&mut self, bytes: usize) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        let is_first = reader.given == 0;
        reader.given = bytes;
        reader.place.client_is_awaited();
        if is_first || reader.watcher.is_some() {
            return;
        }
        let (place, open) = (reader.place.clone(), Rc::clone(&self.open));
        let upstream = self.upstream.clone();
        reader.watcher = Some(rt::spawn(async move {
            place.is_needed(Awaited::Reader).await;
            log::info!(
                "upstream {upstream}: others wait for a connection, and a client does not read"
            );
            let cut = open.borrow_mut().take();
            drop(cut);
        }));
    }
}

impl MessageBody for ResponseBody {
    type Error = BrokenOff;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(reader) = &self.reader {
            reader.place.client_has_moved(reader.given);
        }
        let polled = self.poll_upstream(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.give(bytes.len());
        }
        polled
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(watcher) = self.reader.as_ref().and_then(|r| r.watcher.as_ref()) {
            watcher.abort();
        }
    }
}

/// Measures how long nothing comes. Costs nothing while bytes are always ready.
struct Quiet {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Quiet {
    fn new(limit: Duration) -> Self {
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
