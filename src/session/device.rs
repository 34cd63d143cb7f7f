//! The short cookie of a bound session: the device has proved lately that it has the key.
//!
//! # Invariants
//! - It counts for the session and key that it was sealed for, and until the time that is sealed in it.
//! - It is no session: without the session's own cookies it opens nothing.

use std::time::Duration;

use super::binding::{Binding, Proved};
use super::jar::Jar;
use super::kind::Kind;
use super::known_proof::KnownProof;
use super::opened::OpenSession;
use super::wallet::Wallet;
use crate::clock::UnixTime;
use crate::keyring::{Erased, OpenError};

impl Jar {
    /// Name and attributes of the cookie, as the browser must find them.
    pub fn device_cookie(&self) -> (String, String) {
        (
            self.names.name(Kind::Device),
            self.attributes_of(Kind::Device),
        )
    }
}

impl Wallet<'_> {
    /// When the device of this session proved last, if that counts still.
    pub fn device_proof(&self, session: &OpenSession) -> Result<UnixTime, OpenError> {
        let value = self.received.value(Kind::Device);
        let mut known = session.device_proof.borrow_mut();
        let found = known.as_ref().zip(value);
        if let Some(at) = found.and_then(|(known, value)| known.find(value, &self.keys, self.now)) {
            return Ok(at);
        }
        let envelope = self.jar.envelope::<Proved>(Kind::Device);
        let unsealed = envelope.open(|_| value, &self.keys)?;
        let Proved { binding, at, until } = unsealed.state;
        if session.binding() != Some(binding) || self.now >= until {
            return Err(OpenError::Rejected);
        }
        *known = Some(KnownProof {
            text: Erased::from(value.unwrap_or_default().to_vec()),
            kid: unsealed.kid,
            at,
            until,
        });
        Ok(at)
    }

    /// Notes that the device of this binding has proved now. It counts for this long.
    pub fn store_device_proof(&mut self, binding: Binding, lives: Duration) {
        let until = self.now.plus(lives);
        let proved = Proved {
            binding,
            at: self.now,
            until,
        };
        if let Some(text) = self.seal_small(Kind::Device, &proved) {
            self.set(Kind::Device, &text, until);
        }
    }

    /// Lets the browser prove again: a bound request without the cookie waits for that.
    pub fn end_device_proof(&mut self) {
        self.delete(Kind::Device);
    }
}
