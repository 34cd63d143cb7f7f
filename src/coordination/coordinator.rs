//! What this replica shares with the others through the store.
//!
//! `token::refresh` calls [`Coordinator::once`], logout [`Coordinator::announce`], back-channel logout
//! [`Coordinator::log_out`]; `app` runs [`Coordinator::run`] beside the listeners.
//!
//! # What it guarantees, and what not
//! - While the store answers, one replica presents a refresh token and the others adopt the result (G12); each replica
//!   learns of a revocation within a second, and one that starts learns of all that still count (G14).
//! - While it does not, each replica goes on as if it were alone; `on_failure` decides about sessions. Revocations made
//!   meanwhile are sent when it is back.
//! - A store that loses its data loses revocations with it. Replicas that run remember; one that starts later does not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::sealed::Fact;
use super::store::{PATIENCE, Store};
use super::{CoordinationSettings, OnFailure};
use crate::clock::{Clock, UnixTime};
use crate::keyring::SharedRing;
use crate::ledger::{Revocation, Revocations};
use crate::telemetry::coordination::CoordinationMetrics;

/// After so long without word from the store nobody can say which sessions were ended.
const STALE: Duration = Duration::from_secs(4);

/// Revocations that wait for the store to come back, at the most.
const MAX_QUEUED: usize = 10_000;

/// Between two looks at what still waits.
const GLANCE: Duration = Duration::from_millis(5);

/// The URL of the store is none.
#[derive(Debug, thiserror::Error)]
#[error("coordination.url: {0}")]
pub struct BadUrl(String);

/// The replica's part in the coordination.
pub struct Coordinator {
    pub(super) store: Store,
    pub(super) metrics: CoordinationMetrics,
    on_failure: OnFailure,
    longest_session: Duration,
    began_at: Instant,
    /// Milliseconds from `began_at` until the feed was last known to be complete; 0 for never.
    heard: AtomicU64,
    /// For those who wait until it is so.
    is_dark: watch::Sender<bool>,
    pub(super) queue: Mutex<VecDeque<Fact>>,
    pub(super) queued: Notify,
}

impl Coordinator {
    /// Connects to nothing yet. `longest_session` is the longest `absolute_timeout` of any frontend.
    pub fn new(
        settings: &CoordinationSettings,
        longest_session: Duration,
        metrics: CoordinationMetrics,
    ) -> Result<Self, BadUrl> {
        let store = Store::new(settings, metrics.clone());
        Ok(Self {
            store: store.map_err(|error| BadUrl(error.to_string()))?,
            metrics,
            on_failure: settings.on_failure,
            longest_session,
            began_at: Instant::now(),
            heard: AtomicU64::new(0),
            is_dark: watch::Sender::new(settings.on_failure == OnFailure::Closed),
            queue: Mutex::default(),
            queued: Notify::new(),
        })
    }

    /// Keeps the connection, follows the feed, and sends what waits; as long as it is polled. `look_for_keys` is called,
    /// once a second at the most, while a revocation has come under a key that `keys` lacks.
    pub async fn run(
        &self,
        keys: &SharedRing,
        clock: &Clock,
        revocations: &Revocations,
        look_for_keys: &dyn Fn(),
    ) {
        tokio::join!(
            self.store.keep_connected(),
            self.follow(keys, clock, revocations, look_for_keys),
            self.send_queued(keys, clock),
            self.watch_feed(),
        );
    }

    /// Tries the store once, for `--check --online`.
    pub async fn reach(&self) -> Result<(), String> {
        self.store.try_once().await.map(drop)
    }

    /// Tells the other replicas that sessions were ended; at once, or when the store is back.
    pub fn announce(&self, revocation: &Revocation, until: UnixTime) {
        let mut queue = self.queue();
        if queue.len() >= MAX_QUEUED {
            log::error!("a revocation is lost: too many wait for the store");
            queue.pop_front();
        }
        queue.push_back(Fact::new(revocation, until));
        drop(queue);
        self.queued.notify_one();
    }

    /// Waits until the store has all that was announced, but not for long.
    pub async fn settled(&self) {
        let sent = async {
            while !self.queue().is_empty() {
                sleep(GLANCE).await;
            }
        };
        // What is not sent by then is sent when the store is back.
        let _ = timeout(PATIENCE, sent).await;
    }

    /// Whether sessions must be refused, because nobody here can tell which of them were ended elsewhere.
    pub fn is_in_the_dark(&self) -> bool {
        self.on_failure == OnFailure::Closed && self.feed_age().is_none_or(|age| age > STALE)
    }

    /// Waits until [`is_in_the_dark`](Self::is_in_the_dark), however long that takes.
    pub async fn darkness(&self) {
        let mut is_dark = self.is_dark.subscribe();
        // The sender lives as long as it is watched.
        let _ = is_dark.wait_for(|is_dark| *is_dark).await;
    }

    /// Says when it becomes dark, as long as it is polled: one look for all who wait, and none where it never does.
    async fn watch_feed(&self) {
        if self.on_failure == OnFailure::Open {
            return std::future::pending().await;
        }
        let mut is_dark = self.is_dark.subscribe();
        loop {
            let left = self.feed_age().and_then(|age| STALE.checked_sub(age));
            if let Some(left) = left {
                // At the very moment it is not over yet.
                sleep(left + GLANCE).await;
            } else {
                self.set_dark(true);
                let _ = is_dark.wait_for(|is_dark| !*is_dark).await;
            }
        }
    }

    fn set_dark(&self, now: bool) {
        self.is_dark
            .send_if_modified(|is_dark| std::mem::replace(is_dark, now) != now);
    }

    /// How long ago the feed of revocations was known to be complete.
    pub fn feed_age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire);
        (heard > 0).then(|| {
            let heard = Duration::from_millis(heard);
            self.began_at.elapsed().saturating_sub(heard)
        })
    }

    pub(super) fn note_heard(&self) {
        let elapsed = self.began_at.elapsed().as_millis().max(1);
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.heard.store(elapsed, Ordering::Release);
        self.set_dark(false);
    }

    /// How long a session can live at the most, and a revocation count.
    pub const fn longest_session(&self) -> Duration {
        self.longest_session
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}
