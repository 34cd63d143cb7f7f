//! The keys that a provider publishes, and what they verify.
//!
//! # Invariants
//! - A key verifies nothing but signatures of its own type and curve, and of its own `alg` where it names one.
//! - A key that cannot be used, because of its type for instance, is left out. The other keys stay good (RFC 7517 §5).
//! - Only the members that a signature needs are read: a key may carry any others.
//!
//! # Spec
//! RFC 7517, RFC 7518 §3.4, §6; RFC 8037.
//!
//! # Why P-521 is apart
//! `openidconnect` verifies every algorithm but ES512, for which there is `p521`, of the same makers as its other curves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeyUse};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JwsSigningAlgorithm as _};
use p521::ecdsa::signature::Verifier as _;
use p521::ecdsa::{Signature, VerifyingKey};
use serde_json::{Map, Value};

use super::algorithm::SigningAlgorithm;

/// Bytes of a coordinate on P-521.
const P521_BYTES: usize = 66;

/// The members that are read.
const MEMBERS: [&str; 9] = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];

/// A key set (RFC 7517 §5), reduced to what verifies signatures.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

/// One public key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    jwk: CoreJsonWebKey,
    curve: Option<String>,
    p521: Option<VerifyingKey>,
    /// Whose key it is, where providers say so (Entra ID).
    issuer: Option<String>,
}

impl KeySet {
    /// Takes the keys that can be used out of a list.
    pub(super) fn read(keys: &[Value]) -> Self {
        Self(keys.iter().filter_map(Key::read).collect())
    }

    /// The keys that are one of these issuers', or do not say whose they are.
    pub(super) fn naming(&self, issuers: &[&str]) -> Self {
        let is_theirs = |key: &&Key| {
            let issuer = key.issuer.as_deref();
            issuer.is_none_or(|issuer| issuers.contains(&issuer))
        };
        Self(self.0.iter().filter(is_theirs).cloned().collect())
    }

    /// Whether no key can be used.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a key of this name.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.is_named(kid))
    }

    /// The keys that may have signed so. If the token does not name its key, only one may fit (OpenID Connect Core §10.1).
    pub(super) fn fitting(&self, kid: Option<&str>, algorithm: SigningAlgorithm) -> Vec<&Key> {
        let fits = |key: &&Key| key.is_for(algorithm) && kid.is_none_or(|kid| key.is_named(kid));
        let fitting: Vec<&Key> = self.0.iter().filter(fits).collect();
        if kid.is_none() && fitting.len() > 1 {
            return Vec::new();
        }
        fitting
    }
}

impl Key {
    fn read(written: &Value) -> Option<Self> {
        let members = written.as_object()?;
        let issuer = members.get("issuer").and_then(Value::as_str);
        let issuer = issuer.map(str::to_owned);
        let members = members.iter();
        let members = members.filter(|(name, _)| MEMBERS.contains(&name.as_str()));
        let members: Map<String, Value> = members
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let curve = members.get("crv").and_then(Value::as_str);
        let p521 = match curve {
            Some("P-521") => Some(p521_key(&members)?),
            _ => None,
        };
        Some(Self {
            curve: curve.map(str::to_owned),
            p521,
            issuer,
            jwk: serde_json::from_value(Value::Object(members)).ok()?,
        })
    }

    fn is_named(&self, kid: &str) -> bool {
        self.jwk.key_id().is_some_and(|id| id.as_str() == kid)
    }

    fn is_for(&self, algorithm: SigningAlgorithm) -> bool {
        let wanted = algorithm.core();
        let is_of_curve = algorithm
            .curve()
            .is_none_or(|curve| self.curve.as_deref() == Some(curve));
        let is_for_signatures = self
            .jwk
            .key_use()
            .is_none_or(|use_| *use_ == CoreJsonWebKeyUse::Signature);
        let is_of_algorithm = match self.jwk.signing_alg() {
            JsonWebKeyAlgorithm::Unspecified => true,
            JsonWebKeyAlgorithm::Algorithm(own) => *own == wanted,
            JsonWebKeyAlgorithm::Unsupported => false,
        };
        wanted.key_type().as_ref() == Some(self.jwk.key_type())
            && is_of_curve
            && is_for_signatures
            && is_of_algorithm
    }

    /// Whether this key made the signature.
    pub(super) fn verifies(
        &self,
        algorithm: SigningAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        if algorithm == SigningAlgorithm::Es512 {
            let signature = Signature::from_slice(signature);
            return self
                .p521
                .as_ref()
                .zip(signature.ok())
                .is_some_and(|(key, signature)| key.verify(signed, &signature).is_ok());
        }
        let algorithm = algorithm.core();
        self.jwk
            .verify_signature(&algorithm, signed, signature)
            .is_ok()
    }
}

/// SEC 1 §2.3.4: 0x04, then x and y.
fn p521_key(members: &Map<String, Value>) -> Option<VerifyingKey> {
    let coordinate = |name: &str| {
        let text = members.get(name)?.as_str()?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == P521_BYTES).then_some(bytes)
    };
    let point = [&[4], &*coordinate("x")?, &*coordinate("y")?].concat();
    VerifyingKey::from_sec1_bytes(&point).ok()
}
