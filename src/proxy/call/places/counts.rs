//! How many places each client holds, and which client may take a further one.

use std::collections::hash_map::{Entry, HashMap};

use crate::frontend::Spender;

/// The places of one upstream, counted by client.
#[derive(Debug)]
pub(super) struct Counts {
    most: usize,
    free: usize,
    /// Clients that hold none are not here.
    held: HashMap<Spender, usize>,
}

impl Counts {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            free: most,
            held: HashMap::new(),
        }
    }

    /// Takes a place, if this client may have one now.
    pub(super) fn take(&mut self, client: Spender) -> bool {
        let is_granted = self.may_take(client);
        if is_granted {
            self.free -= 1;
            *self.held.entry(client).or_default() += 1;
        }
        is_granted
    }

    /// The last quarter is for clients that hold no more than a quarter.
    pub(super) fn may_take(&self, client: Spender) -> bool {
        self.free > self.most / 4 || (self.free > 0 && !self.holds_too_many(client))
    }

    pub(super) fn give_back(&mut self, client: Spender) {
        self.free += 1;
        if let Entry::Occupied(mut held) = self.held.entry(client) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    /// Whether a client holds more than a quarter of all places.
    pub(super) fn holds_too_many(&self, client: Spender) -> bool {
        let held = self.held.get(&client).copied().unwrap_or(0);
        held.saturating_mul(4) > self.most
    }

    #[cfg(test)]
    pub(super) const fn taken(&self) -> usize {
        self.most.saturating_sub(self.free)
    }

    pub(super) const fn has_free(&self) -> bool {
        self.free > 0
    }

    #[cfg(test)]
    pub(super) fn is_untouched(&self) -> bool {
        self.free == self.most && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::call::places::queue::tests::client;

    /// How many of `most` places one client gets, one after the other, when `others` are taken already.
    fn gets(most: usize, others: u8) -> usize {
        let mut counts = Counts::new(most);
        for n in 0..others {
            assert!(counts.take(client(100 + n)), "one each");
        }
        (0..=most).take_while(|_| counts.take(client(1))).count()
    }

    #[test]
    fn one_client_gets_three_quarters_and_each_other_one_finds_a_place() {
        // B of the review
        for (most, alone) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (8, 6), (100, 75)] {
            assert_eq!(gets(most, 0), alone, "{most}");
        }
        // It shares what is not in the last quarter with others, and always gets its own quarter and one.
        assert_eq!(gets(8, 2), 4);
        assert_eq!(gets(8, 4), 3);
        assert_eq!(gets(8, 5), 3);
        assert_eq!(gets(8, 7), 1);
        assert_eq!(gets(8, 8), 0);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut counts = Counts::new(4);
        for _ in 0..3 {
            assert!(counts.take(client(1)));
        }
        assert!(!counts.take(client(1)));
        assert!(counts.take(client(2)));
        assert!(!counts.take(client(3)), "all are taken");
        counts.give_back(client(2));
        assert!(!counts.take(client(1)));
        counts.give_back(client(1));
        assert!(counts.take(client(1)), "two were free");
        for _ in 0..3 {
            counts.give_back(client(1));
        }
        assert!(counts.is_untouched());
    }
}
