//! How many TLS handshakes a worker has under way at once.
//!
//! A handshake costs the client a few bytes, and the worker the time of several requests and some buffers. A crowd of
//! clients that connect at the same moment therefore takes turns, so that the requests of others come in between.
//!
//! # Invariants
//! - A client takes no place before its hello is there, as far as one record can tell ([`hello`]).
//! - Whoever came last is next. A flood that came before keeps nobody waiting behind all of it.
//! - While somebody waits, nobody keeps a place for longer than a fair time: half a handshake keeps nobody out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

/// Handshakes at once. With clients 200 ms away that is 1,280 a second.
const MOST: usize = 256;

/// Enough for a client that is far away and loses a packet.
const FAIR: Duration = Duration::from_secs(2);

/// `ContentType` of a record that has a hello (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// Type, version and length of a record (RFC 8446 §5.1), in bytes.
const HEADER: usize = 5;

/// How long a record may be without its header (RFC 8446 §5.1).
const LONGEST_FRAGMENT: usize = 1 << 14;

/// The places of one worker.
pub(super) struct Handshakes {
    free: Cell<usize>,
    fair: Duration,
    /// By a number that counts up, so in the order in which they came.
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<Place>>>,
    came: Cell<u64>,
    /// Somebody has begun to wait.
    is_crowded: Notify,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self::new(MOST, FAIR)
    }
}

impl Handshakes {
    fn new(most: usize, fair: Duration) -> Self {
        Self {
            free: Cell::new(most),
            fair,
            waiting: RefCell::default(),
            came: Cell::new(0),
            is_crowded: Notify::new(),
        }
    }

    /// Does a handshake when it is its turn. `None` if it took too long while others waited.
    pub(super) async fn take_turn<F: Future>(self: &Rc<Self>, handshake: F) -> Option<F::Output> {
        let _place = self.place().await?;
        tokio::select! {
            biased;
            outcome = handshake => Some(outcome),
            () = self.make_room() => None,
        }
    }

    async fn place(self: &Rc<Self>) -> Option<Place> {
        if let Some(free) = self.free.get().checked_sub(1) {
            self.free.set(free);
            return Some(Place(Rc::clone(self)));
        }
        let (give, given) = oneshot::channel();
        let number = self.came.get();
        self.came.set(number.wrapping_add(1));
        self.waiting.borrow_mut().insert(number, give);
        let _waiting = Waiting(self, number);
        self.is_crowded.notify_waiters();
        given.await.ok()
    }

    async fn make_room(&self) {
        sleep(self.fair).await;
        while self.waiting.borrow().is_empty() {
            self.is_crowded.notified().await;
        }
    }
}

/// The right to a handshake. The next one gets it when this is dropped.
struct Place(Rc<Handshakes>);

impl Drop for Place {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_last();
        match next {
            // One that has just stopped waiting drops it at once, and so gives it to the next.
            Some((_, next)) => drop(next.send(Self(Rc::clone(&self.0)))),
            None => self.0.free.set(self.0.free.get().saturating_add(1)),
        }
    }
}

/// One that waits for a place.
struct Waiting<'a>(&'a Handshakes, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
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
    use std::future::pending;
    use std::io::Write as _;

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    #[actix_web::test]
    async fn there_are_never_more_at_once() {
        let handshakes = Rc::new(Handshakes::new(2, Duration::from_hours(1)));
        let begun = Rc::new(Cell::new(0));
        let mut ends = Vec::new();
        for _ in 0..5 {
            let (end, ended) = oneshot::channel::<()>();
            ends.push(Some(end));
            let (handshakes, begun) = (Rc::clone(&handshakes), Rc::clone(&begun));
            actix_web::rt::spawn(async move {
                let handshake = async {
                    begun.set(begun.get() + 1);
                    let _ = ended.await;
                };
                handshakes.take_turn(handshake).await
            });
        }
        // Who ends next has begun: the last two that wait come before the third.
        for (expect, ends_next) in [(2, 0), (3, 1), (4, 4), (5, 3), (5, 2)] {
            for _ in 0..3 {
                yield_now().await;
            }
            assert_eq!(begun.get(), expect);
            drop(ends[ends_next].take());
        }
    }

    #[actix_web::test]
    async fn whoever_came_last_is_next_and_whoever_left_gets_nothing() {
        let handshakes = Rc::new(Handshakes::new(1, Duration::from_hours(1)));
        let first = handshakes.place().await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(handshakes.place())).collect();
        for each in &mut waiting {
            assert!(each.now_or_never().is_none());
        }
        drop(waiting.pop());
        drop(first);
        let [oldest, newest] = &mut waiting[..] else {
            unreachable!()
        };
        let place = newest.now_or_never().expect("the last one still there");
        assert!(oldest.now_or_never().is_none());
        drop(place);
        assert!(oldest.now_or_never().is_some());
        assert_eq!(handshakes.free.get(), 1, "the last place came back");
    }

    #[actix_web::test]
    async fn whoever_has_had_a_fair_time_makes_room_for_others_alone() {
        let handshakes = Rc::new(Handshakes::new(1, Duration::ZERO));
        let mut slow = Box::pin(handshakes.take_turn(pending::<()>()));
        for _ in 0..3 {
            assert_eq!(slow.as_mut().now_or_never(), None, "nobody waits");
            sleep(Duration::from_millis(1)).await;
        }
        let (slow, quick) = tokio::join!(slow, handshakes.take_turn(async { 1 }));
        assert_eq!((slow, quick), (None, Some(1)));
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
