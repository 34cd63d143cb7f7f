//! Rate limits: requests of one session or client address along a route, and invalid logout tokens from one address.
//!
//! `guard::rate_limit` counts by address, before a cookie is opened. `token::permit` counts by session, once it is known.
//! `endpoint::backchannel` counts invalid tokens by address.
//! `governor` does the arithmetic (GCRA). Its state is kept here, because memory must be bounded whoever comes.
//!
//! # Invariants
//! - Memory is bounded. The least recently used keys are forgotten first, and a forgotten key has its full burst again.
//! - Time is monotonic, so that a corrected clock does not lock anybody out.
//! - Each process counts for itself. Up to `n` times as much passes `n` replicas.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::problem::Problem;
use crate::session::SessionId;

/// Keys of one generation; two generations are kept, of about 50 bytes a key.
const GENERATION: usize = 32_768;

/// Who is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CountedBy {
    /// The client's address, behind trusted proxies.
    Address,
    /// The session, or the address where there is no session.
    Session,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Spender {
    /// An IPv4 address, or a network of IPv6.
    Address(IpAddr),
    /// A session.
    Session(SessionId),
}

/// A limit with all that has been spent of it. Clones share it.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Who is counted.
    pub by: CountedBy,
    quota: Quota,
    buckets: Arc<Limiter>,
}

type Limiter = RateLimiter<Spender, Buckets, Monotonic, NoOpMiddleware<Nanos>>;

impl RateLimit {
    /// So many requests a second in the long run, and `burst` of them at once. `None` if that is not a rate.
    pub fn new(per_second: f64, burst: NonZeroU32, by: CountedBy) -> Option<Self> {
        let period = Duration::try_from_secs_f64(per_second.recip()).ok()?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        Some(Self::with(quota, by, Clock::system()))
    }

    /// For invalid logout tokens: from each address a hundred at once, then one a second. An honest client sends none.
    pub fn of_bad_logout_tokens(clock: &Clock) -> Self {
        let burst = NonZeroU32::MIN.saturating_add(99);
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(burst);
        Self::with(quota, CountedBy::Address, clock.clone())
    }

    /// The same limit by another clock, with nothing spent.
    #[must_use]
    pub fn timed_by(&self, clock: &Clock) -> Self {
        Self::with(self.quota, self.by, clock.clone())
    }

    /// Goes on with what was spent of the `old` limit, if that is the same limit.
    pub(super) fn take_over(&mut self, old: &Self) {
        if self.by == old.by && self.quota == old.quota {
            self.buckets = Arc::clone(&old.buckets);
        }
    }

    fn with(quota: Quota, by: CountedBy, clock: Clock) -> Self {
        let buckets = RateLimiter::new(quota, Buckets::default(), Monotonic(clock));
        Self {
            by,
            quota,
            buckets: Arc::new(buckets),
        }
    }

    /// Counts one request, or says when the next one passes.
    pub fn spend(&self, spender: Spender) -> Result<(), Problem> {
        self.buckets.check_key(&spender).map_err(|not_until| {
            let now = self.buckets.clock().now();
            let wait = not_until.wait_time_from(now);
            Problem::RateLimited {
                // Rounded up, so that a client that comes then does pass.
                retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
            }
        })
    }
}

/// `governor` reads the time from its clock.
#[derive(Clone, Debug)]
struct Monotonic(Clock);

impl governor::clock::Clock for Monotonic {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}

/// For each key the moment at which its burst is full again: all that GCRA wants to know.
#[derive(Debug, Default)]
struct Buckets(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Spender, Nanos>,
    old: HashMap<Spender, Nanos>,
}

impl StateStore for Buckets {
    type Key = Spender;

    fn measure_and_replace<T, F, E>(&self, key: &Spender, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.recall(key);
        let (taken, full_at) = f(known)?;
        buckets.remember(*key, full_at);
        Ok(taken)
    }
}

impl Generations {
    /// A key that comes is young again, whether its request passes or not. So a flood does not make itself forgotten.
    fn recall(&mut self, key: &Spender) -> Option<Nanos> {
        if let Some(full_at) = self.young.get(key) {
            return Some(*full_at);
        }
        let full_at = self.old.remove(key)?;
        self.remember(*key, full_at);
        Some(full_at)
    }

    fn remember(&mut self, key: Spender, full_at: Nanos) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    fn limit(per_second: f64, burst: u32) -> (RateLimit, Clock) {
        let clock = Clock::fixed(UnixTime::from_secs(1_000));
        let burst = NonZeroU32::new(burst).unwrap();
        let limit = RateLimit::new(per_second, burst, CountedBy::Address).unwrap();
        (limit.timed_by(&clock), clock)
    }

    fn from(address: [u8; 4]) -> Spender {
        Spender::Address(address.into())
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_and_others_have_their_own() {
        // A30
        let (limit, clock) = limit(0.1, 3);
        let (one, other) = (from([192, 0, 2, 1]), from([192, 0, 2, 2]));
        for _ in 0..3 {
            assert_eq!(limit.spend(one), Ok(()));
        }
        let refused = Err(Problem::RateLimited { retry_after: 10 });
        assert_eq!(limit.spend(one), refused);
        assert_eq!(limit.spend(other), Ok(()));
        clock.advance(Duration::from_secs(9));
        assert_eq!(
            limit.spend(one),
            Err(Problem::RateLimited { retry_after: 1 })
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.spend(one), Ok(()));
        assert_eq!(limit.spend(one), refused);
    }

    #[test]
    fn memory_is_bounded_and_those_who_keep_coming_are_not_forgotten() {
        let (limit, _) = limit(0.001, 1);
        let busy = from([10, 0, 0, 1]);
        assert_eq!(limit.spend(busy), Ok(()));
        for n in 0..u32::try_from(3 * GENERATION).unwrap() {
            let address = IpAddr::V4((0xac10_0000 + n).into());
            assert_eq!(limit.spend(Spender::Address(address)), Ok(()));
            if n % 1_000 == 0 {
                assert!(limit.spend(busy).is_err(), "after {n} others");
            }
        }
        let buckets = Arc::into_inner(limit.buckets).unwrap().into_state_store();
        let buckets = buckets.0.into_inner().unwrap();
        assert!(buckets.young.len() + buckets.old.len() <= 2 * GENERATION);
    }
}
