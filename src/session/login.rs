//! The cookies of logins under way: one for each, so that logins in several tabs do not meet (B8).
//!
//! The cookie holds what makes the answer good; `state` goes the other way round, through the identity provider, and bears
//! beside its random part where to go afterwards, sealed ([`LoginState`]). So most cookies are small, and an answer whose
//! cookie is gone still leads somewhere.
//!
//! # Invariants
//! - At most twenty live, as long as they fit (`budget`), none older than `login_timeout`; a cookie is deleted when its callback comes, whatever comes of it.
//! - An attempt is given out only for the whole `state`, compared in constant time, and the issuer it was begun with (B4).
//! - What does not fit is refused, never shortened.
//!
//! # Why `state` is sealed in full view of the provider
//! It is authenticated against changes on the way, and bound to its random part. A `state` whose attempt is gone proves nothing
//! about this browser: it leads to a path of the frontend, as any link may, and to nothing else.

use subtle::ConstantTimeEq;

use super::budget::{biggest_first, in_header};
use super::cookies::Received;
use super::envelope::Envelope;
use super::jar::Jar;
use super::names::{self, Kind, login_id};
use super::outcome::{StoreError, TooLarge};
use super::set_cookie::SetCookies;
use super::state::{LoginAttempt, LoginState};
use crate::clock::UnixTime;
use crate::keyring::{KeyRing, OpenError};

/// Most logins under way in one browser.
const MAX_LOGINS: usize = 20;

/// Characters of the random part of `state`: 32 bytes.
const RANDOM_LEN: usize = 43;

impl Jar {
    /// The `state` that the identity provider gets for a login whose cookie keeps `random`.
    pub fn seal_login_state(
        &self,
        random: &str,
        state: &LoginState,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Result<String, StoreError> {
        let envelope = self.login_state_envelope(random);
        let draft = envelope.draft(state).map_err(|oversize| TooLarge {
            needed: oversize.text_len,
            budget: 4096,
            parts: vec![("return_to".to_owned(), state.head.len())],
        })?;
        let sealed = envelope.seal(&draft, keys, now)?;
        Ok(format!("{random}{sealed}"))
    }

    /// Opens that `state` again: its random part, and what it says. Whose it is, the attempt's cookie alone can tell.
    pub fn open_login_state<'s>(
        &self,
        state: &'s str,
        keys: &KeyRing,
    ) -> Option<(&'s str, LoginState)> {
        let (random, sealed) = state.split_at_checked(RANDOM_LEN)?;
        if !random.bytes().all(names::is_base64url) {
            return None;
        }
        let envelope = self.login_state_envelope(random);
        let opened = envelope.open(|_| Some(sealed.as_bytes()), keys).ok()?;
        Some((random, opened.state))
    }

    /// Bound to all of the random part, so that no two are exchanged for one another.
    fn login_state_envelope(&self, random: &str) -> Envelope<LoginState> {
        self.login_state.named(&format!("login-state.{random}"))
    }

    /// Writes a login cookie; drops the oldest beyond twenty or beyond the budget, and all that are too old.
    pub fn store_login(
        &self,
        attempt: &LoginAttempt,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Result<(), StoreError> {
        let id = login_id(&attempt.state);
        let name = self.names.name(Kind::Login(&id));
        let envelope = self.login.named(&name);
        let room = self.room_beside(received);
        let draft = envelope
            .draft(attempt)
            .map_err(|oversize| too_large(attempt, oversize.text_len, 4096))?;
        let needed = in_header(name.len(), draft.text_len());
        if needed > room {
            return Err(too_large(attempt, needed, room).into());
        }
        let text = envelope.seal(&draft, keys, now)?;
        self.drop_logins(room - needed, received, keys, now, out);
        let max_age = Some(self.settings.login_timeout.as_secs());
        self.set(Kind::Login(&id), &text, max_age, out);
        Ok(())
    }

    /// Takes the login attempt of `state` out of its cookie, and deletes the cookie whatever comes of it, unless another
    /// replica may have the key to it.
    pub fn take_login(
        &self,
        state: &str,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Option<LoginAttempt> {
        let id = login_id(state);
        received.values(Kind::Login(&id)).next()?;
        let opened = self.open_login(&id, received, keys);
        if !matches!(opened, Err(OpenError::UnknownKey)) {
            self.delete(Kind::Login(&id), out);
        }
        opened.ok().filter(|attempt| {
            bool::from(attempt.state.as_bytes().ct_eq(state.as_bytes()))
                && attempt.issuer == self.settings.issuer
                && !attempt.is_expired(now, self.settings.login_timeout)
        })
    }

    pub(super) fn open_login(
        &self,
        id: &str,
        received: &Received<'_>,
        keys: &KeyRing,
    ) -> Result<LoginAttempt, OpenError> {
        let value = received.value(Kind::Login(id));
        self.login_envelope(id)
            .open(|_| value, keys)
            .map(|opened| opened.state)
    }

    fn login_envelope(&self, id: &str) -> Envelope<LoginAttempt> {
        let name = self.names.name(Kind::Login(id));
        self.login.named(&name)
    }

    /// Deletes dead attempts, and of the others as many as are over `room` bytes, or leave no place for one more: those of
    /// unknown keys first, then the oldest. What `out` deletes or sets anew does not count.
    pub(super) fn drop_logins(
        &self,
        mut room: usize,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        let mut live: Vec<(Option<UnixTime>, &str, usize)> = Vec::new();
        for (kind, value) in received.iter() {
            let Kind::Login(id) = kind else { continue };
            let name = self.names.name(kind);
            let bytes = in_header(name.len(), value.len());
            match self.open_login(id, received, keys) {
                _ if out.deletes(&name) => {}
                Ok(attempt) if !attempt.is_expired(now, self.settings.login_timeout) => {
                    live.push((Some(attempt.started_at), id, bytes));
                }
                Err(OpenError::UnknownKey) => live.push((None, id, bytes)),
                Ok(_) | Err(OpenError::Rejected) => self.delete(kind, out),
            }
        }
        live.sort_unstable();
        let mut kept = 1;
        for (_, id, bytes) in live.into_iter().rev() {
            match room.checked_sub(bytes) {
                Some(left) if kept < MAX_LOGINS => {
                    room = left;
                    kept += 1;
                }
                _ => self.delete(Kind::Login(id), out),
            }
        }
    }
}

fn too_large(attempt: &LoginAttempt, needed: usize, budget: usize) -> TooLarge {
    let mut parts = vec![
        ("return_to".to_owned(), attempt.rest.len()),
        ("state".to_owned(), attempt.state.len()),
        ("nonce".to_owned(), attempt.nonce.secret().len()),
        ("verifier".to_owned(), attempt.verifier.secret().len()),
        ("issuer".to_owned(), attempt.issuer.len()),
    ];
    if let Some(acr_values) = &attempt.acr_values {
        parts.push(("acr_values".to_owned(), acr_values.len()));
    }
    biggest_first(&mut parts);
    TooLarge {
        needed,
        budget,
        parts,
    }
}
