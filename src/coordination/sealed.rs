//! What is written to the store: values sealed with the key ring, under names that are digests.
//!
//! # Invariants
//! - A person who reads the store learns neither tokens nor who was signed in. A person who writes to it cannot forge
//!   anything. They can only withhold; then each replica is on its own.
//! - A result is bound to its name. It never opens as the result of another refresh.
//!
//! # Why a replay does no harm
//! An old revocation is still true. The name of an old result covers its refresh token, session and access token, and the
//! result ends with the access token it holds.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::keyring::{KeyRing, OpenError, SEAL_OVERHEAD};
use crate::ledger::{
    Fingerprint, Outcome, Renewal, Revocation, RevocationKey, SPENT_MEMORY, digest_text,
};

/// HKDF labels. Neither value opens as the other, nor as a cookie.
const RESULT: &str = "coordination result 1";
const FACT: &str = "coordination revocation 1";

/// How long an outage stays in the store: long enough for the requests that wait now.
const OUTAGE_MEMORY: Duration = Duration::from_secs(1);

/// The name of a refresh.
pub(super) fn refresh_name(fingerprint: &Fingerprint) -> String {
    digest_text("refresh", &[fingerprint.as_bytes()])
}

/// An [`Outcome`] as it travels.
#[derive(Deserialize, Serialize)]
enum Wire {
    Refreshed(Renewal),
    Refused,
    Contested,
    Mismatch,
    Unavailable,
}

/// A result for the store, and how long it is kept there.
pub(super) fn seal_outcome(
    outcome: &Outcome,
    name: &str,
    keys: &KeyRing,
    now: UnixTime,
) -> Option<(Vec<u8>, Duration)> {
    let (wire, kept) = match outcome {
        Outcome::Refreshed(renewal) => (
            Wire::Refreshed(Renewal::clone(renewal)),
            renewal.tokens.expires_at.since(now),
        ),
        Outcome::Refused(_) => (Wire::Refused, SPENT_MEMORY),
        Outcome::Contested(_) => (Wire::Contested, SPENT_MEMORY),
        Outcome::Mismatch(_) => (Wire::Mismatch, SPENT_MEMORY),
        Outcome::Unavailable(_) => (Wire::Unavailable, OUTAGE_MEMORY),
    };
    let plaintext = Zeroizing::new(serde_json::to_vec(&wire).ok()?);
    let sealed = keys.seal(now, RESULT, name.as_bytes(), &plaintext).ok()?;
    (!kept.is_zero()).then_some((sealed, kept))
}

/// Opens a result from the store.
pub(super) fn open_outcome(
    sealed: &[u8],
    name: &str,
    keys: &KeyRing,
) -> Result<Outcome, OpenError> {
    let opened = keys.open(RESULT, name.as_bytes(), sealed)?;
    let why = || "another replica made the call, and its log says why".into();
    Ok(
        match serde_json::from_slice(&opened.plaintext).map_err(|_| OpenError::Rejected)? {
            Wire::Refreshed(renewal) => Outcome::Refreshed(Arc::new(renewal)),
            Wire::Refused => Outcome::Refused(why()),
            Wire::Contested => Outcome::Contested(why()),
            Wire::Mismatch => Outcome::Mismatch(why()),
            Wire::Unavailable => Outcome::Unavailable(why()),
        },
    )
}

/// A revocation as it travels: 16 bytes of digest, its not-before time, and the time until which it counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fact {
    pub(super) key: RevocationKey,
    pub(super) not_before: UnixTime,
    pub(super) until: UnixTime,
}

impl Fact {
    /// The length of each, once sealed.
    pub(super) const SEALED: usize = SEAL_OVERHEAD + 32;

    pub(super) fn new(revocation: &Revocation, until: UnixTime) -> Self {
        Self {
            key: revocation.key(),
            not_before: revocation.not_before(),
            until,
        }
    }

    pub(super) fn seal(&self, stream: &str, keys: &KeyRing, now: UnixTime) -> Option<Vec<u8>> {
        let mut plaintext = Vec::with_capacity(32);
        plaintext.extend_from_slice(&self.key.0);
        plaintext.extend_from_slice(&self.not_before.as_secs().to_be_bytes());
        plaintext.extend_from_slice(&self.until.as_secs().to_be_bytes());
        keys.seal(now, FACT, stream.as_bytes(), &plaintext).ok()
    }

