//! The end of the process: no new traffic, the listeners close, and what is left is cut.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Whether the process is on its way out.
#[derive(Debug, Default)]
pub struct Draining {
    has_begun: AtomicBool,
    is_closing: watch::Sender<bool>,
    /// When the listeners cut what is left.
    deadline: OnceLock<Instant>,
    in_flight: AtomicUsize,
    cut: AtomicUsize,
}

impl Draining {
    /// Shutdown begins: readiness fails.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Whether shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// How many requests do not have all of their answer yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// A request has come.
    pub fn request_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is over. It is cut if its answer `is_incomplete` and the grace has passed: before that, the client left.
    pub fn request_ends(&self, is_incomplete: bool) {
        let is_over = |deadline: &Instant| Instant::now() >= *deadline;
        if is_incomplete && self.deadline.get().is_some_and(is_over) {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// How many requests were cut before they had all of their answer.
    pub fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// The listeners close now, and cut what is left after `grace`.
    pub fn close(&self, grace: Duration) {
        self.begin();
        // Of two calls the first counts.
        let _ = self.deadline.set(Instant::now() + grace);
        self.is_closing.send_replace(true);
    }

    /// What is left of the grace.
    pub fn grace_left(&self) -> Duration {
        let left = |deadline: &Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.get().map(left).unwrap_or_default()
    }

    /// Whether the listeners close.
    pub fn is_closing(&self) -> bool {
        *self.is_closing.borrow()
    }

    /// Waits for [`close`](Self::close).
    pub fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut is_closing = self.is_closing.subscribe();
        async move {
            // Without a sender there is no process left to wait for.
            let _ = is_closing.wait_for(|closing| *closing).await;
        }
    }
}
