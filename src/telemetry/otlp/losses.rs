//! Spans that wait, and spans that are lost: how many, why, and when the log says so.
//!
//! # Invariants
//! - A collector that is down or slow costs one line a minute.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::telemetry::Seldom;

/// The pause between two lines.
const PAUSE: Duration = Duration::from_mins(1);

/// The bounded queue before the collector, as far as it is counted. All counts only grow, so whoever reads several of them
/// counts no span twice.
#[derive(Debug)]
pub(super) struct Losses {
    room: u64,
    /// Spans that found room.
    entered: AtomicU64,
    /// Of these, those that wait no longer.
    left: AtomicU64,
    /// Of these, those that the collector has, and those that it did not take.
    arrived: AtomicU64,
    failed: AtomicU64,
    /// Of the batch that is on its way: spans that the collector has said it does not keep.
    rejected: AtomicU64,
    /// Spans that found no room.
    refused: AtomicU64,
    /// Lost spans that a line has told of.
    told: AtomicU64,
    /// What was wrong last.
    cause: Mutex<String>,
    lines: Seldom,
    clock: Clock,
}

impl Losses {
    /// For a queue with room for so many spans.
    pub(super) fn new(room: usize, clock: Clock) -> Self {
        Self {
            room: count(room),
            entered: AtomicU64::new(0),
            left: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            told: AtomicU64::new(0),
            cause: Mutex::default(),
            lines: Seldom::every(PAUSE),
            clock,
        }
    }

    /// A span wants to wait. `false`: there is no room, and it is counted as lost.
    pub(super) fn enters(&self) -> bool {
        let before = self.entered.fetch_add(1, Relaxed);
        if before.saturating_sub(self.left.load(Relaxed)) < self.room {
            return true;
        }
        self.entered.fetch_sub(1, Relaxed);
        self.refused.fetch_add(1, Relaxed);
        false
    }

    /// So many spans wait no longer: they are on their way.
    pub(super) fn leave(&self, spans: usize) {
        self.left.fetch_add(count(spans), Relaxed);
    }

    /// The collector takes the batch that is on its way, but for so many spans.
    pub(super) fn reject(&self, spans: usize) {
        self.rejected.store(count(spans), Relaxed);
    }

    /// So many spans are on their way no longer.
    pub(super) fn sent(&self, spans: usize, have_arrived: bool) {
        let spans = count(spans);
        let rejected = self.rejected.swap(0, Relaxed);
        let failed = if have_arrived {
            rejected.min(spans)
        } else {
            spans
        };
        self.failed.fetch_add(failed, Relaxed);
        self.arrived.fetch_add(spans - failed, Relaxed);
    }

    /// Notes what is wrong with the collector.
    pub(super) fn because(&self, cause: String) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    /// Says what is lost, if anything is and a line is due.
    pub(super) fn tell(&self) {
        let lost = self.refused.load(Relaxed) + self.failed.load(Relaxed);
        let news = lost.saturating_sub(self.told.load(Relaxed));
        if news > 0 && self.lines.is_due(self.clock.now()) {
            self.say(news);
        }
    }

    /// Says what is lost, together with what still waits and what is on its way: the process ends.
    pub(super) fn conclude(&self) {
        let arrived = self.arrived.load(Relaxed);
        let done = arrived + self.failed.load(Relaxed);
        if self.left.load(Relaxed) > done {
            self.because("the collector did not answer before the end".to_owned());
        }
        let lost = self.entered.load(Relaxed) + self.refused.load(Relaxed);
        let news = lost.saturating_sub(arrived + self.told.load(Relaxed));
        if news > 0 {
            self.say(news);
        }
    }

    fn say(&self, lost: u64) {
        self.told.fetch_add(lost, Relaxed);
        let cause = std::mem::take(&mut *self.cause.lock().unwrap_or_else(PoisonError::into_inner));
        let cause = if cause.is_empty() {
            "more spans came than the collector took; see OTEL_BSP_MAX_QUEUE_SIZE and OTEL_TRACES_SAMPLER"
        } else {
            &cause
        };
        log::warn!(lost = lost; "spans were not exported: {cause}");
    }
}

fn count(spans: usize) -> u64 {
    u64::try_from(spans).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    #[test]
    fn what_finds_no_room_is_lost_and_told_once_a_minute() {
        let clock = Clock::fixed(UnixTime::from_secs(100));
        let losses = Losses::new(2, clock.clone());
        let told = || losses.told.load(Relaxed);
        assert_eq!([losses.enters(), losses.enters()], [true, true]);
        assert_eq!([losses.enters(), losses.enters()], [false, false]);
        losses.tell();
        assert_eq!(told(), 2);
        losses.leave(2);
        losses.sent(2, false);
        losses.tell();
        assert_eq!(told(), 2, "no second line within a minute");
        clock.advance(PAUSE);
        losses.tell();
        assert_eq!(told(), 4);
        assert_eq!([losses.enters(), losses.enters()], [true, true], "room");
        losses.leave(1);
        losses.sent(1, true);
        losses.conclude();
        assert_eq!(told(), 5, "one still waits");
        losses.conclude();
        assert_eq!(told(), 5, "each is told once");
    }

    #[test]
    fn what_a_collector_rejects_of_a_batch_is_lost() {
        let losses = Losses::new(9, Clock::fixed(UnixTime::from_secs(100)));
        for (rejects, expect) in [(2, 2), (0, 2), (7, 5)] {
            for _ in 0..3 {
                assert!(losses.enters());
            }
            losses.leave(3);
            losses.reject(rejects);
            losses.sent(3, true);
            assert_eq!(
                losses.failed.load(Relaxed),
                expect,
                "never more than were sent"
            );
        }
        assert_eq!(losses.arrived.load(Relaxed), 4);
    }
}
