//! Where a forced refresh did not help, because an API refused the new access token like the old one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;
use crate::names::{PartName, RouteName};
use crate::session::SessionId;

/// How long this session forces no further refresh for this API of the route.
const PAUSE: Duration = Duration::from_mins(1);

/// The most entries that are kept. A forgotten one costs one token call.
const MAX_KEPT: usize = 10_000;

/// An API, by the route that leads there and the part of it that calls.
type Api<'a> = (&'a RouteName, Option<&'a PartName>);

type Key = (SessionId, RouteName, Option<PartName>);

/// Sessions and APIs for which a forced refresh has failed. Without this table, an API that answers every request with
/// 401 would cause a token call for each request, and spend a refresh token on it.
#[derive(Debug, Default)]
pub struct FailedRenewals(Mutex<HashMap<Key, UnixTime>>);

impl FailedRenewals {
    /// Notes that the API refused the new tokens too.
    pub fn note(&self, session: SessionId, api: Api<'_>, now: UnixTime) {
        let mut table = self.table();
        if table.len() >= MAX_KEPT {
            table.retain(|_, until| *until > now);
        }
        if table.len() >= MAX_KEPT {
            table.clear();
        }
        table.insert(key(session, api), now.plus(PAUSE));
    }

    /// Whether that happened lately.
    pub fn is_noted(&self, session: SessionId, api: Api<'_>, now: UnixTime) -> bool {
        let until = self.table().get(&key(session, api)).copied();
        until.is_some_and(|until| until > now)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(session: SessionId, (route, part): Api<'_>) -> Key {
    (session, route.clone(), part.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_for_one_session_and_one_api_and_ends() {
        let (now, table) = (UnixTime::from_secs(1_000), FailedRenewals::default());
        let [orders, users] = ["orders", "users"].map(|name| RouteName::parse(name).unwrap());
        let [me, stock] = ["me", "stock"].map(|name| PartName::parse(name).unwrap());
        let (one, other) = (SessionId([1; 16]), SessionId([2; 16]));
        table.note(one, (&orders, Some(&me)), now);
        assert!(table.is_noted(one, (&orders, Some(&me)), now));
        assert!(!table.is_noted(one, (&orders, Some(&stock)), now));
        assert!(!table.is_noted(one, (&orders, None), now));
        assert!(!table.is_noted(one, (&users, Some(&me)), now));
        assert!(!table.is_noted(other, (&orders, Some(&me)), now));
        assert!(!table.is_noted(one, (&orders, Some(&me)), now.plus(PAUSE)));
    }

    #[test]
    fn memory_is_bounded() {
        let table = FailedRenewals::default();
        let route = RouteName::parse("orders").unwrap();
        for n in 0..MAX_KEPT as u128 + 10 {
            let session = SessionId(n.to_be_bytes());
            table.note(session, (&route, None), UnixTime::from_secs(1));
        }
        assert!(table.table().len() <= MAX_KEPT);
    }
}
