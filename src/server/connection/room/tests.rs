use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::super::exchange::Application;
use super::super::stream::Transport as _;
use super::super::{Closing, http1, http2};
use super::*;
use crate::message::{Answer, BoxBody, Payload, Request};

const BUFFERS: usize = 16 * 1024;

fn guests(room: &Rc<Room>, count: usize) -> Vec<Rc<Guest>> {
    let guest = |_| Guest::new(Rc::clone(room), BUFFERS);
    (0..count).map(guest).collect()
}

#[test]
fn the_longest_wait_ends_first_when_the_room_is_full() {
    // A: 1,500 heads of 130 KB each were kept.
    const LONG: usize = BUFFERS + 2 * 56 * 1024;
    for (bytes, each) in [(None, BUFFERS), (Some(60 * 1024), LONG)] {
        let room = Rc::new(Room::new(LEAST));
        let guests = guests(&room, 1000);
        for guest in &guests {
            guest.wait();
            if let Some(bytes) = bytes {
                guest.grow(FREE);
                guest.grow(bytes);
            }
            guest.wait();
            assert!(room.taken.get() <= LEAST);
        }
        let kept = guests.iter().filter(|guest| !guest.is_cut()).count();
        assert_eq!(kept, LEAST / each);
        assert!(!guests[999].is_cut() && guests[0].is_cut());
        for guest in &guests {
            guest.leave();
        }
        assert_eq!(room.taken.get(), 0);
        assert!(room.guests.borrow().is_empty());
    }
}

#[test]
fn a_guest_that_comes_again_is_counted_once() {
    let room = Rc::new(Room::new(LEAST));
    let both = guests(&room, 2);
    let [other, guest] = &both[..] else { panic!() };
    other.wait();
    for _ in 0..3 {
        for bytes in [1, FREE + 1, FREE + 10] {
            guest.grow(bytes);
            guest.wait();
        }
        let taken = 2 * BUFFERS + 20;
        assert_eq!((room.taken.get(), room.guests.borrow().len()), (taken, 2));
        guest.leave();
        assert_eq!((room.taken.get(), room.guests.borrow().len()), (BUFFERS, 1));
    }
    drop(both);
    assert_eq!(room.taken.get(), 0);
    assert!(room.guests.borrow().is_empty());
}

#[test]
fn a_head_in_one_piece_takes_nothing() {
    let room = Rc::new(Room::new(0));
    let guest = Guest::new(Rc::clone(&room), BUFFERS);
    guest.grow(FREE);
    guest.leave();
    assert!(!guest.is_cut() && room.guests.borrow().is_empty());
}

#[test]
fn workers_share_what_all_may_take() {
    for (workers, bytes) in [(0, ALL), (1, ALL), (2, ALL / 2), (6, LEAST), (64, LEAST)] {
        assert_eq!(Room::of_one_in(workers).bytes, bytes, "{workers}");
    }
}

/// Answers everything in the same way.
struct Always;

impl Application for Always {
    fn answer(&self, _: Request, _: Payload) -> impl Future<Output = Answer> + 'static {
        std::future::ready(Answer::new(BoxBody::new(())))
    }
}

/// A worker's listener without TLS, that has room for one connection.
struct Worker {
    listener: TcpListener,
    room: Rc<Room>,
    speaks_http2: bool,
}

impl Worker {
    async fn new(speaks_http2: bool) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            room: Rc::new(Room::new(TcpStream::BUFFERS)),
            speaks_http2,
        }
    }

    /// A client's end of a new connection.
    async fn connect(&self) -> TcpStream {
        let addr = self.listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(addr), self.listener.accept());
        let (tcp, _) = accepted.unwrap();
        let (room, speaks_http2) = (Rc::clone(&self.room), self.speaks_http2);
        actix_web::rt::spawn(async move {
            let (app, closing) = (Rc::new(Always), Closing(Arc::default()));
            if speaks_http2 {
                http2::serve(tcp, &app, &room, closing, Duration::from_mins(1)).await;
            } else {
                http1::serve(tcp, &app, &room, &Rc::default(), closing).await;
            }
        });
        client.unwrap()
    }

    async fn until_taken(&self, connections: usize) {
        let taken = async {
            while self.room.taken.get() != connections * TcpStream::BUFFERS {
                yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), taken).await.unwrap();
    }
}

async fn until_closed(mut client: TcpStream) {
    // A reset is an end as well.
    let _ = client.read_to_end(&mut Vec::new()).await;
}

#[actix_web::test]
async fn half_a_head_makes_room_for_a_later_one() {
    let worker = Worker::new(false).await;
    let mut first = worker.connect().await;
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n")
        .await
        .unwrap();
    worker.until_taken(1).await;
    let mut second = worker.connect().await;
    second
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n")
        .await
        .unwrap();
    // Both began at the same time. So their deadlines would end both.
    until_closed(first).await;
    worker.until_taken(1).await;
    second.write_all(b"\r\n").await.unwrap();
    let mut answer = [0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    worker.until_taken(0).await;
}

async fn http2_over(tcp: TcpStream) -> SendRequest<Empty<Bytes>> {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp))
        .await
        .unwrap();
    actix_web::rt::spawn(connection);
    sender
}

async fn ask(client: &mut SendRequest<Empty<Bytes>>) {
    let request = http::Request::get("http://a/").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
}

#[actix_web::test]
async fn http2_without_a_request_makes_room_for_a_later_connection() {
    let worker = Worker::new(true).await;
    let mut served = http2_over(worker.connect().await).await;
    ask(&mut served).await;
    worker.until_taken(0).await;
    let silent = worker.connect().await;
    worker.until_taken(1).await;
    let later = worker.connect().await;
    until_closed(silent).await;
    ask(&mut http2_over(later).await).await;
    ask(&mut served).await;
    worker.until_taken(0).await;
}
