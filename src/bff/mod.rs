//! What one process shares.

mod draining;

use std::sync::Arc;

use crate::clock::Clock;
use crate::coordination::Coordinator;
use crate::frontend::{Frontends, RateLimit};
use crate::keyring::SharedRing;
use crate::ledger::{Ends, FailedRenewals, Redemptions, Refreshes, Replicas, Revocations};
use crate::telemetry::Seldom;
use crate::telemetry::metrics::Metrics;

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
