//! How long a client may read nothing of its answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::bff::{Bff, PATIENCE};

/// The limit for new connections.
#[derive(Clone)]
pub(in crate::server) struct Patience {
    /// What connections inherit from their listener.
    of_listener: Duration,
    /// Where a reload may have put another one.
    bff: Option<Arc<Bff>>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            of_listener: PATIENCE,
            bff: None,
        }
    }
}

impl Patience {
    /// As long as the upstream allows that allows longest.
    pub(in crate::server) fn of_configuration(bff: &Arc<Bff>) -> Self {
        Self {
            of_listener: bff.configured.load().patience(),
            bff: Some(Arc::clone(bff)),
        }
    }

    /// The limit at this moment.
    pub(in crate::server) fn now(&self) -> Duration {
        let of_configuration = |bff: &Arc<Bff>| bff.configured.load().patience();
        self.bff.as_ref().map_or(self.of_listener, of_configuration)
    }

    /// The limit of a new connection, which the kernel keeps from now on.
    pub(super) fn of(&self, tcp: &TcpStream) -> Duration {
        let limit = self.now();
        if limit != self.of_listener {
            limit_unread(tcp, limit);
        }
        limit
    }
}

/// Ends connections whose client reads nothing for `limit` although something was sent. While a client does not read, the
/// answer's body is not polled, so only the kernel can know. Accepted connections inherit the limit from the listener.
pub(in crate::server) fn limit_unread<'s, S>(socket: &'s S, limit: Duration)
where
    socket2::SockRef<'s>: From<&'s S>,
{
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_user_timeout(Some(limit)) {
        log::warn!("clients that stop reading are not timed out: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, limit);
}
