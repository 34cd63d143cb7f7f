//! HTTP/2 on one connection, by hyper and h2; and what bounds it.
//!
//! Browsers get it by ALPN, over TLS alone (RFC 9113 §3.3). WebSocket stays on HTTP/1.1: extended CONNECT
//! (RFC 8441) is not offered, so browsers open a connection of their own for it.
//!
//! # Invariants
//! - A connection without a request ends after [`KEEP_ALIVE`]. A stream whose answer nobody takes ends after `patience` and
//!   [`MARGIN`], whatever the others of its connection do.
//! - What one connection can hold of ours is bounded: streams, windows, header lists, answers, resets
//!   (CVE-2023-44487, CVE-2024-27316, CVE-2025-8671).
//!
//! # Why a fragment in `:path` is not refused
//! RFC 9113 §8.3.1 allows none, but h2 hands `:path` to the crate `http`, which cuts a fragment off without a word. Nothing above
//! h2 sees it. The rest is a path that we check like any other, and the upstream gets no fragment either.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::exchange::{Application, Exchanges};
use super::stream::Transport;
use super::timer::Timer;
use super::wire::Wire;
use super::{Closing, KEEP_ALIVE, LAST_BYTES};
use crate::guard::MAX_HEADER_BYTES;

/// Requests at once; browsers ask for no more on one connection.
const STREAMS: u32 = 100;

/// Of a request's body, what may come before it is read: for one stream, and for all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// Of an answer's body, what waits for a client that takes no more, for each stream.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that the client, or we, may reset at a time before the connection ends.
const RESETS: usize = 20;
const OUR_RESETS: usize = 256;

/// A client that is gone without a word is found out by a PING.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

/// Upstreams that are silent are given up after `patience`: who waits for them learns that first.
const MARGIN: Duration = Duration::from_secs(10);

/// Serves requests until one of both sides has enough. `patience` is how long none of them need make progress.
pub(super) async fn serve<S: Application>(
    transport: impl Transport,
    app: &Rc<S>,
    closing: Closing,
    patience: Duration,
) {
    // h2 bounds its heads itself.
    let wire = Wire::new(Rc::default());
    let exchanges = Exchanges {
        app: Rc::clone(app),
        wire: Rc::clone(&wire),
        peer: transport.tcp().peer_addr().ok(),
    };
    let header_list = u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Local { patience })
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // As long as what HTTP/1.1 takes, and as many bytes again for names, values and 32 more of each (RFC 9113 §6.5.2).
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
    let is_over = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            if let Err(error) = outcome {
                log::debug!("a connection ended: {error}");
            }
            return Poll::Ready(true);
        }
        if closing_since.is_none() && closed.as_mut().poll(cx).is_ready() {
            closing_since = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let end = match closing_since {
            _ if wire.open() > 0 => wire.moved() + patience + MARGIN,
            // The client need not answer to our goodbye.
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
    // Requests may be on their way: GOAWAY says which of them we have seen (RFC 9113 §6.8).
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_BYTES, connection).await;
}

/// Streams run on the worker's own thread, and end by themselves when the client takes nothing for so long: what other
/// streams of the connection do is no sign of life for this one.
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
                    // Dropped, it is reset.
                    return Poll::Ready(());
                }
                // Set anew, the timer has rung, and was why we are here.
                if timer.rings_at() == rang_at {
                    last = Instant::now();
                }
                stream.as_mut().poll(cx).map(drop)
            })
            .await;
        });
    }
}
