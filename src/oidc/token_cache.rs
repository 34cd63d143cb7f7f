//! Access tokens that belong to no cookie: asked for when a route needs one, kept in memory until shortly before their end.
//!
//! The client's own tokens are in one ([`Provider::client_token`](super::Provider::client_token)), by their scope. Any other
//! key will do: what the token was asked for with must be in it.
//!
//! # Invariants
//! - One call at a time for each key, however many requests wait. After a failure there is no call for some seconds.
//! - A token that lives is used although the provider is down.
//! - Memory is bounded. Whatever the cache forgets costs a call, and never correctness.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::gate::{Gate, Turn};
use super::{OidcError, TokenResponse};
use crate::clock::{Clock, UnixTime};

/// How long before its end a token is replaced; at most a fifth of its lifetime.
const AHEAD: Duration = Duration::from_mins(1);

/// What is left unused of an exchanged token's life; at most half of it.
const LAST_SECONDS: Duration = Duration::from_secs(30);

/// How often the entries that are over are looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// An access token outside of any session, as it came from the token endpoint.
pub struct CachedToken {
    authorization: HeaderValue,
    /// The granted scope.
    pub scope: String,
    asked_at: UnixTime,
    expires_at: UnixTime,
    /// How long before its end it is replaced at the earliest.
    ahead: Duration,
}

impl CachedToken {
    /// The token of an answer to a request for `asked_scope`, which was sent at `asked_at`.
    pub(super) fn new(
        response: TokenResponse,
        asked_at: UnixTime,
        asked_scope: &str,
    ) -> Result<Self, OidcError> {
        // RFC 6750 §2.1.
        let value = format!("Bearer {}", response.access_token.secret());
        let mut authorization = HeaderValue::try_from(value)
            .map_err(|_| OidcError::Unusable("no header can carry the access token".to_owned()))?;
        authorization.set_sensitive(true);
        Ok(Self {
            authorization,
            // RFC 6749 §5.1: if the answer does not say, it is what was asked for.
            scope: response.scope.unwrap_or_else(|| asked_scope.to_owned()),
            asked_at,
            expires_at: asked_at.plus(response.expires_in),
            ahead: AHEAD,
        })
    }

    /// The token that came in exchange for another one, which ends at `end`: never used later, and not in its last seconds,
    /// so that it does not end on the way.
    pub(super) fn exchanged(
        response: TokenResponse,
        asked_at: UnixTime,
        asked_scope: &str,
        end: UnixTime,
    ) -> Result<Self, OidcError> {
        let lifetime = response.expires_in;
        let spared = LAST_SECONDS.min(lifetime / 2);
        let token = Self::new(response, asked_at, asked_scope)?;
        Ok(Self {
            expires_at: token.expires_at.minus(spared).min(end),
            ahead: Duration::ZERO,
            ..token
        })
    }

    /// The same, to be used no longer than this. The earliest of several ends counts.
    #[must_use]
    pub fn until(self, end: UnixTime) -> Self {
        Self {
            expires_at: self.expires_at.min(end),
            ..self
        }
    }

    /// The `Authorization` of this token, marked sensitive.
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// When it is time to ask for the next one.
    fn replace_from(&self) -> UnixTime {
        let lifetime = self.expires_at.since(self.asked_at);
        self.expires_at.minus(self.ahead.min(lifetime / 5))
    }
}

impl fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedToken")
            .field("scope", &self.scope)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A bounded cache of tokens.
#[derive(Debug)]
pub struct TokenCache<K> {
    table: Mutex<Table<K>>,
    most: usize,
}

#[derive(Debug)]
struct Table<K> {
    slots: HashMap<K, Arc<Slot>>,
    swept_at: UnixTime,
}

/// The place of one key.
#[derive(Debug, Default)]
struct Slot {
    token: ArcSwapOption<CachedToken>,
    gate: Gate,
}

impl Slot {
    fn alive(&self, now: UnixTime) -> Option<Arc<CachedToken>> {
        let token = self.token.load_full();
        token.filter(|token| now < token.expires_at)
    }

    /// When the slot has nothing to say any more, if it has anything to say now.
    fn ends_at(&self, now: UnixTime) -> Option<UnixTime> {
        let alive = self.alive(now).map(|token| token.expires_at);
        alive.max(self.gate.closed_until(now))
    }
}

impl<K: Clone + Eq + Hash> TokenCache<K> {
    /// A cache of so many keys at the most.
    pub fn new(most: usize) -> Self {
        Self {
            table: Mutex::new(Table {
                slots: HashMap::new(),
                swept_at: UnixTime::default(),
            }),
            most,
        }
    }

