//! Places for connections that last. Nobody waits for one: it may take hours until it is free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::asker::Asker;
use super::counts::Counts;
use crate::telemetry::metrics::{Held, UpstreamConnections};

/// All places for tunnels to one upstream. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::proxy::call) struct Tunnels {
    counts: Arc<Mutex<Counts>>,
    connections: UpstreamConnections,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy::call) enum NoTunnel {
    /// All are in use.
    AllTaken,
    /// Those that are free are for addresses that hold less, or for users.
    KeptForOthers,
}

impl Tunnels {
    pub(in crate::proxy::call) fn new(most: usize, connections: UpstreamConnections) -> Self {
        Self {
            counts: Arc::new(Mutex::new(Counts::new(most))),
            connections,
        }
    }

    pub(in crate::proxy::call) fn take(&self, asker: Asker) -> Result<TunnelPlace, NoTunnel> {
        let mut counts = self.counts();
        if counts.take(asker) {
            let tunnels = self.clone();
            return Ok(TunnelPlace {
                _used: tunnels.connections.used(),
                tunnels,
                asker,
            });
        }
        Err(if counts.has_free() {
            NoTunnel::KeptForOthers
        } else {
            NoTunnel::AllTaken
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // The counts are consistent after every call, so a panic elsewhere leaves nothing half-done.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one tunnel, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct TunnelPlace {
    tunnels: Tunnels,
    asker: Asker,
    /// For the metrics.
    _used: Held,
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        self.tunnels.counts().give_back(self.asker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::call::places::queue::tests::{client, user};

    #[test]
    fn one_client_cannot_take_the_last_tunnel_from_others() {
        let tunnels = Tunnels::new(4, UpstreamConnections::default());
        let held: Vec<_> = (0..3).map(|_| tunnels.take(client(1)).unwrap()).collect();
        assert_eq!(
            tunnels.take(client(1)).unwrap_err(),
            NoTunnel::KeptForOthers
        );
        let other = tunnels.take(client(2)).unwrap();
        assert_eq!(tunnels.take(client(3)).unwrap_err(), NoTunnel::AllTaken);
        drop((held, other));
        assert!(tunnels.counts().is_untouched());
    }

    #[test]
    fn the_last_tunnels_are_kept_for_users() {
        let tunnels = Tunnels::new(8, UpstreamConnections::default());
        let held: Vec<_> = (0..7).map(|n| tunnels.take(client(n)).unwrap()).collect();
        let refused = tunnels.take(client(8)).unwrap_err();
        assert_eq!(refused, NoTunnel::KeptForOthers);
        let last = tunnels.take(user(8)).unwrap();
        assert_eq!(tunnels.take(user(9)).unwrap_err(), NoTunnel::AllTaken);
        drop((held, last));
    }
}
