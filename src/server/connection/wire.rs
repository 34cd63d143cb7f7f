//! The state of one connection. The stream, the requests on it and the task that drives them tell each other by it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use actix_web::body::BoxBody;
use bytes::Bytes;
use tokio::io::AsyncRead;

use super::head::Heads;
use super::intake::{Entry, Intake};
use super::room::{Guest, Room};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Nothing has come since the last answer, or since the connection began.
    Idle,
    /// A request's head has begun.
    Head,
    /// Requests are being answered. Each has limits of its own.
    Busy,
}

/// The state of one connection.
pub(super) struct Wire {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Requests whose answers have not ended, and bodies that somebody may still read.
    open: Cell<usize>,
    /// When bytes of a request or of an answer last moved.
    moved: Cell<Instant>,
    /// Whether the client has sent its last byte.
    has_ended: Cell<bool>,
    /// The heads among the bytes that have come.
    pub(super) heads: RefCell<Heads>,
    /// Whether a request has come.
    pub(super) has_served: Cell<bool>,
    /// Whether anything was written since the current head began.
    pub(super) has_answered: Cell<bool>,
    /// Whether an answer is under way that ends with the connection (RFC 9112 §6.3, HTTP/1.0): until it is whole, the
    /// connection must not end in order.
    pub(super) is_part: Cell<bool>,
    /// Whether all that was written has left.
    pub(super) is_flushed: Cell<bool>,
    /// The length of the head that is not complete.
    head_bytes: Cell<usize>,
    /// It takes some of the worker's room, and may be cut for it.
    guest: Rc<Guest>,
    /// Its requests come in here.
    entry: Rc<Entry>,
    /// The body of a 101: what follows is no longer HTTP.
    pub(super) switched: RefCell<Option<BoxBody>>,
    /// What the client sends after a 101.
    pub(super) raw: Rc<Raw>,
}

impl Wire {
    /// `buffers`: what the connection's buffers take of the worker's room.
    pub(super) fn new(room: Rc<Room>, buffers: usize, intake: Rc<Intake>) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            open: Cell::new(0),
            moved: Cell::new(now),
            has_ended: Cell::new(false),
            heads: RefCell::default(),
            has_served: Cell::new(false),
            has_answered: Cell::new(false),
            is_part: Cell::new(false),
            is_flushed: Cell::new(true),
            head_bytes: Cell::new(0),
            guest: Guest::new(room, buffers),
            entry: Entry::new(intake),
            switched: RefCell::new(None),
            raw: Rc::default(),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// When the present phase began.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }

    /// How many requests are being answered.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// When a request or an answer last made progress.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// Bytes of a request or of an answer have moved.
    pub(super) fn moves(&self) {
        self.moved.set(Instant::now());
    }

