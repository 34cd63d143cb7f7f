//! One accepted connection: TLS, the version of HTTP, its requests in order, its end.
//!
//! actix's server accepts connections and runs the workers. hyper speaks HTTP. An [`Application`] answers.
//!
//! - [`Acceptor`] takes a connection: `handshakes` lets TLS handshakes take turns, `certificate` is what they
//!   show, `tickets` lets clients resume, `patience` limits how long a client may read nothing.
//! - `http1` and `http2` drive hyper, and limit what a client can hold and for how long.
//! - `exchange` answers one request. `message` takes over its head, and `body` carries the bodies.
//! - `intake` says in which order a worker takes up requests of HTTP/1.
//! - `stream` is the connection's bytes under hyper, and `wire` is what the parts above know of them. `head` reads what hyper
//!   does not tell about a request. `room` limits what unfinished heads and handshakes take of a worker's memory, `timer` rings at a deadline
//!   that moves.
//!
//! # Invariants
//! - Each answer is framed for its own request. Nothing runs after `Connection: close`.
//! - Each state of a connection has a deadline: handshake, head, body, answer, idleness, end.
//! - A request that was answered before its body was read is the last one of its connection.
//! - An answer that was cut never looks whole (RFC 9112 §8).
//!
//! # Spec
//! RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2), RFC 7301 (ALPN), RFC 8446 (TLS 1.3).
//!
//! # Why not actix-http's own dispatcher
//! It keeps the state of a message for the whole connection, so it answers pipelined requests in each other's form. It has a
//! deadline for the first head only. Its HTTP/2 is h2 0.3 (RUSTSEC-2026-0258).

mod body;
mod certificate;
mod exchange;
mod handshakes;
mod head;
mod http1;
mod http2;
mod intake;
mod message;
mod patience;
mod room;
mod stream;
mod tickets;
mod timer;
mod wire;

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_service::{Service, ServiceFactory};
use futures_util::future::LocalBoxFuture;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(super) use self::exchange::Application;
use self::handshakes::Handshakes;
use self::intake::Intake;
pub(super) use self::patience::{Patience, limit_unread};
use self::room::Room;
use crate::bff::{Bff, Draining};
use crate::tls;

/// From the first byte of a request's head to its last. Also from the start of a connection to the end of its handshake.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Longer than the idle timeout of common balancers (60 s): the balancer should be the one that closes.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long we still read a connection that we close.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Serves the connections of one listener with an application for each worker.
#[derive(Clone)]
pub(super) struct Connections<A> {
    /// Makes the application of one worker.
    pub(super) app: A,
    /// TLS, if this listener speaks it.
    pub(super) tls: Option<TlsAcceptor>,
    /// How long a client may go without reading its answers.
    pub(super) patience: Patience,
    /// Says when to close.
    pub(super) closing: Closing,
    /// Whose metrics count its connections, if they are counted.
    pub(super) counted: Option<Arc<Bff>>,
    /// How many workers it has.
    pub(super) workers: usize,
}

/// TLS with the configured certificate, the versions of HTTP that we offer, and tickets that every replica opens.
pub(super) fn acceptor(bff: &Arc<Bff>) -> Result<TlsAcceptor, rustls::Error> {
    let mut tls = tls::listener(Arc::new(certificate::OfConfiguration(Arc::clone(bff))))?;
    // A client that offers only what we do not list gets an alert, not an answer (RFC 7301 §3.2). `curl --http1.0` is one.
    tls.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0"]
        .map(<[u8]>::to_vec)
        .to_vec();
    tls.ticketer = Arc::new(tickets::Tickets(Arc::clone(bff)));
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

/// Tells connections that the process ends.
#[derive(Clone)]
pub(super) struct Closing(pub(super) Arc<Draining>);

impl Closing {
    /// Whether readiness fails, so that clients turn to another replica.
    fn is_announced(&self) -> bool {
        self.0.has_begun()
    }

    /// Whether the listeners close.
    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    async fn wait(self) {
        self.0.closing().await;
    }
}

impl<A, S> ServiceFactory<TcpStream> for Connections<A>
where
    A: Fn() -> S,
    S: Application,
{
    type Response = ();
    type Error = ();
    type Config = ();
    type Service = Acceptor<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let room = Rc::new(Room::of_one_in(self.workers));
        ready(Ok(Acceptor {
            app: Rc::new((self.app)()),
            handshakes: Rc::new(Handshakes::new(Rc::clone(&room))),
            room,
            intake: Rc::default(),
            tls: self.tls.clone(),
            patience: self.patience.clone(),
            closing: self.closing.clone(),
            counted: self.counted.clone(),
        }))
    }
}

/// A worker's part of a listener.
pub(super) struct Acceptor<S> {
    app: Rc<S>,
    room: Rc<Room>,
    intake: Rc<Intake>,
    handshakes: Rc<Handshakes>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    closing: Closing,
    counted: Option<Arc<Bff>>,
}

impl<S: Application> Service<TcpStream> for Acceptor<S> {
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, tcp: TcpStream) -> Self::Future {
        // Nagle's algorithm keeps back an answer's last segment until the client acknowledges the one before. Clients
        // delay acknowledgements by 40 ms and more (RFC 1122 §4.2.3.2).
        if let Err(error) = tcp.set_nodelay(true) {
            log::debug!("a connection is without TCP_NODELAY: {error}");
        }
        let patience = self.patience.of(&tcp);
        let (app, room) = (Rc::clone(&self.app), Rc::clone(&self.room));
        let intake = Rc::clone(&self.intake);
        let closing = self.closing.clone();
        let open = self.counted.as_ref().map(|bff| bff.metrics.connected());
        // A task is as large as its largest state, and most connections wait. So plain ones have a task of their own kind, and
        // each large state of the others has a box of its own.
        let Some(tls) = self.tls.clone() else {
            return Box::pin(async move {
                let _open = open;
                http1::serve(tcp, &app, &room, &intake, closing).await;
                Ok(())
            });
        };
        let shaken = Box::pin(shake(tcp, tls, Rc::clone(&self.handshakes)));
        Box::pin(async move {
            let _open = open;
            let shaken = tokio::select! {
                shaken = shaken => shaken,
                () = closing.clone().wait() => return Ok(()),
            };
            let stream = shaken.ok_or(())?;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                Box::pin(http2::serve(stream, &app, &room, closing, patience)).await;
            } else {
                Box::pin(http1::serve(stream, &app, &room, &intake, closing)).await;
            }
            Ok(())
        })
    }
}

/// The TLS handshake. `None` if it failed or took too long.
async fn shake(
    tcp: TcpStream,
    tls: TlsAcceptor,
    handshakes: Rc<Handshakes>,
) -> Option<Box<TlsStream<TcpStream>>> {
    let shaken = timeout(HEAD_TIME, async move {
        handshakes::hello(&tcp).await.ok()?;
        handshakes
            .take_turn(async { tls.accept(tcp).await })
            .await?
            .ok()
    });
    shaken.await.ok()?.map(Box::new)
}
