//! What one process shares.

mod draining;

use std::sync::Arc;

use crate::clock::{Clock, UnixTime};
use crate::coordination::Coordinator;
use crate::frontend::{Frontends, RateLimit};
use crate::keyring::{ReloadOutcome, SharedRing};
use crate::ledger::{Ends, FailedRenewals, Redemptions, Refreshes, Replicas, Revocations};
use crate::telemetry::Seldom;
use crate::telemetry::metrics::{Metrics, ReloadResult};

pub use draining::Draining;

/// The shared state of the process. What the configuration says never changes in it. The rest is what requests must know of
/// one another, whichever worker serves them.
#[derive(Debug)]
pub struct Bff {
    /// Every frontend, selected by `Host`.
    pub frontends: Frontends,
    /// The key ring, reloaded while we run.
    pub keys: SharedRing,
    /// Codes of logins that are being redeemed, and the results.
    pub redemptions: Redemptions,
    /// Refreshes under way and their results.
    pub refreshes: Refreshes,
    /// Whether another replica may have spent a refresh token, without `[coordination]`.
    pub replicas: Replicas,
    /// Sessions that were ended before their time.
    pub revocations: Revocations,
    /// Ends of sessions that streams wait for.
    pub ends: Ends,
    /// What replicas share of refreshes and revocations, with `[coordination]`.
    pub coordinator: Option<Arc<Coordinator>>,
    /// Sessions whose new tokens an API refused like the old ones.
    pub failed_renewals: FailedRenewals,
    /// Limit, for each address, on invalid logout tokens.
    pub bad_logout_tokens: RateLimit,
    /// Now.
    pub clock: Clock,
    /// Counters for `/metrics`.
    pub metrics: Metrics,
    /// The addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Names by which the operator's listener may be called, beside `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// Unknown hosts that the log has named already.
    pub unknown_hosts: Seldom,
    /// Set when shutdown begins: readiness fails before connections do.
    pub draining: Draining,
}

impl Bff {
    /// Reads the key directory again. If the ring does not load, the old one stays.
    pub fn reload_keys(&self) {
        self.note_reload(&self.keys.reload(self.clock.now()));
    }

    /// Reads it again because a key is missing, unless it was read in this second or another look has not ended.
    pub fn look_for_keys(&self, now: UnixTime) {
        if let Some(outcome) = self.keys.reload_at_most_once_a_second(now) {
            self.note_reload(&outcome);
        }
    }

    /// Warns of key files that other users can change.
    pub fn warn_of_owners(&self) {
        for warning in self.keys.current().foreign() {
            log::warn!("{warning}");
        }
    }

    /// Tells the log and the metrics what came of reading the directory.
    fn note_reload(&self, outcome: &ReloadOutcome) {
        let result = match outcome {
            ReloadOutcome::Ok => {
                let ring = self.keys.current();
                log::info!(target: "sealgate::audit", keys = ring.len(),
                    fingerprint = ring.fingerprint(); "key ring reloaded");
                self.warn_of_owners();
                ReloadResult::Ok
            }
            ReloadOutcome::Unchanged => ReloadResult::Unchanged,
            ReloadOutcome::Rejected { why, gone } => {
                for kid in gone {
                    log::info!(target: "sealgate::audit", kid = kid.to_string();
                        "key deleted, it opens nothing any more");
                }
                let but = if gone.is_empty() {
                    ""
                } else {
                    " but for deleted keys"
                };
                log::error!("key ring not reloaded, the old one stays{but}: {why}");
                ReloadResult::Rejected
            }
        };
        self.metrics.keyring_reloaded(result);
    }
}
