use std::future::poll_fn;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::super::exchange::Application;
use super::super::room::Room;
use super::super::{Closing, http1};
use super::*;
use crate::bff::Draining;
use crate::message::{Answer, BoxBody, Payload, Request};

const NO_SHARE: Duration = Duration::MAX;
const LONG: Duration = Duration::from_mins(1);

type Log = Rc<RefCell<Vec<String>>>;

fn intake() -> Rc<Intake> {
    Rc::new(Intake::with_share(NO_SHARE))
}

/// Connections whose requests are there; the first [`FEW`] are in hand.
fn connections(intake: &Rc<Intake>, waiting: usize) -> VecDeque<Rc<Entry>> {
    let cx = Context::from_waker(Waker::noop());
    let all: VecDeque<_> = (0..FEW + waiting)
        .map(|_| Entry::new(Rc::clone(intake)))
        .collect();
    for (nth, entry) in all.iter().enumerate() {
        assert_eq!(entry.poll_enter(&cx).is_ready(), nth < FEW);
    }
    all
}

fn states<'a>(entries: impl IntoIterator<Item = &'a Rc<Entry>>) -> Vec<State> {
    entries.into_iter().map(|entry| entry.state.get()).collect()
}

/// A connection whose request takes its turn and is then never answered.
fn come(intake: &Rc<Intake>, name: usize, log: &Log) -> Rc<Entry> {
    let entry = Entry::new(Rc::clone(intake));
    let (mine, log) = (Rc::clone(&entry), Rc::clone(log));
    actix_web::rt::spawn(async move {
        poll_fn(|cx| mine.poll_enter(cx)).await;
        log.borrow_mut().push(name.to_string());
    });
    entry
}

#[actix_web::test]
async fn what_is_ready_goes_first_and_nobody_waits_for_an_answer() {
    let (intake, log) = (intake(), Log::default());
    let all: Vec<_> = (0..=FEW + 2 * BATCH)
        .map(|name| come(&intake, name, &log))
        .collect();
    let others = Rc::clone(&log);
    let mut left = 20;
    let others = actix_web::rt::spawn(poll_fn(move |cx| {
        others.borrow_mut().push("|".to_owned());
        left -= 1;
        cx.waker().wake_by_ref();
        if left > 0 {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }));
    others.await.unwrap();
    let told = log.borrow().join(" ");
    // Who is woken runs after those that are ready. So at first only the one that was called comes.
    let expected = "0 1 2 3 4 5 6 7 | 8 | 9 10 11 12 | 13 14 15 16 | |";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(intake.in_hand.get(), all.len());
    drop(all);
    assert_eq!(intake.in_hand.get(), 0);
    assert!(intake.waiting.borrow().is_empty());
}

#[test]
fn new_requests_have_their_share_of_the_time() {
    assert_eq!(shares(Duration::ZERO, SHARE), 0);
    assert_eq!(shares(SHARE * 40, SHARE), 40);
    assert_eq!(shares(LONG, NO_SHARE), 0);
    let intake = Rc::new(Intake::with_share(Duration::from_nanos(1)));
    let all = connections(&intake, 200);
    while intake.since.get().elapsed() < Duration::from_micros(1) {}
    all[0].leave();
    assert_eq!(states(all.range(1..)), [State::Inside; FEW + 199]);
}

#[test]
fn an_answer_lets_the_next_one_in() {
    let intake = intake();
    let all = connections(&intake, 3);
    let states = || states(all.range(FEW..));
    assert_eq!(states(), [State::Called, State::Waiting, State::Waiting]);
    all[0].leave();
    all[0].leave();
    assert_eq!(states(), [State::Inside, State::Called, State::Waiting]);
    assert_eq!(intake.in_hand.get(), FEW);
}

#[test]
fn what_was_not_a_request_costs_others_nothing() {
    let intake = intake();
    let all = connections(&intake, 8);
    let cx = Context::from_waker(Waker::noop());
    assert!(all[FEW].poll_enter(&cx).is_ready());
    assert_eq!(intake.in_hand.get(), FEW + BATCH);
    for entry in all.range(FEW..FEW + BATCH) {
        entry.step_back();
    }
    assert_eq!(intake.in_hand.get(), FEW + BATCH);
    assert_eq!(states(all.range(FEW + BATCH..)), [State::Inside; 4]);
}

#[test]
fn who_gives_up_while_it_waits_keeps_nobody_waiting() {
    for is_dropped in [true, false] {
        let intake = intake();
        let mut all = connections(&intake, 6);
        let mut waiting = all.split_off(FEW);
        let gone: Vec<_> = [3, 0, 0]
            .map(|nth| waiting.remove(nth).unwrap())
            .into_iter()
            .inspect(|entry| entry.give_up())
            .collect();
        if is_dropped {
            drop(gone);
        }
        let expected = [State::Called, State::Waiting, State::Waiting];
        assert_eq!(states(&waiting), expected);
        waiting.clear();
        all.pop_front();
        assert_eq!(intake.in_hand.get(), FEW - 1);
        let newcomer = Entry::new(Rc::clone(&intake));
        let cx = Context::from_waker(Waker::noop());
        assert!(newcomer.poll_enter(&cx).is_ready());
    }
}

/// Answers when it is told to, without a look at the body.
struct Told(Rc<Notify>);

impl Application for Told {
    fn answer(&self, _: Request, body: Payload) -> impl Future<Output = Answer> + 'static {
        let told = Rc::clone(&self.0);
        async move {
            told.notified().await;
            drop(body);
            Answer::new(BoxBody::new(()))
        }
    }
}

