//! TLS handshakes take turns, so that the requests of others come in between, and unfinished ones take a limited room.
//!
//! A handshake costs the client a few bytes, and the worker the time of several requests and some buffers. Most of that time is
//! between the client's hello and the server's answer to it.
//!
//! # Invariants
//! - A client takes no turn before its hello is there, as far as one record can tell ([`hello`]).
//! - A turn ends with the answer to the hello. A client that then says nothing keeps nobody waiting.
//! - Who has no turn within [`PATIENCE`] gets none: it would be answered too late to end in time.
//! - From its answer to its end a handshake takes some of the worker's room, and may be cut for it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::room::{Guest, Room};
use super::stream::Transport;

/// How many hellos are answered before others get the thread: about a millisecond of work with ECDSA, more with RSA.
const TURNS: usize = 4;

/// How long a client waits for its turn. What is left of its ten seconds is enough for the rest of a handshake.
const PATIENCE: Duration = Duration::from_secs(3);

/// `ContentType` of a record that has a hello (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// Type, version and length of a record (RFC 8446 §5.1), in bytes.
const HEADER: usize = 5;

/// How long a record may be without its header (RFC 8446 §5.1).
const LONGEST_FRAGMENT: usize = 1 << 14;

/// The handshakes of one worker.
pub(super) struct Handshakes {
    turns: Semaphore,
    patience: Duration,
    room: Rc<Room>,
}

impl Handshakes {
    pub(super) fn new(room: Rc<Room>) -> Self {
        Self::of(TURNS, PATIENCE, room)
    }

    fn of(turns: usize, patience: Duration, room: Rc<Room>) -> Self {
        Self {
            turns: Semaphore::new(turns),
            patience,
            room,
        }
    }

