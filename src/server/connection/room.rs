//! How much memory the unfinished heads of one worker may take.
//!
//! A head may be long, and it may be slow. Many that are both would fill a worker's memory. So they share a limited room:
//! when it is full, the connection whose head is under way the longest is cut. A browser's head is complete within a round trip.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::wire::Wire;

/// The first bytes of a head do not count. Most heads are shorter.
const FREE: usize = 4 * 1024;

/// The bytes that count, for all heads together. hyper's buffers may be twice as large as what they hold.
const ROOM: usize = 4 * 1024 * 1024;

/// The room of one worker.
#[derive(Default)]
pub(super) struct Room {
    taken: Cell<usize>,
    /// By a number that counts up, so in the order in which they came.
    guests: RefCell<BTreeMap<u64, Weak<Wire>>>,
    came: Cell<u64>,
}

impl Room {
    /// A head has grown to this many bytes and is not complete.
    pub(super) fn grow(&self, wire: &Rc<Wire>, bytes: usize) {
        let counted = bytes.saturating_sub(FREE);
        let before = wire.room_taken.replace(counted);
        if counted == 0 {
            return;
        }
        if before == 0 {
            let number = self.came.get();
            self.came.set(number.wrapping_add(1));
            wire.room_number.set(number);
            self.guests.borrow_mut().insert(number, Rc::downgrade(wire));
        }
        let taken = self.taken.get().saturating_sub(before);
        self.taken.set(taken.saturating_add(counted));
        while self.taken.get() > ROOM {
            let Some((_, first)) = self.guests.borrow_mut().pop_first() else {
                return;
            };
            if let Some(first) = first.upgrade() {
                log::debug!("a connection was cut: its head took long, and others need the room");
                self.leave(&first);
                first.cut();
            }
        }
    }

    /// A head is complete, or its connection is over.
    pub(super) fn leave(&self, wire: &Wire) {
        let taken = wire.room_taken.replace(0);
        if taken > 0 {
            self.taken.set(self.taken.get().saturating_sub(taken));
            self.guests.borrow_mut().remove(&wire.room_number.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_ends_first_when_the_room_is_full() {
        // A: 1,500 heads of 130 KB each were kept.
        let room = Rc::new(Room::default());
        let wires: Vec<_> = (0..1000).map(|_| Wire::new(Rc::clone(&room))).collect();
        for wire in &wires {
            room.grow(wire, FREE);
            room.grow(wire, 60 * 1024);
            assert!(room.taken.get() <= ROOM);
        }
        let kept = wires.iter().filter(|wire| !wire.is_cut()).count();
        assert_eq!(kept, ROOM / (56 * 1024));
        assert!(!wires[999].is_cut() && wires[0].is_cut());
        for wire in &wires {
            room.leave(wire);
        }
        assert_eq!(room.taken.get(), 0);
        assert!(room.guests.borrow().is_empty());
    }

    #[test]
    fn a_guest_that_comes_again_is_counted_once() {
        let room = Rc::new(Room::default());
        let other = Wire::new(Rc::clone(&room));
        room.grow(&other, FREE + 1);
        let wire = Wire::new(Rc::clone(&room));
        for _ in 0..3 {
            for bytes in [1, FREE + 1, FREE + 10] {
                room.grow(&wire, bytes);
            }
            assert_eq!((room.taken.get(), room.guests.borrow().len()), (11, 2));
            room.leave(&wire);
            assert_eq!((room.taken.get(), room.guests.borrow().len()), (1, 1));
        }
        drop((wire, other));
        assert_eq!(room.taken.get(), 0);
        assert!(room.guests.borrow().is_empty());
    }
}
