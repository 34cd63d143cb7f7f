//! The places at an upstream: one for each connection that may be in use, and who holds them.
//!
//! `forward` takes one when it knows that there is something to send, and holds it until the answer is over (D42). Whoever
//! finds none waits. Places belong to one worker, as connections do.
//!
//! # Invariants
//! - As long as requests of other clients wait, a client that holds over a quarter of the places gets no further one.
//! - A request whose body does not come gives its place up then, if its client holds over a quarter: whoever sends slowly,
//!   on however many connections, keeps nobody else waiting.
//! - A place that was given to somebody who has left meanwhile goes to the next.
//!
//! # Why a quarter, and only then
//! Many people may share an address, and behind a proxy that is not trusted all do. While nobody else waits, they may have
//! all the places.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::vec_deque::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::frontend::Spender;

/// All the places. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// Somebody has begun to wait.
    someone_waits: Notify,
}

#[derive(Debug)]
struct Table {
    most: usize,
    free: usize,
    /// How many each client holds; who holds none is not here.
    held: HashMap<Spender, usize>,
    waiting: VecDeque<Waiting>,
    next_number: u64,
    /// Places that their holders are about to give up.
    leaving: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    client: Spender,
    place: oneshot::Sender<Place>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoPlace {
    /// None became free in time.
    TooLate,
    /// Others wait, and this client holds over a quarter.
    HoldsTooMany,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        let table = Table {
            most,
            free: most,
            held: HashMap::new(),
            waiting: VecDeque::new(),
            next_number: 0,
            leaving: 0,
        };
        Self(Arc::new(Shared {
            table: Mutex::new(table),
            someone_waits: Notify::new(),
        }))
    }

    /// Takes a place, or waits for one for so long.
    pub(super) async fn take(&self, client: Spender, limit: Duration) -> Result<Place, NoPlace> {
        if self.table().take(client) {
            return Ok(self.place(client));
        }
        let (number, given) = {
            let mut table = self.table();
            if table.holds_too_many(client) && table.waiting.iter().any(|one| one.client != client)
            {
                return Err(NoPlace::HoldsTooMany);
            }
            table.wait(client)
        };
        let _waits = Waits {
            places: self,
            number,
        };
        self.0.someone_waits.notify_waiters();
        let given = timeout(limit, given).await;
        // The sender stays in the queue until it is used, so what fails is the wait.
        given.ok().and_then(Result::ok).ok_or(NoPlace::TooLate)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, client: Spender) -> Place {
        Place(Watch {
            places: self.clone(),
            client,
            is_leaving: Arc::default(),
        })
    }

    fn give_back(&self, client: Spender, was_leaving: bool) {
        self.table().give_back(client, was_leaving);
        loop {
            let next = self.table().next();
            let Some(next) = next else {
                return;
            };
            // Who has left meanwhile gives it back: that ends here again, with nothing locked.
            let _ = next.place.send(self.place(next.client));
        }
    }
}

impl Table {
    fn take(&mut self, client: Spender) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
            *self.held.entry(client).or_default() += 1;
        }
        is_free
    }

    fn give_back(&mut self, client: Spender, was_leaving: bool) {
        self.free += 1;
        self.leaving -= usize::from(was_leaving);
        if let Entry::Occupied(mut held) = self.held.entry(client) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    fn wait(&mut self, client: Spender) -> (u64, oneshot::Receiver<Place>) {
        let (place, given) = oneshot::channel();
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.waiting.push_back(Waiting {
            number,
            client,
            place,
        });
        (number, given)
    }

    /// Who gets the place that is free: the first in the queue who does not hold too many, else the first of all.
    fn next(&mut self) -> Option<Waiting> {
        if self.free == 0 {
            return None;
        }
        let modest = |one: &Waiting| !self.holds_too_many(one.client);
        let at = self.waiting.iter().position(modest).unwrap_or(0);
        let next = self.waiting.remove(at)?;
        self.take(next.client);
        Some(next)
    }

    fn holds_too_many(&self, client: Spender) -> bool {
        let held = self.held.get(&client).copied().unwrap_or(0);
        held.saturating_mul(4) > self.most
    }

    /// How many wait who do not hold too many.
    fn modest(&self) -> usize {
        let waiting = self.waiting.iter();
        waiting
            .filter(|one| !self.holds_too_many(one.client))
            .count()
    }
}

