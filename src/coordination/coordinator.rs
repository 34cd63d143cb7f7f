//! What this replica shares with the others through the store.
//!
//! A refresh calls [`Coordinator::once`], a logout [`Coordinator::announce`], and a back-channel logout
//! [`Coordinator::log_out`]. `app` runs [`Coordinator::run`] beside the listeners.
//!
//! # What it guarantees, and what not
//! - While the store answers, one replica presents a refresh token and the others adopt the result. Each replica learns of a
//!   revocation within a second. A replica that starts learns of all revocations that still count.
//! - While the store does not answer, each replica goes on as if it were alone, and `on_failure` decides about sessions. The
//!   revocations of that time are sent when the store is back.
//! - A store that loses its data loses revocations. The replicas that run remember them; one that starts later does not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// After this long without an answer from the store, this replica no longer knows which sessions were ended.
const STALE: Duration = Duration::from_secs(4);

/// How long the first reading of the feed may keep a replica from being ready.
const FIRST_READING: Duration = Duration::from_secs(10);

/// The most revocations that wait for the store to come back.
const MAX_QUEUED: usize = 10_000;

/// The age of the feed passes [`STALE`] a moment after the time that was computed for it.
const MOMENT: Duration = Duration::from_millis(5);

/// The URL is not the URL of a store.
#[derive(Debug, thiserror::Error)]
#[error("coordination.url: {0}")]
pub struct BadUrl(String);

/// The replica's part in the coordination.
pub struct Coordinator {
    pub(super) store: Store,
    pub(super) metrics: CoordinationMetrics,
    on_failure: OnFailure,
    /// In seconds.
    longest_session: AtomicU64,
    began_at: Instant,
    /// Milliseconds from `began_at` until the feed was last known to be complete; 0 for never.
    heard: AtomicU64,
    /// Whether reading the feed has failed since the start.
    has_failed: AtomicBool,
    /// Whether that was too long ago. Streams wait for it.
    is_stale: watch::Sender<bool>,
    pub(super) queue: Mutex<VecDeque<Fact>>,
    pub(super) queued: Notify,
    /// Tells those that wait in [`settled`](Self::settled) that the queue is empty.
    pub(super) drained: Notify,
}

impl Coordinator {
    /// Does not connect yet. `longest_session` is the longest `absolute_timeout` of all frontends.
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
            longest_session: AtomicU64::new(longest_session.as_secs()),
            began_at: Instant::now(),
            heard: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            is_stale: watch::Sender::new(settings.on_failure == OnFailure::Closed),
            queue: Mutex::default(),
            queued: Notify::new(),
            drained: Notify::new(),
        })
    }

    /// Keeps the connection, follows the feed, and sends the revocations that wait, for as long as it is polled.
    pub async fn run(&self, keys: &SharedRing, clock: &Clock, revocations: &Revocations) {
        tokio::join!(
            self.store.keep_connected(),
            self.follow(keys, clock, revocations),
            self.send_queued(keys, clock),
            self.watch_feed(),
        );
    }

    /// Tries the store once, for `--check --online`.
    pub async fn reach(&self) -> Result<(), String> {
        self.store.try_once().await.map(drop)
    }

    /// Tells the other replicas that sessions were ended: at once, or when the store is back.
    pub fn announce(&self, revocation: &Revocation, until: UnixTime) {
        let mut queue = self.queue();
        if queue.len() >= MAX_QUEUED {
            log::error!("a revocation is lost: too many of them wait for the store");
            queue.pop_front();
        }
        queue.push_back(Fact::new(revocation, until));
        drop(queue);
        self.queued.notify_one();
    }

    /// Waits until the store has everything that was announced, for [`PATIENCE`] at most. The rest is sent when the store is
    /// back.
    pub async fn settled(&self) {
        let sent = async {
            loop {
                // It listens before it looks, so it cannot miss the notice.
                let drained = self.drained.notified();
                if self.queue().is_empty() {
                    break;
                }
                drained.await;
            }
        };
        let _ = timeout(PATIENCE, sent).await;
    }

    /// Whether sessions must be refused, because this replica does not know which of them were ended elsewhere.
    pub fn revocations_are_stale(&self) -> bool {
        self.on_failure == OnFailure::Closed && self.feed_age().is_none_or(|age| age > STALE)
    }

    /// Waits until [`revocations_are_stale`](Self::revocations_are_stale), however long that takes.
    pub async fn until_stale(&self) {
        let mut is_stale = self.is_stale.subscribe();
        // `self` owns the sender, so this never fails.
        let _ = is_stale.wait_for(|is_stale| *is_stale).await;
    }

    /// Says when the revocations become stale, for as long as it is polled. One look serves all streams that wait. With
    /// `on_failure = "open"` there is none.
    async fn watch_feed(&self) {
        if self.on_failure == OnFailure::Open {
            return std::future::pending().await;
        }
        let mut is_stale = self.is_stale.subscribe();
        loop {
            let left = self.feed_age().and_then(|age| STALE.checked_sub(age));
            if let Some(left) = left {
                sleep(left + MOMENT).await;
            } else {
                self.set_stale(true);
                let _ = is_stale.wait_for(|is_stale| !*is_stale).await;
            }
        }
    }

    fn set_stale(&self, now: bool) {
        self.is_stale
            .send_if_modified(|is_stale| std::mem::replace(is_stale, now) != now);
    }

    /// How long ago the feed of revocations was known to be complete. `None` if it never was.
    pub fn feed_age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire);
        (heard > 0).then(|| {
            let heard = Duration::from_millis(heard);
            self.began_at.elapsed().saturating_sub(heard)
        })
    }

    /// Whether the feed was not read yet, and that did not fail yet either. A replica is not ready before: it would serve
    /// sessions that were ended, or refuse all of them. A slow store cannot prolong that for ever.
    pub fn is_starting(&self) -> bool {
        self.feed_age().is_none()
            && !self.has_failed.load(Ordering::Acquire)
            && self.began_at.elapsed() < FIRST_READING
    }

    pub(super) fn note_failed(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    pub(super) fn note_heard(&self) {
        let elapsed = self.began_at.elapsed().as_millis().max(1);
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.heard.store(elapsed, Ordering::Release);
        self.set_stale(false);
    }

    /// How long a session can live at most, and so how long a revocation counts.
    pub fn longest_session(&self) -> Duration {
        Duration::from_secs(self.longest_session.load(Ordering::Relaxed))
    }

    /// From now on sessions may live so long. Those that began earlier may have a later end, so this never shrinks.
    pub fn allow_sessions_of(&self, longest: Duration) {
        let longest = longest.as_secs();
        self.longest_session.fetch_max(longest, Ordering::Relaxed);
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}
