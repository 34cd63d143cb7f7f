//! In which order a worker takes up the requests of HTTP/1: it goes on with those that it has before new ones come.
//!
//! A request has two parts here: before its upstream answers, and after. It is in hand from when its head is read until the head
//! of its answer is ready. A worker that takes up every request at once has many in hand. When it comes to the second part of
//! one, that one's memory has left the processor's cache. With 256 busy connections a request took a tenth to a fifth more CPU
//! time, and everybody waited longer.
//!
//! # Invariants
//! - If nobody waits, a worker that has few requests in hand ([`FEW`]) takes up a new one at once.
//! - Otherwise a new one waits, first come, first served. The first one in the queue is called: it has its turn behind all tasks
//!   that are ready then, and lets some more in ([`BATCH`]).
//! - Nobody waits for an upstream. An answer that leaves few in hand lets the next one in at once.
//! - New requests have a share of the time ([`SHARE`]), however much there is to do for others.
//! - Who is called reads, or gives up. A connection that is not read any more would keep the queue waiting.
//!
//! # What does not wait
//! A request that came in one read with the one before does not wait. Nor does the rest of a head of which a part was read since
//! the last answer. Each is counted when its head is whole. Streams of HTTP/2 do not wait and are not counted: one read of a
//! connection may bring several of them. A part of a TLS record has its turn like a request, and the rest of it another one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How many requests may be in hand while new ones are taken up at once.
const FEW: usize = 8;

/// How many come in at the turn of the one that is called, itself included.
const BATCH: usize = 4;

/// For each such time since somebody was let in, one more comes in; the remainder is lost. A request takes some 30 µs of CPU time. So new ones get a fifth of the
/// time at least, however many downloads there are.
const SHARE: Duration = Duration::from_micros(128);

/// The requests of one listener that a worker has in hand, and those that wait.
pub(super) struct Intake {
    in_hand: Cell<usize>,
    /// The first of them that still waits is called.
    waiting: RefCell<VecDeque<Weak<Entry>>>,
    /// From when the share is counted.
    since: Cell<Instant>,
    share: Duration,
}

impl Default for Intake {
    fn default() -> Self {
        Self::with_share(SHARE)
    }
}

impl Intake {
    fn with_share(share: Duration) -> Self {
        Self {
            in_hand: Cell::new(0),
            waiting: RefCell::default(),
            since: Cell::new(Instant::now()),
            share,
        }
    }

    fn count(&self) {
        self.in_hand.set(self.in_hand.get().saturating_add(1));
    }

    /// Lets the first one in that waits. Says whether there was one.
    fn let_in(&self) -> bool {
        loop {
            let Some(first) = self.waiting.borrow_mut().pop_front() else {
                return false;
            };
            if let Some(first) = first.upgrade()
                && first.is_waiting()
            {
                self.count();
                first.state.set(State::Inside);
                first.wake();
                return true;
            }
        }
    }

    /// Lets so many in, and more for the time that went by. Then the next one is called.
    fn let_some_in(&self, some: usize) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since.replace(now));
        for _ in 0..some.saturating_add(shares(took, self.share)) {
            if !self.let_in() {
                return;
            }
        }
        self.call();
    }

    /// Calls the first one that waits: its task runs when all tasks have run that are ready now.
    fn call(&self) {
        loop {
            let Some(first) = self.waiting.borrow().front().map(Weak::upgrade) else {
                return;
            };
            if let Some(first) = first
                && first.is_waiting()
            {
                if first.state.replace(State::Called) != State::Called {
                    first.wake();
                }
                return;
            }
            self.waiting.borrow_mut().pop_front();
        }
    }
}

/// How many more come in for the time that went by.
fn shares(took: Duration, share: Duration) -> usize {
    let shares = took.as_nanos().checked_div(share.as_nanos());
    shares.map_or(0, |shares| usize::try_from(shares).unwrap_or(usize::MAX))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// There is not a request, as far as is known.
    Outside,
    /// The next request is there and waits.
    Waiting,
    /// It is the first of those that wait, and its task was woken.
    Called,
    /// It may be read, or was; the head of its answer is not ready.
    Inside,
}

/// Where a connection's requests come in.
pub(super) struct Entry {
    intake: Rc<Intake>,
    state: Cell<State>,
    task: Cell<Option<Waker>>,
}

impl Entry {
    pub(super) fn new(intake: Rc<Intake>) -> Rc<Self> {
        Rc::new(Self {
            intake,
            state: Cell::new(State::Outside),
            task: Cell::new(None),
        })
    }

    /// The next request is there. Ready when it may be read.
    pub(super) fn poll_enter(self: &Rc<Self>, cx: &Context<'_>) -> Poll<()> {
        let intake = &self.intake;
        match self.state.get() {
            State::Inside => return Poll::Ready(()),
            State::Waiting => return Poll::Pending,
            State::Called => {
                intake.let_some_in(BATCH);
                return Poll::Ready(());
            }
            State::Outside => {}
        }
        let is_first = intake.waiting.borrow().is_empty();
        if is_first && intake.in_hand.get() < FEW {
            self.begin();
            return Poll::Ready(());
        }
        self.state.set(State::Waiting);
        self.task.set(Some(cx.waker().clone()));
        intake.waiting.borrow_mut().push_back(Rc::downgrade(self));
        if is_first {
            intake.since.set(Instant::now());
            intake.call();
        }
        Poll::Pending
    }

    /// A request begins, whether or not it had to come in.
    pub(super) fn begin(&self) {
        let before = self.state.replace(State::Inside);
        if before != State::Inside {
            self.intake.count();
        }
        if before == State::Called {
            self.intake.call();
        }
    }

    /// Whether a request waits, or has come in.
    pub(super) fn is_expecting(&self) -> bool {
        self.state.get() != State::Outside
    }

    /// The head of its answer is ready: the worker has it in hand no more.
    pub(super) fn leave(&self) {
        if self.step_out() && self.intake.in_hand.get() < FEW {
            self.intake.let_some_in(1);
        }
    }

    /// There is not a whole request yet. So the next one comes in instead.
    pub(super) fn step_back(&self) {
        if self.step_out() {
            self.intake.let_some_in(1);
        } else {
            self.give_up();
        }
    }

    /// Nobody reads here any more.
    pub(super) fn give_up(&self) {
        match self.state.get() {
            State::Outside => {}
            State::Inside => self.leave(),
            State::Waiting => self.state.set(State::Outside),
            State::Called => {
                self.state.set(State::Outside);
                self.intake.call();
            }
        }
    }

    /// Whether it was inside.
    fn step_out(&self) -> bool {
        let is_inside = self.state.get() == State::Inside;
        if is_inside {
            self.state.set(State::Outside);
            let in_hand = self.intake.in_hand.get().saturating_sub(1);
            self.intake.in_hand.set(in_hand);
        }
        is_inside
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state.get(), State::Waiting | State::Called)
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
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
}
