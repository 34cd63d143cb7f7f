//! What logout needs when the session is gone: the ID token for the provider, and where to go in the end.
//!
//! # Invariants
//! - The ID token goes to `<base_path>/logout` only, so API requests do not carry it.
//! - A `state` that does not open is neither an error nor a redirect target.
//!
//! # Spec
//! OpenID Connect RP-Initiated Logout 1.0 §2 (`id_token_hint`, `state`).

use super::encode::State as _;
use super::kind::Kind;
use super::outcome::{StoreError, TooLarge};
use super::state::{LogoutHint, LogoutState};
use super::wallet::Wallet;
use crate::names::ReturnTo;

impl Wallet<'_> {
    /// Writes the hint cookie; false if it would be over 4096 bytes.
    pub fn store_hint(&mut self, hint: &LogoutHint) -> Result<bool, StoreError> {
        let envelope = self.jar.envelope(Kind::Hint);
        let Ok(draft) = envelope.draft(hint) else {
            return Ok(false);
        };
        let text = envelope.seal(&draft, &self.keys, self.now)?;
        // It may be needed for as long as the session that it belongs to.
        let end = self.now.plus(self.jar.settings.session.absolute_timeout);
        self.set(Kind::Hint, &text, end);
        Ok(true)
    }

    /// Reads the hint cookie.
    pub fn load_hint(&self) -> Option<LogoutHint> {
        let value = self.received.value(Kind::Hint)?;
        let envelope = self.jar.envelope(Kind::Hint);
        let opened = envelope.open(|_| Some(value), &self.keys).ok()?;
        Some(opened.state)
    }

    /// Deletes the hint cookie.
    pub fn delete_hint(&mut self) {
        self.delete(Kind::Hint);
    }

    /// Seals where to go after logout into a `state` parameter (base64url).
    pub fn seal_logout_state(&self, return_to: &ReturnTo) -> Result<String, StoreError> {
        let envelope = self.jar.parameter(LogoutState::PURPOSE.to_owned());
        let state = LogoutState {
            return_to: return_to.clone(),
            issued_at: self.now,
        };
        let draft = envelope.draft(&state).map_err(|oversize| TooLarge {
            needed: oversize.text_len,
            budget: 4096,
            parts: vec![("return_to".to_owned(), return_to.as_str().len())],
        })?;
        Ok(envelope.seal(&draft, &self.keys, self.now)?)
    }

    /// Opens that `state` again, if it is ours and under an hour old.
    pub fn open_logout_state(&self, state: &str) -> Option<ReturnTo> {
        let envelope = self.jar.parameter(LogoutState::PURPOSE.to_owned());
        let opened = envelope.open(|_| Some(state.as_bytes()), &self.keys).ok()?;
        let state: LogoutState = opened.state;
        let is_fresh = self.now.since(state.issued_at) < LogoutState::LIFETIME;
        is_fresh.then_some(state.return_to)
    }
}
