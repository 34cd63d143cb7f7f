//! The places for requests, and the queue of those that wait for one.

use std::collections::vec_deque::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::asker::Asker;
use super::counts::Counts;
use super::holder::{Awaited, Holder};
use crate::telemetry::metrics::{Held, UpstreamConnections};

/// All places for requests to one upstream. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::proxy::call) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// A request has begun to wait.
    someone_waits: Notify,
    connections: UpstreamConnections,
}

#[derive(Debug)]
struct Table {
    counts: Counts,
    waiting: VecDeque<Waiting>,
    next_number: u64,
    /// Places that their holders are about to give up.
    leaving: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    asker: Asker,
    place: oneshot::Sender<Place>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy::call) enum NoPlace {
    /// None became free in time.
    TooLate,
    /// Others wait that come first, and this address holds more than a quarter.
    HoldsTooMany,
}

impl Places {
    pub(in crate::proxy::call) fn new(most: usize, connections: UpstreamConnections) -> Self {
        let table = Table {
            counts: Counts::new(most),
            waiting: VecDeque::new(),
            next_number: 0,
            leaving: 0,
        };
        Self(Arc::new(Shared {
            table: Mutex::new(table),
            someone_waits: Notify::new(),
            connections,
        }))
    }

    /// Takes a place, or waits for one, at most `limit`.
    pub(in crate::proxy::call) async fn take(
        &self,
        asker: Asker,
        limit: Duration,
    ) -> Result<Place, NoPlace> {
        let (number, given, is_urgent) = {
            let mut table = self.table();
            if table.counts.take(asker) {
                drop(table);
                return Ok(self.place(asker));
            }
            if table.counts.holds_too_many(asker.address) && table.counts.waiting_before(asker) > 0
            {
                return Err(NoPlace::HoldsTooMany);
            }
            // While there is a queue, all holders of places look at it now and then. Only for a request that comes before others
            // does one give its place up at once.
            let is_urgent = table.waiting.is_empty() || !table.counts.comes_last(asker);
            let (number, given) = table.wait(asker);
            (number, given, is_urgent)
        };
        let _waits = Waits {
            places: self,
            number,
        };
        if is_urgent {
            self.0.someone_waits.notify_waiters();
        }
        let given = timeout(limit, given).await;
        // The sender stays in the queue until it is used, so what fails is the wait.
        given.ok().and_then(Result::ok).ok_or(NoPlace::TooLate)
    }

    /// How many are in use.
    #[cfg(test)]
    pub(in crate::proxy::call) fn taken(&self) -> usize {
        self.table().counts.taken()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, asker: Asker) -> Place {
        Place {
            places: self.clone(),
            holder: Arc::new(Holder::new(asker)),
            _used: self.0.connections.used(),
        }
    }

    fn give_back(&self, asker: Asker, was_leaving: bool) {
        {
            let mut table = self.table();
            table.counts.give_back(asker);
            table.leaving -= usize::from(was_leaving);
        }
        loop {
            let next = self.table().next();
            let Some(next) = next else {
                return;
            };
            // If it has left meanwhile, the place is dropped and comes back here, with nothing locked.
            let _ = next.place.send(self.place(next.asker));
        }
    }

    /// Resolves when a request begins to wait for which a place may be given up at once.
    pub(super) fn someone_waits(&self) -> Notified<'_> {
        self.0.someone_waits.notified()
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.table().waiting.is_empty()
    }

    /// Whether a client is to give up a place for which it keeps the upstream waiting. If it is, the place counts as one
    /// that is about to be free, so that no more leave at a time than there are requests that wait. A request that may not have
    /// one of the last places goes on waiting while these fill up again, so more than one may leave for it in the end.
    pub(super) fn is_to_leave(&self, asker: Asker, awaited: Awaited, is_too_slow: bool) -> bool {
        let mut table = self.table();
        let counts = &table.counts;
        let is_greedy = awaited == Awaited::Body && counts.holds_too_many(asker.address);
        let gives_way = (is_greedy && counts.waiting_before(asker) > table.leaving)
            || (is_too_slow && counts.waiting_for(asker.address) > table.leaving);
        table.leaving += usize::from(gives_way);
        gives_way
    }
}

