//! The bytes of a connection: what carries them, and what is noted of them on the [`Wire`].

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::wire::Wire;

/// How many bytes of later requests are read, while one is answered, to see whether the client is still there.
const AHEAD: usize = 8 * 1024;

/// What carries HTTP: TCP, or TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Whether the socket still holds every byte that has come when HTTP begins. With the end of a TLS handshake, the first
    /// request may have been read.
    const BEGINS_UNREAD: bool;

    /// What a connection takes of memory while a request's head is under way: its buffers and state, and those of hyper.
    const BUFFERS: usize;

    /// The connection below.
    fn tcp(&self) -> &TcpStream;

    /// Waits until there may be something to read, and reads nothing.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(cx)
    }
}

impl Transport for TcpStream {
    const BEGINS_UNREAD: bool = true;
    const BUFFERS: usize = 16 * 1024;

    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// In a box, because it is moved from state to state, and each would keep room for it.
impl Transport for Box<TlsStream<TcpStream>> {
    const BEGINS_UNREAD: bool = false;
    const BUFFERS: usize = 24 * 1024;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (tcp, tls) = self.get_ref();
        // It wants nothing more when it holds what was not read, or the client's last word.
        if tls.wants_read() {
            tcp.poll_read_ready(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

/// What the kernel sends when the process closes the connection, or ends in whatever way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// All that was written, and then a FIN.
    InOrder,
    /// A reset. What was not sent is lost.
    Reset,
}

impl Ending {
    pub(super) fn choose(self, transport: &impl Transport) {
        let linger = (self == Self::Reset).then_some(Duration::ZERO);
        if let Err(error) = SockRef::from(transport.tcp()).set_linger(linger) {
            log::debug!("the end of a connection cannot be chosen: {error}");
        }
    }
}

/// A transport under hyper. The wire learns what is read and written.
pub(super) struct Watched<T> {
    transport: T,
    /// What was read before hyper asked for it.
    before: BytesMut,
    ending: Ending,
    wire: Rc<Wire>,
}

impl<T: Transport> Watched<T> {
    /// `before` was read from the transport and comes first.
    pub(super) fn new(transport: T, before: BytesMut, wire: Rc<Wire>) -> Self {
        Self {
            transport,
            before,
            ending: Ending::InOrder,
            wire,
        }
    }

    /// The transport, and what hyper has not read. `of_hyper` is what hyper has read and not used.
    pub(super) fn into_parts(self, of_hyper: Bytes) -> (T, BytesMut) {
        let mut before = BytesMut::from(of_hyper);
        before.unsplit(self.before);
        if self.ending == Ending::Reset && !self.wire.is_part.get() {
            Ending::InOrder.choose(&self.transport);
        }
        (self.transport, before)
    }

    fn wrote(&mut self) {
        self.wire.wrote();
        // The kernel must know beforehand: a process that is killed chooses nothing.
        if self.wire.is_part.get() && self.ending == Ending::InOrder {
            self.ending = Ending::Reset;
            self.ending.choose(&self.transport);
        }
    }

    /// Reads on behalf of hyper, which reads nothing while it holds bytes of a next request: it would not see the client
    /// leave, and the upstream would work for nobody.
    fn look_ahead(&mut self, cx: &mut Context<'_>) {
        let mut piece = [0; 1024];
        while self.before.len() < AHEAD && !self.wire.has_ended() {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.transport).poll_read(cx, &mut read) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.before.extend_from_slice(read.filled());
                }
                Poll::Ready(Ok(())) => return self.wire.ends(),
                Poll::Ready(Err(_)) => return self.wire.cut(),
            }
        }
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
        if !this.wire.has_ended() {
            let is_new = this.wire.awaits_request();
            if is_new {
                ready!(this.transport.poll_readable(cx))?;
                ready!(this.wire.poll_enter(cx));
            }
            let read = Pin::new(&mut this.transport).poll_read(cx, buf);
            if is_new && buf.filled().len() == had {
                this.wire.step_back();
            }
            ready!(read)?;
        }
        match buf.filled().get(had..) {
            Some(bytes) if !bytes.is_empty() => this.wire.received(bytes),
            _ if this.wire.has_ended() => {}
            _ => this.wire.ends(),
        }
        if this.wire.may_wait() {
            // hyper would end the connection. `http1` says how long the answer may take, and hyper asks again after it.
            return Poll::Pending;
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
        self.wrote();
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wrote();
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        self.wire.is_flushed.set(true);
        if self.wire.is_ahead() {
            self.look_ahead(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

/// A transport that one task reads and another one writes.
pub(super) struct Shared<T>(Rc<RefCell<T>>);

impl<T: Transport> Shared<T> {
    pub(super) fn new(transport: T) -> Self {
        Self(Rc::new(RefCell::new(transport)))
    }

    pub(super) fn choose(&self, ending: Ending) {
        ending.choose(&*self.0.borrow());
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Transport> AsyncRead for Shared<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl<T: Transport> AsyncWrite for Shared<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
