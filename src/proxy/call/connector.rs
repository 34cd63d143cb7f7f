//! A connection to an upstream, which remembers whether it was answered.
//!
//! `pool` makes its connections with a [`Connector`]. Name resolution, TCP and TLS share one time limit. With every
//! connection comes a [`Heard`], which tells whether a request may be sent again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::telemetry::metrics::{Held, UpstreamConnections};

type Tls = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections to one origin, each within a time limit.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    origin: Uri,
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
    connections: UpstreamConnections,
}

impl Connector {
    /// `limit` covers name resolution, TCP and TLS.
    pub(super) fn new(
        origin: Uri,
        tls: rustls::ClientConfig,
        limit: Duration,
        connections: UpstreamConnections,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        let inner = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self {
            origin,
            inner,
            limit,
            connections,
        }
    }

    /// A new connection, and what tells whether a request on it was answered.
    pub(super) async fn connect(&self) -> Result<(Wire, Heard), Failure> {
        let connecting = self.inner.clone().call(self.origin.clone());
        let connected = tokio::time::timeout(self.limit, connecting).await;
        let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let heard = Heard::default();
        let wire = Wire {
            stream: TokioIo::new(stream),
            heard: heard.clone(),
            _open: self.connections.opened(),
        };
        Ok((wire, heard))
    }
}

/// What has been read from a connection since something was last written to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// An earlier request was answered.
    before: AtomicBool,
    /// Something was read after the last write.
    now: AtomicBool,
}

impl Heard {
    /// Whether the connection has answered an earlier request, and not a byte of the last one.
    pub(super) fn is_stale(&self) -> bool {
        self.0.before.load(Ordering::Relaxed) && !self.0.now.load(Ordering::Relaxed)
    }

    fn wrote(&self) {
        if self.0.now.swap(false, Ordering::Relaxed) {
            self.0.before.store(true, Ordering::Relaxed);
        }
    }

    fn read(&self) {
        self.0.now.store(true, Ordering::Relaxed);
    }
}

/// A connection. It stands above TLS, so that a `close_notify` does not count as an answer.
pub(super) struct Wire {
    stream: Tls,
    heard: Heard,
    /// For the metrics.
    _open: Held,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.heard.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.heard.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.heard.wrote();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_stale_when_it_answered_before_and_says_nothing_now() {
        // D20
        let heard = Heard::default();
        assert!(!heard.is_stale(), "nothing written");
        heard.wrote();
        assert!(!heard.is_stale(), "the first request of a connection");
        heard.read();
        assert!(!heard.is_stale(), "answered");
        heard.wrote();
        assert!(heard.is_stale(), "the second request, no answer yet");
        heard.wrote();
        assert!(heard.is_stale(), "still writing it");
        heard.read();
        assert!(!heard.is_stale(), "the answer has begun");
    }
}
