//! The nonces that servers want to see in the next proof.
//!
//! # Invariants
//! - Memory is bounded, whatever servers send. What is forgotten costs one more request.
//!
//! # Spec
//! RFC 9449 §8, §9: the newest nonce of a server is used, whatever answer it came with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

/// Servers whose nonces are kept. Each is an endpoint of the provider or an upstream of the configuration.
const MOST: usize = 256;

/// Longest nonce, in bytes: it goes into a header with the proof.
const LONGEST: usize = 1024;

const DPOP_NONCE: &str = "dpop-nonce";

/// The newest nonce of each server, by its origin. The oldest entry comes first.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<Vec<(String, Arc<str>)>>);

impl Nonces {
    /// What the next proof for this server must hold.
    pub(super) fn of(&self, origin: &str) -> Option<Arc<str>> {
        let known = self.known();
        let mut known = known.iter().filter(|(server, _)| server == origin);
        known.next().map(|(_, nonce)| Arc::clone(nonce))
    }

    /// Takes the nonce of an answer. Whether there is one.
    pub(super) fn learn(&self, origin: &str, headers: &HeaderMap) -> bool {
        let Some(nonce) = nonce(headers) else {
            return false;
        };
        let mut known = self.known();
        if let Some((_, old)) = known.iter_mut().find(|(server, _)| server == origin) {
            if **old != *nonce {
                *old = nonce.into();
            }
            return true;
        }
        if known.len() >= MOST {
            known.remove(0);
        }
        known.push((origin.to_owned(), nonce.into()));
        true
    }

    fn known(&self) -> MutexGuard<'_, Vec<(String, Arc<str>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The nonce that an answer brings. RFC 9449 §8.1: printable, and neither `"` nor `\`.
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(DPOP_NONCE).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let is_nonce_char = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let fits = (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(is_nonce_char);
    value.to_str().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(nonces: &[&str]) -> HeaderMap {
        let lines = nonces.iter().map(|nonce| {
            let value = HeaderValue::from_bytes(nonce.as_bytes()).unwrap();
            (http::HeaderName::from_static(DPOP_NONCE), value)
        });
        lines.collect()
    }

    #[test]
    fn the_newest_nonce_of_a_server_counts_for_that_server_alone() {
        // B50
        let nonces = Nonces::default();
        assert!(nonces.learn("https://a", &answer(&["1"])));
        assert!(nonces.learn("https://a", &answer(&["2"])));
        assert!(!nonces.learn("https://a", &answer(&[])));
        assert_eq!(nonces.of("https://a").as_deref(), Some("2"));
        assert_eq!(nonces.of("https://b"), None);
        let long = "x".repeat(LONGEST + 1);
        for odd in [
            &["3", "4"][..],
            &[""],
            &["a b"],
            &["a\"b"],
            &["ü"],
            &[&long],
        ] {
            assert!(!nonces.learn("https://a", &answer(odd)), "{odd:?}");
        }
        assert_eq!(nonces.of("https://a").as_deref(), Some("2"));
    }

    #[test]
    fn the_number_of_servers_is_bounded() {
        let nonces = Nonces::default();
        for n in 0..=MOST {
            nonces.learn(&format!("https://{n}"), &answer(&["1"]));
        }
        assert_eq!(nonces.known().len(), MOST);
        assert_eq!(nonces.of("https://0"), None);
        assert!(nonces.of("https://1").is_some());
    }
}