    /// Bytes have come. Between two requests they begin the next one's head.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut heads = self.heads.borrow_mut();
        if self.phase.get() == Phase::Idle {
            heads.rest();
            self.has_answered.set(false);
            self.enter(Phase::Head);
        }
        heads.pass(bytes);
        if self.phase.get() == Phase::Head {
            let bytes = self.head_bytes.get().saturating_add(bytes.len());
            self.head_bytes.set(bytes);
            self.guest.grow(bytes);
        }
    }

    /// Bytes are there. Ready when they may be read: those of a new request wait for its turn.
    pub(super) fn poll_enter(&self, cx: &Context<'_>) -> Poll<()> {
        self.entry.poll_enter(cx)
    }

    /// Whether a new request is there, or may be, that was not read.
    pub(super) fn is_expecting(&self) -> bool {
        self.phase.get() == Phase::Idle && self.entry.is_expecting()
    }

    /// Whether the next bytes may begin a request. hyper also reads the rest of a body that nobody wanted, and looks whether
    /// the client is still there. Of a chunked body that cannot always be told: hyper reads it once, and is done.
    pub(super) fn awaits_request(&self) -> bool {
        self.phase.get() == Phase::Idle
            && self.is_flushed.get()
            && !self.heads.borrow().is_amid_body()
    }

    /// The request is answered, as far as the head.
    pub(super) fn leave(&self) {
        self.entry.leave();
    }

    /// There is not a whole head yet.
    pub(super) fn step_back(&self) {
        self.entry.step_back();
    }

    /// hyper reads no more.
    pub(super) fn give_up(&self) {
        self.entry.give_up();
    }

    /// The client has sent its last byte.
    pub(super) fn ends(&self) {
        self.has_ended.set(true);
        self.moves();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// Whether the client has sent its last byte behind a whole request, and may wait for the answer.
    pub(super) fn may_wait(&self) -> bool {
        self.has_ended.get()
            && self.phase.get() == Phase::Busy
            && !self.heads.borrow().is_amid_body()
    }

    /// Bytes are on their way to the client.
    pub(super) fn wrote(&self) {
        self.is_flushed.set(false);
        self.has_answered.set(true);
    }

    /// A request's head is complete.
    pub(super) fn begin(&self) {
        self.hold();
        self.entry.begin();
        self.head_bytes.set(0);
        self.guest.leave();
        self.enter(Phase::Busy);
    }

    /// There is one thing more to wait for: an answer, or a body that somebody may still read.
    pub(super) fn hold(&self) {
        self.open.set(self.open.get().saturating_add(1));
        self.has_served.set(true);
    }

    /// There is one thing less, whole or not.
    pub(super) fn end(&self) {
        let open = self.open.get().saturating_sub(1);
        self.open.set(open);
        if open == 0 {
            self.entry.leave();
            self.enter(Phase::Idle);
        }
    }

    /// Whether the client has sent more than the request that is being answered, so that hyper does not read on.
    pub(super) fn is_ahead(&self) -> bool {
        self.phase.get() == Phase::Busy && self.open.get() == 1 && self.heads.borrow().are_ahead()
    }

    /// A head is not complete, and nothing more has come for now.
    pub(super) fn wait(&self) {
        self.guest.wait();
    }

    /// Ends the connection at its next turn.
    pub(super) fn cut(&self) {
        self.guest.cut();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.guest.is_cut()
    }

    /// Which task to wake when the connection is cut.
    pub(super) fn driven_by(&self, driver: &Waker) {
        self.guest.driven_by(driver);
    }

    fn enter(&self, phase: Phase) {
        let now = Instant::now();
        self.phase.set(phase);
        self.since.set(now);
        self.moved.set(now);
    }
}

/// The client's bytes after a 101, for the task that reads the request's payload.
#[derive(Default)]
pub(super) struct Raw {
    state: RefCell<RawState>,
    waiting: Cell<Option<Waker>>,
    is_abandoned: Cell<bool>,
    writer: Cell<Option<Waker>>,
}

#[derive(Default)]
pub(super) enum RawState {
    /// There is no 101 yet, and there may never be one.
    #[default]
    Waiting,
    /// First the bytes that came with the request, then the connection itself.
    Open(Bytes, Box<dyn AsyncRead + Unpin>),
    /// Nothing more comes.
    Closed,
}

impl Raw {
    pub(super) fn state(&self) -> std::cell::RefMut<'_, RawState> {
        self.state.borrow_mut()
    }

    pub(super) fn wait(&self, waker: &Waker) {
        self.waiting.set(Some(waker.clone()));
    }

    /// Nobody reads the client's bytes any more.
    pub(super) fn abandon(&self) {
        self.is_abandoned.set(true);
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Waits until nobody reads the client's bytes any more.
    pub(super) async fn abandoned(&self) {
        poll_fn(|cx| {
            if self.is_abandoned.get() {
                return Poll::Ready(());
            }
            self.writer.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Changes the state, and wakes the task that waits for it.
    pub(super) fn set(&self, state: RawState) {
        self.state.replace(state);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}
