//! How much memory the unfinished heads of one worker may take.
//!
//! A head may be long, and it may be slow. Many that are both would fill a worker's memory. So they share a limited room:
//! when it is full, the connection whose head is under way the longest is cut. A browser's head is complete within a round trip.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::task::Waker;

/// The first bytes of a head do not count. Most heads are shorter.
const FREE: usize = 4 * 1024;

/// The bytes that count, for all heads together. hyper's buffers may be twice as large as what they hold.
const ROOM: usize = 4 * 1024 * 1024;

/// The room of one worker.
#[derive(Default)]
pub(super) struct Room {
    taken: Cell<usize>,
    /// By a number that counts up, so in the order in which they came.
    guests: RefCell<BTreeMap<u64, Weak<Guest>>>,
    came: Cell<u64>,
}

impl Room {
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
    /// The bytes that count.
    taken: Cell<usize>,
    number: Cell<u64>,
    is_cut: Cell<bool>,
    driver: Cell<Option<Waker>>,
}

impl Guest {
    pub(super) fn new(room: Rc<Room>) -> Rc<Self> {
        Rc::new(Self {
            room,
            taken: Cell::new(0),
            number: Cell::new(0),
            is_cut: Cell::new(false),
            driver: Cell::new(None),
        })
    }

    /// The head has grown to this many bytes and is not complete.
    pub(super) fn grow(self: &Rc<Self>, bytes: usize) {
        let counted = bytes.saturating_sub(FREE);
        let before = self.taken.replace(counted);
        if counted == 0 {
            return;
        }
        let room = &self.room;
        if before == 0 {
            let number = room.came.get();
            room.came.set(number.wrapping_add(1));
            self.number.set(number);
            room.guests.borrow_mut().insert(number, Rc::downgrade(self));
        }
        let taken = room.taken.get().saturating_sub(before);
        room.taken.set(taken.saturating_add(counted));
        while room.taken.get() > ROOM {
            let Some((_, first)) = room.guests.borrow_mut().pop_first() else {
                return;
            };
            if let Some(first) = first.upgrade() {
                log::debug!("a connection was cut: its head took long, and others need the room");
                first.leave();
                first.cut();
            }
        }
    }

    /// The head is complete.
    pub(super) fn leave(&self) {
        self.room.remove(self);
    }

    /// Ends the connection at its next turn.
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
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_ends_first_when_the_room_is_full() {
        // A: 1,500 heads of 130 KB each were kept.
        let room = Rc::new(Room::default());
        let guests: Vec<_> = (0..1000).map(|_| Guest::new(Rc::clone(&room))).collect();
        for guest in &guests {
            guest.grow(FREE);
            guest.grow(60 * 1024);
            assert!(room.taken.get() <= ROOM);
        }
        let kept = guests.iter().filter(|guest| !guest.is_cut()).count();
        assert_eq!(kept, ROOM / (56 * 1024));
        assert!(!guests[999].is_cut() && guests[0].is_cut());
        for guest in &guests {
            guest.leave();
        }
        assert_eq!(room.taken.get(), 0);
        assert!(room.guests.borrow().is_empty());
    }

    #[test]
    fn a_guest_that_comes_again_is_counted_once() {
        let room = Rc::new(Room::default());
        let other = Guest::new(Rc::clone(&room));
        other.grow(FREE + 1);
        let guest = Guest::new(Rc::clone(&room));
        for _ in 0..3 {
            for bytes in [1, FREE + 1, FREE + 10] {
                guest.grow(bytes);
            }
            assert_eq!((room.taken.get(), room.guests.borrow().len()), (11, 2));
            guest.leave();
            assert_eq!((room.taken.get(), room.guests.borrow().len()), (1, 1));
        }
        drop((guest, other));
        assert_eq!(room.taken.get(), 0);
        assert!(room.guests.borrow().is_empty());
    }
}
