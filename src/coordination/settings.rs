//! `[coordination]`, resolved.

use std::fmt;

use zeroize::Zeroizing;

/// Where the store is, and what happens to sessions while it does not answer.
#[derive(Clone, Eq, PartialEq)]
pub struct CoordinationSettings {
    /// `redis://…`, `rediss://…` or `unix://…`. It may hold a password.
    pub url: Zeroizing<String>,
    /// Whether sessions are served while this replica does not know which of them were ended elsewhere.
    pub on_failure: OnFailure,
    /// The beginning of all names in the store. Installations that share a store have different prefixes.
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

/// What happens to sessions while the revocations of other replicas do not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFailure {
    /// They are refused until revocations arrive again.
    Closed,
    /// They are served. A session that was ended elsewhere may live on until revocations arrive again.
    Open,
}

/// Whether the text has the form of the URL of a store.
pub fn is_store_url(url: &str) -> bool {
    const SCHEMES: [&str; 4] = ["redis:", "rediss:", "unix:", "redis+unix:"];
    let is_readable = redis::Client::open(url).is_ok();
    is_readable && SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}
