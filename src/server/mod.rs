//! The edge: listeners, workers, and the one path that every request takes ([`pipeline`]).
//!
//! Each worker is a thread with its own connections to identity providers and upstreams. So no request waits for a lock or a
//! connection of another worker.

mod access_log;
mod admin;
mod client_addr;
mod connection;
mod host;
mod page;
mod pipeline;
mod request_span;
mod response;
mod scope;
mod sent;
mod view;

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;

use self::connection::{Application, Closing, Connections, Patience, limit_unread};
use self::view::Views;
use crate::bff::{Bff, PATIENCE};
use crate::message::{self, Answer, Payload, Request};
use crate::proxy::Upstreams;
use crate::session::OpenedSessions;
use crate::telemetry::metrics::AtHand;

/// How the listeners are run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that serve requests.
    pub workers: usize,
    /// How long requests in flight may take to end once the server stops.
    pub shutdown_grace: Duration,
}

/// What one worker has for itself.
struct Worker {
    bff: Arc<Bff>,
    views: Views,
    opened: RefCell<OpenedSessions>,
    answered: AtHand,
}

/// Answers the requests of the public listener.
struct Public(Rc<Worker>);

impl Application for Public {
    fn answer(&self, request: Request, body: Payload) -> impl Future<Output = Answer> + 'static {
        pipeline::answer(Rc::clone(&self.0), request, body)
    }
}

/// Answers those of the operator's.
struct Operator(Arc<Bff>);

impl Application for Operator {
    fn answer(&self, request: Request, _: Payload) -> impl Future<Output = Answer> + 'static {
        let answer = message::answer(admin::answer(&request, &self.0));
        std::future::ready(answer)
    }
}

/// The public listener. The caller handles signals.
pub fn public(bff: &Arc<Bff>, listener: TcpListener, options: Options) -> std::io::Result<Server> {
    let configured = bff.configured.load();
    // Each worker makes its own later. Mistakes must show now.
    Upstreams::new(&configured.upstreams, &bff.metrics).map_err(std::io::Error::other)?;
    let speaks_tls = configured.certificate.is_some();
    let tls = speaks_tls.then(|| connection::acceptor(bff)).transpose();
    let patience = Patience::of_configuration(bff);
    limit_unread(&listener, patience.now());
    let of_app = Arc::clone(bff);
    let app = move || {
        Public(Rc::new(Worker {
            bff: Arc::clone(&of_app),
            views: Views::new(&of_app),
            opened: RefCell::default(),
            answered: AtHand::default(),
        }))
    };
    let connections = Connections {
        app,
        tls: tls.map_err(std::io::Error::other)?,
        patience,
        closing: Closing(Arc::clone(&bff.draining)),
        counted: Some(Arc::clone(bff)),
        workers: options.workers,
    };
    let server = actix_server::Server::build()
        .workers(options.workers)
        .shutdown_timeout(options.shutdown_grace.as_secs())
        .disable_signals()
        .listen("public", listener, move || connections.clone())?;
    Ok(server.run())
}

/// The operator's listener.
pub fn operator(bff: &Arc<Bff>, listener: TcpListener) -> std::io::Result<Server> {
    limit_unread(&listener, PATIENCE);
    let of_app = Arc::clone(bff);
    let app = move || Operator(Arc::clone(&of_app));
    let connections = Connections {
        app,
        tls: None,
        patience: Patience::default(),
        closing: Closing(Arc::clone(&bff.draining)),
        counted: None,
        workers: 1,
    };
    let server = actix_server::Server::build()
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen("operator", listener, move || connections.clone())?;
    Ok(server.run())
}