    pub(super) fn open(sealed: &[u8], stream: &str, keys: &KeyRing) -> Result<Self, OpenError> {
        let opened = keys.open(FACT, stream.as_bytes(), sealed)?;
        let (key, rest) = opened
            .plaintext
            .split_first_chunk()
            .ok_or(OpenError::Rejected)?;
        let (not_before, rest) = rest.split_first_chunk().ok_or(OpenError::Rejected)?;
        let until = rest.try_into().map_err(|_| OpenError::Rejected)?;
        Ok(Self {
            key: RevocationKey(*key),
            not_before: UnixTime::from_secs(u64::from_be_bytes(*not_before)),
            until: UnixTime::from_secs(u64::from_be_bytes(until)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples;

    #[test]
    fn a_result_opens_under_its_own_name_only() {
        let (keys, now) = (samples::ring(), samples::now());
        let mut tokens = samples::session(now).tokens;
        tokens.refresh_ends_at = Some(now.plus(Duration::from_secs(7)));
        let secret = tokens.access_token.secret().clone();
        let renewal = Renewal {
            userinfo: None,
            tokens,
            id_token: Some("e30.e30.canary-id".to_owned()),
            session_ends_by: Some(now.plus(Duration::from_secs(8))),
        };
        let all = serde_json::to_value(&renewal).unwrap();
        let outcome = Outcome::Refreshed(Arc::new(renewal));
        let (sealed, kept) = seal_outcome(&outcome, "a", &keys, now).unwrap();
        assert!(kept > Duration::ZERO);
        assert!(!String::from_utf8_lossy(&sealed).contains(&secret));
        let Ok(Outcome::Refreshed(opened)) = open_outcome(&sealed, "a", &keys) else {
            panic!("it does not open")
        };
        assert_eq!(serde_json::to_value(&*opened).unwrap(), all);
        assert!(open_outcome(&sealed, "b", &keys).is_err());
        assert!(open_outcome(&sealed, "a", &samples::ring()).is_err());
        assert!(
            Fact::open(&sealed, "a", &keys).is_err(),
            "nor as a revocation"
        );
        let mut bent = sealed;
        *bent.last_mut().unwrap() ^= 1;
        assert!(open_outcome(&bent, "a", &keys).is_err());
    }

    #[test]
    fn a_refusal_means_the_same_at_another_replica() {
        // V1, V10
        let (keys, now) = (samples::ring(), samples::now());
        let journey = |outcome: Outcome| {
            let (sealed, kept) = seal_outcome(&outcome, "a", &keys, now).unwrap();
            (open_outcome(&sealed, "a", &keys).unwrap(), kept)
        };
        for (outcome, memory) in [
            (Outcome::Refused("why".into()), SPENT_MEMORY),
            (Outcome::Contested("why".into()), SPENT_MEMORY),
            (Outcome::Mismatch("why".into()), SPENT_MEMORY),
            (Outcome::Unavailable("why".into()), OUTAGE_MEMORY),
        ] {
            let kind = std::mem::discriminant(&outcome);
            let (arrived, kept) = journey(outcome);
            assert_eq!((std::mem::discriminant(&arrived), kept), (kind, memory));
        }
    }

    #[test]
    fn a_revocation_survives_the_journey_and_names_nobody() {
        let (keys, now) = (samples::ring(), samples::now());
        let revocation = Revocation::Subject {
            issuer: "https://id.example".to_owned(),
            subject: "alice-the-subject".to_owned(),
            not_before: now,
        };
        let fact = Fact::new(&revocation, now.plus(Duration::from_secs(60)));
        let sealed = fact.seal("s", &keys, now).unwrap();
        assert_eq!(sealed.len(), Fact::SEALED);
        assert_eq!(Fact::open(&sealed, "s", &keys), Ok(fact));
        assert!(Fact::open(&sealed, "another installation", &keys).is_err());
        assert!(!String::from_utf8_lossy(&sealed).contains("alice"));
    }
}
