//! What crosses between client and upstream, and what does not.
//!
//! `forward` calls [`request::Outbound`] on the way out, [`response::Inbound`] on the way back. Pure functions.
//!
//! # Invariants
//! - Strip first, then add: nothing a client names in `Connection` can remove what sealgate adds (CVE-2025-48865).
//! - Hop-by-hop fields, fixed or named in `Connection`, cross in neither direction (RFC 9110 §7.6.1).

mod cache;
mod identity;
mod location;
pub(super) mod request;
pub(super) mod response;

/// Fields that belong to one connection, whoever sends them (RFC 9110 §7.6.1, RFC 7540 §3.2.1).
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
            .filter(|option| !option.is_empty());
        Self(options.collect())
    }

    fn name(&self, field: &str) -> bool {
        self.0
            .iter()
            .any(|option| option.eq_ignore_ascii_case(field.as_bytes()))
    }
}
