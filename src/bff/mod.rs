//! What one process shares.
//!
//! - `configured`: what the configuration says, which a reload replaces · `draining`: the end of the process

mod configured;
mod draining;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::coordination::Coordinator;
use crate::frontend::RateLimit;
use crate::keyring::SharedRing;
use crate::ledger::{Ends, FailedRenewals, News, Redemptions, Refreshes, Replicas, Revocations};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{Recorder, Seldom};

pub use configured::{Configured, PATIENCE};
pub use draining::Draining;

/// The shared state of the process: what the configuration says, as one value, and what requests must know of one another,
/// whichever worker serves them. A reload replaces the first and leaves the second.
#[derive(Debug)]
pub struct Bff {
    /// What the configuration says. A request does not look here again: it keeps what it found when it began.
    pub configured: ArcSwap<Configured>,
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
    /// What happens to sessions while pages listen.
    pub news: News,
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
    /// Unknown hosts that the log has named already.
    pub unknown_hosts: Seldom,
    /// Records traces, if the environment names a collector.
    pub recorder: Option<Recorder>,
    /// Set when shutdown begins: readiness fails before connections do.
    pub draining: Arc<Draining>,
}
