//! The key ring in use, and readings of keys and configuration.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Metrics, whole};
use crate::clock::UnixTime;
use crate::telemetry::label::{Outcome, words};

/// How reading the key directory or the configuration again ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReloadResult {
    /// There is a new one.
    Ok,
    /// It found a mistake: the old one stays.
    Rejected,
    /// It found what is in use.
    Unchanged,
}

words!(ReloadResult { Ok => "ok", Rejected => "rejected", Unchanged => "unchanged" });

/// Counts readings of the key directory, or of the configuration. Clones count together.
#[derive(Clone, Debug)]
pub struct Reloads(Family<Outcome, Counter>);

impl Default for Reloads {
    fn default() -> Self {
        let reloads = Family::<Outcome, Counter>::default();
        for result in ReloadResult::ALL {
            let result = result.as_str();
            let _ = reloads.get_or_create(&Outcome { result });
        }
        Self(reloads)
    }
}

impl Reloads {
    /// A reading has ended so.
    pub fn count(&self, result: ReloadResult) {
        let result = result.as_str();
        self.0.get_or_create(&Outcome { result }).inc();
    }

    pub(super) fn register(&self, r: &mut Registry, name: &str, help: &str) {
        r.register(name, help, self.0.clone());
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Key {
    kid: Hex,
}

/// The name of a key, written as everywhere else.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Hex([u8; 8]);

impl EncodeLabelValue for Hex {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Fingerprint {
    fingerprint: String,
}

/// For a number that may be absent.
type NoLabels = [(&'static str, &'static str); 0];

#[derive(Debug, Default)]
pub(super) struct Keyring {
    open: Family<Key, Counter>,
    keys: Gauge,
    primary_age: Gauge,
    fingerprint: Family<Fingerprint, Gauge>,
    /// Without a certificate it has no series.
    certificate_expires: Family<NoLabels, Gauge>,
}

impl Keyring {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("open", "Sessions opened by key", self.open.clone());
        r.register("keyring_keys", "Keys in the ring", self.keys.clone());
        r.register(
            "keyring_primary_age_seconds",
            "Time since the primary key became active",
            self.primary_age.clone(),
        );
        r.register(
            "keyring_fingerprint_info",
            "The ring in use; replicas with equal fingerprints have equal rings",
            self.fingerprint.clone(),
        );
        r.register(
            "tls_certificate_expires_seconds",
            "When the certificate of the public listener ends, in Unix time",
            self.certificate_expires.clone(),
        );
    }
}

impl Metrics {
    /// A session was opened with this key. Once the number of a retired key stands still, the key is no longer needed.
    pub fn opened_with(&self, kid: [u8; 8]) {
        let kid = Hex(kid);
        self.keyring.open.get_or_create(&Key { kid }).inc();
    }

    /// The ring in use, by the names of its keys. Equal fingerprints mean equal rings.
    pub fn keyring(&self, kids: &[[u8; 8]], primary_age_seconds: u64, fingerprint: &str) {
        let keyring = &self.keyring;
        keyring
            .keys
            .set(i64::try_from(kids.len()).unwrap_or(i64::MAX));
        for kid in kids {
            let _ = keyring.open.get_or_create(&Key { kid: Hex(*kid) });
        }
        keyring.primary_age.set(whole(primary_age_seconds));
        let fingerprint = Fingerprint {
            fingerprint: fingerprint.to_owned(),
        };
        if keyring.fingerprint.get(&fingerprint).is_none() {
            keyring.fingerprint.clear();
            keyring.fingerprint.get_or_create(&fingerprint).set(1);
        }
    }

    /// When the certificate of the public listener ends to be valid.
    pub fn certificate_expires(&self, at: UnixTime) {
        let expires = self.keyring.certificate_expires.get_or_create(&[]);
        expires.set(whole(at.as_secs()));
    }
}