    /// Does a handshake whose hello is there, when it is its turn. `None` if that came too late, or if others needed its room.
    pub(super) async fn take_turn<F: Future>(&self, handshake: F) -> Option<F::Output> {
        let mut handshake = pin!(handshake);
        let guest = Guest::new(
            Rc::clone(&self.room),
            <Box<TlsStream<TcpStream>> as Transport>::BUFFERS,
        );
        let turn = timeout(self.patience, self.turns.acquire()).await;
        let turn = turn.ok()?.ok()?;
        // One poll reads the hello and answers it, unless it comes in two records or is asked for once more (RFC 8446 §4.1.4).
        let answered = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        if answered.is_pending() {
            guest.wait();
        }
        // Who has something to do does it now, and then the next handshake has its turn.
        yield_now().await;
        drop(turn);
        if let Poll::Ready(outcome) = answered {
            return Some(outcome);
        }
        poll_fn(|cx| {
            if guest.is_cut() {
                return Poll::Ready(None);
            }
            guest.driven_by(cx.waker());
            handshake.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// Waits for the first record of a client: its hello, or the most of it.
///
/// Until then the bytes stay with the kernel, so a connection has no memory of TLS.
pub(super) async fn hello(tcp: &TcpStream) -> io::Result<()> {
    loop {
        let ready = tcp.ready(Interest::READABLE).await?;
        let looked = tcp.try_io(Interest::READABLE, || {
            if is_there(tcp)? || ready.is_read_closed() {
                return Ok(());
            }
            // The kernel tells of the next bytes although these are not taken: tokio asks for changes alone (epoll(7), EPOLLET).
            Err(io::ErrorKind::WouldBlock.into())
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// Whether a record is there as a whole, or what is there does not begin a handshake.
fn is_there(tcp: &TcpStream) -> io::Result<bool> {
    let mut header = [0; HEADER];
    let (length, _) = recv(tcp, &mut header, RecvFlags::PEEK)?;
    let [kind, _, _, high, low] = header;
    let fragment = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 || kind != HANDSHAKE || fragment > LONGEST_FRAGMENT {
        return Ok(true);
    }
    let whole = u64::try_from(HEADER + fragment).unwrap_or(u64::MAX);
    Ok(length == HEADER && ioctl_fionread(tcp)? >= whole)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};
    use std::io::Write as _;

    use futures_util::FutureExt as _;
    use tokio::time::sleep;

    use super::*;

    const ONE: usize = <Box<TlsStream<TcpStream>> as Transport>::BUFFERS;

    #[actix_web::test]
    async fn others_come_in_between_and_a_silent_client_keeps_nobody_waiting() {
        let handshakes = Rc::new(Handshakes::of(1, PATIENCE, Rc::new(Room::new(9 * ONE))));
        let done = Rc::new(RefCell::new(String::new()));
        for _ in 0..4 {
            let (handshakes, done) = (Rc::clone(&handshakes), Rc::clone(&done));
            actix_web::rt::spawn(async move {
                let silent = async {
                    done.borrow_mut().push('h');
                    pending::<()>().await;
                };
                handshakes.take_turn(silent).await
            });
        }
        while done.borrow().matches('h').count() < 4 {
            done.borrow_mut().push('.');
            yield_now().await;
        }
        assert!(!done.borrow().contains("hh"), "{}", done.borrow());
        assert_eq!(handshakes.take_turn(ready(1)).await, Some(1));
    }

    #[actix_web::test]
    async fn who_has_waited_too_long_gets_no_turn() {
        let handshakes = Handshakes::of(0, Duration::from_millis(1), Rc::new(Room::new(ONE)));
        assert_eq!(handshakes.take_turn(ready(1)).await, None);
    }

    #[actix_web::test]
    async fn the_oldest_gives_its_room_to_others() {
        let handshakes = Handshakes::of(1, PATIENCE, Rc::new(Room::new(2 * ONE)));
        let silent = || Box::pin(handshakes.take_turn(pending::<()>()));
        let mut all = [silent(), silent(), silent()];
        for (nth, each) in all.iter_mut().enumerate() {
            let begun = async {
                while each.as_mut().now_or_never().is_none()
                    && handshakes.turns.available_permits() == 0
                {
                    yield_now().await;
                }
            };
            begun.await;
            assert_eq!(handshakes.turns.available_permits(), 1, "{nth}");
        }
        let [oldest, second, newest] = all;
        assert_eq!(oldest.now_or_never(), Some(None), "it is cut");
        assert_eq!(second.now_or_never(), None);
        assert_eq!(newest.now_or_never(), None);
    }

    /// Both ends of a connection.
    async fn connected() -> (std::net::TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// The driver learns of new bytes while this waits.
    async fn let_arrive(server: &TcpStream, bytes: usize) {
        loop {
            sleep(Duration::from_millis(1)).await;
            if ioctl_fionread(server).unwrap() >= bytes as u64 {
                return;
            }
        }
    }

    async fn in_time(hello: impl Future<Output = io::Result<()>>) {
        let looked = tokio::time::timeout(Duration::from_secs(30), hello).await;
        looked.expect("no end").unwrap();
    }

    #[actix_web::test]
    async fn a_hello_is_there_when_its_record_is_whole() {
        let mut record = vec![HANDSHAKE, 3, 1, 1, 0];
        record.resize(HEADER + 256, 0);
        for pieces in [vec![261], vec![3, 258], vec![1, 4, 1, 254, 1], vec![260, 1]] {
            let (mut client, server) = connected().await;
            let mut waiting = Box::pin(hello(&server));
            let mut sent = 0;
            for length in pieces {
                assert!((&mut waiting).now_or_never().is_none(), "after {sent}");
                client.write_all(&record[sent..sent + length]).unwrap();
                sent += length;
                let_arrive(&server, sent).await;
            }
            in_time(waiting).await;
        }
    }

    #[actix_web::test]
    async fn what_never_becomes_a_hello_is_not_waited_for() {
        for (sent, is_closed) in [
            (&b"G"[..], false),
            (&[HANDSHAKE, 3, 1, 0x40, 1], false),
            (b"", true),
            (&[HANDSHAKE, 3, 1], true),
        ] {
            let (mut client, server) = connected().await;
            client.write_all(sent).unwrap();
            if is_closed {
                client.shutdown(std::net::Shutdown::Write).unwrap();
            }
            in_time(hello(&server)).await;
        }
    }
}
