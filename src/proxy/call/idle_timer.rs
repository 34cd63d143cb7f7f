//! How long nothing has come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Measures how long somebody has waited. It costs nothing while bytes are always ready.
#[derive(Debug)]
pub(super) struct IdleTimer {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl IdleTimer {
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            is_running: false,
        }
    }

    /// Something has come.
    pub(super) const fn stop(&mut self) {
        self.is_running = false;
    }

    /// Whether the limit is over since the first call after [`stop`](Self::stop). If it is not, `cx` is woken then.
    pub(super) fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.is_running {
            timer.as_mut().reset(Instant::now() + self.limit);
            self.is_running = true;
        }
        matches!(timer.as_mut().poll(cx), Poll::Ready(()))
    }
}
