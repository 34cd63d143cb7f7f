//! What the configuration says and a request needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::sign::CertifiedKey;

use crate::frontend::{Frontends, UpstreamSettings};
use crate::names::UpstreamName;
use crate::oidc::Egress;
use crate::telemetry::Telling;

/// What the configuration says. A request takes it once, when it begins, and keeps it to its end. A reload puts another one
/// in its place.
#[derive(Debug)]
pub struct Configured {
    /// Every frontend, selected by `Host`.
    pub frontends: Frontends,
    /// Every API.
    pub upstreams: HashMap<UpstreamName, UpstreamSettings>,
    /// The addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Names by which the operator's listener may be called, beside `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// What the log says of requests.
    pub telling: Telling,
    /// How calls to identity providers leave.
    pub egress: Egress,
    /// What the public listener shows, if it speaks TLS.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// How long readiness fails before the listeners close.
    pub shutdown_delay: Duration,
    /// How often the files of the configuration are looked at.
    pub reload_interval: Duration,
    /// How often the key directory is read.
    pub keys_reload_interval: Duration,
}

/// How long a client may read nothing of its answers, unless an upstream allows longer.
pub const PATIENCE: Duration = Duration::from_mins(5);

impl Configured {
    /// How long a client of the public listener may read nothing of its answers.
    pub fn patience(&self) -> Duration {
        let longest = self.upstreams.values().map(|one| one.idle_timeout).max();
        longest.unwrap_or(PATIENCE)
    }
}