    /// A live token of this key: the one at hand, or else the one that `ask` brings. `ask` is told when it is sent.
    ///
    /// An error is that of the last call, which may have been another request's.
    pub async fn get<Q>(
        &self,
        key: &Q,
        clock: &Clock,
        ask: impl AsyncFn(UnixTime) -> Result<CachedToken, OidcError>,
    ) -> Result<Arc<CachedToken>, OidcError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.get_or(key, clock, ask, |_| None).await
    }

    /// The same, where `refused_for` says how long an error is told again without a call. `None`: longer after each failure.
    pub async fn get_or<Q>(
        &self,
        key: &Q,
        clock: &Clock,
        ask: impl AsyncFn(UnixTime) -> Result<CachedToken, OidcError>,
        refused_for: impl Fn(&OidcError) -> Option<Duration>,
    ) -> Result<Arc<CachedToken>, OidcError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let slot = self.slot(key, clock.now());
        loop {
            let now = clock.now();
            let alive = slot.alive(now);
            if let Some(token) = alive.as_ref().filter(|token| now < token.replace_from()) {
                return Ok(Arc::clone(token));
            }
            let failed = match (slot.gate.enter(now), &alive) {
                (Turn::Taken(waiting), None) => {
                    waiting.done().await;
                    continue;
                }
                (Turn::Taken(_), Some(token)) => return Ok(Arc::clone(token)),
                (Turn::Closed(why), _) => why,
                (Turn::Mine(pass), _) => match ask(now).await {
                    Ok(token) => {
                        let token = Arc::new(token);
                        slot.token.store(Some(Arc::clone(&token)));
                        pass.succeeded();
                        return Ok(token);
                    }
                    Err(error) => {
                        match refused_for(&error) {
                            Some(wait) => pass.close_for(clock.now(), wait, error.clone()),
                            None => pass.failed(clock.now(), error.clone()),
                        }
                        error
                    }
                },
            };
            return alive.ok_or(failed);
        }
    }

    /// Forgets the keys that `is_over` names: the tokens of a session that was ended, for instance. Whoever waits for one of
    /// them still gets it.
    pub fn forget(&self, is_over: impl Fn(&K) -> bool) {
        let mut table = self.table();
        if !table.slots.is_empty() {
            table.slots.retain(|key, _| !is_over(key));
        }
    }

    fn slot<Q>(&self, key: &Q, now: UnixTime) -> Arc<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut table = self.table();
        if let Some(slot) = table.slots.get(key) {
            return Arc::clone(slot);
        }
        table.make_room(self.most, now);
        let slot = Arc::default();
        table.slots.insert(key.to_owned(), Arc::clone(&slot));
        slot
    }

    fn table(&self) -> MutexGuard<'_, Table<K>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Table<K> {
    /// Drops what is over, now and then. If the table is full all the same, it drops the half that ends first.
    fn make_room(&mut self, most: usize, now: UnixTime) {
        let is_full = |slots: &HashMap<K, _>| slots.len() >= most;
        if !is_full(&self.slots) && now.since(self.swept_at) < SWEEP {
            return;
        }
        self.swept_at = now;
        // Somebody waits at a slot that is held elsewhere.
        let in_use = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
        self.slots
            .retain(|_, slot| in_use(slot) || slot.ends_at(now).is_some());
        if is_full(&self.slots) && !self.slots.is_empty() {
            let ends = self.slots.values().map(|slot| slot.ends_at(now));
            let mut ends: Vec<_> = ends.collect();
            let middle = ends.len() / 2;
            let (_, &mut median, _) = ends.select_nth_unstable(middle);
            let mut spare = middle.max(1);
            self.slots.retain(|_, slot| {
                let goes = spare > 0 && !in_use(slot) && slot.ends_at(now) <= median;
                spare -= usize::from(goes);
                !goes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use openidconnect::AccessToken;
    use tokio::sync::Notify;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> Clock {
        Clock::fixed(UnixTime::from_secs(1_000_000))
    }

    /// A token that lives for five minutes.
    fn token(name: &str, asked_at: UnixTime) -> CachedToken {
        let response = TokenResponse {
            access_token: AccessToken::new(name.to_owned()),
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
        cache: TokenCache<String>,
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

        async fn get(&self, key: &str) -> Result<Arc<CachedToken>, OidcError> {
            let ask = async |now| {
                self.calls.set(self.calls.get() + 1);
                if self.is_down.get() {
                    return Err(outage());
                }
                Ok(token(&format!("{key}-{}", self.calls.get()), now))
            };
            self.cache.get(key, &self.clock, ask).await
        }

        async fn header(&self, key: &str) -> String {
            let token = self.get(key).await.unwrap();
            token.authorization().to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn a_token_ends_at_the_earliest_of_its_ends() {
        let now = clock().now();
        let after = |secs| now.plus(SECOND * secs);
        let ends = |token: &CachedToken| (token.replace_from(), token.expires_at);
        let token = token("at", now);
        assert_eq!(token.scope, "a b", "as asked for");
        assert!(token.authorization().is_sensitive());
        assert!(!format!("{token:?}").contains("at\""));
        assert_eq!(ends(&token), (after(240), after(300)));
        let token = token.until(after(900));
        assert_eq!(ends(&token), (after(240), after(300)));
        let token = token.until(after(100)).until(after(200));
        assert_eq!(ends(&token), (after(80), after(100)), "a fifth ahead");
        let token = token.until(now.minus(SECOND));
        assert!(now >= token.expires_at, "it is over");
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
        let (cache, clock) = (TokenCache::<String>::new(10), clock());
        let (calls, go) = (Cell::new(0), Notify::new());
        let ask = async |now| {
            calls.set(calls.get() + 1);
            go.notified().await;
            Ok(token("at", now))
        };
        let get = |key| cache.get(key, &clock, &ask);
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
        let given_up = counting.cache.get("a", &counting.clock, never);
        let given_up = tokio::time::timeout(Duration::ZERO, given_up);
        assert!(given_up.await.is_err());
        assert_eq!(counting.header("a").await, "Bearer a-1");
    }

    #[tokio::test]
    async fn what_belongs_to_an_ended_session_is_forgotten() {
        let counting = Counting::new(10);
        for key in ["s1 orders", "s1 users", "s2 orders"] {
            counting.get(key).await.unwrap();
        }
        counting.cache.forget(|key| key.starts_with("s1 "));
        assert_eq!(counting.header("s2 orders").await, "Bearer s2 orders-3");
        assert_eq!(counting.header("s1 orders").await, "Bearer s1 orders-4");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_what_is_over_goes_first() {
        let counting = Counting::new(10);
        let len = || counting.cache.table().slots.len();
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
