//! Who holds a place, and how fast it lets the upstream go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::asker::Asker;

/// How long a client may be slow in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that a client sends or reads, at least, in each second that it is waited for.
const LEAST_RATE: u64 = 1024;

/// What the holder of a place waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Awaited {
    /// The client is to send more of its body.
    Body,
    /// The client is to read more of the answer.
    Reader,
}

/// The client that holds a place.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) asker: Asker,
    /// Whether it is about to give the place up.
    pub(super) is_leaving: AtomicBool,
    pace: Mutex<Pace>,
}

impl Holder {
    pub(super) fn new(asker: Asker) -> Self {
        Self {
            asker,
            is_leaving: AtomicBool::default(),
            pace: Mutex::default(),
        }
    }

    /// The place is given back, so nothing that still watches it has anything left to give up. Whether it was about to.
    pub(super) fn stop_leaving(&self) -> bool {
        self.is_leaving.swap(false, Ordering::Relaxed)
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a client was waited for, less the time that it may take for what it sent or read.
#[derive(Debug, Default)]
pub(super) struct Pace {
    owed: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// It is the client's turn.
    pub(super) fn awaits(&mut self, now: impl FnOnce() -> Instant) {
        self.since.get_or_insert_with(now);
    }

    pub(super) const fn is_awaited(&self) -> bool {
        self.since.is_some()
    }

    /// Most clients have never been waited for.
    pub(super) const fn counts(&self) -> bool {
        self.since.is_some() || !self.owed.is_zero()
    }

    pub(super) fn is_too_slow(&self, now: Instant) -> bool {
        let present = self.since.map(|since| now.saturating_duration_since(since));
        present.is_some_and(|present| self.owed + present >= PATIENCE)
    }

    /// The client has sent or read so many bytes.
    pub(super) fn moves(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.owed += now.saturating_duration_since(since);
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / LEAST_RATE);
        self.owed = self.owed.saturating_sub(earned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moves_fast_enough_is_not_slow_however_long_it_takes() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut steady = Pace::default();
        let mut slow = Pace::default();
        for second in 0..60 {
            steady.since = Some(after(second));
            slow.since = Some(after(second));
            assert!(!steady.is_too_slow(after(second + 1)), "{second}");
            assert_eq!(slow.is_too_slow(after(second)), second >= 5, "{second}");
            steady.moves(1024, after(second + 1));
            slow.moves(1, after(second + 1));
        }
        // Nobody waits for it now.
        assert!(!slow.is_too_slow(after(90)));
        // What came at once at the beginning is no credit for later.
        let mut burst = Pace::default();
        burst.moves(1 << 30, begun);
        burst.since = Some(begun);
        assert!(!burst.is_too_slow(after(4)));
        assert!(burst.is_too_slow(after(5)));
    }
}