/// Leaves the queue when it is dropped.
struct Waits<'a> {
    places: &'a Places,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut table = self.places.table();
        table.waiting.retain(|one| one.number != self.number);
    }
}

/// The right to use one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Watch);

impl Place {
    /// For who waits for the client's body while the place is held.
    pub(super) fn watch(&self) -> Watch {
        self.0.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Watch {
            places,
            client,
            is_leaving,
        } = &self.0;
        // What still watches it has nothing left to give up.
        places.give_back(*client, is_leaving.swap(false, Ordering::Relaxed));
    }
}

/// Whether somebody needs a place more than who holds it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    places: Places,
    client: Spender,
    is_leaving: Arc<AtomicBool>,
}

impl Watch {
    /// Waits until the place is to be given up, which the caller does then.
    pub(super) async fn is_needed(&self) {
        let shared = &self.places.0;
        loop {
            let mut someone_waits = pin!(shared.someone_waits.notified());
            // Before the look: nobody comes in between unseen.
            someone_waits.as_mut().enable();
            if self.gives_way() {
                return;
            }
            someone_waits.await;
        }
    }

    fn gives_way(&self) -> bool {
        let mut table = self.places.table();
        // Not one more than there are requests that wait.
        let gives_way = table.holds_too_many(self.client) && table.modest() > table.leaving;
        if gives_way && !self.is_leaving.swap(true, Ordering::Relaxed) {
            table.leaving += 1;
        }
        gives_way
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn client(n: u8) -> Spender {
        Spender::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)))
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
    async fn alone_a_client_has_all_places_and_its_next_request_the_first_that_is_free() {
        // D42
        let places = Places::new(4);
        let mut held: Vec<_> = (0..4).map(|_| taken(&places, 1)).collect();
        let mut first = pin!(places.take(client(1), LIMIT));
        let mut second = pin!(places.take(client(1), LIMIT));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        drop(held.pop());
        assert!(poll(second.as_mut()).is_pending());
        assert!(matches!(poll(first), Poll::Ready(Ok(_))), "and is back");
        assert!(matches!(poll(second), Poll::Ready(Ok(_))));
        drop(held);
        assert_eq!(places.table().free, 4);
        assert!(places.table().held.is_empty());
    }

    #[actix_web::test]
    async fn while_others_wait_who_holds_over_a_quarter_gets_none() {
        // B of the review
        let places = Places::new(4);
        let mut held: Vec<_> = (0..4).map(|_| taken(&places, 1)).collect();
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
        assert!(matches!(poll(greedy), Poll::Ready(Ok(_))), "nobody else");
        drop((place, held));
        assert_eq!(places.table().free, 4);
    }

    #[actix_web::test]
    async fn who_holds_too_many_gives_up_as_many_as_are_waited_for() {
        let places = Places::new(4);
        let mut held: Vec<_> = (0..4).map(|_| taken(&places, 1)).collect();
        let watches: Vec<_> = held.iter().map(Place::watch).collect();
        let mut first = Box::pin(watches[0].is_needed());
        let mut second = Box::pin(watches[1].is_needed());
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
    async fn a_place_for_somebody_who_has_left_goes_to_the_next() {
        let places = Places::new(1);
        let held = taken(&places, 1);
        let mut gone = Box::pin(places.take(client(2), LIMIT));
        let mut next = pin!(places.take(client(3), LIMIT));
        assert!(poll(gone.as_mut()).is_pending() && poll(next.as_mut()).is_pending());
        drop(held);
        drop(gone);
        assert!(matches!(poll(next), Poll::Ready(Ok(_))));
        assert_eq!(places.table().free, 1);
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
