//! One API base: where it is, and how long and how often it may be called.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// `[upstream.<name>]`, resolved.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Scheme, authority, and a path prefix without a trailing slash.
    pub url: Url,
    /// Time until the response headers.
    pub timeout: Duration,
    /// Time between two pieces of a body, in both directions.
    pub idle_timeout: Duration,
    /// Most connections in use at a time, for each worker.
    pub max_connections: usize,
    /// PEM file of trust anchors. If there is one, no others are trusted.
    pub ca: Option<PathBuf>,
}
