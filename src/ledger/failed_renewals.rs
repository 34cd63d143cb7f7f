//! Where a forced refresh did not help, because an API refused the new access token like the old one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;
use crate::names::RouteName;
use crate::session::SessionId;

/// How long this session forces no further refresh on this route.
const PAUSE: Duration = Duration::from_mins(1);

/// The most entries that are kept. A forgotten one costs one token call.
const MAX_KEPT: usize = 10_000;

/// Sessions and routes for which a forced refresh has failed. Without this table, an API that answers every request with
/// 401 would cause a token call for each request, and spend a refresh token on it.
#[derive(Debug, Default)]
pub struct FailedRenewals(Mutex<HashMap<(SessionId, RouteName), UnixTime>>);

impl FailedRenewals {
    /// Notes that the API refused the new tokens too.
    pub fn note(&self, session: SessionId, route: &RouteName, now: UnixTime) {
        let mut table = self.table();
        if table.len() >= MAX_KEPT {
            table.retain(|_, until| *until > now);
        }
        if table.len() >= MAX_KEPT {
            table.clear();
        }
        table.insert((session, route.clone()), now.plus(PAUSE));
    }

    /// Whether that happened lately.
    pub fn is_noted(&self, session: SessionId, route: &RouteName, now: UnixTime) -> bool {
        let until = self.table().get(&(session, route.clone())).copied();
        until.is_some_and(|until| until > now)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<(SessionId, RouteName), UnixTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_for_one_session_on_one_route_and_ends() {
        let (now, table) = (UnixTime::from_secs(1_000), FailedRenewals::default());
        let [orders, users] = ["orders", "users"].map(|name| RouteName::parse(name).unwrap());
        let (one, other) = (SessionId([1; 16]), SessionId([2; 16]));
        table.note(one, &orders, now);
        assert!(table.is_noted(one, &orders, now));
        assert!(!table.is_noted(one, &users, now));
        assert!(!table.is_noted(other, &orders, now));
        assert!(!table.is_noted(one, &orders, now.plus(PAUSE)));
    }

    #[test]
    fn memory_is_bounded() {
        let table = FailedRenewals::default();
        let route = RouteName::parse("orders").unwrap();
        for n in 0..MAX_KEPT as u128 + 10 {
            table.note(SessionId(n.to_be_bytes()), &route, UnixTime::from_secs(1));
        }
        assert!(table.table().len() <= MAX_KEPT);
    }
}
