//! When a client gives its place up, because others need it more.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::holder::{Awaited, Holder};
use super::queue::{Place, Places};

/// How often a slow client is looked at while requests wait.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at one place: whether others need it more than the client that holds it.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Watch {
    places: Places,
    holder: Arc<Holder>,
}

impl Watch {
    /// For whoever waits for the client while the place is held.
    pub(in crate::proxy::call) fn of(place: &Place) -> Self {
        Self {
            places: place.places.clone(),
            holder: Arc::clone(&place.holder),
        }
    }

    /// It is the client's turn.
    pub(in crate::proxy) fn client_is_awaited(&self) {
        self.holder.pace().awaits(Instant::now);
    }

    /// The client has sent or read so many bytes.
    pub(in crate::proxy) fn client_has_moved(&self, bytes: usize) {
        let mut pace = self.holder.pace();
        if pace.counts() {
            pace.moves(bytes, Instant::now());
        }
    }

    /// Waits until the place is to be given up. The caller then gives it up.
    pub(in crate::proxy) async fn is_needed(&self, awaited: Awaited) {
        loop {
            let mut someone_waits = pin!(self.places.someone_waits());
            // Before the look, so that no request begins to wait unseen.
            someone_waits.as_mut().enable();
            if self.gives_way(awaited) {
                return;
            }
            let has_queue = self.places.has_queue();
            tokio::select! {
                () = someone_waits => {}
                () = sleep(LOOK), if has_queue => {}
            }
        }
    }

    fn gives_way(&self, awaited: Awaited) -> bool {
        let holder = &*self.holder;
        let (is_awaited, is_too_slow) = {
            let pace = holder.pace();
            (pace.is_awaited(), pace.is_too_slow(Instant::now()))
        };
        if !is_awaited {
            return false;
        }
        if holder.is_leaving.load(Ordering::Relaxed) {
            return true;
        }
        let gives_way = self.places.is_to_leave(holder.asker, awaited, is_too_slow);
        if gives_way {
            holder.is_leaving.store(true, Ordering::Relaxed);
        }
        gives_way
    }
}
