//! Access tokens that belong to no cookie: asked for when a route needs one, kept in memory until shortly before their end.
//!
//! Each token has an owner and a key. The client's own tokens ([`Provider::client_token`](super::Provider::client_token)) have
//! their scope for a key. An exchanged one belongs to a session, so that all of a session's go at once.
//!
//! # Invariants
//! - One call at a time for each key, however many requests wait. After a failure there is no call for some seconds.
//! - What belongs to one owner is found without a look at the others.
//! - Memory is bounded. Whatever the cache forgets costs a call, and never correctness.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::CachedToken;
use super::token_slot::Slot;
use crate::clock::UnixTime;

/// How often the entries that are over are looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// Whether an owner is over: a session that was ended before its time, for instance.
pub type IsOver = Box<dyn Fn() -> bool + Send + Sync>;

/// A bounded cache of tokens.
#[derive(Debug)]
pub(super) struct TokenCache<O, K> {
    table: Mutex<Table<O, K>>,
    most: usize,
}

#[derive(Debug)]
struct Table<O, K> {
    owners: HashMap<O, Owned<K>>,
    /// The slots of all owners.
    len: usize,
    swept_at: UnixTime,
}

/// What belongs to one owner.
struct Owned<K> {
    slots: HashMap<K, Arc<Slot>>,
    is_over: Option<IsOver>,
}

