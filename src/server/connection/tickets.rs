//! TLS session tickets, sealed with the key ring: a client resumes at every replica, and after a restart.
//!
//! A resumed handshake needs neither certificate nor signature, which is most of a handshake's cost.
//!
//! # Invariants
//! - A ticket is good for [`LIFETIME`], however long its key lives (RFC 8446 §4.6.1 allows a week).
//! - TLS 1.2 gets no tickets. They would carry the keys of the connection, so whoever obtains the key ring later could read
//!   recorded traffic (RFC 9325 §3.4). In TLS 1.3 each resumption makes a new (EC)DHE secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ProducesTickets;

use crate::bff::Bff;
use crate::clock::UnixTime;

const LIFETIME: Duration = Duration::from_hours(6);

/// The label of the subkey. Nothing else uses it (`keyring::aead`).
const LABEL: &str = "tls-ticket";

const TLS13: [u8; 2] = [3, 4];

/// Whether a session, as rustls encodes it, is of TLS 1.3. The version follows the server's name, if there is one.
fn is_tls13(session: &[u8]) -> bool {
    let version = match session {
        [0, version @ ..] => Some(version),
        [1, len, rest @ ..] => rest.get(usize::from(*len)..),
        _ => None,
    };
    version.is_some_and(|version| version.starts_with(&TLS13))
}

/// Makes and reads tickets with the current key ring.
pub(super) struct Tickets(pub(super) Arc<Bff>);

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if !is_tls13(session) {
            return None;
        }
        let now = self.0.clock.now();
        let plaintext = [&now.as_secs().to_be_bytes(), session].concat();
        let plaintext = zeroize::Zeroizing::new(plaintext);
        let keys = self.0.keys.current();
        keys.seal(now, LABEL, &[], &plaintext).ok()
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let opened = self.0.keys.current().open(LABEL, &[], ticket).ok()?;
        let (made_at, session) = opened.plaintext.split_first_chunk()?;
        let made_at = UnixTime::from_secs(u64::from_be_bytes(*made_at));
        let is_fresh = self.0.clock.now().since(made_at) <= LIFETIME;
        is_fresh.then(|| session.to_vec())
    }
}
