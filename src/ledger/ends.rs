//! Ends of sessions that have moved nearer while a stream of theirs is open.
//!
//! A long stream watches the end of its session. A refresh that brings an earlier end says so here.
//!
//! # Invariants
//! - An end only moves nearer.
//! - A session has a place here only while a stream watches it, so the number of streams bounds the memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::{Clock, UnixTime};
use crate::session::SessionId;

/// The ends that are watched. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ends(Arc<Mutex<HashMap<SessionId, Place>>>);

/// The end of one session, and how many streams watch it.
#[derive(Debug)]
struct Place {
    end: watch::Sender<UnixTime>,
    watchers: usize,
}

impl Ends {
    /// Waits for the end of a session, wherever it moves meanwhile.
    pub fn reached(
        &self,
        session: SessionId,
        end: UnixTime,
        clock: &Clock,
    ) -> impl Future<Output = ()> + use<> {
        let mut watched = self.watch(session, end);
        let clock = clock.clone();
        async move {
            loop {
                let end = *watched.end.borrow_and_update();
                tokio::select! {
                    () = clock.reached(end) => return,
                    // The place owns the sender and lives as long as it is watched, so this is a newer end.
                    _ = watched.end.changed() => {}
                }
            }
        }
    }

    /// Says that a session ends no later than `ends_at`.
    pub fn bring_nearer(&self, session: SessionId, ends_at: UnixTime) {
        if let Some(place) = self.table().get(&session) {
            place.bring_nearer(ends_at);
        }
    }

    /// Watches a session that now ends at `end`, until the result is dropped.
    pub fn watch(&self, session: SessionId, end: UnixTime) -> Watched {
        let mut table = self.table();
        let place = table.entry(session).or_insert_with(|| Place {
            end: watch::Sender::new(end),
            watchers: 0,
        });
        // What this request came with may be newer or older than that of another stream.
        place.bring_nearer(end);
        place.watchers += 1;
        Watched {
            table: self.clone(),
            session,
            end: place.end.subscribe(),
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Place>> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn bring_nearer(&self, ends_at: UnixTime) {
        self.end.send_if_modified(|end| {
            let is_nearer = ends_at < *end;
            *end = ends_at.min(*end);
            is_nearer
        });
    }
}

/// A stream that watches the end of its session.
#[derive(Debug)]
#[must_use = "the session is watched only while this lives"]
pub struct Watched {
    table: Ends,
    session: SessionId,
    end: watch::Receiver<UnixTime>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The count changes under the lock. Of two that leave at once, the second removes the place.
        if let Entry::Occupied(mut place) = self.table.table().entry(self.session) {
            let watchers = &mut place.get_mut().watchers;
            *watchers = watchers.saturating_sub(1);
            if *watchers == 0 {
                place.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;
    use crate::session::{Session, samples};

    const NOW: UnixTime = UnixTime::from_secs(1000);

    fn is_over(future: Pin<&mut impl Future<Output = ()>>) -> bool {
        future
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn an_end_moves_nearer_for_all_who_watch_and_never_farther() {
        // F1
        let (ends, clock) = (Ends::default(), Clock::fixed(NOW));
        let session = samples::session(NOW);
        let other = Session {
            id: SessionId([9; 16]),
            ..session.clone()
        };
        let mut first = pin!(ends.reached(session.id, session.ends_at, &clock));
        let mut second = pin!(ends.reached(session.id, session.ends_at, &clock));
        let mut others = pin!(ends.reached(other.id, other.ends_at, &clock));
        for after in [60, 600] {
            ends.bring_nearer(session.id, NOW.plus(Duration::from_secs(after)));
        }
        assert!(!is_over(first.as_mut()));
        let late = pin!(ends.reached(session.id, session.ends_at, &clock));
        clock.advance(Duration::from_secs(59));
        assert!(!is_over(first.as_mut()) && !is_over(second.as_mut()));
        clock.advance(Duration::from_secs(1));
        assert!(is_over(first) && is_over(second));
        assert!(is_over(late), "though its cookies name a later end");
        assert!(!is_over(others.as_mut()));
    }

    #[test]
    fn whom_nobody_watches_has_no_place() {
        let (ends, clock) = (Ends::default(), Clock::fixed(NOW));
        let session = samples::session(NOW);
        ends.bring_nearer(session.id, NOW);
        assert!(ends.table().is_empty());
        let first = ends.reached(session.id, session.ends_at, &clock);
        let second = ends.reached(session.id, session.ends_at, &clock);
        drop(first);
        assert_eq!(ends.table().len(), 1);
        drop(second);
        assert!(ends.table().is_empty());
    }

    #[test]
    fn two_who_leave_at_once_leave_no_place_behind() {
        // Two workers, whose streams end with their session.
        let ends = Ends::default();
        let session = samples::session(NOW);
        // A barrier would wake them one after the other.
        let arrived = AtomicUsize::new(0);
        let meet = || {
            let nth = arrived.fetch_add(1, Ordering::AcqRel);
            while arrived.load(Ordering::Acquire) < nth / 2 * 2 + 2 {
                std::thread::yield_now();
            }
        };
        let leave_again_and_again = || {
            let mut left = 0;
            for _ in 0..20_000 {
                let watched = ends.watch(session.id, session.ends_at);
                meet();
                drop(watched);
                meet();
                left = ends.table().len().max(left);
                meet();
            }
            left
        };
        let left = std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(leave_again_and_again));
            both.map(|thread| thread.join().unwrap())
        });
        assert_eq!(left, [0, 0]);
    }
}
