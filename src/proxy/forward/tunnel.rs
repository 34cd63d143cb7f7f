//! The bytes of a WebSocket connection, both ways.
//!
//! When an upstream has switched protocols, a [`Tunnel`] is the body of the 101: it gives what the upstream sends. What
//! the client sends is the request's body, and a task carries it the other way.
//!
//! # Invariants
//! - Each direction reads on when the other end has taken what was read before, so nothing piles up.
//! - When the tunnel ends, both connections end. What the client had sent by then still reaches the upstream.
//!
//! # Why the halves end together
//! WebSocket closes by its own frames (RFC 6455 §7.1.1). A half-closed TCP connection has no meaning in it.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::message::Payload;
use crate::proxy::call::TunnelPlace;
use crate::telemetry::take_along;

/// Most bytes read from an upstream at a time.
const PIECE: usize = 8 * 1024;

/// How long the client's last bytes may take to reach the upstream when all else is over.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Nothing was sent or taken for longer than the limit.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection was idle for too long")]
pub(super) struct Idle;

/// What comes from the upstream.
pub(super) struct Tunnel {
    down: ReadHalf<TokioIo<Upgraded>>,
    piece: BytesMut,
    up: Option<JoinHandle<Result<(), Idle>>>,
    /// It is dropped with the tunnel, and so tells the other direction.
    _open: oneshot::Sender<()>,
    limit: Duration,
    last: Rc<Cell<Instant>>,
    timer: Pin<Box<Sleep>>,
    _place: TunnelPlace,
}

impl Tunnel {
    /// Joins an upstream's connection with what comes from the client.
    pub(super) fn new(
        upstream: Upgraded,
        client: Payload,
        limit: Duration,
        place: TunnelPlace,
    ) -> Self {
        let (down, up) = tokio::io::split(TokioIo::new(upstream));
        let (open, closed) = oneshot::channel();
        let last = Rc::new(Cell::new(Instant::now()));
        let up = Uplink {
            client,
            up,
            closed,
            limit,
            last: Rc::clone(&last),
        };
        Self {
            down,
            piece: BytesMut::new(),
            up: Some(rt::spawn(take_along(up.carry()))),
            _open: open,
            limit,
            last,
            timer: Box::pin(sleep(limit)),
            _place: place,
        }
    }

    fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let end = self.last.get() + self.limit;
            if end <= Instant::now() {
                return true;
            }
            self.timer.as_mut().reset(end);
        }
        false
    }

    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(up) = &mut self.up else { return false };
        let Poll::Ready(outcome) = Pin::new(up).poll(cx) else {
            return false;
        };
        self.up = None;
        matches!(outcome, Ok(Err(Idle)))
    }
}

impl MessageBody for Tunnel {
    type Error = Idle;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Idle>>> {
        let this = &mut *self;
        this.piece.reserve(PIECE);
        match pin!(this.down.read_buf(&mut this.piece)).poll(cx) {
            Poll::Ready(Ok(1..)) => {
                this.last.set(Instant::now());
                Poll::Ready(Some(Ok(this.piece.split().freeze())))
            }
            // A reset ends the tunnel like a close. The client has seen whether a close frame came before.
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(None),
            Poll::Pending if this.has_stalled(cx) || this.is_idle(cx) => {
                Poll::Ready(Some(Err(Idle)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// What goes to the upstream.
struct Uplink {
    client: Payload,
    up: WriteHalf<TokioIo<Upgraded>>,
    closed: oneshot::Receiver<()>,
    limit: Duration,
    last: Rc<Cell<Instant>>,
}

impl Uplink {
    async fn carry(mut self) -> Result<(), Idle> {
        let stalled = loop {
            let chunk = tokio::select! {
                biased; // what has arrived goes first
                chunk = self.client.next() => chunk,
                _ = &mut self.closed => break Ok(()),
            };
            let Some(Ok(chunk)) = chunk else {
                break Ok(());
            };
            self.last.set(Instant::now());
            match self.send(&chunk).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(idle) => break Err(idle),
            }
        };
        let _ = timeout(LAST_BYTES, self.up.shutdown()).await;
        stalled
    }

    /// Sends a piece. Gives whether the upstream takes more.
    async fn send(&mut self, chunk: &[u8]) -> Result<bool, Idle> {
        let sent = async {
            self.up.write_all(chunk).await?;
            self.up.flush().await
        };
        let mut sent = pin!(timeout(self.limit, sent));
        let outcome = tokio::select! {
            outcome = &mut sent => outcome,
            _ = &mut self.closed => {
                let _ = timeout(LAST_BYTES, sent).await;
                return Ok(false);
            }
        };
        Ok(outcome.map_err(|_| Idle)?.is_ok())
    }
}
