//! When a client gives its place up, because others need it more.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::queue::Places;
use crate::frontend::Spender;

/// How long a client may be slow in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that a client sends or reads, at least, in each second that it is waited for.
const LEAST_RATE: u64 = 1024;

/// How often a slow client is looked at while requests wait.
const LOOK: Duration = Duration::from_millis(500);

/// What the holder of a place waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Awaited {
    /// The client is to send more of its body.
    Body,
    /// The client is to read more of the answer.
    Reader,
}

/// Looks at one place: whether others need it more than the client that holds it.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Watch {
    places: Places,
    client: Spender,
    is_leaving: Arc<AtomicBool>,
    pace: Arc<Mutex<Pace>>,
}

/// How long a client was waited for, less the time that it may take for what it sent or read.
#[derive(Debug, Default)]
struct Pace {
    owed: Duration,
    since: Option<Instant>,
}

impl Pace {
    fn is_too_slow(&self, now: Instant) -> bool {
        let present = self.since.map(|since| now.saturating_duration_since(since));
        present.is_some_and(|present| self.owed + present >= PATIENCE)
    }

    fn moves(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.owed += now.saturating_duration_since(since);
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / LEAST_RATE);
        self.owed = self.owed.saturating_sub(earned);
    }
}

impl Watch {
    pub(super) fn new(places: Places, client: Spender) -> Self {
        Self {
            places,
            client,
            is_leaving: Arc::default(),
            pace: Arc::default(),
        }
    }

    pub(super) const fn places(&self) -> &Places {
        &self.places
    }

    pub(super) const fn client(&self) -> Spender {
        self.client
    }

    /// The place is given back, so nothing that still watches it has anything left to give up. Whether it was about to.
    pub(super) fn stop_leaving(&self) -> bool {
        self.is_leaving.swap(false, Ordering::Relaxed)
    }

    /// It is the client's turn.
    pub(in crate::proxy) fn client_is_awaited(&self) {
        self.pace().since.get_or_insert_with(Instant::now);
    }

    /// The client has sent or read so many bytes.
    pub(in crate::proxy) fn client_has_moved(&self, bytes: usize) {
        let mut pace = self.pace();
        // Most clients have never been waited for.
        if pace.since.is_some() || !pace.owed.is_zero() {
            pace.moves(bytes, Instant::now());
        }
    }

    /// Waits until the place is to be given up. The caller then gives it up.
    pub(in crate::proxy) async fn is_needed(&self, awaited: Awaited) {
        loop {
            let mut someone_waits = pin!(self.places.someone_waits());
            // Before the look, so that no request begins to wait unseen.
            someone_waits.as_mut().enable();
            if self.gives_way(awaited) {
                return;
            }
            let has_queue = self.places.has_queue();
            tokio::select! {
                () = someone_waits => {}
                () = sleep(LOOK), if has_queue => {}
            }
        }
    }

    fn gives_way(&self, awaited: Awaited) -> bool {
        let (is_awaited, is_too_slow) = {
            let pace = self.pace();
            (pace.since.is_some(), pace.is_too_slow(Instant::now()))
        };
        if !is_awaited {
            return false;
        }
        if self.is_leaving.load(Ordering::Relaxed) {
            return true;
        }
        let gives_way = self.places.is_to_leave(self.client, awaited, is_too_slow);
        if gives_way {
            self.is_leaving.store(true, Ordering::Relaxed);
        }
        gives_way
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
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