/// Both ends of a connection.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

/// What it gives tells the application to answer.
fn serve(tcp: TcpStream, intake: &Rc<Intake>, draining: &Arc<Draining>) -> Rc<Notify> {
    let (intake, closing) = (Rc::clone(intake), Closing(Arc::clone(draining)));
    let tell = Rc::new(Notify::new());
    let told = Rc::new(Told(Rc::clone(&tell)));
    actix_web::rt::spawn(async move {
        let room = Rc::new(Room::of_one_in(1));
        http1::serve(tcp, &told, &room, &intake, closing).await;
    });
    tell
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            yield_now().await;
        }
    };
    timeout(LONG, wait).await.unwrap();
}

#[actix_web::test]
async fn a_request_that_waits_when_the_process_ends_is_answered() {
    let intake = intake();
    let _before = connections(&intake, 0);
    let (mut client, tcp) = connected().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let draining = Arc::new(Draining::default());
    serve(tcp, &intake, &draining).notify_one();
    // It runs before the connection's task has its turn.
    let closes = actix_web::rt::spawn(poll_fn(move |cx| {
        if intake.waiting.borrow().is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        draining.close(LONG);
        Poll::Ready(())
    }));
    let mut answer = Vec::new();
    let answered = timeout(LONG, client.read_to_end(&mut answer)).await;
    answered.unwrap().unwrap();
    closes.await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[actix_web::test]
async fn a_connection_that_ends_keeps_nobody_waiting() {
    // What comes behind the head is not read as a request: nobody wanted the body, or it is the last request.
    for (more, begun) in [
        ("content-length: 99999999", ""),
        ("connection: close", ""),
        // An empty line may end a head. Here it is in a chunk.
        ("transfer-encoding: chunked", "2\r\n\r\n\r\n"),
    ] {
        let intake = intake();
        let _before = connections(&intake, 0);
        let (mut client, tcp) = connected().await;
        let tell = serve(tcp, &intake, &Arc::default());
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        until(|| intake.in_hand.get() == FEW + 1).await;
        for behind in [begun.as_bytes(), &[b'x'; 10_000]] {
            client.write_all(behind).await.unwrap();
            for _ in 0..9 {
                yield_now().await;
            }
        }
        tell.notify_one();
        let mut answer = [0; 12];
        let answered = timeout(LONG, client.read_exact(&mut answer)).await;
        answered.unwrap().unwrap();
        let next = Entry::new(Rc::clone(&intake));
        let comes = poll_fn(|cx| next.poll_enter(cx));
        let count = async {
            for _ in 0..9 {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = comes => {}
            () = count => panic!("it waits behind a client that sends on, {more}"),
        }
        assert_eq!(intake.in_hand.get(), FEW + 1, "{more}");
    }
}

#[actix_web::test]
async fn what_is_not_http_is_not_in_hand() {
    let intake = intake();
    let _before = connections(&intake, 0);
    let (mut client, tcp) = connected().await;
    let _tell = serve(tcp, &intake, &Arc::default());
    client.write_all(b"not HTTP\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    timeout(LONG, client.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    // The connection is there for another second.
    assert_eq!(intake.in_hand.get(), FEW);
}
