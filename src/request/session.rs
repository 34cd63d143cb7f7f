//! Writes and ends the session of a request: in its cookies, and for all who must know of it.
//!
//! [`Wallet`](crate::session::Wallet) writes the cookies. Here metrics count them, and revocations and other replicas hear
//! of sessions that end.

use super::caller::Caller;
use super::ctx::Ctx;
use crate::guard::is_speculative;
use crate::ledger::{Fingerprint, Revocation};
use crate::session::{LogoutHint, SESSION_STATE, Session, SessionId, StoreError};
use crate::telemetry::metrics::SessionPart;

impl Ctx<'_> {
    /// Writes a session into the answer's cookies, and counts its size, whether it fits or not.
    pub fn store(&mut self, session: &Session) -> Result<(), StoreError> {
        let mut stored = self.wallet.store(session);
        if matches!(stored, Err(StoreError::TooLarge(_)))
            && session.claims.contains_key(SESSION_STATE)
        {
            // Nobody is refused for a value that only some frontends ask for.
            let mut lighter = session.clone();
            lighter.claims.remove(SESSION_STATE);
            stored = self.wallet.store(&lighter);
        }
        match &stored {
            Ok(total) => self.measure(session, *total),
            Err(StoreError::TooLarge(error)) => self.measure(session, error.needed),
            Err(StoreError::Seal(_)) => {}
        }
        if stored.is_ok() {
            self.bff.news.refreshed(session);
        }
        if stored.is_ok()
            && self.bff.coordinator.is_none()
            && let Some(tokens) = Fingerprint::of(session)
        {
            self.bff.replicas.got(tokens);
        }
        stored.map(drop)
    }

    /// Keeps the ID token for logout, in a cookie that only logout gets. Returns whether it fits.
    ///
    /// Logout does without one that does not fit: the provider then asks the person, instead of taking the hint.
    pub fn store_hint(&mut self, session: SessionId, id_token: String) -> bool {
        let bytes = id_token.len();
        let stored = self.wallet.store_hint(&LogoutHint { session, id_token });
        match &stored {
            Ok(false) if self.frontend.provider.reminders.large_hint.is_due(self.now) => {
                log::warn!(bytes = bytes;
                    "the ID token is too large for its cookie; logout will go without id_token_hint, or with an older one");
            }
            Ok(_) => {}
            Err(error) => log::error!("no logout hint: {error}"),
        }
        matches!(stored, Ok(true))
    }

    /// Counts parts by the size they came in, and the whole by what it adds to a `Cookie` header. A session that was
    /// refused counts with what it would have needed.
    fn measure(&self, session: &Session, total: usize) {
        let tokens = &session.tokens;
        let refresh_token = tokens.refresh_token.as_ref();
        // Writing to a vector cannot fail.
        let claims = serde_json::to_vec(&session.claims).unwrap_or_default();
        for (part, bytes) in [
            (SessionPart::Total, total),
            (SessionPart::AccessToken, tokens.access_token.secret().len()),
            (
                SessionPart::RefreshToken,
                refresh_token.map_or(0, |token| token.secret().len()),
            ),
            (SessionPart::Claims, claims.len()),
        ] {
            let name = &self.frontend.name;
            self.bff.metrics.session_stored(name, part, bytes);
        }
    }

    /// Notes that the session was used, at most every tenth of its idle timeout. A speculative load is no use.
    pub fn touch(&mut self) {
        if let Caller::Browser(session) = &self.caller
            && self.wallet.is_touch_due(session)
            && !is_speculative(self.request.headers())
            && self.wallet.touch(session)
        {
            self.bff.news.used(session.id, self.now);
        }
    }

    /// Deletes the session's cookies without a mark: if another replica's answer with good cookies is still under way,
    /// that answer wins.
    pub fn drop_session(&mut self) {
        self.caller = Caller::Nobody;
        self.end_session();
    }

    /// Ends the session for good. In this browser a mark keeps late answers from bringing it back. In this process, or in
    /// all with `[coordination]`, neither a copied cookie nor a refresh under way serves it any longer.
    pub fn end_session(&mut self) {
        let caller = std::mem::replace(&mut self.caller, Caller::Nobody);
        let session = caller.session();
        if let Some(session) = session {
            self.revoke(session.id);
        }
        self.wallet.end(session.map(|session| &***session));
    }

    /// Lets no cookie of this session, nor a copy of one, open any longer.
    ///
    /// For as long as any of them could: an older cookie may name a later end than the newest.
    pub fn revoke(&self, session: SessionId) {
        let revocation = Revocation::Session(session);
        let until = self.now.plus(self.frontend.longest_session);
        self.bff.revocations.revoke(&revocation, until, self.now);
        self.frontend.provider.forget_exchanged_of(session.0);
        if let Some(coordinator) = &self.bff.coordinator {
            coordinator.announce(&revocation, until);
        }
    }
}
