//! What logout needs when the session is gone: the ID token for the provider, and where to go in the end.
//!
//! # Invariants
//! - The ID token goes to `<base_path>/logout` only, so API requests do not carry it (C24).
//! - A `state` that does not open is no error and no redirect target (B62).

use super::cookies::Received;
use super::jar::Jar;
use super::names::Kind;
use super::outcome::{StoreError, TooLarge};
use super::set_cookie::SetCookies;
use super::state::{LogoutHint, LogoutState};
use crate::clock::UnixTime;
use crate::keyring::KeyRing;
use crate::names::ReturnTo;

impl Jar {
    /// Writes the hint cookie; false if it would be over 4096 bytes.
    pub fn store_hint(
        &self,
        hint: &LogoutHint,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Result<bool, StoreError> {
        let Ok(draft) = self.hint.draft(hint) else {
            return Ok(false);
        };
        let text = self.hint.seal(&draft, keys, now)?;
        self.set(Kind::Hint, &text, None, out);
        Ok(true)
    }

    /// Reads the hint cookie.
    pub fn load_hint(&self, received: &Received<'_>, keys: &KeyRing) -> Option<LogoutHint> {
        let value = received.value(Kind::Hint)?;
        let opened = self.hint.open(|_| Some(value), keys).ok()?;
        Some(opened.state)
    }

    /// Deletes the hint cookie.
    pub fn delete_hint(&self, out: &mut SetCookies) {
        self.delete(Kind::Hint, out);
    }

    /// Seals where to go after logout into a `state` parameter (base64url).
    pub fn seal_logout_state(
        &self,
        return_to: &ReturnTo,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Result<String, StoreError> {
        let state = LogoutState {
            return_to: return_to.clone(),
            issued_at: now,
        };
        let draft = self
            .logout_state
            .draft(&state)
            .map_err(|oversize| TooLarge {
                needed: oversize.text_len,
                budget: 4096,
                parts: vec![("return_to".to_owned(), return_to.as_str().len())],
            })?;
        Ok(self.logout_state.seal(&draft, keys, now)?)
    }

    /// Opens that `state` again, if it is ours and under an hour old.
    pub fn open_logout_state(
        &self,
        state: &str,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Option<ReturnTo> {
        let opened = self
            .logout_state
            .open(|_| Some(state.as_bytes()), keys)
            .ok()?;
        let fresh = now.since(opened.state.issued_at) < LogoutState::LIFETIME;
        fresh.then_some(opened.state.return_to)
    }
}
