//! Where the pieces of a request's body come from: the client's connection, within the limits of its route.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use tokio::time::Instant;

use super::client_body::{BegunBody, ClientBody, UploadError};
use super::idle_timer::IdleTimer;
use super::length::Length;
use super::places::Watch;
use super::trickles::{ENOUGH, Trickle};
use crate::message::Payload;

/// The body stopped in the middle, so its reader must not take it for whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client's body ended early")]
pub(super) struct Torn;

/// A body as it was before any of it went to the upstream.
struct Begin {
    first: Option<Bytes>,
    /// What follows, once the upstream wants no more of it.
    payload: Option<Payload>,
    length: Length,
    limit: u64,
}

/// Where the pieces come from. Both connections are on one thread.
pub(super) struct Source {
    /// How the body can begin again, as long as nothing more of it was read.
    begin: Option<Begin>,
    first: Option<Bytes>,
    has_given_first: bool,
    payload: Option<Payload>,
    /// Until enough has come.
    trickle: Option<Trickle>,
    /// Bytes that have come.
    came: usize,
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
    /// Within `patience` the upstream must begin to take the body. If it `may_come_again`, it can be [rewound](Self::rewound).
    pub(super) fn new(
        begun: BegunBody,
        place: Watch,
        patience: Duration,
        may_come_again: bool,
    ) -> Self {
        let BegunBody {
            body,
            first,
            trickle,
        } = begun;
        Self {
            client_idle: IdleTimer::new(body.client_idle()),
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
            trickle,
            came: 0,
            left: body.limit,
            place,
            given_at: Some(Instant::now()),
            patience,
            idle: body.idle,
            taker: None,
            waiter: None,
        }
    }

    /// How it ended. If it has not, `cx` is woken when it does.
    pub(super) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        self.waiter = Some(cx.waker().clone());
        self.outcome.map_or(Poll::Pending, Poll::Ready)
    }

    /// How it ended, if it has.
    pub(super) const fn outcome(&self) -> Option<Result<(), UploadError>> {
        self.outcome
    }

    /// By when the upstream must ask for the next piece, if it does not wait for one.
    pub(super) fn is_wanted_by(&self) -> (bool, Instant) {
        let from = self.given_at.unwrap_or_else(Instant::now);
        (self.given_at.is_some(), from + self.patience)
    }

    /// The whole body once more, if nothing of it was read that was not there when it was started.
    pub(super) fn rewound(&mut self) -> Option<BegunBody> {
        let begin = self
            .begin
            .take()
            .filter(|_| !matches!(self.outcome, Some(Err(_))))?;
        let payload = self.payload.take().or(begin.payload);
        Some(BegunBody {
            body: ClientBody {
                payload,
                length: begin.length,
                limit: begin.limit,
                idle: self.idle,
            },
            first: begin.first,
            trickle: self.trickle.take(),
        })
    }

    /// It is not going to be rewound.
    pub(super) fn keep_nothing(&mut self) {
        self.begin = None;
    }

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
        self.came = self.came.saturating_add(piece.len());
        if self.came >= ENOUGH {
            self.trickle = None;
        }
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
