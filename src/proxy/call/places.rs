//! The places at an upstream: one for each connection that may be in use, and who holds them.
//!
//! `forward` takes one when it knows that there is something to send, and holds it until the answer is over (D42). Whoever
//! finds none waits. Places belong to one worker, as connections do.
//!
//! # Invariants
//! - As long as requests of other clients wait, a client that holds over a quarter of the places gets no further one.
//! - A request whose body does not come gives its place up then, if its client holds over a quarter.
//! - As long as anybody waits, who sends or reads less than [`LEAST_RATE`] gives its place up: whoever is slow, on however many
//!   connections and from however many addresses, keeps nobody else waiting for longer than [`PATIENCE`].
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
use tokio::time::{Instant, sleep, timeout};

use crate::frontend::Spender;

/// For so long a client is waited for in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that a client sends or reads in a second of waiting for it, at the least.
const LEAST_RATE: u64 = 1024;

/// How often a slow client is looked at while somebody waits.
const LOOK: Duration = Duration::from_millis(500);

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
            pace: Arc::default(),
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
            ..
        } = &self.0;
        // What still watches it has nothing left to give up.
        places.give_back(*client, is_leaving.swap(false, Ordering::Relaxed));
    }
}

/// What the holder of a place waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Awaited {
    /// That the client sends more of its body.
    Body,
    /// That the client reads more of the answer.
    Reader,
}

/// Whether somebody needs a place more than who holds it.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Watch {
    places: Places,
    client: Spender,
    is_leaving: Arc<AtomicBool>,
    pace: Arc<Mutex<Pace>>,
}

/// How long a client was waited for, less the time that what it sent or read may have taken.
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
    /// It is the client's turn.
    pub(in crate::proxy) fn client_is_awaited(&self) {
        self.pace().since.get_or_insert_with(Instant::now);
    }

    /// The client has sent or read so many bytes.
    pub(in crate::proxy) fn client_has_moved(&self, bytes: usize) {
        self.pace().moves(bytes, Instant::now());
    }

    /// Waits until the place is to be given up, which the caller does then.
    pub(in crate::proxy) async fn is_needed(&self, awaited: Awaited) {
        let shared = &self.places.0;
        loop {
            let mut someone_waits = pin!(shared.someone_waits.notified());
            // Before the look: nobody comes in between unseen.
            someone_waits.as_mut().enable();
            if self.gives_way(awaited) {
                return;
            }
            let is_waited_for = !self.places.table().waiting.is_empty();
            tokio::select! {
                () = someone_waits => {}
                () = sleep(LOOK), if is_waited_for => {}
            }
        }
    }

    fn gives_way(&self, awaited: Awaited) -> bool {
        let is_too_slow = self.pace().is_too_slow(Instant::now());
        let mut table = self.places.table();
        // Not one more than there are requests that wait.
        let is_greedy = awaited == Awaited::Body
            && table.holds_too_many(self.client)
            && table.modest() > table.leaving;
        let gives_way = is_greedy || (is_too_slow && table.waiting.len() > table.leaving);
        if gives_way && !self.is_leaving.swap(true, Ordering::Relaxed) {
            table.leaving += 1;
        }
        gives_way
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
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
