//! The metrics of the coordination between replicas: `sealgate_coordination_…`. They are declared here and nowhere else.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::{Outcome, words};

/// The purpose of a call of the store.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StoreCall {
    /// To get the right to refresh, or the result.
    Lease,
    /// To learn whether a logout token came before.
    LogoutToken,
    /// To learn whether the store answers.
    Probe,
    /// To learn whether an app's proof came before.
    Proof,
    /// To keep the result of a refresh.
    Result,
    /// To tell the other replicas of a revocation.
    Revocation,
}

/// How the store answered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StoreResult {
    /// It did not answer, or with an error.
    Failed,
    /// It answered.
    Ok,
    /// It was known to be gone, and was not asked.
    Skipped,
}

/// What came of a refresh between replicas.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SharedRefresh {
    /// This replica took the result of another one.
    Adopted,
    /// This replica called the provider without the store, as if it were alone.
    Alone,
    /// Another replica held the lease, and its result did not come.
    Failed,
    /// This replica held the lease, and called the provider for all.
    Led,
}

/// What was read from the feed of revocations.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FeedEntry {
    /// A revocation.
    Ok,
    /// No replica of this installation wrote it.
    Rejected,
    /// This replica does not have the key that sealed it, or not yet.
    UnknownKey,
}

/// How a back-channel logout ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BackchannelResult {
    /// The token was good, but the store did not take the revocation.
    Failed,
    /// Sessions were ended.
    Ok,
    /// The request or its token broke a rule.
    Refused,
}

words!(StoreCall {
    Lease => "lease", LogoutToken => "logout-token", Probe => "probe", Proof => "proof", Result => "result", Revocation => "revocation"
});
words!(StoreResult { Failed => "failed", Ok => "ok", Skipped => "skipped" });
words!(SharedRefresh { Adopted => "adopted", Alone => "alone", Failed => "failed", Led => "led" });
words!(FeedEntry { Ok => "ok", Rejected => "rejected", UnknownKey => "unknown-key" });
words!(BackchannelResult { Failed => "failed", Ok => "ok", Refused => "refused" });

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Asked {
    call: &'static str,
    result: &'static str,
}

/// The metrics of the coordination between replicas. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct CoordinationMetrics {
    up: Gauge,
    calls: Family<Asked, Counter>,
    refresh: Family<Outcome, Counter>,
    feed: Family<Outcome, Counter>,
    feed_age: Gauge,
    revocations: Gauge,
    backchannel: Family<Outcome, Counter>,
}

impl CoordinationMetrics {
    /// Whether the store is reached.
    pub fn reached(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    /// The store was called, or was not because it is gone.
    pub fn called(&self, call: StoreCall, result: StoreResult) {
        let (call, result) = (call.as_str(), result.as_str());
        self.calls.get_or_create(&Asked { call, result }).inc();
    }

    /// What came of a refresh between replicas.
    pub fn refreshed(&self, result: SharedRefresh) {
        let result = result.as_str();
        self.refresh.get_or_create(&Outcome { result }).inc();
    }

    /// An entry of the feed was read.
    pub fn fed(&self, result: FeedEntry) {
        let result = result.as_str();
        self.feed.get_or_create(&Outcome { result }).inc();
    }

    /// A provider's back-channel logout was answered.
    pub fn logged_out(&self, result: BackchannelResult) {
        let result = result.as_str();
        self.backchannel.get_or_create(&Outcome { result }).inc();
    }

    /// The age of the feed in seconds (-1 if it was never read), and the number of revocations that count.
    pub fn knowledge(&self, feed_age: Option<u64>, revocations: usize) {
        let age = feed_age.map_or(-1, |age| i64::try_from(age).unwrap_or(i64::MAX));
        self.feed_age.set(age);
        self.revocations
            .set(i64::try_from(revocations).unwrap_or(i64::MAX));
    }

    /// A series that appears with its first event hides that event from `rate()`.
    pub(super) fn begin(&self) {
        let zero = |family: &Family<Outcome, Counter>, result| {
            let _ = family.get_or_create(&Outcome { result });
        };
        for result in SharedRefresh::ALL {
            zero(&self.refresh, result.as_str());
        }
        for result in FeedEntry::ALL {
            zero(&self.feed, result.as_str());
        }
        for call in StoreCall::ALL {
            for result in StoreResult::ALL {
                let (call, result) = (call.as_str(), result.as_str());
                let _ = self.calls.get_or_create(&Asked { call, result });
            }
        }
        for result in BackchannelResult::ALL {
            zero(&self.backchannel, result.as_str());
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        let r = r.sub_registry_with_prefix("coordination");
        r.register(
            "up",
            "Whether the store for coordination is reached",
            self.up.clone(),
        );
        r.register(
            "calls",
            "Calls of the store by purpose and result",
            self.calls.clone(),
        );
        r.register(
            "refresh",
            "Refreshes between replicas by what came of them",
            self.refresh.clone(),
        );
        r.register(
            "feed",
            "Entries read from the feed of revocations",
            self.feed.clone(),
        );
        r.register(
            "feed_age_seconds",
            "Time since the feed of revocations was complete; -1 if it never was",
            self.feed_age.clone(),
        );
        r.register(
            "revocations",
            "Revocations that count at the moment",
            self.revocations.clone(),
        );
        r.register(
            "backchannel",
            "Back-channel logouts by result",
            self.backchannel.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;
    use super::*;

    #[test]
    fn every_metric_has_its_published_name() {
        let metrics = Metrics::new(true);
        let coordination = &metrics.coordination;
        coordination.reached(true);
        coordination.called(StoreCall::LogoutToken, StoreResult::Skipped);
        coordination.refreshed(SharedRefresh::Adopted);
        coordination.knowledge(None, 3);
        let text = metrics.encode();
        for line in [
            "sealgate_coordination_up 1",
            "# TYPE sealgate_coordination_calls_total counter",
            "sealgate_coordination_calls_total{call=\"logout-token\",result=\"skipped\"} 1",
            "sealgate_coordination_refresh_total{result=\"adopted\"} 1",
            "sealgate_coordination_refresh_total{result=\"led\"} 0",
            "sealgate_coordination_feed_total{result=\"rejected\"} 0",
            "sealgate_coordination_feed_age_seconds -1",
            "sealgate_coordination_revocations 3",
            "sealgate_coordination_backchannel_total{result=\"ok\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n\n{text}");
        }
    }
}
