//! In which order a worker takes requests up: first it goes on with those that it has, then come new ones.
//!
//! A request has two parts here: before its upstream answers, and after. A worker that takes up every request at once has many
//! in hand, and by the second part of each its memory has left the processor's cache. With 256 busy connections that makes a
//! request a fifth dearer, and everybody waits longer.
//!
//! # Invariants
//! - A worker that has few requests in hand ([`FEW`]) takes up a new one at once.
//! - Another one waits until whatever was ready before it has had its turn. It never waits for an upstream.
//! - New requests come in by the order of their arrival, and with their share of the time ([`SHARE`]).
//!
//! Streams of HTTP/2 do not wait: one read brings requests of several, and a client's parts of others.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How many requests may be in hand while new ones are taken up at once.
const FEW: usize = 8;

/// How many come in at a time when there are more.
const BATCH: usize = 4;

/// One more comes in for each such time that the others took. A request takes some 30 µs, so new ones get a fifth of the time
/// at least, be there ever so many downloads.
const SHARE: Duration = Duration::from_micros(128);

/// The requests that one worker has in hand, and those that wait.
#[derive(Default)]
pub(super) struct Intake {
    in_hand: Cell<usize>,
    waiting: RefCell<VecDeque<Weak<Entry>>>,
    /// When the first of them was called.
    called_at: Cell<Option<Instant>>,
}

impl Intake {
    /// Lets the first one that waits come in. Says whether it had been called.
    fn let_in(&self) -> Option<State> {
        loop {
            let first = self.waiting.borrow_mut().pop_front()?;
            if let Some(first) = first.upgrade() {
                self.in_hand.set(self.in_hand.get().saturating_add(1));
                first.wake();
                return Some(first.state.replace(State::Inside));
            }
        }
    }

    /// Calls the first one that waits: its task runs when all tasks have run that are ready now.
    fn call(&self) {
        loop {
            let Some(first) = self.waiting.borrow().front().map(Weak::upgrade) else {
                return;
            };
            if let Some(first) = first {
                self.called_at.set(Some(Instant::now()));
                first.state.set(State::Called);
                return first.wake();
            }
            self.waiting.borrow_mut().pop_front();
        }
    }

