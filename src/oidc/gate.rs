//! Lets one caller do some work while all others, on any worker, wait for it or do without.
//!
//! [`Provider`](super::Provider) has one for its metadata and one for its keys, each token outside of a cookie one of
//! its own.
//!
//! # Invariants
//! - At most one [`Pass`] exists at a time. While the gate is closed, there is none.
//! - A lock is never held across an `await`. Callers await a notice that the pass is gone.
//! - If the caller with the pass goes away (a closed browser tab drops the future), the gate opens again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::OidcError;
use crate::clock::UnixTime;

/// Who may work now.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Why the last pass failed, if it did.
    left: watch::Sender<Option<OidcError>>,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    closed: Option<Closed>,
    failures: u32,
    /// Why the present pass has failed.
    failed: Option<OidcError>,
}

#[derive(Debug)]
struct Closed {
    since: UnixTime,
    until: UnixTime,
    why: OidcError,
}

impl Closed {
    /// A wall clock that was set back must not keep the gate closed for long.
    fn is_at(&self, now: UnixTime) -> bool {
        (self.since..self.until).contains(&now)
    }
}

/// The answer to somebody who wants to work.
pub(super) enum Turn<'g> {
    /// Do it.
    Mine(Pass<'g>),
    /// Somebody is at it.
    Taken(Waiting),
    /// Not now, and this is why.
    Closed(OidcError),
}

/// The right to work, until dropped.
pub(super) struct Pass<'g>(&'g Gate);

/// For those who wait until the pass is gone.
pub(super) struct Waiting(watch::Receiver<Option<OidcError>>);

impl Waiting {
    /// Returns when the other caller has finished or given up, and why it failed, if it did.
    pub(super) async fn done(mut self) -> Option<OidcError> {
        // An error means that the gate is gone; there is nothing to wait for then either.
        let _ = self.0.changed().await;
        self.0.borrow().clone()
    }
}

impl Gate {
    /// Asks for the pass.
    pub(super) fn enter(&self, now: UnixTime) -> Turn<'_> {
        let mut state = self.lock();
        if state.taken {
            // Subscribed under the lock, so the notice cannot be missed.
            return Turn::Taken(Waiting(self.left.subscribe()));
        }
        if let Some(closed) = &state.closed
            && closed.is_at(now)
        {
            return Turn::Closed(closed.why.clone());
        }
        state.taken = true;
        Turn::Mine(Pass(self))
    }

    /// Until when the gate is closed, if it is closed now.
    pub(super) fn closed_until(&self, now: UnixTime) -> Option<UnixTime> {
        let state = self.lock();
        let closed = state.closed.as_ref();
        closed
            .filter(|closed| closed.is_at(now))
            .map(|closed| closed.until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Closes the gate for a fixed time.
    pub(super) fn close_for(&self, now: UnixTime, wait: Duration, why: OidcError) {
        let mut state = self.0.lock();
        state.failed = Some(why.clone());
        state.closed = Some(Closed {
            since: now,
            until: now.plus(wait),
            why,
        });
    }

    /// Closes the gate for a while that grows with each failure in a row: about 2, 4, 8, 16, 30
    /// seconds. Random, so that replicas do not come back in step.
    pub(super) fn failed(&self, now: UnixTime, why: OidcError) {
        let failures = {
            let mut state = self.0.lock();
            state.failures = state.failures.saturating_add(1);
            state.failures
        };
        let about = 2_u64.saturating_pow(failures.min(5)).min(30);
        let secs = rand::random_range(about.div_ceil(2)..=about + about / 2);
        self.close_for(now, Duration::from_secs(secs), why);
    }

    /// Forgets earlier failures.
    pub(super) fn succeeded(&self) {
        let mut state = self.0.lock();
        state.failures = 0;
        state.closed = None;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let failed = {
            let mut state = self.0.lock();
            state.taken = false;
            state.failed.take()
        };
        self.0.left.send_replace(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn outage() -> OidcError {
        OidcError::Unavailable("down".to_owned())
    }

    #[test]
    fn one_pass_at_a_time_and_a_dropped_one_frees_the_gate() {
        let gate = Gate::default();
        let first = gate.enter(NOW);
        assert!(matches!(first, Turn::Mine(_)));
        assert!(matches!(gate.enter(NOW), Turn::Taken(_)));
        drop(first);
        assert!(matches!(gate.enter(NOW), Turn::Mine(_)));
    }

    #[test]
    fn failures_close_the_gate_for_a_few_seconds_and_longer_each_time() {
        let gate = Gate::default();
        let mut now = NOW;
        for (least, most) in [(1, 3), (2, 6), (4, 12), (8, 24), (15, 45), (15, 45)] {
            let Turn::Mine(pass) = gate.enter(now) else {
                panic!("closed longer than {most} seconds")
            };
            pass.failed(now, outage());
            drop(pass);
            let last_closed = now.plus(Duration::from_secs(least - 1));
            assert!(matches!(gate.enter(last_closed), Turn::Closed(why) if why == outage()));
            now = now.plus(Duration::from_secs(most));
        }
    }

    #[test]
    fn success_opens_the_gate_and_a_clock_set_back_does_not_keep_it_closed() {
        let gate = Gate::default();
        let Turn::Mine(pass) = gate.enter(NOW) else {
            panic!("a new gate is open")
        };
        pass.close_for(NOW, Duration::from_secs(30), outage());
        drop(pass);
        assert!(matches!(gate.enter(NOW), Turn::Closed(_)));
        let Turn::Mine(pass) = gate.enter(NOW.minus(Duration::from_hours(1))) else {
            panic!("kept closed by a clock set back")
        };
        pass.succeeded();
        drop(pass);
        assert!(matches!(gate.enter(NOW), Turn::Mine(_)));
    }

    #[tokio::test]
    async fn those_who_wait_hear_of_the_end_even_if_it_comes_before_they_listen() {
        let gate = Gate::default();
        let pass = gate.enter(NOW);
        let Turn::Taken(waiting) = gate.enter(NOW) else {
            panic!("two passes")
        };
        drop(pass);
        let done = tokio::time::timeout(Duration::from_secs(1), waiting.done());
        assert_eq!(done.await, Ok(None));
        let Turn::Mine(pass) = gate.enter(NOW) else {
            panic!("the gate is open")
        };
        let Turn::Taken(waiting) = gate.enter(NOW) else {
            panic!("two passes")
        };
        pass.close_for(NOW, Duration::ZERO, outage());
        drop(pass);
        assert_eq!(waiting.done().await, Some(outage()));
    }
}
