//! Entries of the feed under keys that this replica does not have yet.
//!
//! `feed` keeps them here, and tries them again whenever the key ring has changed.
//!
//! # Invariants
//! - Memory is bounded.
//! - The replica looks for a key only while its entry is new. Otherwise an entry whose key never comes would have the
//!   directory read every second. After that, the regular readings find the key.

use std::time::Duration;

/// The most entries that are kept.
const MAX_KEPT: usize = 1000;

/// How long the replica looks for the key of a new entry.
const LOOKED_FOR: Duration = Duration::from_secs(30);

/// The entries that could not be opened.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    entries: Vec<Vec<u8>>,
    looked_for_until: Duration,
}

impl Unopened {
    /// Keeps an entry that has just come, if there is room.
    pub(super) fn keep(&mut self, entry: Vec<u8>, now: Duration) {
        if self.entries.len() < MAX_KEPT {
            self.entries.push(entry);
            self.looked_for_until = now.saturating_add(LOOKED_FOR);
        }
    }

    /// Tries each entry again, and keeps those that `still_unopened` gives back.
    pub(super) fn retry(&mut self, still_unopened: impl FnMut(Vec<u8>) -> Option<Vec<u8>>) {
        let entries = std::mem::take(&mut self.entries);
        self.entries = entries.into_iter().filter_map(still_unopened).collect();
    }

    /// Whether to look for a key now.
    pub(super) fn wants_keys(&self, now: Duration) -> bool {
        !self.entries.is_empty() && now < self.looked_for_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_never_comes_is_given_up_and_its_entry_tried_with_every_other_ring() {
        let mut unopened = Unopened::default();
        let at = Duration::from_secs;
        assert!(!unopened.wants_keys(at(100)));
        unopened.keep(vec![1], at(100));
        unopened.keep(vec![2], at(110));
        assert!(unopened.wants_keys(at(139)));
        assert!(!unopened.wants_keys(at(140)));
        // A ring that opens one of them.
        unopened.retry(|entry| (entry == [1]).then_some(entry));
        assert!(!unopened.wants_keys(at(141)), "it is not new again");
        unopened.keep(vec![3], at(150));
        assert!(unopened.wants_keys(at(179)));
        let mut tried = Vec::new();
        unopened.retry(|entry| {
            tried.push(entry);
            None
        });
        assert_eq!(tried, [[1], [3]]);
        assert!(!unopened.wants_keys(at(151)), "nothing is left");
    }

    #[test]
    fn memory_is_bounded() {
        let mut unopened = Unopened::default();
        for _ in 0..MAX_KEPT + 10 {
            unopened.keep(vec![1], Duration::ZERO);
        }
        assert_eq!(unopened.entries.len(), MAX_KEPT);
    }
}
