//! Time as a value: everything that needs "now" is handed a [`Clock`] or a [`UnixTime`].
//!
//! This is the only file that reads the system clock, so that tests move time instead of sleeping.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The longest sleep for a time to come: a clock that is set right meanwhile is noticed.
const NAP: Duration = Duration::from_mins(1);

/// A point in time, in whole seconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
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

impl UnixTime {
    /// As RFC 3339 writes it, in UTC; none beyond the year 9999.
    pub fn to_rfc3339(self) -> Option<String> {
        let second = i64::try_from(self.0).ok()?;
        Some(Timestamp::from_second(second).ok()?.to_string())
    }
}

/// RFC 3339, in UTC; beyond the year 9999 the number of seconds.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_rfc3339() {
            Some(text) => f.write_str(&text),
            None => self.0.fmt(f),
        }
    }
}

/// The text is not an RFC 3339 time since the Unix epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-11-21T08:00:00Z")]
pub struct NotATime;

/// RFC 3339, with any offset; a fraction of a second is dropped.
impl FromStr for UnixTime {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let at: Timestamp = text.parse().map_err(|_| NotATime)?;
        u64::try_from(at.as_second())
            .map(Self)
            .map_err(|_| NotATime)
    }
}

/// Where "now" comes from: the system, or a test's hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<watch::Sender<UnixTime>>),
    System,
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until it is [advanced](Self::advance). Clones share the hand.
    pub fn fixed(at: UnixTime) -> Self {
        Self(Source::Fixed(Arc::new(watch::Sender::new(at))))
    }

    /// The present second.
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Source::Fixed(hand) => *hand.borrow(),
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

    /// Time since some fixed moment, which no correction of the system clock moves: for measuring, not for telling.
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::Fixed(hand) => Duration::from_secs(hand.borrow().as_secs()),
            Source::System => START.get_or_init(Instant::now).elapsed(),
        }
    }

    /// Moves a fixed clock forward; a system clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Source::Fixed(hand) = &self.0 {
            hand.send_modify(|now| *now = now.plus(by));
        }
    }

    /// Waits until it is `at`: by a timer, or until a test has moved the hand so far.
    pub fn reached(&self, at: UnixTime) -> impl Future<Output = ()> + use<> {
        let clock = self.clone();
        async move {
            if let Source::Fixed(hand) = &clock.0 {
                // The sender lives as long as this clock, so the wait ends in one way only.
                let _ = hand.subscribe().wait_for(|now| *now >= at).await;
                return;
            }
            while clock.now() < at {
                tokio::time::sleep(at.since(clock.now()).min(NAP)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
        ] {
            assert_eq!(UnixTime(secs).to_string(), text);
            assert_eq!(text.parse(), Ok(UnixTime(secs)));
        }
        let same = ["2027-01-15T09:00:00+01:00", "2027-01-15T08:00:00.9Z"];
        assert_eq!(same.map(str::parse), [Ok(UnixTime(1_800_000_000)); 2]);
        for bad in ["", "2027-01-15", "1969-12-31T23:59:58Z", "1800000000"] {
            assert_eq!(bad.parse::<UnixTime>(), Err(NotATime), "{bad}");
        }
        assert_eq!(UnixTime(u64::MAX).to_rfc3339(), None);
        assert_eq!(UnixTime(u64::MAX).to_string(), u64::MAX.to_string());
    }
}
