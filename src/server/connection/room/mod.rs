//! How much memory the connections of one worker may take that have begun a TLS handshake or a request's head and not ended it.
//!
//! Such a connection has buffers already, and a long head needs more of them. Many would fill a worker's memory. So they share a
//! limited room: when it is full, the connection that waits the longest is cut. A browser's head is complete within a round trip.
//! A head that comes in one piece takes nothing of the room, a handshake always some.
//!
//! Nobody sees whether a head has begun on a connection of HTTP/2, and its buffers are there from its start. So it takes room until
//! its first request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::task::Waker;

/// The first bytes of a head need no buffers of their own. Most heads are shorter.
const FREE: usize = 4 * 1024;

/// The room of all workers together: a thousand connections with TLS.
const ALL: usize = 24 * 1024 * 1024;

/// The room that a worker has at least, however many there are: a flood of handshakes must leave a head the time of a round trip.
const LEAST: usize = 4 * 1024 * 1024;

/// The room of one worker.
pub(super) struct Room {
    bytes: usize,
    taken: Cell<usize>,
    /// By a number that counts up, so in the order in which they came.
    guests: RefCell<BTreeMap<u64, Weak<Guest>>>,
    came: Cell<u64>,
}

impl Room {
    /// The part of one worker among so many.
    pub(super) fn of_one_in(workers: usize) -> Self {
        Self::new(ALL.checked_div(workers).unwrap_or(ALL).max(LEAST))
    }

    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            taken: Cell::new(0),
            guests: RefCell::default(),
            came: Cell::new(0),
        }
    }

    fn remove(&self, guest: &Guest) {
        let taken = guest.taken.replace(0);
        if taken > 0 {
            self.taken.set(self.taken.get().saturating_sub(taken));
            self.guests.borrow_mut().remove(&guest.number.get());
        }
    }
}

/// A connection, as far as the room knows it: how much it takes, and how it is cut.
pub(super) struct Guest {
    room: Rc<Room>,
    /// What its buffers take.
    buffers: usize,
    /// What it takes of the room.
    taken: Cell<usize>,
    number: Cell<u64>,
    is_cut: Cell<bool>,
    driver: Cell<Option<Waker>>,
}

impl Guest {
    pub(super) fn new(room: Rc<Room>, buffers: usize) -> Rc<Self> {
        Rc::new(Self {
            room,
            buffers,
            taken: Cell::new(0),
            number: Cell::new(0),
            is_cut: Cell::new(false),
            driver: Cell::new(None),
        })
    }

    /// The head has grown to this many bytes and is not complete.
    pub(super) fn grow(self: &Rc<Self>, bytes: usize) {
        // hyper's buffer may be twice as large as what it holds.
        let more = bytes.saturating_sub(FREE).saturating_mul(2);
        if more > 0 {
            self.take(self.buffers.saturating_add(more));
        }
    }

    /// Nothing more has come for now, and the head is not complete.
    pub(super) fn wait(self: &Rc<Self>) {
        if self.taken.get() == 0 {
            self.take(self.buffers);
        }
    }

    fn take(self: &Rc<Self>, bytes: usize) {
        let before = self.taken.replace(bytes);
        let room = &self.room;
        if before == 0 {
            let number = room.came.get();
            room.came.set(number.wrapping_add(1));
            self.number.set(number);
            room.guests.borrow_mut().insert(number, Rc::downgrade(self));
        }
        let taken = room.taken.get().saturating_sub(before);
        room.taken.set(taken.saturating_add(bytes));
        while room.taken.get() > room.bytes {
            let Some((_, first)) = room.guests.borrow_mut().pop_first() else {
                return;
            };
            if let Some(first) = first.upgrade() {
                log::debug!(
                    "a connection was cut: its handshake or request took long, and others need the room"
                );
                first.leave();
                first.cut();
            }
        }
    }

    /// The head is complete.
    pub(super) fn leave(&self) {
        self.room.remove(self);
    }

    /// Ends the connection when its task next runs.
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Which task to wake when the connection is cut.
    pub(super) fn driven_by(&self, driver: &Waker) {
        self.driver.set(Some(driver.clone()));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.room.remove(self);
    }
}

#[cfg(test)]
mod tests;