impl Table {
    fn wait(&mut self, asker: Asker) -> (u64, oneshot::Receiver<Place>) {
        let (place, given) = oneshot::channel();
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.counts.wait(asker);
        self.waiting.push_back(Waiting {
            number,
            asker,
            place,
        });
        (number, given)
    }

    /// Who gets a place that is free: the first in the queue of those that come before all others.
    fn next(&mut self) -> Option<Waiting> {
        let mut waiting = self.waiting.iter();
        let first = waiting.position(|one| self.counts.waiting_before(one.asker) == 0)?;
        let asker = self.waiting.get(first)?.asker;
        if !self.counts.take(asker) {
            return None;
        }
        self.counts.leave(asker);
        self.waiting.remove(first)
    }

    fn leave(&mut self, number: u64) {
        // The numbers go up along the queue.
        let at = self.waiting.binary_search_by_key(&number, |one| one.number);
        if let Some(left) = at.ok().and_then(|at| self.waiting.remove(at)) {
            self.counts.leave(left.asker);
        }
    }
}

/// Leaves the queue when it is dropped.
struct Waits<'a> {
    places: &'a Places,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.places.table().leave(self.number);
    }
}

/// The right to use one connection, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy::call) struct Place {
    pub(super) places: Places,
    pub(super) holder: Arc<Holder>,
    /// For the metrics.
    _used: Held,
}

