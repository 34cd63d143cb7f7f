//! The edge: listeners, workers, and the one path that every request takes ([`pipeline`]).
//!
//! Each worker is a thread with clients of its own for identity providers and upstreams, so that workers share
//! no connection and no lock on the way of a request.
//!
//! # Why `TCP_NODELAY`
//! Nagle's algorithm keeps back the last segment of an answer until the client acknowledges the one before, and clients
//! delay acknowledgements by 40 ms and more (RFC 1122 §4.2.3.2). An answer is written when it is there: nothing is won.

mod admin;
mod client_addr;
mod page;
mod pipeline;
mod response;
mod sent;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_http::HttpService;
use actix_service::map_config;
use actix_web::dev::{AppConfig, Server};
use actix_web::{App, HttpServer, web};

use crate::bff::Bff;
use crate::names::UpstreamName;
use crate::oidc::IdpClient;
use crate::proxy::{UpstreamSettings, Upstreams};
use crate::session::OpenedSessions;

/// How long a whole call to an identity provider may take, body included.
const IDP_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the idle timeout of common balancers (60 s), so that it is they who close idle connections.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection that we close is still read, so that no reset overtakes our last bytes (RFC 9112 §9.6).
const LAST_BYTES: Duration = Duration::from_secs(1);

/// How the listeners are run.
#[derive(Debug)]
pub struct Options {
    /// Threads that serve requests.
    pub workers: usize,
    /// How long requests in flight may take to end once the server stops.
    pub shutdown_grace: Duration,
    /// TLS for the public listener.
    pub tls: Option<rustls::ServerConfig>,
}

/// What one worker has for itself.
struct Worker {
    bff: Arc<Bff>,
    idp: IdpClient,
    upstreams: Upstreams,
    opened: RefCell<OpenedSessions>,
}

/// The public listener. Signals are the caller's affair.
#[expect(clippy::implicit_hasher, reason = "it is the configuration's own map")]
pub fn public(
    bff: &Arc<Bff>,
    upstreams: &HashMap<UpstreamName, UpstreamSettings>,
    listener: TcpListener,
    options: Options,
) -> std::io::Result<Server> {
    let clients = Clients::prepare(upstreams, options.workers)?;
    send_at_once(&listener)?;
    let longest = upstreams.values().map(|upstream| upstream.idle_timeout);
    limit_unread(&listener, longest.max());
    let closing = Arc::clone(bff);
    let bff = Arc::clone(bff);
    let app = move || {
        let worker = Rc::new(Worker {
            bff: Arc::clone(&bff),
            idp: IdpClient::new(IDP_TIMEOUT),
            upstreams: clients.take(),
            opened: RefCell::default(),
        });
        App::new()
            .app_data(worker)
            .default_service(web::to(pipeline::handle))
    };
    let grace = options.shutdown_grace.as_secs();
    let Some(mut tls) = options.tls else {
        let server = HttpServer::new(app)
            .workers(options.workers)
            .keep_alive(KEEP_ALIVE)
            .client_disconnect_timeout(LAST_BYTES)
            // A client that closes its half has left: whoever streams to it stops, and so does the upstream (D31).
            .h1_allow_half_closed(false)
            .shutdown_timeout(grace)
            .disable_signals();
        return Ok(server.listen(listener)?.run());
    };
    // `HttpServer` would offer HTTP/2 whenever any crate turns on actix-http's feature for it, and awc always does.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = actix_server::Server::build()
        .workers(options.workers)
        .shutdown_timeout(grace)
        .disable_signals()
        .listen("public", listener, move || {
            let app = map_config(app(), |()| AppConfig::default());
            let bff = Arc::clone(&closing);
            HttpService::build()
                .keep_alive(KEEP_ALIVE)
                // What HttpServer does by itself: idle connections end when the server does.
                .graceful_shutdown_signal(move || bff.draining.closing())
                .client_disconnect_timeout(LAST_BYTES)
                .h1_allow_half_closed(false)
                .h1(app)
                .rustls_0_23(tls.clone())
        })?;
    Ok(server.run())
}

/// Sets `TCP_NODELAY`. Accepted connections inherit it from the listener, whatever serves them.
fn send_at_once(listener: &TcpListener) -> std::io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_nodelay(true)
}

/// Ends connections whose client reads nothing for `limit` although something was sent. While a client does not read,
/// nobody polls the answer's body, so only the kernel can know. Accepted connections inherit it from the listener.
fn limit_unread(listener: &TcpListener, limit: Option<Duration>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_user_timeout(limit) {
        log::warn!("clients that stop reading are not timed out: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (listener, limit);
}

/// The operator's listener.
pub fn operator(bff: &Arc<Bff>, listener: TcpListener) -> std::io::Result<Server> {
    send_at_once(&listener)?;
    let bff = web::Data::new(Arc::clone(bff));
    let server =
        HttpServer::new(move || App::new().app_data(bff.clone()).configure(admin::configure))
            .workers(1)
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener)?;
    Ok(server.run())
}

/// One set of upstream clients for each worker, made before the first worker starts so that mistakes show early.
#[derive(Clone)]
struct Clients {
    settings: HashMap<UpstreamName, UpstreamSettings>,
    prepared: Arc<Mutex<Vec<Upstreams>>>,
}

impl Clients {
    fn prepare(
        settings: &HashMap<UpstreamName, UpstreamSettings>,
        workers: usize,
    ) -> std::io::Result<Self> {
        let prepared = (0..workers)
            .map(|_| Upstreams::new(settings))
            .collect::<Result<_, _>>()
            .map_err(std::io::Error::other)?;
        Ok(Self {
            settings: settings.clone(),
            prepared: Arc::new(Mutex::new(prepared)),
        })
    }

    /// The set of one worker. A worker that is started again later gets a new one.
    fn take(&self) -> Upstreams {
        let prepared = self
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        prepared.unwrap_or_else(|| {
            Upstreams::new(&self.settings).unwrap_or_else(|error| {
                log::error!("a worker is without upstreams: {error}");
                Upstreams::default()
            })
        })
    }
}
