//! One API base: where it is, and how long and how often it may be called.

use std::time::Duration;

use url::Url;

use crate::tls::TrustAnchors;

/// `[upstream.<name>]`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSettings {
    /// Scheme, authority, and a path prefix without a trailing slash.
    pub url: Url,
    /// Time until the response headers.
    pub timeout: Duration,
    /// Time between two pieces of a body, in both directions.
    pub idle_timeout: Duration,
    /// Most connections in use at a time, for each worker.
    pub max_connections: usize,
    /// Its own trust anchors. If there are any, no others count.
    pub ca: Option<TrustAnchors>,
}

impl UpstreamSettings {
    /// Whether connections that were made under the other settings may serve under these.
    pub fn has_same_connections(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin()
            && self.ca == other.ca
            && self.max_connections == other.max_connections
    }
}
