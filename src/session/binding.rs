//! What binds a session to a device: a name for session and key together, and what the device's short cookie says.
//!
//! # Invariants
//! - The name is a hash: it tells neither the session's id nor the key, and no two keys of one session share it.
//!
//! # Spec
//! Device Bound Session Credentials (W3C): the name is its `session_identifier`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::codec::{Malformed, Reader, Writer};
use super::encode::State;
use super::settings::JarSettings;
use super::state::{Fact, Session, SessionId};
use crate::clock::UnixTime;
use crate::proof::PublicKey;

/// The name of a session on a device: of both, so that a session that one page registers twice has two names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding([u8; 16]);

impl Binding {
    /// The name of this session with this key.
    pub fn of(session: SessionId, key: &PublicKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"sealgate binding 1\0");
        hash.update(session.0);
        hash.update(key.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// As browsers are told it: base64url.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Session {
    /// Its name on its device, if it is bound to one.
    pub fn binding(&self) -> Option<Binding> {
        let key = self.device.as_ref()?;
        Some(Binding::of(self.id, key))
    }
}

/// That a device has proved to have its key.
pub(super) struct Proved {
    pub(super) binding: Binding,
    pub(super) at: UnixTime,
    /// Until when the proof counts.
    pub(super) until: UnixTime,
}

impl State for Proved {
    const PURPOSE: &'static str = "device";
    const VARIES: bool = false;

    fn write(&self, w: &mut Writer) {
        w.loose(&self.binding.0);
        w.time(self.at);
        w.time(self.until);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            binding: Binding(r.loose_array()?),
            at: r.time()?,
            until: r.time()?,
        })
    }

    fn facts(&self, _: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        vec![
            ("device session", Fact::Text(self.binding.to_text())),
            ("proved", Fact::At(self.at)),
            ("counts until", Fact::At(self.until)),
        ]
    }

    fn counts(&self, _: &JarSettings, now: UnixTime) -> bool {
        now < self.until
    }
}
