//! One connection to a provider: TCP, perhaps a tunnel through a proxy, and TLS.
//!
//! # Invariants
//! - TLS reaches from here to the provider. A proxy sees the provider's name and port, and nothing else of an https call.
//! - What cannot be connected was not asked for anything: every error here is [`OidcError::Unavailable`].
//!
//! # Spec
//! RFC 9110 §9.3.6 (`CONNECT`).

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::OidcError;
use super::egress::HttpProxy;

/// Bytes to and from a peer.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection over which `target` can be asked. TLS to a proxy has a configuration of its own.
pub(super) async fn connect(
    target: &Url,
    proxy: Option<(&HttpProxy, &Arc<ClientConfig>)>,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, OidcError> {
    let Some((proxy, proxy_tls)) = proxy else {
        return secured(tcp(target).await?, target, tls).await;
    };
    let of_proxy = |error| match error {
        OidcError::Unavailable(text) => {
            let host = proxy.url.host_str().unwrap_or_default();
            OidcError::Unavailable(format!("proxy {host}: {text}"))
        }
        error => error,
    };
    let stream = tcp(&proxy.url).await.map_err(of_proxy)?;
    let stream = secured(stream, &proxy.url, proxy_tls)
        .await
        .map_err(of_proxy)?;
    if target.scheme() != "https" {
        return Ok(stream);
    }
    let tunnel = tunnel(stream, target, proxy).await.map_err(of_proxy)?;
    secured(tunnel, target, tls).await
}

async fn tcp(to: &Url) -> Result<Box<dyn Stream>, OidcError> {
    let port = to.port_or_known_default().unwrap_or_default();
    let connected = match to.host() {
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        None => return Err(unavailable("there is no host in its address")),
    };
    let stream = connected.map_err(unavailable)?;
    stream.set_nodelay(true).map_err(unavailable)?;
    Ok(Box::new(stream))
}

/// With TLS, if the peer's address wants it.
async fn secured(
    stream: Box<dyn Stream>,
    peer: &Url,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, OidcError> {
    if peer.scheme() != "https" {
        return Ok(stream);
    }
    let name = peer.host_str().unwrap_or_default();
    let name = name.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(unavailable)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(unavailable)?))
}

async fn tunnel(
    stream: Box<dyn Stream>,
    target: &Url,
    proxy: &HttpProxy,
) -> Result<Box<dyn Stream>, OidcError> {
    let host = target.host_str().unwrap_or_default();
    let port = target.port_or_known_default().unwrap_or_default();
    let authority = format!("{host}:{port}");
    let mut request = Request::connect(&authority).header(HOST, &authority);
    if let Some(authorization) = &proxy.authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(unavailable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unavailable)?;
    // It ends with the tunnel.
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await.map_err(unavailable)?;
    match answer.status().as_u16() {
        200..=299 => {}
        407 => return Err(unavailable("it wants another user or password (407)")),
        status => return Err(unavailable(format!("it made no tunnel (status {status})"))),
    }
    let tunnel = hyper::upgrade::on(answer).await.map_err(unavailable)?;
    Ok(Box::new(TokioIo::new(tunnel)))
}

fn unavailable(why: impl Display) -> OidcError {
    OidcError::Unavailable(why.to_string())
}
