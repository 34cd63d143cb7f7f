//! What the configuration says and a request needs.

use std::collections::HashMap;

use ipnet::IpNet;

use crate::frontend::{Frontends, UpstreamSettings};
use crate::names::UpstreamName;
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
}
