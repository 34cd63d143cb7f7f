//! HTTP/1.1 and HTTP/1.0 on one connection, and its deadlines. hyper speaks the protocol.
//!
//! # Invariants
//! - A head is complete [`HEAD_TIME`] after its first byte was read, whatever came before it on the connection.
//! - A connection without a request ends after [`KEEP_ALIVE`]. It gives its buffers up after [`QUIET`].
//! - A client that has sent its last byte may wait for its answer. If nothing moves for [`HALF_CLOSED`], it has left.
//! - After our last byte we read what the client still sends for [`LAST_BYTES`]. Otherwise the kernel would reset the connection,
//!   and the client might lose our last bytes (RFC 9112 §9.6).
//!
//! # How a connection runs
//! [`serve`] repeats rounds. In a [`round`] hyper owns the connection: it serves requests until nothing comes for [`QUIET`].
//! Between two rounds hyper's buffers are gone, and the task waits for the socket alone.
//!
//! # Why hyper's own deadline for heads is not used
//! It counts from the answer before, so it would also end kept connections that are idle.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody as _};
use bytes::{Bytes, BytesMut};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout, timeout_at};

use super::exchange::{Application, Exchanges};
use super::intake::Intake;
use super::room::Room;
use super::stream::{Ending, Shared, Transport, Watched};
use super::timer::Timer;
use super::wire::{Phase, RawState, Wire};
use super::{Closing, HEAD_TIME, KEEP_ALIVE, LAST_BYTES};

/// How long a connection without a request keeps its buffers.
const QUIET: Duration = Duration::from_secs(1);

/// How long an answer may stand still after the client's last byte. A client that closes its side and one that leaves look alike
/// until we write, and an upstream must not work long for nobody.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// How long a tunnel may go on when the process ends. It sends a close frame.
const TUNNEL_GRACE: Duration = Duration::from_secs(2);

/// The longest head that hyper takes, and the most that it reads or writes at a time. `guard` refuses shorter heads already.
const BUFFER: usize = 64 * 1024;

/// hyper itself answers what it cannot parse, except for the preface of HTTP/2.
const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Why hyper's part of a connection is over.
enum End {
    /// Nothing has come for [`QUIET`].
    Quiet,
    /// Out of time, or nobody needs it any more.
    Cut,
    /// HTTP is over, in order or not.
    Done,
    /// What came is not HTTP/1, and hyper has not said so.
    Refused,
}

/// Serves requests until the client or we end the connection.
pub(super) async fn serve<T: Transport, S: Application>(
    mut transport: T,
    app: &Rc<S>,
    room: &Rc<Room>,
    intake: &Rc<Intake>,
    closing: Closing,
) {
    let mut before = BytesMut::new();
    let mut is_unread = T::BEGINS_UNREAD;
    // Only requests count: bytes of TLS itself do not prolong the time.
    let mut idle_since = Instant::now();
    loop {
        if idle_since.elapsed() >= KEEP_ALIVE {
            return;
        }
        if is_unread {
            // There is no buffer yet.
            let end = idle_since + KEEP_ALIVE;
            let first = timeout_at(end.into(), transport.tcp().readable());
            tokio::select! {
                readable = first => if !matches!(readable, Ok(Ok(()))) { return },
                () = closing.clone().wait() => return,
            }
        }
        // In a box, so that a connection between two rounds is small.
        let round = Box::pin(round(transport, before, app, room, intake, &closing));
        let Some(rest) = round.await else { return };
        (transport, before) = (rest.transport, rest.before);
        idle_since = rest.served_until.unwrap_or(idle_since);
        // hyper has read all that the socket had.
        is_unread = before.is_empty();
    }
}

/// A connection between two rounds.
struct Rest<T> {
    transport: T,
    /// Bytes that were read and not used.
    before: BytesMut,
    /// When the last answer ended, if there was a request.
    served_until: Option<Instant>,
}

/// Serves requests until nothing comes. Gives the connection back if it may go on.
async fn round<T: Transport, S: Application>(
    transport: T,
    before: BytesMut,
    app: &Rc<S>,
    room: &Rc<Room>,
    intake: &Rc<Intake>,
    closing: &Closing,
) -> Option<Rest<T>> {
    let wire = Wire::new(Rc::clone(room), T::BUFFERS, Rc::clone(intake));
    let exchanges = Exchanges {
        app: Rc::clone(app),
        wire: Rc::clone(&wire),
        peer: transport.tcp().peer_addr().ok(),
        closing: closing.clone(),
    };
    let watched = TokioIo::new(Watched::new(transport, before, Rc::clone(&wire)));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(watched, exchanges);
    let end = drive(&mut connection, &wire, closing).await;
    // Others may keep the wire.
    wire.give_up();
    let parts = connection.into_parts();
    let (mut transport, before) = parts.io.into_inner().into_parts(parts.read_buf);
    let switched = wire.switched.borrow_mut().take();
    match (end, switched) {
        (End::Quiet, _) => {
            let served_until = wire.has_served.get().then(|| wire.since());
            return Some(Rest {
                transport,
                before,
                served_until,
            });
        }
        (End::Done, Some(body)) => {
            let tunnel = switch(transport, before.freeze(), body, &wire);
            let stopped = async {
                closing.clone().wait().await;
                // The tunnel has a word to say, to whoever listens.
                sleep(TUNNEL_GRACE).await;
            };
            tokio::select! {
                () = Box::pin(tunnel) => {}
                () = stopped => {}
            }
        }
        (End::Done, None) => linger(transport, &wire).await,
        (End::Refused, _) => {
            let _ = timeout(LAST_BYTES, transport.write_all(REFUSAL)).await;
            linger(transport, &wire).await;
        }
        (End::Cut, _) => {}
    }
    None
}

