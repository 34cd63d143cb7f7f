//! A timer for a deadline that moves.

use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// It is set again only when it must ring earlier, or when it has rung: so a deadline that each request moves costs nothing.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// When it will ring.
    pub(super) fn rings_at(&self) -> Option<Instant> {
        self.0.as_ref().map(|sleep| sleep.deadline().into_std())
    }

    /// Whether the deadline `at` has passed. If not, the timer wakes the task when it may have.
    pub(super) fn is_over(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let at = at.into();
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if at <= tokio::time::Instant::now() {
                return true;
            }
            sleep.as_mut().reset(at);
        }
        false
    }
}
