//! Time as a value: everything that needs "now" is handed a [`Clock`] or a [`UnixTime`].
//!
//! This is the only file that reads the system clock, so that tests move time instead of sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time, in whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The point `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This time moved later by `by`, in whole seconds; stops at the largest value.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_secs()))
    }

    /// This time moved earlier by `by`, in whole seconds; stops at the epoch.
    #[must_use]
    pub const fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_secs()))
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// Where "now" comes from: the system, or a test's hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<AtomicU64>),
    System,
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until it is [advanced](Self::advance). Clones share the hand.
    pub fn fixed(at: UnixTime) -> Self {
        Self(Source::Fixed(Arc::new(AtomicU64::new(at.as_secs()))))
    }

    /// The present second.
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Source::Fixed(secs) => UnixTime(secs.load(Ordering::SeqCst)),
            #[expect(
                clippy::disallowed_methods,
                reason = "the one reader of the system clock"
            )]
            Source::System => UnixTime(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
            ),
        }
    }

    /// Moves a fixed clock forward; a system clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Source::Fixed(secs) = &self.0 {
            secs.fetch_add(by.as_secs(), Ordering::SeqCst);
        }
    }
}
