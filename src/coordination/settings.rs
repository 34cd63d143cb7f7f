//! `[coordination]`, resolved.

use std::fmt;

use zeroize::Zeroizing;

/// Where the store is, and what becomes of sessions while it is not.
#[derive(Clone)]
pub struct CoordinationSettings {
    /// `redis://…`, `rediss://…` or `unix://…`; may hold a password.
    pub url: Zeroizing<String>,
    /// Whether sessions are served while nobody can tell which of them were ended elsewhere.
    pub on_failure: OnFailure,
    /// What all names in the store begin with: installations that share a store have different ones.
    pub prefix: String,
}

impl fmt::Debug for CoordinationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoordinationSettings")
            .field("on_failure", &self.on_failure)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// What becomes of sessions while revocations cannot be known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFailure {
    /// They are refused, until they can be known again.
    Closed,
    /// They are served: a session that was ended elsewhere may live on until then.
    Open,
}

/// Whether a store can be reached at such a URL, by its form.
pub fn is_store_url(url: &str) -> bool {
    const SCHEMES: [&str; 4] = ["redis:", "rediss:", "unix:", "redis+unix:"];
    let is_readable = redis::Client::open(url).is_ok();
    is_readable && SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}
