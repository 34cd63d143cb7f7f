//! HTTP/2 on one connection, and its limits. hyper and h2 speak the protocol.
//!
//! Browsers get it by ALPN, over TLS only (RFC 9113 §3.3). WebSocket stays on HTTP/1.1: we do not offer extended CONNECT
//! (RFC 8441), so a browser opens another connection for it.
//!
//! # Invariants
//! - A connection without a request ends after [`KEEP_ALIVE`]. A stream whose answer the client does not read ends after
//!   `patience` and [`MARGIN`], whatever the other streams of its connection do.
//! - A connection that has had no request yet takes some of the worker's room, and may be cut for it.
//! - One connection can hold a limited amount of ours: streams, windows, header lists, answers, resets
//!   (CVE-2023-44487, CVE-2024-27316, CVE-2025-8671).
//!
//! # Why a fragment in `:path` is not refused
//! RFC 9113 §8.3.1 allows none, but h2 gives `:path` to the crate `http`, which silently cuts a fragment off. Nothing above h2
//! sees it. We check the rest like any other path, and the upstream does not get the fragment either.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::exchange::{Application, Exchanges};
use super::room::Room;
use super::stream::Transport;
use super::timer::Timer;
use super::wire::Wire;
use super::{Closing, KEEP_ALIVE, LAST_BYTES};
use crate::guard::MAX_HEADER_BYTES;

/// Requests at once. Browsers send no more on one connection.
const STREAMS: u32 = 100;

/// How much of a body a client may send before we read it: on one stream, and on all streams of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// How much of an answer waits for a client that reads no more, for each stream.
const SEND_BUFFER: usize = 64 * 1024;

/// How many streams the client, or we, may reset at a time. More end the connection.
const RESETS: usize = 20;
const OUR_RESETS: usize = 256;

/// A PING shows whether a silent client is still there.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

/// We give up a silent upstream after `patience`. Its client should hear that before its stream is reset.
const MARGIN: Duration = Duration::from_secs(10);

/// Serves requests until the client or we end the connection. `patience`: how long requests may stand still.
pub(super) async fn serve<T: Transport, S: Application>(
    transport: T,
    app: &Rc<S>,
    room: &Rc<Room>,
    closing: Closing,
    patience: Duration,
) {
    // h2 limits heads itself. What waits in the room is the connection. Streams wait in no queue, so theirs is of nobody else.
    let wire = Wire::new(Rc::clone(room), T::BUFFERS, Rc::default());
    let exchanges = Exchanges {
        app: Rc::clone(app),
        wire: Rc::clone(&wire),
        peer: transport.tcp().peer_addr().ok(),
        closing: closing.clone(),
    };
    let header_list = u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Local { patience })
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // HTTP/2 counts 32 bytes more for each field (RFC 9113 §6.5.2), so twice of what HTTP/1.1 takes.
        .max_header_list_size(header_list.saturating_mul(2))
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(OUR_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(transport), exchanges);
    let mut connection = std::pin::pin!(connection);
    let mut closed = std::pin::pin!(closing.clone().wait());
    let mut timer = Timer::default();
    let mut closing_since = None;
    let mut is_watching = false;
    let is_over = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            if let Err(error) = outcome {
                log::debug!("a connection ended: {error}");
            }
            return Poll::Ready(true);
        }
        if !wire.has_served.get() {
            if !is_watching {
                is_watching = true;
                wire.driven_by(cx.waker());
                wire.wait();
            }
            if wire.is_cut() {
                return Poll::Ready(true);
            }
        }
        if closing_since.is_none() && closed.as_mut().poll(cx).is_ready() {
            closing_since = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let end = match closing_since {
            _ if wire.open() > 0 => wire.moved() + patience + MARGIN,
            // The client need not answer our GOAWAY.
            Some(since) => since.max(wire.moved()) + LAST_BYTES,
            None => wire.moved() + KEEP_ALIVE,
        };
        if timer.is_over(end, cx) {
            return Poll::Ready(false);
        }
        Poll::Pending
    })
    .await;
    if is_over || wire.open() > 0 {
        return;
    }
    // Requests may be on their way. GOAWAY tells the client which ones we have seen (RFC 9113 §6.8).
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_BYTES, connection).await;
}

/// Runs streams on the worker's own thread. Each ends by itself when it stands still for `patience` and [`MARGIN`]: what other
/// streams of the connection do says nothing about this one.
#[derive(Clone, Copy)]
struct Local {
    patience: Duration,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, stream: F) {
        let patience = self.patience + MARGIN;
        actix_web::rt::spawn(async move {
            let mut stream = Box::pin(stream);
            let mut timer = Timer::default();
            let mut last = Instant::now();
            poll_fn(|cx| {
                let rang_at = timer.rings_at();
                if timer.is_over(last + patience, cx) {
                    // The stream is dropped, which resets it.
                    return Poll::Ready(());
                }
                // If the timer was set again, it rang, and only that woke us. Otherwise the stream moved.
                if timer.rings_at() == rang_at {
                    last = Instant::now();
                }
                stream.as_mut().poll(cx).map(drop)
            })
            .await;
        });
    }
}
