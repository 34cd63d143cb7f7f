//! How many places each address holds, and which request may take a further one.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt as _};

use super::asker::Asker;
use crate::frontend::Spender;

/// Which of two requests comes first. The later in this list, the earlier its turn.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// Nobody's, and its address holds more than a quarter of the places.
    Greedy,
    /// A user's whose address holds more than a quarter: others may have it too.
    UserAmongGreedy,
    /// Nobody's. Its address holds at most a quarter.
    Modest,
    /// A user's. Its address holds at most a quarter.
    ModestUser,
}

impl Rank {
    const ALL: usize = 4;

    const fn of(is_modest: bool, is_signed_in: bool) -> Self {
        match (is_modest, is_signed_in) {
            (false, false) => Self::Greedy,
            (false, true) => Self::UserAmongGreedy,
            (true, false) => Self::Modest,
            (true, true) => Self::ModestUser,
        }
    }

    /// How many of `most` places must stay free for others.
    const fn leaves(self, most: usize) -> usize {
        match self {
            Self::Greedy => most / 4,
            // More than the next rank: one user's answers that last must leave something to everybody else.
            Self::UserAmongGreedy => most / 8 + most / 16,
            Self::Modest => most / 8,
            Self::ModestUser => 0,
        }
    }
}

/// The places of one upstream, counted by address, and the requests that wait for one.
#[derive(Debug)]
pub(super) struct Counts {
    most: usize,
    free: usize,
    /// Addresses for which there is nothing to count are not here.
    addresses: HashMap<Spender, Count>,
    /// How many requests of each rank wait.
    waiting: [usize; Rank::ALL],
}

/// What is counted for one address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    held: usize,
    /// Requests of nobody that wait, and those of users.
    waiting: (usize, usize),
}

impl Counts {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            free: most,
            addresses: HashMap::new(),
            waiting: [0; Rank::ALL],
        }
    }

    /// Takes a place, if this request may have one now.
    pub(super) fn take(&mut self, asker: Asker) -> bool {
        // While so many are free, every rank has one, and there is nothing to look up.
        let is_granted = self.free > Rank::Greedy.leaves(self.most)
            || self.free > self.rank(asker).leaves(self.most);
        if is_granted {
            self.free -= 1;
            self.count(asker.address, |count| count.held += 1);
        }
        is_granted
    }

    pub(super) fn give_back(&mut self, asker: Asker) {
        self.free += 1;
        self.count(asker.address, |count| count.held -= 1);
    }

    /// A request has begun to wait.
    pub(super) fn wait(&mut self, asker: Asker) {
        self.count(asker.address, |count| *count.waiting_as(asker) += 1);
    }

    /// A request waits no more.
    pub(super) fn leave(&mut self, asker: Asker) {
        self.count(asker.address, |count| *count.waiting_as(asker) -= 1);
    }

    /// Whether an address holds more than a quarter of all places.
    pub(super) fn holds_too_many(&self, address: Spender) -> bool {
        let count = self.addresses.get(&address);
        count.is_some_and(|count| !self.is_modest(*count))
    }

    /// Whether all requests that wait come before this one.
    pub(super) fn comes_last(&self, asker: Asker) -> bool {
        self.rank(asker) == Rank::Greedy
    }

    /// How many requests wait that come before this one, wherever they stand in the queue.
    pub(super) fn waiting_before(&self, asker: Asker) -> usize {
        let later = self.rank(asker) as usize + 1;
        self.waiting.iter().skip(later).sum()
    }

    /// How many requests wait for which this address is to give a place up if it is slow: its own, and those of addresses that
    /// hold at most a quarter. An address that waits because it holds too many itself takes nothing from others.
    pub(super) fn waiting_for(&self, address: Spender) -> usize {
        let modest: usize = self.waiting.iter().skip(Rank::Modest as usize).sum();
        let count = self.addresses.get(&address);
        let own = count.filter(|count| !self.is_modest(**count));
        modest + own.map_or(0, |count| count.waiting.0 + count.waiting.1)
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
        self.free == self.most && self.addresses.is_empty() && self.waiting == [0; Rank::ALL]
    }

    fn rank(&self, asker: Asker) -> Rank {
        Rank::of(!self.holds_too_many(asker.address), asker.is_signed_in)
    }

    const fn is_modest(&self, count: Count) -> bool {
        count.held.saturating_mul(4) <= self.most
    }

    /// Counts for one address. The rank of its requests that wait may change by it.
    fn count(&mut self, address: Spender, change: impl FnOnce(&mut Count)) {
        let mut entry = match self.addresses.entry(address) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Count::default()),
        };
        let before = *entry.get();
        change(entry.get_mut());
        let after = *entry.get();
        if after == Count::default() {
            entry.remove();
        }
        self.recount(before, |all, waiting| all - waiting);
        self.recount(after, |all, waiting| all + waiting);
    }

    /// Changes the sums by what waits for one address.
    fn recount(&mut self, count: Count, sum: impl Fn(usize, usize) -> usize) {
        for (rank, waiting) in self.ranked(count) {
            if let Some(all) = self.waiting.get_mut(rank as usize) {
                *all = sum(*all, waiting);
            }
        }
    }

    /// The requests of one address that wait, by rank.
    const fn ranked(&self, count: Count) -> [(Rank, usize); 2] {
        let is_modest = self.is_modest(count);
        let (nobodys, users) = count.waiting;
        [
            (Rank::of(is_modest, false), nobodys),
            (Rank::of(is_modest, true), users),
        ]
    }
}

