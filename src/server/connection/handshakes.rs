//! How many TLS handshakes a worker has under way at once.
//!
//! A handshake costs the client a few bytes, and the worker the time of several requests and some buffers. A crowd of
//! clients that connect at the same moment therefore takes turns, so that the requests of others come in between.
//!
//! # Invariants
//! - A client that has sent nothing takes no place.
//! - While somebody waits, nobody keeps a place for longer than a fair time: half a handshake keeps nobody out.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// Handshakes at once. With clients 200 ms away that is 1,280 a second, which is more than a core can do.
const MOST: usize = 256;

/// Enough for a client that is far away and loses a packet.
const FAIR: Duration = Duration::from_secs(2);

/// The places of one worker.
pub(super) struct Handshakes {
    places: Semaphore,
    fair: Duration,
    waiting: Cell<usize>,
    /// Somebody has begun to wait.
    is_crowded: Notify,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self::new(MOST, FAIR)
    }
}

impl Handshakes {
    fn new(most: usize, fair: Duration) -> Self {
        Self {
            places: Semaphore::new(most),
            fair,
            waiting: Cell::new(0),
            is_crowded: Notify::new(),
        }
    }

    /// Does a handshake when it is its turn. `None` if it took too long while others waited.
    pub(super) async fn take_turn<F: Future>(&self, handshake: F) -> Option<F::Output> {
        let _place = self.place().await?;
        tokio::select! {
            biased;
            outcome = handshake => Some(outcome),
            () = self.make_room() => None,
        }
    }

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let _waiting = Waiting::begin(self);
        self.places.acquire().await.ok()
    }

    async fn make_room(&self) {
        sleep(self.fair).await;
        while self.waiting.get() == 0 {
            self.is_crowded.notified().await;
        }
    }
}

/// One that waits for a place.
struct Waiting<'a>(&'a Handshakes);

impl<'a> Waiting<'a> {
    fn begin(handshakes: &'a Handshakes) -> Self {
        let waiting = &handshakes.waiting;
        waiting.set(waiting.get().saturating_add(1));
        handshakes.is_crowded.notify_waiters();
        Self(handshakes)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = &self.0.waiting;
        waiting.set(waiting.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::rc::Rc;

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    #[actix_web::test]
    async fn there_are_never_more_at_once() {
        let handshakes = Rc::new(Handshakes::new(2, Duration::from_hours(1)));
        let begun = Rc::new(Cell::new(0));
        let mut ends = Vec::new();
        for _ in 0..5 {
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            let (handshakes, begun) = (Rc::clone(&handshakes), Rc::clone(&begun));
            actix_web::rt::spawn(async move {
                let handshake = async {
                    begun.set(begun.get() + 1);
                    let _ = ended.await;
                };
                handshakes.take_turn(handshake).await
            });
        }
        for expect in [2, 3, 4, 5, 5] {
            for _ in 0..3 {
                yield_now().await;
            }
            assert_eq!(begun.get(), expect);
            drop(ends.remove(0));
        }
    }

    #[actix_web::test]
    async fn whoever_has_had_a_fair_time_makes_room_for_others_alone() {
        let handshakes = Handshakes::new(1, Duration::ZERO);
        let mut slow = Box::pin(handshakes.take_turn(pending::<()>()));
        for _ in 0..3 {
            assert_eq!(slow.as_mut().now_or_never(), None, "nobody waits");
            sleep(Duration::from_millis(1)).await;
        }
        let (slow, quick) = tokio::join!(slow, handshakes.take_turn(async { 1 }));
        assert_eq!((slow, quick), (None, Some(1)));
    }
}
