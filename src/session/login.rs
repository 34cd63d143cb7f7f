//! The cookies of logins under way: each login has its own, so that logins in several tabs do not meet.
//!
//! The cookie holds what the provider's answer is checked against. `state` goes through the identity provider instead: it
//! has a random part, and sealed behind it where to go afterwards ([`LoginState`]). So most cookies are small, and an
//! answer whose cookie is gone still leads somewhere.
//!
//! # Invariants
//! - At most twenty live, as long as they fit (`budget`), and none older than `login_timeout`.
//! - The callback deletes its cookie, whatever comes of it.
//! - An attempt is given out only for the whole `state`, compared in constant time, and for the issuer that it began with
//!   (RFC 9700 §4.4).
//! - What does not fit is refused, never shortened.
//!
//! # Why `state` is sealed in full view of the provider
//! Nobody can change it on the way, and it is bound to its random part. A `state` whose attempt is gone proves nothing about
//! this browser: it leads to a path of the frontend, as any link may, and to nothing else.

use subtle::ConstantTimeEq;

use super::budget::{biggest_first, in_header};
use super::encode::State as _;
use super::envelope::Envelope;
use super::kind::Kind;
use super::names::{self, login_id};
use super::outcome::{StoreError, TooLarge};
use super::state::{LoginAttempt, LoginState};
use super::wallet::Wallet;
use crate::clock::UnixTime;
use crate::keyring::OpenError;

/// Most logins under way in one browser.
const MAX_LOGINS: usize = 20;

/// Characters of the random part of `state`: 32 bytes.
const RANDOM_LEN: usize = 43;

impl Wallet<'_> {
    /// The `state` that the identity provider gets for a login whose cookie keeps `random`.
    pub fn seal_login_state(&self, random: &str, state: &LoginState) -> Result<String, StoreError> {
        let envelope = self.login_state_envelope(random);
        let draft = envelope.draft(state).map_err(|oversize| TooLarge {
            needed: oversize.text_len,
            budget: 4096,
            parts: vec![("return_to".to_owned(), state.head.len())],
        })?;
        let sealed = envelope.seal(&draft, &self.keys, self.now)?;
        Ok(format!("{random}{sealed}"))
    }

    /// Opens that `state` again: its random part, and what it says. Only the attempt's cookie can tell whose it is.
    pub fn open_login_state<'s>(&self, state: &'s str) -> Option<(&'s str, LoginState)> {
        let (random, sealed) = state.split_at_checked(RANDOM_LEN)?;
        if !random.bytes().all(names::is_base64url) {
            return None;
        }
        let envelope = self.login_state_envelope(random);
        let opened = envelope
            .open(|_| Some(sealed.as_bytes()), &self.keys)
            .ok()?;
        Some((random, opened.state))
    }

    /// Bound to all of the random part, so that nobody can exchange one `state` for another.
    fn login_state_envelope(&self, random: &str) -> Envelope<'_, LoginState> {
        self.jar
            .parameter(format!("{}.{random}", LoginState::PURPOSE))
    }

    /// Writes a login cookie. Deletes those that are too old, and the oldest beyond twenty or beyond the budget.
    pub fn store_login(&mut self, attempt: &LoginAttempt) -> Result<(), StoreError> {
        let id = login_id(&attempt.state);
        let envelope = self.jar.envelope(Kind::Login(&id));
        let room = self.jar.room_beside(&self.received);
        let draft = envelope
            .draft(attempt)
            .map_err(|oversize| too_large(attempt, oversize.text_len, 4096))?;
        let needed = in_header(envelope.name().len(), draft.text_len());
        if needed > room {
            return Err(too_large(attempt, needed, room).into());
        }
        let text = envelope.seal(&draft, &self.keys, self.now)?;
        self.drop_logins(room - needed);
        self.set(Kind::Login(&id), &text, self.now);
        Ok(())
    }

    /// Takes the login attempt of `state` out of its cookie. Deletes the cookie whatever comes of it, unless another
    /// replica may have the key to it.
    pub fn take_login(&mut self, state: &str) -> Option<LoginAttempt> {
        let id = login_id(state);
        self.received.values(Kind::Login(&id)).next()?;
        let opened = self.open_login(&id);
        if !matches!(opened, Err(OpenError::UnknownKey)) {
            self.delete(Kind::Login(&id));
        }
        let settings = &self.jar.settings;
        opened.ok().filter(|attempt| {
            bool::from(attempt.state.as_bytes().ct_eq(state.as_bytes()))
                && attempt.issuer == settings.issuer
                && !attempt.is_expired(self.now, settings.login_timeout)
        })
    }

    fn open_login(&self, id: &str) -> Result<LoginAttempt, OpenError> {
        let value = self.received.value(Kind::Login(id));
        let envelope = self.jar.envelope(Kind::Login(id));
        let opened = envelope.open(|_| value, &self.keys)?;
        Ok(opened.state)
    }

    /// Deletes dead attempts. Deletes others too until they fit into `room` bytes and leave a place for one more: those of
    /// unknown keys first, then the oldest. What this answer deletes or sets anew does not count.
    pub(super) fn drop_logins(&mut self, mut room: usize) {
        let jar = self.jar;
        let mut live: Vec<(Option<UnixTime>, &str, usize)> = Vec::new();
        for (kind, value) in self.received.iter() {
            let Kind::Login(id) = kind else { continue };
            let name = jar.names.name(kind);
            let bytes = in_header(name.len(), value.len());
            match self.open_login(id) {
                _ if self.out.deletes(&name) => {}
                Ok(attempt) if !attempt.is_expired(self.now, jar.settings.login_timeout) => {
                    live.push((Some(attempt.started_at), id, bytes));
                }
                Err(OpenError::UnknownKey) => live.push((None, id, bytes)),
                Ok(_) | Err(OpenError::Rejected) => jar.delete(kind, &mut self.out),
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
                _ => self.delete(Kind::Login(id)),
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