impl Count {
    const fn waiting_as(&mut self, asker: Asker) -> &mut usize {
        if asker.is_signed_in {
            &mut self.waiting.1
        } else {
            &mut self.waiting.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::call::places::queue::tests::{client, user};

    /// How many of `most` places one asker gets, one after the other, when `others` are taken already.
    fn gets(most: usize, others: u8, asker: Asker) -> usize {
        let mut counts = Counts::new(most);
        for n in 0..others {
            assert!(counts.take(user(100 + n)), "one each");
        }
        (0..=most).take_while(|_| counts.take(asker)).count()
    }

    #[test]
    fn one_address_gets_three_quarters_and_each_other_one_finds_a_place() {
        // B of the review
        for (most, alone, as_user) in [
            (1, 1, 1),
            (2, 2, 2),
            (3, 3, 3),
            (4, 3, 4),
            (5, 4, 5),
            (8, 6, 7),
            (16, 12, 13),
            (100, 75, 82),
        ] {
            assert_eq!(gets(most, 0, client(1)), alone, "{most}");
            assert_eq!(gets(most, 0, user(1)), as_user, "{most}");
        }
        // It shares what is not in the last quarter with others.
        for (others, nobody, one) in [
            (2, 4, 5),
            (4, 3, 3),
            (5, 2, 3),
            (6, 1, 2),
            (7, 0, 1),
            (8, 0, 0),
        ] {
            assert_eq!(gets(8, others, client(1)), nobody, "{others}");
            assert_eq!(gets(8, others, user(1)), one, "{others}");
        }
    }

    #[test]
    fn a_user_who_holds_many_leaves_some_to_those_without_a_session() {
        let mut counts = Counts::new(1024);
        assert_eq!((0..=1024).take_while(|_| counts.take(user(1))).count(), 832);
        assert!(!counts.take(client(1)));
        assert_eq!((0..64).filter(|n| counts.take(client(*n + 2))).count(), 64);
        assert!(!counts.take(client(100)) && counts.take(user(100)));
    }

    #[test]
    fn the_last_eighth_is_for_users_whose_address_holds_little() {
        let mut counts = Counts::new(16);
        assert_eq!((0..16).take_while(|_| counts.take(client(1))).count(), 12);
        assert!(counts.take(user(1)) && counts.take(client(2)));
        for refused in [client(1), user(1), client(2)] {
            assert!(!counts.take(refused), "{refused:?}");
        }
        assert!(counts.take(user(2)) && counts.take(user(3)));
        assert!(!counts.take(user(4)), "all are taken");
    }

    #[test]
    fn who_waits_counts_by_what_its_address_holds_now() {
        let mut counts = Counts::new(4);
        let before = |counts: &Counts| {
            [client(1), user(1), client(2), user(2)].map(|asker| counts.waiting_before(asker))
        };
        counts.wait(client(1));
        counts.wait(user(1));
        counts.wait(client(2));
        assert_eq!(before(&counts), [1, 0, 1, 0], "all hold little");
        assert!(counts.take(client(1)) && counts.take(client(1)));
        assert_eq!(before(&counts), [2, 1, 0, 0]);
        assert_eq!(counts.waiting_for(client(1).address), 3, "its own too");
        assert_eq!(counts.waiting_for(client(3).address), 1);
        counts.give_back(client(1));
        assert_eq!(before(&counts), [1, 0, 1, 0]);
        counts.give_back(client(1));
        for asker in [client(1), user(1), client(2)] {
            counts.leave(asker);
        }
        assert!(counts.is_untouched());
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