impl<K: fmt::Debug> fmt::Debug for Owned<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl<O: Clone + Eq + Hash, K: Clone + Eq + Hash> TokenCache<O, K> {
    /// A cache of so many keys at the most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            table: Mutex::new(Table {
                owners: HashMap::new(),
                len: 0,
                swept_at: UnixTime::default(),
            }),
            most,
        }
    }

    /// The place of a key.
    pub(super) fn slot<Q>(&self, owner: &O, key: &Q, now: UnixTime) -> Arc<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.slot_of(owner, key, now, || None)
    }

    /// The place of a key whose owner may be over before its time. `is_over` makes what tells it, for a new owner.
    pub(super) fn slot_of<Q>(
        &self,
        owner: &O,
        key: &Q,
        now: UnixTime,
        is_over: impl FnOnce() -> Option<IsOver>,
    ) -> Arc<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.table();
        if let Some(slot) = table.find(owner, key) {
            return Arc::clone(slot);
        }
        table.make_room(self.most, now);
        let slot = Arc::default();
        let new = || Owned {
            slots: HashMap::new(),
            is_over: is_over(),
        };
        let group = table.owners.entry(owner.clone()).or_insert_with(new);
        group.slots.insert(key.to_owned(), Arc::clone(&slot));
        table.len += 1;
        slot
    }

    /// A token that can be used without a call.
    pub(super) fn at_hand<Q>(&self, owner: &O, key: &Q, now: UnixTime) -> Option<Arc<CachedToken>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table().find(owner, key).cloned();
        slot?.at_hand(now)
    }

    /// Forgets those of an owner's keys that are not to be kept. Whoever waits for one of them still gets it.
    pub(super) fn retain(&self, owner: &O, keep: impl Fn(&K) -> bool) {
        let mut table = self.table();
        let Some(group) = table.owners.get_mut(owner) else {
            return;
        };
        let before = group.slots.len();
        group.slots.retain(|key, _| keep(key));
        let left = group.slots.len();
        if left == 0 {
            table.owners.remove(owner);
        }
        table.len -= before - left;
    }

    /// Forgets all of the owners that are over.
    pub(super) fn forget_ended(&self) {
        self.table().retain(|group| {
            let is_over = group.is_over.as_ref().is_some_and(|is_over| is_over());
            if is_over {
                group.slots.clear();
            }
        });
    }

    /// How many keys have a place.
    pub(super) fn len(&self) -> usize {
        self.table().len
    }

    fn table(&self) -> MutexGuard<'_, Table<O, K>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Eq + Hash, K: Eq + Hash> Table<O, K> {
    fn find<Q>(&self, owner: &O, key: &Q) -> Option<&Arc<Slot>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.owners.get(owner)?.slots.get(key)
    }

    /// Lets `thin` take slots away from each owner. Owners without any go too.
    fn retain(&mut self, mut thin: impl FnMut(&mut Owned<K>)) {
        self.len = 0;
        self.owners.retain(|_, group| {
            thin(group);
            self.len += group.slots.len();
            !group.slots.is_empty()
        });
    }

    /// Drops what is over, now and then. If the table is full all the same, it drops the half that ends first.
    fn make_room(&mut self, most: usize, now: UnixTime) {
        if self.len < most && now.since(self.swept_at) < SWEEP {
            return;
        }
        self.swept_at = now;
        // Somebody waits at a slot that is held elsewhere.
        let in_use = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
        let is_kept = |slot: &Arc<Slot>| in_use(slot) || slot.ends_at(now).is_some();
        self.retain(|group| group.slots.retain(|_, slot| is_kept(slot)));
        if self.len < most || self.len == 0 {
            return;
        }
        let slots = self.owners.values().flat_map(|group| group.slots.values());
        let mut ends: Vec<_> = slots.map(|slot| slot.ends_at(now)).collect();
        let middle = ends.len() / 2;
        let (_, &mut median, _) = ends.select_nth_unstable(middle);
        let mut spare = middle.max(1);
        let mut goes = |slot: &Arc<Slot>| {
            let goes = spare > 0 && !in_use(slot) && slot.ends_at(now) <= median;
            spare -= usize::from(goes);
            goes
        };
        self.retain(|group| group.slots.retain(|_, slot| !goes(slot)));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, Ordering};

    use openidconnect::AccessToken;
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::Clock;
    use crate::oidc::{OidcError, TokenResponse};

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> Clock {
        Clock::fixed(UnixTime::from_secs(1_000_000))
    }

    /// A token that lives for five minutes.
    fn token(name: &str, asked_at: UnixTime) -> CachedToken {
        let response = TokenResponse {
            access_token: AccessToken::new(name.to_owned()),
            token_type: crate::oidc::TokenType::Bearer,
            refresh_token: None,
            id_token: None,
            expires_in: SECOND * 300,
            refresh_expires_in: None,
            authorization_expires_in: None,
            scope: None,
        };
        CachedToken::new(response, asked_at, "a b").unwrap()
    }

    fn outage() -> OidcError {
        OidcError::Unavailable("down".to_owned())
    }

    /// A cache that counts its calls; `answer` is what they bring.
    struct Counting {
        cache: TokenCache<char, String>,
        clock: Clock,
        calls: Cell<usize>,
        is_down: Cell<bool>,
    }

    impl Counting {
        fn new(most: usize) -> Self {
            Self {
                cache: TokenCache::new(most),
                clock: clock(),
                calls: Cell::new(0),
                is_down: Cell::new(false),
            }
        }

        /// What belongs to the owner that the key begins with.
        fn slot(&self, key: &str) -> Arc<Slot> {
            let owner = key.chars().next().unwrap();
            self.cache.slot(&owner, key, self.clock.now())
        }

        async fn get(&self, key: &str) -> Result<Arc<CachedToken>, OidcError> {
            let ask = async |now| {
                self.calls.set(self.calls.get() + 1);
                if self.is_down.get() {
                    return Err(outage());
                }
                Ok(token(&format!("{key}-{}", self.calls.get()), now))
            };
            self.slot(key).get(&self.clock, ask).await
        }

        async fn header(&self, key: &str) -> String {
            let token = self.get(key).await.unwrap();
            token
                .authorization
                .bearer()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        }
    }

    #[tokio::test]
    async fn a_token_is_kept_until_shortly_before_its_end_and_by_its_key() {
        let counting = Counting::new(10);
        assert_eq!(counting.header("a").await, "Bearer a-1");
        assert_eq!(counting.header("b").await, "Bearer b-2");
        counting.clock.advance(SECOND * 239);
        assert_eq!(counting.header("a").await, "Bearer a-1");
        counting.clock.advance(SECOND);
        assert_eq!(counting.header("a").await, "Bearer a-3");
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_some_seconds_and_costs_no_live_token() {
        let counting = Counting::new(10);
        let first = counting.get("a").await.unwrap();
        counting.is_down.set(true);
        counting.clock.advance(SECOND * 240);
        for _ in 0..5 {
            assert!(Arc::ptr_eq(&counting.get("a").await.unwrap(), &first));
        }
        assert_eq!(counting.calls.get(), 2, "one call has failed");
        counting.clock.advance(SECOND * 60);
        for _ in 0..5 {
            assert_eq!(counting.get("a").await.unwrap_err(), outage());
        }
        assert_eq!(counting.calls.get(), 3);
        counting.is_down.set(false);
        counting.clock.advance(SECOND * 60);
        counting.get("a").await.unwrap();
    }

    #[tokio::test]
    async fn all_who_want_one_key_wait_for_one_call() {
        let (cache, clock) = (TokenCache::<(), String>::new(10), clock());
        let (calls, go) = (Cell::new(0), Notify::new());
        let ask = async |now| {
            calls.set(calls.get() + 1);
            go.notified().await;
            Ok(token("at", now))
        };
        let get = async |key| cache.slot(&(), key, clock.now()).get(&clock, &ask).await;
        let all = async { tokio::join!(get("a"), get("a"), get("b"), get("a")) };
        let release = async {
            // `join!` polls in order: all four have begun by now.
            assert_eq!(calls.get(), 2, "one for each key");
            go.notify_waiters();
        };
        let ((one, two, other, three), ()) = tokio::join!(all, release);
        let one = one.unwrap();
        assert!(Arc::ptr_eq(&one, &two.unwrap()) && Arc::ptr_eq(&one, &three.unwrap()));
        assert!(!Arc::ptr_eq(&one, &other.unwrap()));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_the_key_to_the_next() {
        let counting = Counting::new(10);
        let never = async |_| std::future::pending().await;
        let slot = counting.slot("a");
        let given_up = slot.get(&counting.clock, never);
        let given_up = tokio::time::timeout(Duration::ZERO, given_up);
        assert!(given_up.await.is_err());
        assert_eq!(counting.header("a").await, "Bearer a-1");
    }

    #[tokio::test]
    async fn all_who_wait_hear_of_a_failure_that_is_not_remembered() {
        let (cache, clock) = (TokenCache::<(), String>::new(10), clock());
        let (calls, go) = (Cell::new(0), Notify::new());
        let ask = async |_| {
            calls.set(calls.get() + 1);
            go.notified().await;
            Err(outage())
        };
        let get = async || {
            let slot = cache.slot(&(), "a", clock.now());
            slot.get_or(&clock, &ask, |_| Some(Duration::ZERO)).await
        };
        let all = async { tokio::join!(get(), get(), get()) };
        let release = async { go.notify_waiters() };
        let ((one, two, three), ()) = tokio::join!(all, release);
        for told in [one, two, three] {
            assert_eq!(told.unwrap_err(), outage());
        }
        assert_eq!(calls.get(), 1);
        let later = async { tokio::join!(get(), async { go.notify_waiters() }) };
        later.await.0.unwrap_err();
        assert_eq!(calls.get(), 2, "it may be asked at once");
    }

    #[tokio::test]
    async fn what_belongs_to_an_owner_that_is_over_is_forgotten() {
        let counting = Counting::new(10);
        for key in ["a orders", "a users", "b orders"] {
            counting.get(key).await.unwrap();
        }
        let now = counting.clock.now();
        assert!(counting.cache.at_hand(&'a', "a users", now).is_some());
        counting.cache.retain(&'a', |key| key == "a users");
        counting.cache.retain(&'c', |_| false);
        assert_eq!(counting.cache.len(), 2);
        assert_eq!(counting.header("a users").await, "Bearer a users-2");
        assert_eq!(counting.header("a orders").await, "Bearer a orders-4");
        counting.cache.retain(&'a', |_| false);
        assert!(counting.cache.at_hand(&'a', "a users", now).is_none());
        assert_eq!(counting.header("b orders").await, "Bearer b orders-3");
        assert_eq!(counting.cache.len(), 1);
    }

    #[test]
    fn an_owner_is_asked_whether_it_is_over() {
        let cache = TokenCache::<char, String>::new(10);
        let ends = Arc::new(AtomicBool::new(false));
        let now = clock().now();
        let ended = Arc::clone(&ends);
        let is_over: IsOver = Box::new(move || ended.load(Ordering::Relaxed));
        cache.slot_of(&'a', "1", now, || Some(is_over));
        cache.slot_of(&'a', "2", now, || panic!("it is known"));
        cache.slot(&'b', "1", now);
        cache.forget_ended();
        assert_eq!(cache.len(), 3);
        ends.store(true, Ordering::Relaxed);
        cache.forget_ended();
        assert_eq!(cache.len(), 1);
    }

    #[tokio::test]
    async fn memory_is_bounded_and_what_is_over_goes_first() {
        let counting = Counting::new(10);
        let len = || counting.cache.len();
        for n in 0..5 {
            counting.get(&format!("old {n}")).await.unwrap();
        }
        counting.clock.advance(SECOND * 299);
        for n in 0..5 {
            counting.get(&format!("new {n}")).await.unwrap();
        }
        counting.clock.advance(SECOND);
        counting.get("newest").await.unwrap();
        assert_eq!(len(), 6, "the old ones are over");
        let calls = counting.calls.get();
        counting.get("new 0").await.unwrap();
        assert_eq!(counting.calls.get(), calls);
        for n in 0..100 {
            counting.get(&format!("more {n}")).await.unwrap();
            assert!(len() <= 10);
        }
        // Failures are entries too.
        counting.is_down.set(true);
        for n in 0..100 {
            counting.get(&format!("down {n}")).await.unwrap_err();
            assert!(len() <= 10);
        }
    }
}
