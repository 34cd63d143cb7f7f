//! What is said once an hour at the most, however often it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::UnixTime;

/// The shortest time between two lines.
const QUIET: Duration = Duration::from_hours(1);

/// When it was said last, in seconds; 0 for never.
#[derive(Debug, Default)]
pub struct Hourly(AtomicU64);

impl Hourly {
    /// Whether it is time to say it. Whoever is told so says it.
    pub fn is_due(&self, now: UnixTime) -> bool {
        let said = self.0.load(Ordering::Relaxed);
        let is_due = said == 0 || now.since(UnixTime::from_secs(said)) >= QUIET;
        // Of several that ask at once, one.
        is_due
            && self
                .0
                .compare_exchange(
                    said,
                    now.as_secs().max(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_first_and_an_hour_later() {
        let (hourly, start) = (Hourly::default(), UnixTime::from_secs(0));
        for (after, expected) in [
            (0, true),
            (0, false),
            (3_600, false),
            (3_601, true),
            (3_602, false),
        ] {
            let now = start.plus(Duration::from_secs(after));
            assert_eq!(hourly.is_due(now), expected, "{after}");
        }
    }
}
