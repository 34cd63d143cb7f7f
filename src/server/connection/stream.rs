//! A connection's bytes, watched: what hyper reads and writes, noted on the [`Wire`].

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::wire::Wire;

/// What carries HTTP: TCP, or TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Whether all that has arrived at first is still in the socket. With the end of a TLS handshake the first request may
    /// have been read.
    const BEGINS_UNREAD: bool;

    /// The connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    const BEGINS_UNREAD: bool = true;

    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    const BEGINS_UNREAD: bool = false;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A transport whose reads and writes are noted.
pub(super) struct Watched<T> {
    transport: T,
    /// What was read before, and not used.
    before: Bytes,
    wire: Rc<Wire>,
}

impl<T: Transport> Watched<T> {
    pub(super) fn new(transport: T, before: Bytes, wire: Rc<Wire>) -> Self {
        Self {
            transport,
            before,
            wire,
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.transport
    }
}

impl<T: Transport> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.before.is_empty() {
            let n = this.before.len().min(buf.remaining());
            let bytes = this.before.split_to(n);
            buf.put_slice(&bytes);
            this.wire.received(&bytes);
            return Poll::Ready(Ok(()));
        }
        let had = buf.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buf))?;
        match buf.filled().get(had..) {
            Some(bytes) if !bytes.is_empty() => this.wire.received(bytes),
            _ => this.wire.has_ended.set(true),
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.wrote();
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.wrote();
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        self.wire.is_flushed.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
