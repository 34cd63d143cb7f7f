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

/// For each such time since somebody was let in, one more comes in; the remainder is lost. A request takes some 30 µs of CPU
/// time. So new ones get about a fifth of the time at least, however many downloads there are.
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
mod tests;