impl Drop for Place {
    fn drop(&mut self) {
        let was_leaving = self.holder.stop_leaving();
        self.places.give_back(self.holder.asker, was_leaving);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::super::watch::Watch;
    use super::*;
    use crate::frontend::Spender;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Somebody without a session.
    pub(in crate::proxy::call::places) fn client(n: u8) -> Asker {
        Asker {
            address: Spender::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))),
            is_signed_in: false,
        }
    }

    /// Somebody with a session, at the same address.
    pub(in crate::proxy::call::places) fn user(n: u8) -> Asker {
        Asker {
            is_signed_in: true,
            ..client(n)
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn taken(places: &Places, n: u8) -> Place {
        match poll(pin!(places.take(client(n), LIMIT))) {
            Poll::Ready(Ok(place)) => place,
            other => panic!("{other:?}"),
        }
    }

    #[actix_web::test]
    async fn alone_a_client_has_three_quarters_and_its_next_request_the_first_that_is_free() {
        // D42
        let places = Places::new(4, UpstreamConnections::default());
        let mut held: Vec<_> = (0..3).map(|_| taken(&places, 1)).collect();
        let mut first = pin!(places.take(client(1), LIMIT));
        let mut second = pin!(places.take(client(1), LIMIT));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        drop(held.pop());
        assert!(poll(second.as_mut()).is_pending());
        assert!(matches!(poll(first), Poll::Ready(Ok(_))), "and is back");
        assert!(matches!(poll(second), Poll::Ready(Ok(_))));
        drop(held);
        assert!(places.table().counts.is_untouched());
    }

    #[actix_web::test]
    async fn while_others_wait_who_holds_over_a_quarter_gets_none() {
        // B of the review
        let places = Places::new(4, UpstreamConnections::default());
        let mut held: Vec<_> = (0..3).map(|_| taken(&places, 1)).collect();
        let last = taken(&places, 3);
        let mut greedy = pin!(places.take(client(1), LIMIT));
        assert!(poll(greedy.as_mut()).is_pending());
        let mut modest = pin!(places.take(client(2), LIMIT));
        assert!(poll(modest.as_mut()).is_pending());
        let further = pin!(places.take(client(1), LIMIT));
        assert!(matches!(
            poll(further),
            Poll::Ready(Err(NoPlace::HoldsTooMany))
        ));
        drop(held.pop());
        assert!(poll(greedy.as_mut()).is_pending(), "though it came first");
        let Poll::Ready(Ok(place)) = poll(modest) else {
            panic!("it waits")
        };
        drop(held.pop());
        assert!(
            matches!(poll(greedy), Poll::Ready(Ok(_))),
            "it holds a quarter now"
        );
        drop((place, held, last));
        assert!(places.table().counts.is_untouched());
    }

    #[actix_web::test]
    async fn who_holds_too_many_gives_up_as_many_as_are_waited_for() {
        let places = Places::new(4, UpstreamConnections::default());
        let mut held: Vec<_> = (0..3).map(|_| taken(&places, 1)).collect();
        let _last = taken(&places, 3);
        let watches: Vec<_> = held.iter().map(Watch::of).collect();
        for watch in &watches {
            watch.client_is_awaited();
        }
        let mut first = Box::pin(watches[0].is_needed(Awaited::Body));
        let mut second = Box::pin(watches[1].is_needed(Awaited::Body));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        let mut of_the_same = pin!(places.take(client(1), LIMIT));
        assert!(poll(of_the_same.as_mut()).is_pending());
        assert!(
            poll(first.as_mut()).is_pending(),
            "it needs none of its own"
        );
        let mut modest = pin!(places.take(client(2), LIMIT));
        assert!(poll(modest.as_mut()).is_pending());
        assert!(poll(first.as_mut()).is_ready());
        assert!(poll(second.as_mut()).is_pending(), "one is enough");
        drop(held.swap_remove(0));
        assert!(matches!(poll(modest), Poll::Ready(Ok(_))));
        assert_eq!(places.table().leaving, 0);
    }

    #[actix_web::test]
    async fn a_slow_client_leaves_for_itself_and_for_those_with_less_but_not_for_those_with_more() {
        let places = Places::new(4, UpstreamConnections::default());
        let greedy: Vec<_> = (0..2).map(|_| taken(&places, 1)).collect();
        let slow = [taken(&places, 2), taken(&places, 3)];
        let mut more = pin!(places.take(client(1), LIMIT));
        assert!(poll(more.as_mut()).is_pending());
        for n in [2, 3] {
            assert!(!places.is_to_leave(client(n), Awaited::Reader, true), "{n}");
        }
        assert!(
            places.is_to_leave(client(1), Awaited::Reader, true),
            "its own"
        );
        assert!(
            !places.is_to_leave(client(1), Awaited::Reader, true),
            "one is enough"
        );
        let mut others = [4, 5].map(|n| Box::pin(places.take(client(n), LIMIT)));
        for other in &mut others {
            assert!(poll(other.as_mut()).is_pending());
        }
        assert!(
            !places.is_to_leave(client(2), Awaited::Reader, false),
            "not slow"
        );
        assert!(places.is_to_leave(client(2), Awaited::Reader, true));
        drop((greedy, slow));
    }

    #[actix_web::test]
    async fn a_user_waits_for_nobody_at_the_same_address() {
        let places = Places::new(4, UpstreamConnections::default());
        let mut held: Vec<_> = (0..3).map(|_| taken(&places, 1)).collect();
        let last = taken(&places, 2);
        let watch = Watch::of(&held[0]);
        watch.client_is_awaited();
        let mut leaves = pin!(watch.is_needed(Awaited::Body));
        let mut crowd: Vec<_> = (0..9)
            .map(|_| Box::pin(places.take(client(1), LIMIT)))
            .collect();
        assert!(crowd.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
        assert!(poll(leaves.as_mut()).is_pending());
        let mut first = pin!(places.take(user(1), LIMIT));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(leaves.as_mut()).is_ready());
        drop(held.swap_remove(0));
        let Poll::Ready(Ok(place)) = poll(first) else {
            panic!("it came last, and is the first")
        };
        assert!(crowd.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
        drop((crowd, held, place, last));
        assert!(places.table().counts.is_untouched());
    }

    #[actix_web::test]
    async fn a_place_for_somebody_who_has_left_goes_to_the_next() {
        let places = Places::new(1, UpstreamConnections::default());
        let held = taken(&places, 1);
        let mut gone = Box::pin(places.take(client(2), LIMIT));
        let mut next = pin!(places.take(client(3), LIMIT));
        assert!(poll(gone.as_mut()).is_pending() && poll(next.as_mut()).is_pending());
        drop(held);
        drop(gone);
        assert!(matches!(poll(next), Poll::Ready(Ok(_))));
        assert!(places.table().counts.is_untouched());
        assert_eq!(
            places.take(client(1), Duration::ZERO).await.map(drop),
            Ok(())
        );
        let held = taken(&places, 1);
        let late = places.take(client(2), Duration::ZERO).await;
        assert_eq!(late.map(drop), Err(NoPlace::TooLate));
        assert!(places.table().waiting.is_empty());
        drop(held);
    }
}