type Connection<T, S> = http1::Connection<TokioIo<Watched<T>>, Exchanges<S>>;

/// Lets hyper work until it is done or its time is up.
async fn drive<T: Transport, S: Application>(
    connection: &mut Connection<T, S>,
    wire: &Wire,
    closing: &Closing,
) -> End {
    let mut timer = Timer::default();
    let mut closed = std::pin::pin!(closing.clone().wait());
    let mut is_watching = false;
    let mut is_closing = false;
    poll_fn(|cx| {
        // hyper would end the connection and never read a request that waits.
        if closing.is_closing() && !is_closing && !wire.is_expecting() {
            is_closing = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Poll::Ready(outcome) = connection.poll_without_shutdown(cx) {
            wire.give_up();
            if let Err(error) = &outcome {
                log::debug!("a connection ended: {error}");
                if error.is_parse() && !wire.has_answered.get() {
                    return Poll::Ready(End::Refused);
                }
                if error.is_user() {
                    // The answer broke off. No FIN may say that this was all of it.
                    return Poll::Ready(End::Cut);
                }
            }
            // hyper must send what it has buffered before we take it apart.
            let may_flush = outcome.as_ref().err().is_none_or(hyper::Error::is_parse);
            return if may_flush && !wire.is_flushed.get() {
                Poll::Pending
            } else {
                Poll::Ready(End::Done)
            };
        }
        // Once is enough: the task, and so its waker, stays the same.
        if !is_watching {
            is_watching = true;
            wire.driven_by(cx.waker());
            if closed.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        if wire.phase() == Phase::Head {
            wire.step_back();
        }
        let end = match wire.phase() {
            _ if wire.is_cut() => return Poll::Ready(End::Cut),
            Phase::Busy if !wire.has_ended() => return Poll::Pending,
            // hyper reads the next head only when the last answer has left.
            _ if !wire.is_flushed.get() => return Poll::Pending,
            Phase::Busy => wire.moved() + HALF_CLOSED,
            // The request is there, and has its turn long before, unless the worker stands still.
            Phase::Idle if wire.is_expecting() => wire.since() + KEEP_ALIVE,
            Phase::Head => {
                wire.wait();
                wire.since() + HEAD_TIME
            }
            Phase::Idle => wire.since() + QUIET,
        };
        if timer.is_over(end, cx) {
            let end = match wire.phase() {
                Phase::Idle if !wire.is_expecting() => End::Quiet,
                _ => End::Cut,
            };
            return Poll::Ready(end);
        }
        Poll::Pending
    })
    .await
}

/// The connection after a 101: the request's payload reads from it, the answer's body is written to it.
async fn switch(transport: impl Transport, before: Bytes, body: BoxBody, wire: &Wire) {
    let mut transport = Shared::new(transport);
    let reader = Box::new(transport.clone());
    wire.raw.set(RawState::Open(before, reader));
    let mut body = body;
    let is_whole = loop {
        match poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            Some(Ok(bytes)) => {
                let sent = async {
                    transport.write_all(&bytes).await?;
                    transport.flush().await
                };
                // Both directions of a tunnel end together. A client that reads nothing would keep this one open.
                let over = async {
                    wire.raw.abandoned().await;
                    sleep(LAST_BYTES).await;
                };
                let is_sent = tokio::select! {
                    biased;
                    sent = sent => Some(sent.is_ok()),
                    () = over => None,
                };
                match is_sent {
                    Some(true) => {}
                    Some(false) => break false,
                    None => {
                        transport.choose(Ending::Reset);
                        break false;
                    }
                }
            }
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    drop(body);
    wire.raw.set(RawState::Closed);
    if is_whole {
        say_goodbye(transport).await;
    }
}

/// Ends the connection in order. TLS says so too, because else its answer might be cut short (RFC 8446 §6.1).
async fn linger(mut transport: impl Transport, wire: &Wire) {
    if wire.has_ended() {
        let _ = timeout(LAST_BYTES, transport.shutdown()).await;
    } else {
        say_goodbye(transport).await;
    }
}

/// Says that we are done, and reads what the client still sends for a moment.
async fn say_goodbye(mut transport: impl AsyncRead + AsyncWrite + Unpin) {
    let end = async {
        let mut lost = vec![0; 4096];
        if transport.shutdown().await.is_ok() {
            while let Ok(1..) = transport.read(&mut lost).await {}
        }
    };
    let _ = timeout(LAST_BYTES, end).await;
}
