//! How a full table makes room: it forgets the entries that would end soonest.

use std::collections::HashMap;
use std::hash::Hash;

use crate::clock::UnixTime;

/// Removes `surplus` of the entries for which `end` gives a time, those with the earliest ends first. One pass over the
/// table finds them, so a caller that asks for many at a time pays little for each.
pub(super) fn forget_soonest<K: Eq + Hash, V>(
    table: &mut HashMap<K, V>,
    surplus: usize,
    end: impl Fn(&V) -> Option<UnixTime>,
) {
    let mut ends: Vec<UnixTime> = table.values().filter_map(&end).collect();
    let Some(last) = surplus.min(ends.len()).checked_sub(1) else {
        return;
    };
    let (_, latest, _) = ends.select_nth_unstable(last);
    let latest = *latest;
    // Several may end at that very time; of those only as many go as are left over.
    let earlier = ends.iter().filter(|end| **end < latest).count();
    let mut at_latest = (last + 1).saturating_sub(earlier);
    table.retain(|_, value| match end(value) {
        Some(end) if end < latest => false,
        Some(end) if end == latest && at_latest > 0 => {
            at_latest -= 1;
            false
        }
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_end_soonest_go_and_no_more_than_asked_for() {
        let end = |value: &u64| (*value > 0).then(|| UnixTime::from_secs(*value));
        for (surplus, expected) in [
            (0, &[0, 0, 1, 2, 2, 2, 3][..]),
            (1, &[0, 0, 2, 2, 2, 3]),
            (3, &[0, 0, 2, 3]),
            (5, &[0, 0]),
            (9, &[0, 0]),
        ] {
            let values = [3, 2, 0, 1, 2, 0, 2].into_iter().enumerate();
            let mut table: HashMap<usize, u64> = values.collect();
            forget_soonest(&mut table, surplus, end);
            let mut kept: Vec<u64> = table.into_values().collect();
            kept.sort_unstable();
            assert_eq!(kept, expected, "{surplus}");
        }
    }
}
