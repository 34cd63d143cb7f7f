//! How a connection to the store is made.
//!
//! # Why not the library's own way
//! The library leaves no place between itself and the socket, where [`Narrow`] has to be.

use std::io;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::narrow::{Heard, Limits, Narrow};

/// A connection. It ends when its last user drops it.
pub(super) struct Connection {
    pub(super) commands: MultiplexedConnection,
    /// How many bytes have come.
    pub(super) heard: Heard,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects and authenticates. The caller limits the time.
pub(super) async fn reach(info: &ConnectionInfo, limits: Limits) -> Result<Connection, String> {
    let failed = |error: io::Error| error.to_string();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = tcp(host, *port).await.map_err(failed)?;
            begin(info, stream, limits).await
        }
        ConnectionAddr::TcpTls { host, port, .. } => {
            let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
            let stream = tcp(host, *port).await.map_err(failed)?;
            let connector = TlsConnector::from(Arc::new(tls()?));
            let stream = connector.connect(name, stream).await.map_err(failed)?;
            begin(info, stream, limits).await
        }
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(failed)?;
            begin(info, stream, limits).await
        }
        _ => Err("sealgate does not know this kind of address".to_owned()),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Commands are small, and a request waits for each.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS with Mozilla's trust anchors.
fn tls() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
    let roots: RootCertStore = roots.collect();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn begin<S>(info: &ConnectionInfo, stream: S, limits: Limits) -> Result<Connection, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = Heard::default();
    let stream = Narrow::new(stream, limits, Arc::clone(&heard));
    // Each caller limits the time of its own calls.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let settings = info.redis_settings();
    let begun = MultiplexedConnection::new_with_config(settings, stream, config).await;
    let (commands, driver) = begun.map_err(|error| error.to_string())?;
    Ok(Connection {
        commands,
        heard,
        driver: tokio::spawn(driver),
    })
}
