//! What crosses between client and upstream, and what does not.
//!
//! [`request::UpstreamHeaders`] makes the headers for an upstream, [`response::ClientHeaders`] those for the client. Both are
//! pure.
//!
//! # Invariants
//! - Headers are stripped first and added then, so nothing that a client names in `Connection` removes what sealgate adds
//!   (CVE-2025-48865).
//! - Hop-by-hop fields, fixed or named in `Connection`, cross in neither direction (RFC 9110 §7.6.1).

mod cache;
mod identity;
mod location;
pub(super) mod request;
pub(super) mod response;
pub(super) mod trace;

/// Whether a field belongs to one connection, whoever sends it (RFC 9110 §7.6.1, RFC 7540 §3.2.1).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) || name.starts_with("proxy-")
}

/// The names that the `Connection` lines of a message declare hop-by-hop.
struct ConnectionOptions<'h>(Vec<&'h [u8]>);

impl<'h> ConnectionOptions<'h> {
    fn read(lines: impl Iterator<Item = &'h [u8]>) -> Self {
        let options = lines
            .flat_map(|line| line.split(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            // That field is hop-by-hop anyway, and nearly every message names it.
            .filter(|option| !option.is_empty() && !option.eq_ignore_ascii_case(b"keep-alive"));
        Self(options.collect())
    }

    fn name(&self, field: &str) -> bool {
        self.0
            .iter()
            .any(|option| option.eq_ignore_ascii_case(field.as_bytes()))
    }
}
