//! A request's body on its way from the client to the upstream.
//!
//! The connection to the upstream takes pieces from the client's connection itself, by a [`RequestBody`]: no task and
//! no queue stands between the two, so a slow upstream slows the client down. An [`Upload`] looks after both ends.
//!
//! # Invariants
//! - A body that did not arrive whole is never completed: the upstream's connection is cut.
//! - No byte beyond the route's limit reaches the upstream.
//! - Neither end keeps the other waiting for longer than its limit.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::{rt, web};
use bytes::Bytes;
use futures_util::{Stream as _, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::idle_timer::IdleTimer;
use super::length::Length;
use super::places::{Awaited, Watch};
use super::request_body::{RequestBody, Torn};
use super::upstream::RETRY_AFTER;
use crate::problem::Problem;
use crate::telemetry::take_along;

/// How long a client may take for the next piece of its body, even if the upstream waits for longer.
const CLIENT_IDLE: Duration = Duration::from_secs(10);

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

/// A body that the client is sending.
pub(in crate::proxy) struct ClientBody {
    /// Nothing if all of it has been read.
    pub(in crate::proxy) payload: Option<web::Payload>,
    pub(in crate::proxy) length: Length,
    /// The route's limit, in bytes.
    pub(in crate::proxy) limit: u64,
    /// How long the upstream may take nothing. The client may send nothing for no longer than that either.
    pub(in crate::proxy) idle: Duration,
}

impl ClientBody {
    /// Waits for the first piece.
    pub(super) async fn begun(mut self) -> Result<BegunBody, UploadError> {
        let Some(payload) = &mut self.payload else {
            return Err(UploadError::ClientGone);
        };
        let first = timeout(self.idle.min(CLIENT_IDLE), payload.next()).await;
        let first = first.map_err(|_| UploadError::ClientStalled)?;
        let first = first.transpose().map_err(|_| UploadError::ClientGone)?;
        Ok(BegunBody { body: self, first })
    }

    fn client_idle(&self) -> Duration {
        self.idle.min(CLIENT_IDLE)
    }
}

/// A body whose first piece is there, or that is known to be empty.
pub(super) struct BegunBody {
    body: ClientBody,
    first: Option<Bytes>,
}

impl BegunBody {
    /// The body for hyper, and what looks after it. Within `limit` the upstream must begin to take it. If it `may_come_again`, it
    /// can be [rewound](Upload::rewound).
    pub(super) fn start(
        self,
        place: Watch,
        limit: Duration,
        may_come_again: bool,
    ) -> (RequestBody, Upload) {
        let Self { body, first } = self;
        let left = match body.length {
            Length::Exact(bytes) => Some(bytes),
            Length::None | Length::Unknown => None,
        };
        let client_idle = IdleTimer::new(body.client_idle());
        let source = Rc::new(RefCell::new(Source {
            outcome: first.is_none().then_some(Ok(())),
            begin: may_come_again.then(|| Begin {
                first: first.clone(),
                payload: None,
                length: body.length,
                limit: body.limit,
            }),
            first,
            has_given_first: false,
            payload: body.payload,
            left: body.limit,
            client_idle,
            place: place.clone(),
            given_at: Some(Instant::now()),
            patience: limit,
            idle: body.idle,
            taker: None,
            waiter: None,
        }));
        let upload = Upload {
            source: Rc::clone(&source),
            place,
            rest: None,
        };
        (RequestBody::new(source, left), upload)
    }
}

/// A body as it was before any of it went to the upstream.
struct Begin {
    first: Option<Bytes>,
    /// What follows, once the upstream wants no more of it.
    payload: Option<web::Payload>,
    length: Length,
    limit: u64,
}

/// Where the pieces come from. Both connections are on one thread.
pub(super) struct Source {
    /// How the body can begin again, as long as nothing more of it was read.
    begin: Option<Begin>,
    first: Option<Bytes>,
    has_given_first: bool,
    payload: Option<web::Payload>,
    /// Bytes that the route still allows.
    left: u64,
    client_idle: IdleTimer,
    place: Watch,
    /// When the upstream was given a piece, or the connection, if it has not asked for another one since.
    given_at: Option<Instant>,
    /// How long the upstream may take to ask: at first the time limit of the call, then `idle`.
    patience: Duration,
    idle: Duration,
    outcome: Option<Result<(), UploadError>>,
    /// The upstream's connection, which waits for a piece.
    taker: Option<Waker>,
    /// Whoever waits for the outcome.
    waiter: Option<Waker>,
}

impl Source {
    /// The next piece for the upstream; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Torn>>> {
        self.given_at = None;
        self.patience = self.idle;
        let polled = match self.outcome {
            None => self.poll_client(cx),
            Some(Ok(())) => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(Torn))),
        };
        Poll::Ready(match polled {
            Poll::Pending => {
                if !self
                    .taker
                    .as_ref()
                    .is_some_and(|it| it.will_wake(cx.waker()))
                {
                    self.taker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(Some(piece))) => {
                self.given_at = Some(Instant::now());
                Some(Ok(piece))
            }
            Poll::Ready(Ok(None)) => {
                self.end(Ok(()));
                None
            }
            Poll::Ready(Err(failure)) => {
                self.end(Err(failure));
                Some(Err(Torn))
            }
        })
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, UploadError>> {
        let piece = match (self.first.take(), &mut self.payload) {
            (Some(first), _) => first,
            (None, None) => return Poll::Ready(Err(UploadError::ClientGone)),
            (None, Some(payload)) => match Pin::new(payload).poll_next(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(UploadError::ClientGone)),
                Poll::Ready(Some(Ok(piece))) => piece,
                Poll::Pending if self.client_idle.has_expired(cx) => {
                    return Poll::Ready(Err(UploadError::ClientStalled));
                }
                Poll::Pending => {
                    self.place.client_is_awaited();
                    return Poll::Pending;
                }
            },
        };
        if self.has_given_first {
            self.begin = None;
        }
        self.has_given_first = true;
        self.client_idle.stop();
        self.place.client_has_moved(piece.len());
        let left = u64::try_from(piece.len())
            .ok()
            .and_then(|bytes| self.left.checked_sub(bytes));
        self.left = match left {
            Some(left) => left,
            None => return Poll::Ready(Err(UploadError::TooLarge)),
        };
        Poll::Ready(Ok(Some(piece)))
    }

    /// The first end counts. Nothing is read any more.
    pub(super) fn end(&mut self, outcome: Result<(), UploadError>) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(outcome);
        self.place.client_has_moved(0);
        let payload = self.payload.take();
        if let Some(begin) = &mut self.begin {
            begin.payload = payload;
        }
        for waker in [self.taker.take(), self.waiter.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// Looks after a body until it is over. If it is dropped before, the body ends, and the upstream's connection with it.
pub(super) struct Upload {
    source: Rc<RefCell<Source>>,
    place: Watch,
    /// Looks after the rest, once the answer has begun.
    rest: Option<JoinHandle<()>>,
}

impl Upload {
    /// Waits until all is handed over, or the upstream wants no more.
    pub(super) async fn finished(&self) -> Result<(), UploadError> {
        finished(&self.source, &self.place).await
    }

    /// The failure, if there has been one: then whatever the upstream's connection says follows from it.
    pub(super) fn failure(&self) -> Option<UploadError> {
        self.source.borrow().outcome.and_then(Result::err)
    }

    /// The whole body once more, if nothing of it was read that was not there when it was started.
    pub(super) fn rewound(&mut self) -> Option<BegunBody> {
        let mut source = self.source.borrow_mut();
        let begin = source
            .begin
            .take()
            .filter(|_| !matches!(source.outcome, Some(Err(_))))?;
        let payload = source.payload.take().or(begin.payload);
        Some(BegunBody {
            body: ClientBody {
                payload,
                length: begin.length,
                limit: begin.limit,
                idle: source.idle,
            },
            first: begin.first,
        })
    }

    /// The answer has begun, and nobody waits for the body any more.
    pub(super) fn go_on(&mut self) {
        self.source.borrow_mut().begin = None;
        if self.source.borrow().outcome.is_some() {
            return;
        }
        let (source, place) = (Rc::clone(&self.source), self.place.clone());
        self.rest = Some(rt::spawn(take_along(async move {
            // Whatever it is, both connections learn it from the source.
            let _ = finished(&source, &place).await;
        })));
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            rest.abort();
        }
        self.source.borrow_mut().end(Err(UploadError::ClientGone));
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

/// Waits for the outcome, and sees to it that there is one.
async fn finished(source: &RefCell<Source>, place: &Watch) -> Result<(), UploadError> {
    let outcome = poll_fn(|cx| {
        let mut source = source.borrow_mut();
        source.waiter = Some(cx.waker().clone());
        source.outcome.map_or(Poll::Pending, Poll::Ready)
    });
    let stalled = async {
        loop {
            let (given_at, patience) = {
                let source = source.borrow();
                (source.given_at, source.patience)
            };
            let now = Instant::now();
            let end = given_at.unwrap_or(now) + patience;
            if given_at.is_some() && end <= now {
                return;
            }
            sleep_until(end).await;
        }
    };
    let failure = tokio::select! {
        biased;
        outcome = outcome => return outcome,
        () = place.is_needed(Awaited::Body) => UploadError::PlaceNeeded,
        () = stalled => UploadError::UpstreamStalled,
    };
    source.borrow_mut().end(Err(failure));
    Err(failure)
}
