//! A time that we have sealed and whoever gets it cannot read or make: a challenge, or a nonce, without a store.
//!
//! # Invariants
//! - It opens for its own purpose and context only, at every replica that has the key.
//! - It counts for five minutes from the time it was sealed, whoever has it. It may come more than once: a client keeps what
//!   it has signed, and sends it again when an answer was lost.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::keyring::{KeyRing, SEAL_OVERHEAD, SealError};

/// For how long it is fresh.
const LIFE: Duration = Duration::from_mins(5);

/// Bytes of a sealed time.
const SEALED: usize = SEAL_OVERHEAD + 8;

/// What sealed times are for: each purpose has a key of its own.
#[derive(Clone, Copy, Debug)]
pub struct SealedTime(&'static str);

/// How old one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// Five minutes at the most. It was sealed then.
    Fresh(UnixTime),
    /// More.
    Stale,
    /// It is not ours, or belongs to something else.
    Foreign,
}

impl SealedTime {
    /// For this purpose. It is the label of a subkey: a change ends all that were sealed.
    pub const fn new(purpose: &'static str) -> Self {
        Self(purpose)
    }

    /// Seals `now`, bound to `context`. The text is base64url.
    pub fn seal(self, context: &[u8], keys: &KeyRing, now: UnixTime) -> Result<String, SealError> {
        let sealed = keys.seal(now, self.0, context, &now.as_secs().to_be_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// How old this text is, if it was sealed for the same context.
    pub fn age(self, text: &str, context: &[u8], keys: &KeyRing, now: UnixTime) -> Age {
        match self.open(text, context, keys) {
            Some(sealed_at) if now.since(sealed_at) <= LIFE => Age::Fresh(sealed_at),
            Some(_) => Age::Stale,
            None => Age::Foreign,
        }
    }

    fn open(self, text: &str, context: &[u8], keys: &KeyRing) -> Option<UnixTime> {
        if text.len() != SEALED.saturating_mul(4).div_ceil(3) {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let opened = keys.open(self.0, context, &sealed).ok()?;
        let seconds = (*opened.plaintext).try_into().ok()?;
        Some(UnixTime::from_secs(u64::from_be_bytes(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::{Alg, Key};

    const CHALLENGE: SealedTime = SealedTime::new("test challenge");

    fn ring(at: UnixTime) -> KeyRing {
        KeyRing::from_keys(vec![Key::generate(Alg::default(), at, at).unwrap()], at).unwrap()
    }

    #[test]
    fn it_is_fresh_for_five_minutes_and_may_come_again() {
        let at = UnixTime::from_secs(1_000);
        let keys = ring(at);
        let text = CHALLENGE.seal(b"session", &keys, at).unwrap();
        for (secs, age) in [
            (990, Age::Fresh(at)),
            (1_000, Age::Fresh(at)),
            (1_300, Age::Fresh(at)),
            (1_301, Age::Stale),
        ] {
            let now = UnixTime::from_secs(secs);
            assert_eq!(CHALLENGE.age(&text, b"session", &keys, now), age, "{secs}");
        }
    }

    #[test]
    fn it_belongs_to_one_purpose_context_and_ring() {
        let at = UnixTime::from_secs(1_000);
        let keys = ring(at);
        let text = CHALLENGE.seal(b"session", &keys, at).unwrap();
        let other = SealedTime::new("test nonce");
        let padded = format!("{text}=");
        for (why, age) in [
            ("context", CHALLENGE.age(&text, b"sessio", &keys, at)),
            ("purpose", other.age(&text, b"session", &keys, at)),
            ("ring", CHALLENGE.age(&text, b"session", &ring(at), at)),
            ("cut", CHALLENGE.age(&text[1..], b"session", &keys, at)),
            ("padded", CHALLENGE.age(&padded, b"session", &keys, at)),
            ("empty", CHALLENGE.age("", b"session", &keys, at)),
        ] {
            assert_eq!(age, Age::Foreign, "{why}");
        }
    }
}
