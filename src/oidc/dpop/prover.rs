//! What proves possession to one provider and its APIs: the keys of the ring, as far as they were asked for.
//!
//! # Invariants
//! - A key that has left the ring proves nothing any more.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Uri};
use ring::error::Unspecified;
use serde_json::Value;

use super::key::{ProofKey, Statement};
use super::nonces::Nonces;
use crate::clock::Clock;
use crate::keyring::{Key, KeyRing, Kid, SharedRing};

/// The keys for one issuer, and the nonces of all servers that a proof went to.
#[derive(Debug)]
pub struct Prover {
    issuer: String,
    clock: Clock,
    /// Set once, when the process starts.
    ring: OnceLock<SharedRing>,
    /// The keys that were asked for, each derived once.
    derived: ArcSwap<Vec<Arc<ProofKey>>>,
    /// Of the provider as an authorization server (RFC 9449 §8).
    pub(super) provider_nonces: Nonces,
    /// Of resource servers, the provider's `UserInfo` among them (RFC 9449 §9).
    pub(super) api_nonces: Nonces,
}

impl Prover {
    /// One that has no keys yet.
    pub(in crate::oidc) fn new(issuer: String, clock: Clock) -> Self {
        Self {
            issuer,
            clock,
            ring: OnceLock::new(),
            derived: ArcSwap::default(),
            provider_nonces: Nonces::default(),
            api_nonces: Nonces::default(),
        }
    }

    /// From now on its keys follow from this ring.
    pub fn use_ring(&self, ring: &SharedRing) {
        // Of two calls the first counts.
        let _ = self.ring.set(ring.clone());
    }

    /// The key that new tokens are bound to: that of the ring's primary key.
    pub(in crate::oidc) fn primary(&self) -> Option<Arc<ProofKey>> {
        let ring = self.ring.get()?.current();
        self.derived(ring.primary(self.clock.now()), &ring)
    }

    /// The key that a token was bound to, if it is still there.
    pub(in crate::oidc) fn key(&self, kid: Kid) -> Option<Arc<ProofKey>> {
        let ring = self.ring.get()?.current();
        self.derived(ring.key(kid)?, &ring)
    }

    /// The public keys, of all keys of the ring.
    pub(in crate::oidc) fn public(&self) -> Vec<Value> {
        let Some(ring) = self.ring.get() else {
            return Vec::new();
        };
        let ring = ring.current();
        let keys = ring.keys().filter_map(|key| self.derived(key, &ring));
        keys.map(|key| key.public()).collect()
    }

    fn derived(&self, key: &Key, ring: &KeyRing) -> Option<Arc<ProofKey>> {
        let known = self.derived.load();
        if let Some(known) = known.iter().find(|known| known.kid() == key.kid()) {
            return Some(Arc::clone(known));
        }
        let derived = ProofKey::derive(key, &self.issuer);
        let derived =
            derived.inspect_err(|_| log::error!("no DPoP key follows from key {}", key.kid()));
        let derived = Arc::new(derived.ok()?);
        // Two threads may come here at once. They add the same key twice, which does no harm.
        self.derived.rcu(|known| {
            let still = |known: &&Arc<ProofKey>| ring.key(known.kid()).is_some();
            let kept = known.iter().filter(still).cloned();
            kept.chain([Arc::clone(&derived)]).collect::<Vec<_>>()
        });
        Some(derived)
    }

    /// A proof for one request. `ath` is the hash of the token that goes along.
    pub(super) fn proof(
        &self,
        key: &ProofKey,
        (method, uri): (&Method, &Uri),
        ath: Option<&str>,
        nonces: &Nonces,
    ) -> Result<HeaderValue, Unspecified> {
        let origin = origin(uri);
        let nonce = nonces.of(&origin);
        key.proof(&Statement {
            method,
            target: &format!("{origin}{}", uri.path()),
            now: self.clock.now(),
            ath,
            nonce: nonce.as_deref(),
        })
    }
}

/// Scheme and authority of an absolute URI.
pub(super) fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_neither_query_nor_fragment() {
        // RFC 9449 §4.2: htu
        let uri: Uri = "https://api.internal:8443/v1/a%20b?x=1".parse().unwrap();
        assert_eq!(origin(&uri), "https://api.internal:8443");
        assert_eq!(uri.path(), "/v1/a%20b");
    }
}
