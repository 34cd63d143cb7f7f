//! How long nothing has come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures how long somebody has waited.
///
/// It costs nothing while bytes are always ready, and little where they come one by one: the timer is set anew when it
/// fires, not for each of them.
#[derive(Debug)]
pub(super) struct IdleTimer {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    since: Option<Instant>,
}

impl IdleTimer {
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            since: None,
        }
    }

    /// Something has come.
    pub(super) const fn stop(&mut self) {
        self.since = None;
    }

    /// Whether the limit is over since the first call after [`stop`](Self::stop). If it is not, `cx` is woken then.
    pub(super) fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while let Poll::Ready(()) = timer.as_mut().poll(cx) {
            if Instant::now() >= end {
                return true;
            }
            // It was set for an earlier wait.
            timer.as_mut().reset(end);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use actix_web::rt::time::timeout;

    use super::*;

    #[actix_web::test]
    async fn each_wait_has_the_whole_limit() {
        let limit = Duration::from_millis(50);
        let mut timer = IdleTimer::new(limit);
        let expires = async |timer: &mut IdleTimer, within: Duration| {
            let expired = poll_fn(|cx| {
                let has_expired = timer.has_expired(cx);
                if has_expired {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            timeout(within, expired).await.is_ok()
        };
        let begun = Instant::now();
        assert!(!expires(&mut timer, Duration::ZERO).await);
        timer.stop();
        assert!(expires(&mut timer, Duration::from_secs(9)).await);
        assert!(begun.elapsed() >= limit);
        // After it has expired, too.
        timer.stop();
        let begun = Instant::now();
        assert!(expires(&mut timer, Duration::from_secs(9)).await);
        assert!(begun.elapsed() >= limit);
    }
}
