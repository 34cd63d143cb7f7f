//! How often a token may make us fetch the provider's keys or metadata: a token with an unknown key, or with an algorithm that
//! the metadata does not list.
//!
//! # Invariants
//! - Two fetches at once, and then one in each [`WINDOW`]: a provider may change its keys twice in a short time.
//! - Anybody can send logout tokens and signed authorization responses. They never hold back the ID tokens that came from the token
//!   endpoint over TLS: both kinds have fetches of their own. Each address has fetches of its own, within a bound for all addresses.
//! - If the last fetch did not bring a key of some name, that name causes no further fetch in the window.
//! - Memory is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::OidcError;
use crate::clock::UnixTime;

/// How often there is a fetch in the long run.
const WINDOW: Duration = Duration::from_secs(30);

const ONE: Rate = Rate {
    burst: 2,
    each: WINDOW,
};

/// For the tokens of all addresses.
const ALL_ADDRESSES: Rate = Rate {
    burst: 10,
    each: Duration::from_secs(3),
};

/// How many addresses, and how many names, are remembered. Forgetting one costs a fetch.
const MAX_KEPT: usize = 1_000;

/// Who wants newer keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker<'t> {
    /// An ID token from the token endpoint.
    IdToken,
    /// A token that anybody may have sent: a logout token, or a signed authorization response.
    Anybody {
        /// The name of the key that it wants.
        kid: &'t str,
        /// Where it came from.
        from: IpAddr,
    },
}

/// What was fetched lately, and for whom.
#[derive(Debug, Default)]
pub(super) struct Refetch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    id_tokens: Bucket,
    all_addresses: Bucket,
    addresses: HashMap<IpAddr, Bucket>,
    missing: HashMap<String, UnixTime>,
    failure: Option<OidcError>,
}

impl Refetch {
    /// Takes one fetch, or says why none can be made now.
    pub(super) fn spend(&self, asker: Asker<'_>, now: UnixTime) -> Result<(), OidcError> {
        let mut state = self.lock();
        if state.take(asker, now) {
            return Ok(());
        }
        let failure = state.failure.clone();
        Err(failure.unwrap_or_else(|| {
            OidcError::Invalid("no key fits, and the keys were fetched a moment ago".to_owned())
        }))
    }

    /// Notes that the fetch failed.
    pub(super) fn failed(&self, why: &OidcError) {
        self.lock().failure = Some(why.clone());
    }

    /// Notes that keys came. `missing` is the name that was looked for, if it is not among them.
    pub(super) fn came(&self, missing: Option<&str>, now: UnixTime) {
        let mut state = self.lock();
        state.failure = None;
        if let Some(kid) = missing {
            make_room(&mut state.missing, |since| now.since(*since) < WINDOW);
            state.missing.insert(kid.to_owned(), now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, asker: Asker<'_>, now: UnixTime) -> bool {
        let (kid, from) = match asker {
            Asker::IdToken => return self.id_tokens.take(ONE, now),
            Asker::Anybody { kid, from } => (kid, from),
        };
        let is_missing = |since: &UnixTime| *since <= now && now.since(*since) < WINDOW;
        if self.missing.get(kid).is_some_and(is_missing) {
            return false;
        }
        make_room(&mut self.addresses, |bucket| bucket.full_at > now);
        let bucket = self.addresses.entry(from).or_default();
        bucket.take(ONE, now) && self.all_addresses.take(ALL_ADDRESSES, now)
    }
}

fn make_room<K: std::hash::Hash + Eq, V>(kept: &mut HashMap<K, V>, counts: impl Fn(&V) -> bool) {
    if kept.len() >= MAX_KEPT {
        kept.retain(|_, value| counts(value));
    }
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    each: Duration,
}

/// When the whole burst is there again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: UnixTime,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: UnixTime) -> bool {
        let latest = now.plus(rate.each * rate.burst);
        // A clock that was set back must not close it for long.
        let full_at = self.full_at.max(now);
        let full_at = if full_at > latest { now } else { full_at };
        let next = full_at.plus(rate.each);
        if next <= latest {
            self.full_at = next;
        }
        next <= latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn from_host(kid: &str, host: u8) -> Asker<'_> {
        let from = Ipv4Addr::new(192, 0, 2, host).into();
        Asker::Anybody { kid, from }
    }

    /// How many of a hundred fetches there are.
    fn taken(refetch: &Refetch, asker: Asker<'_>, now: UnixTime) -> usize {
        (0..100)
            .filter(|_| refetch.spend(asker, now).is_ok())
            .count()
    }

    #[test]
    fn two_at_once_and_then_one_in_each_window() {
        // V9, B28
        let refetch = Refetch::default();
        assert_eq!(taken(&refetch, Asker::IdToken, NOW), 2);
        for n in 1..5 {
            let later = NOW.plus(WINDOW * n);
            assert_eq!(
                taken(
                    &refetch,
                    Asker::IdToken,
                    later.minus(Duration::from_secs(1))
                ),
                0
            );
            assert_eq!(taken(&refetch, Asker::IdToken, later), 1);
        }
        let set_back = NOW.minus(WINDOW * 10);
        assert_eq!(taken(&refetch, Asker::IdToken, set_back), 2);
    }

    #[test]
    fn logout_tokens_take_from_nobody_but_their_own_address() {
        // Row R: junk closes the window for itself alone.
        let refetch = Refetch::default();
        assert_eq!(taken(&refetch, from_host("a", 1), NOW), 2);
        assert_eq!(taken(&refetch, from_host("b", 1), NOW), 0);
        assert_eq!(taken(&refetch, from_host("a", 2), NOW), 2);
        assert_eq!(taken(&refetch, Asker::IdToken, NOW), 2);
        let all = (3..=255).map(|host| taken(&refetch, from_host("a", host), NOW));
        assert_eq!(all.sum::<usize>(), 6, "ten in all");
    }

    #[test]
    fn a_name_that_did_not_come_is_not_looked_for_again() {
        let refetch = Refetch::default();
        refetch.spend(from_host("junk", 1), NOW).unwrap();
        refetch.came(Some("junk"), NOW);
        assert_eq!(taken(&refetch, from_host("junk", 2), NOW), 0);
        assert_eq!(taken(&refetch, from_host("good", 1), NOW), 1);
        assert_eq!(taken(&refetch, from_host("junk", 2), NOW.plus(WINDOW)), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let refetch = Refetch::default();
        for n in 0..3_000_u32 {
            let from = Ipv4Addr::from_bits(n).into();
            let asker = Asker::Anybody { kid: "", from };
            drop(refetch.spend(asker, NOW));
            refetch.came(Some(&n.to_string()), NOW);
        }
        let state = refetch.lock();
        assert!(state.addresses.len() <= MAX_KEPT && state.missing.len() <= MAX_KEPT);
    }
}
