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
use actix_service::map_config;
use actix_web::dev::AppConfig;
use actix_web::{App, web};

use self::connection::{Closing, Connections};
use self::view::Views;
use crate::bff::Bff;
use crate::oidc::IdpClient;
use crate::proxy::Upstreams;
use crate::session::OpenedSessions;

/// How long a whole call to an identity provider may take, body included.
const IDP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing of its answers, unless an upstream allows longer.
const PATIENCE: Duration = Duration::from_mins(5);

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
    views: Views,
    opened: RefCell<OpenedSessions>,
}

/// The public listener. The caller handles signals.
pub fn public(bff: &Arc<Bff>, listener: TcpListener, options: Options) -> std::io::Result<Server> {
    let configured = bff.configured.load();
    let upstreams = &configured.upstreams;
    // Each worker makes its own later. Mistakes must show now.
    Upstreams::new(upstreams).map_err(std::io::Error::other)?;
    let longest = upstreams.values().map(|upstream| upstream.idle_timeout);
    let patience = longest.max().unwrap_or(PATIENCE);
    limit_unread(&listener, patience);
    let of_app = Arc::clone(bff);
    let app = move || {
        let worker = Rc::new(Worker {
            bff: Arc::clone(&of_app),
            idp: IdpClient::new(IDP_TIMEOUT),
            views: Views::new(&of_app),
            opened: RefCell::default(),
        });
        let app = App::new()
            .app_data(worker)
            .default_service(web::to(pipeline::handle));
        map_config(app, |()| AppConfig::default())
    };
    let connections = Connections {
        app,
        tls: options.tls.map(|tls| connection::acceptor(tls, bff)),
        patience,
        closing: Closing(Arc::clone(bff)),
    };
    let server = actix_server::Server::build()
        .workers(options.workers)
        .shutdown_timeout(options.shutdown_grace.as_secs())
        .disable_signals()
        .listen("public", listener, move || connections.clone())?;
    Ok(server.run())
}

/// Ends connections whose client reads nothing for `limit` although something was sent. While a client does not read, the
/// answer's body is not polled, so only the kernel can know. Accepted connections inherit the limit from the listener.
fn limit_unread(listener: &TcpListener, limit: Duration) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_user_timeout(Some(limit)) {
        log::warn!("clients that stop reading are not timed out: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (listener, limit);
}

/// The operator's listener.
pub fn operator(bff: &Arc<Bff>, listener: TcpListener) -> std::io::Result<Server> {
    limit_unread(&listener, PATIENCE);
    let of_app = web::Data::new(Arc::clone(bff));
    let app = move || {
        let app = App::new()
            .app_data(of_app.clone())
            .configure(admin::configure);
        map_config(app, |()| AppConfig::default())
    };
    let connections = Connections {
        app,
        tls: None,
        patience: PATIENCE,
        closing: Closing(Arc::clone(bff)),
    };
    let server = actix_server::Server::build()
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen("operator", listener, move || connections.clone())?;
    Ok(server.run())
}
