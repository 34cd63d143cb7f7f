//! A request's body on its way out: actix's payload, carried to hyper as it arrives.
//!
//! actix's payload belongs to one thread and hyper wants to move bodies between threads, so a local task carries
//! the chunks through a channel of two: a slow upstream slows the client down, nothing piles up.
//!
//! # Invariants
//! - A body that did not arrive whole is never completed: the end is said, not guessed from a closed channel.
//! - No byte beyond the route's limit reaches the upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::http::{Method, Version, header};
use actix_web::{HttpMessage as _, HttpRequest, rt, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::places::{Awaited, Watch};
use super::upstream::RETRY_AFTER;
use crate::problem::Problem;
use crate::telemetry::take_along;

/// How long a request's body is said to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Length {
    /// There is no body.
    None,
    /// `Content-Length`, which the server holds the client to.
    Exact(u64),
    /// Until it ends.
    Unknown,
}

impl Length {
    /// Reads the framing; refuses what is too long before anything is sent (D19).
    pub(in crate::proxy) fn of(request: &HttpRequest, limit: u64) -> Result<Self, Problem> {
        let length = match request.headers().get(header::CONTENT_LENGTH) {
            Some(value) => {
                let value = value
                    .to_str()
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                Self::Exact(value.ok_or(Problem::BadRequest("Content-Length is not a number"))?)
            }
            None if request.chunked().unwrap_or(true) => Self::Unknown,
            // HTTP/2 frames bodies below the headers.
            None if request.version() == Version::HTTP_2
                && !matches!(*request.method(), Method::GET | Method::HEAD) =>
            {
                Self::Unknown
            }
            None => Self::None,
        };
        match length {
            Self::Exact(0) => Ok(Self::None),
            Self::Exact(bytes) if bytes > limit => Err(Problem::BodyTooLarge),
            _ => Ok(length),
        }
    }
}

enum Part {
    Data(Bytes),
    End,
}

/// The receiving end: a body for hyper.
#[derive(Debug, Default)]
pub(super) struct RequestBody {
    parts: Option<mpsc::Receiver<Part>>,
    left: Option<u64>,
}

/// The body stopped in the middle; whoever reads it must not take it for whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client's body ended early")]
pub(super) struct Torn;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        let Some(parts) = &mut self.parts else {
            return Poll::Ready(None);
        };
        match ready!(parts.poll_recv(cx)) {
            Some(Part::Data(bytes)) => {
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(len));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Part::End) => {
                self.parts = None;
                Poll::Ready(None)
            }
            None => {
                self.parts = None;
                Poll::Ready(Some(Err(Torn)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.parts, self.left) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(left)) => SizeHint::with_exact(left),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

/// Why a body did not get to the upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the client left in the middle of its body")]
    ClientGone,
    #[error("the client's body stalled")]
    ClientStalled,
    #[error("others wait for a connection, and the client's body does not come")]
    PlaceNeeded,
    #[error("the client's body is over the route's limit")]
    TooLarge,
    #[error("the upstream stopped taking the body")]
    UpstreamStalled,
}

impl UploadError {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::ClientGone => Problem::BadRequest("the body ended early"),
            Self::ClientStalled => Problem::BodyStalled,
            Self::PlaceNeeded => Problem::RateLimited {
                retry_after: RETRY_AFTER,
            },
            Self::TooLarge => Problem::BodyTooLarge,
            Self::UpstreamStalled => Problem::UpstreamTimeout,
        }
    }
}

/// How long a client may take for the next piece of its body, whatever the upstream is given.
const CLIENT_IDLE: Duration = Duration::from_secs(10);

/// A body that the client is sending.
pub(in crate::proxy) struct ClientBody {
    pub(in crate::proxy) payload: web::Payload,
    pub(in crate::proxy) length: Length,
    /// The route's limit, in bytes.
    pub(in crate::proxy) limit: u64,
    /// How long the upstream may take nothing. The client may send nothing for no longer than that either.
    pub(in crate::proxy) idle: Duration,
}

/// A body of which something has come, or that is known to be empty.
pub(super) struct BegunBody {
    body: ClientBody,
    first: Option<Bytes>,
}

impl ClientBody {
    /// Waits for the first piece.
    pub(super) async fn begun(mut self) -> Result<BegunBody, UploadError> {
        let first = self.next().await?;
        Ok(BegunBody { body: self, first })
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        let idle = self.idle.min(CLIENT_IDLE);
        let next = timeout(idle, self.payload.next()).await;
        match next.map_err(|_| UploadError::ClientStalled)? {
            None => Ok(None),
            Some(Ok(piece)) => Ok(Some(piece)),
            Some(Err(_)) => Err(UploadError::ClientGone),
        }
    }
}

impl BegunBody {
    /// Begins to carry it to the body that is returned.
    pub(super) fn carry(self, place: Watch) -> (RequestBody, Upload) {
        let (sender, receiver) = mpsc::channel(2);
        let left = match self.body.length {
            Length::Exact(bytes) => Some(bytes),
            Length::None | Length::Unknown => None,
        };
        let body = RequestBody {
            parts: Some(receiver),
            left,
        };
        (
            body,
            Upload(rt::spawn(take_along(carry(self, place, sender)))),
        )
    }
}

/// The task that carries a body; dropped, it stops, and the upstream's connection with it.
#[derive(Debug)]
pub(super) struct Upload(JoinHandle<Result<(), UploadError>>);

impl Upload {
    /// Waits until all is handed over, or the upstream wants no more.
    pub(super) async fn finished(&mut self) -> Result<(), UploadError> {
        // The task is neither aborted nor does it panic while somebody waits for it.
        (&mut self.0).await.unwrap_or(Err(UploadError::ClientGone))
    }

    /// The failure, if there has been one: then whatever the upstream's connection says follows from it.
    pub(super) async fn failure(&mut self) -> Option<UploadError> {
        if self.0.is_finished() {
            self.finished().await.err()
        } else {
            None
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn carry(
    begun: BegunBody,
    place: Watch,
    parts: mpsc::Sender<Part>,
) -> Result<(), UploadError> {
    let BegunBody { mut body, first } = begun;
    let mut left = body.limit;
    let mut next = first;
    loop {
        let part = match next {
            None => Part::End,
            Some(piece) => {
                left = u64::try_from(piece.len())
                    .ok()
                    .and_then(|len| left.checked_sub(len))
                    .ok_or(UploadError::TooLarge)?;
                Part::Data(piece)
            }
        };
        let is_end = matches!(part, Part::End);
        let sent = timeout(body.idle, parts.send(part)).await;
        let sent = sent.map_err(|_| UploadError::UpstreamStalled)?;
        // A closed channel is an upstream that has read enough: its answer decides.
        if is_end || sent.is_err() {
            return Ok(());
        }
        place.client_is_awaited();
        next = tokio::select! {
            biased;
            next = body.next() => next?,
            () = place.is_needed(Awaited::Body) => return Err(UploadError::PlaceNeeded),
        };
        place.client_has_moved(next.as_ref().map_or(0, Bytes::len));
    }
}
