//! Bodies that go to the upstream although little of them has come.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From so many bytes on, a body is no trickle.
pub(super) const ENOUGH: usize = 1024;

/// How many bodies may be on their way to one upstream of which less than [`ENOUGH`] has come. Each has a connection, which takes
/// more of our memory than the client's. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Trickles(Arc<Semaphore>);

/// The right of one such body, until enough of it has come.
#[derive(Debug)]
pub(super) struct Trickle(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Trickles {
    /// An eighth of the connections.
    pub(super) fn of(max_connections: usize) -> Self {
        Self(Arc::new(Semaphore::new((max_connections / 8).max(1))))
    }

    /// Without waiting.
    pub(super) fn take_now(&self) -> Option<Trickle> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Trickle)
    }

    /// Waits for one.
    pub(super) async fn take(&self) -> Option<Trickle> {
        Arc::clone(&self.0).acquire_owned().await.ok().map(Trickle)
    }
}