    /// The one that was called has its turn, and brings the next few with it.
    fn answer(&self) {
        let took = self.called_at.take().map(|at| at.elapsed());
        let shares = took.unwrap_or_default().as_micros() / SHARE.as_micros();
        let more = usize::try_from(shares).unwrap_or(usize::MAX);
        for _ in 0..BATCH.saturating_add(more) {
            if self.let_in().is_none() {
                return;
            }
        }
        self.call();
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// There is not a request, as far as is known.
    Outside,
    /// The next request is there and waits.
    Waiting,
    /// It is the first of those that wait, and its task was woken.
    Called,
    /// It may be read, or was, and is not answered.
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
                intake.answer();
                return Poll::Ready(());
            }
            State::Outside => {}
        }
        let is_first = intake.waiting.borrow().is_empty();
        if is_first && intake.in_hand.get() < FEW {
            intake.in_hand.set(intake.in_hand.get().saturating_add(1));
            self.state.set(State::Inside);
            return Poll::Ready(());
        }
        self.state.set(State::Waiting);
        self.task.set(Some(cx.waker().clone()));
        intake.waiting.borrow_mut().push_back(Rc::downgrade(self));
        if is_first {
            intake.call();
        }
        Poll::Pending
    }

    /// Whether a request waits, or has come in.
    pub(super) fn is_expecting(&self) -> bool {
        self.state.get() != State::Outside
    }

    /// The request is not in the worker's hands any more, or there was none.
    pub(super) fn leave(&self) {
        if self.state.get() != State::Inside {
            return;
        }
        self.state.set(State::Outside);
        let intake = &self.intake;
        intake.in_hand.set(intake.in_hand.get().saturating_sub(1));
        if intake.in_hand.get() < FEW && intake.let_in() == Some(State::Called) {
            intake.call();
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.leave();
        if self.state.get() == State::Called {
            self.intake.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};
    use std::sync::Arc;
    use std::thread::sleep;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::super::exchange::Application;
    use super::super::room::Room;
    use super::super::{Closing, http1};
    use super::*;
    use crate::bff::Draining;
    use crate::message::{Answer, BoxBody, Payload, Request};

    type Log = Rc<RefCell<Vec<String>>>;

    fn entry(intake: &Rc<Intake>) -> Rc<Entry> {
        Entry::new(Rc::clone(intake))
    }

    /// A connection whose request takes its turn and is then never answered.
    fn come(intake: &Rc<Intake>, name: usize, log: &Log) -> Rc<Entry> {
        let entry = entry(intake);
        let (mine, log) = (Rc::clone(&entry), Rc::clone(log));
        actix_web::rt::spawn(async move {
            poll_fn(|cx| mine.poll_enter(cx)).await;
            log.borrow_mut().push(name.to_string());
        });
        entry
    }

    /// Lets every task run once that is ready.
    async fn pass(log: &Log) {
        log.borrow_mut().push("|".to_owned());
        yield_now().await;
    }

    fn told(log: &Log) -> String {
        log.borrow().join(" ")
    }

    #[actix_web::test]
    async fn a_worker_with_few_requests_takes_up_new_ones_at_once() {
        let (intake, log) = (Rc::new(Intake::default()), Log::default());
        let _all: Vec<_> = (0..FEW).map(|name| come(&intake, name, &log)).collect();
        pass(&log).await;
        assert_eq!(told(&log), "| 0 1 2 3 4 5 6 7");
        assert_eq!(intake.in_hand.get(), FEW);
    }

    #[actix_web::test]
    async fn more_come_in_by_order_and_need_no_answer_of_another() {
        let (intake, log) = (Rc::new(Intake::default()), Log::default());
        let all: Vec<_> = (0..200).map(|name| come(&intake, name, &log)).collect();
        let mut passes = 0;
        while log.borrow().len() < all.len() {
            passes += 1;
            assert!(passes <= all.len());
            yield_now().await;
        }
        let expected: Vec<_> = (0..200).map(|name| name.to_string()).collect();
        assert_eq!(*log.borrow(), expected);
        assert!(passes > 2, "{passes}: all came in at once");
        assert_eq!(intake.in_hand.get(), all.len());
        drop(all);
        assert_eq!(intake.in_hand.get(), 0);
        assert!(intake.waiting.borrow().is_empty());
    }

    #[actix_web::test]
    async fn what_is_ready_goes_first() {
        let (intake, log) = (Rc::new(Intake::default()), Log::default());
        let _all: Vec<_> = (0..FEW + 2 * BATCH)
            .map(|name| come(&intake, name, &log))
            .collect();
        for _ in 0..3 {
            let log = Rc::clone(&log);
            actix_web::rt::spawn(async move { log.borrow_mut().push("other".to_owned()) });
        }
        pass(&log).await;
        let before = "| 0 1 2 3 4 5 6 7 other other other 8";
        assert!(told(&log).starts_with(before), "{}", told(&log));
    }

    #[test]
    fn new_requests_have_their_share_of_the_time() {
        for (took, come_in) in [(0, BATCH), (40, BATCH + 40)] {
            let intake = Rc::new(Intake::default());
            let all: Vec<_> = (0..FEW + 200).map(|_| entry(&intake)).collect();
            let cx = Context::from_waker(Waker::noop());
            for entry in &all {
                let is_in = entry.poll_enter(&cx).is_ready();
                assert_eq!(is_in, entry.state.get() == State::Inside);
            }
            if took > 0 {
                sleep(SHARE * took);
            }
            assert!(all[FEW].poll_enter(&cx).is_ready());
            let came = intake.in_hand.get() - FEW;
            assert!(came >= come_in, "{came} came in after {took} shares");
            assert!(took > 0 || came < 100, "{came} came in at once");
        }
    }

    #[test]
    fn an_answer_lets_the_next_one_in() {
        let intake = Rc::new(Intake::default());
        let all: Vec<_> = (0..FEW + 3).map(|_| entry(&intake)).collect();
        let cx = Context::from_waker(Waker::noop());
        for entry in &all {
            let _ = entry.poll_enter(&cx);
        }
        let states = || {
            all[FEW..]
                .iter()
                .map(|entry| entry.state.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(states(), [State::Called, State::Waiting, State::Waiting]);
        all[0].leave();
        all[0].leave();
        assert_eq!(states(), [State::Inside, State::Called, State::Waiting]);
        assert_eq!(intake.in_hand.get(), FEW);
    }

    #[test]
    fn a_client_that_leaves_while_it_waits_keeps_nobody_waiting() {
        let intake = Rc::new(Intake::default());
        let mut all: VecDeque<_> = (0..FEW + 6).map(|_| entry(&intake)).collect();
        let cx = Context::from_waker(Waker::noop());
        for entry in &all {
            let _ = entry.poll_enter(&cx);
        }
        let mut waiting = all.split_off(FEW);
        waiting.remove(3);
        waiting.pop_front();
        waiting.pop_front();
        let states: Vec<_> = waiting.iter().map(|entry| entry.state.get()).collect();
        assert_eq!(states, [State::Called, State::Waiting, State::Waiting]);
        waiting.clear();
        all.pop_front();
        assert_eq!(intake.in_hand.get(), FEW - 1);
        let newcomer = entry(&intake);
        assert!(newcomer.poll_enter(&cx).is_ready());
    }

    struct Always;

    impl Application for Always {
        fn answer(&self, _: Request, _: Payload) -> impl Future<Output = Answer> + 'static {
            ready(Answer::new(BoxBody::new(())))
        }
    }

    #[actix_web::test]
    async fn a_request_that_waits_when_the_process_ends_is_answered() {
        let intake = Rc::new(Intake::default());
        let cx = Context::from_waker(Waker::noop());
        let before: Vec<_> = (0..FEW).map(|_| entry(&intake)).collect();
        assert!(before.iter().all(|entry| entry.poll_enter(&cx).is_ready()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let (draining, waits) = (Arc::new(Draining::default()), Rc::clone(&intake));
        let closing = Closing(Arc::clone(&draining));
        actix_web::rt::spawn(async move {
            let room = Rc::new(Room::of_one_in(1));
            http1::serve(tcp, &Rc::new(Always), &room, &waits, closing).await;
        });
        // It runs before the connection's task has its turn.
        let closes = actix_web::rt::spawn(poll_fn(move |cx| {
            if intake.waiting.borrow().is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            draining.close(Duration::from_mins(1));
            Poll::Ready(())
        }));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let answered = timeout(Duration::from_mins(1), client.read_to_end(&mut answer)).await;
        answered.unwrap().unwrap();
        closes.await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
}
