//! A session into its cookies, and out of the browser.
//!
//! `endpoint::redeem` and `token` store, whoever uses the session touches it, `endpoint::logout` ends it.
//!
//! # Invariants
//! - An answer that writes the session also deletes the chunks beyond it.
//! - Only [`Wallet::store`] writes tokens; activity has its own cookie.
//! - A session that was ended stays ended, even if a late answer brings its cookies back.

use std::time::Duration;

use log::error;

use super::budget;
use super::encode::State;
use super::kind::Kind;
use super::outcome::StoreError;
use super::state::{EndedMark, EndedMarks, Seen, Session, SessionId};
use super::wallet::Wallet;
use crate::clock::UnixTime;

/// The shortest life of an `-out` mark, in seconds: longer than an answer is under way.
const SHORTEST_MARK: u64 = 60;

/// How long a browser remembers that a refresh was refused: as long as the process that was told so.
const REFUSAL_MARK: Duration = Duration::from_hours(1);

impl Wallet<'_> {
    /// Writes the session and deletes the chunks that the browser has beyond it. Over budget, it writes nothing.
    ///
    /// Returns how many bytes of cookies the browser will send to an API route: the session and its `-seen`.
    pub fn store(&mut self, session: &Session) -> Result<usize, StoreError> {
        let jar = self.jar;
        // New tokens are activity: the idle time starts again.
        let session = Session {
            last_seen: self.now,
            ..session.clone()
        };
        let envelope = jar.envelope(Kind::Session(0));
        let draft = envelope
            .draft(&session)
            .map_err(|oversize| budget::too_large(jar, &session, oversize.text_len))?;
        budget::check(jar, &session, draft.text_len())?;
        let text = envelope.seal(&draft, &self.keys, self.now)?;

        let mut count = 0;
        for (index, chunk) in envelope.layout().split(&text) {
            self.set(Kind::Session(index), chunk, session.latest_end());
            count = index.saturating_add(1);
        }
        self.delete_chunks_from(count);
        self.drop_logins(jar.room_for_logins(draft.text_len()));
        Ok(jar.header_bytes(draft.text_len()))
    }

    /// Whether the last write of `-seen` is over a tenth of the idle timeout ago.
    pub fn is_touch_due(&self, session: &Session) -> bool {
        let idle_timeout = self.jar.settings.session.idle_timeout;
        self.now.since(session.last_seen) >= idle_timeout / 10
    }

    /// Writes `-seen` if that is due.
    pub fn touch(&mut self, session: &Session) -> bool {
        if !self.is_touch_due(session) {
            return false;
        }
        let seen = Seen {
            session: session.id,
            at: self.now,
        };
        let Some(text) = self.seal_small(Kind::Seen, &seen) else {
            return false;
        };
        self.set(Kind::Seen, &text, session.latest_end());
        true
    }

    /// Deletes the session cookies, and leaves the `-out` mark if there was a session.
    pub fn end(&mut self, session: Option<&Session>) {
        self.delete_session();
        // Even if they did not come: a request from another site does not show them (SameSite).
        self.delete(Kind::Session(0));
        self.delete(Kind::Seen);
        let has_device = session.is_some_and(|session| session.device.is_some());
        if has_device || self.received.values(Kind::Device).next().is_some() {
            self.delete(Kind::Device);
        }
        if let Some(session) = session {
            self.mark(session.id, mark_until(session, self.now));
        }
    }

    /// Leaves the `-out` mark of a session that `by` replaces, so that a late answer of the old one does not sign its
    /// user in again.
    pub fn mark_replaced(&mut self, replaced: SessionId, by: &Session) {
        self.mark(replaced, mark_until(by, self.now));
    }

    /// Prolongs the `-out` mark of a session that was just ended, because its refresh token could not be revoked. It
    /// lives for as long as a late answer could be of use: until the session would be idle, or at its end.
    pub fn mark_unrevoked(&mut self, session: &Session) {
        let soonest = mark_until(session, self.now);
        let idle = soonest.plus(self.jar.settings.session.idle_timeout);
        let until = idle.min(session.ends_at).max(soonest);
        self.mark(session.id, until);
    }

    /// Lets the browser tell the replica that it asks next that its refresh token was refused.
    pub fn mark_refused(&mut self, refusal: [u8; 16]) {
        self.mark(SessionId(refusal), self.now.plus(REFUSAL_MARK));
    }

    /// Whether the browser tells so.
    pub fn is_marked_refused(&self, refusal: [u8; 16]) -> bool {
        let marks = self.marks().unwrap_or_default();
        marks.iter().any(|mark| mark.session.0 == refusal)
    }

    /// Puts a mark before those that came and still count.
    fn mark(&mut self, session: SessionId, until: UnixTime) {
        let mut marks = self.marks().unwrap_or_default();
        marks.retain(|mark| mark.session != session);
        marks.insert(0, EndedMark { session, until });
        marks.truncate(EndedMarks::MOST);
        let last = marks.iter().map(|mark| mark.until).max().unwrap_or(until);
        let marks = EndedMarks(marks);
        if let Some(text) = self.seal_small(Kind::Ended, &marks) {
            self.set(Kind::Ended, &text, last);
        }
    }

    /// Seals what always fits. A failure goes to the log only: the answer is right without the cookie.
    pub(super) fn seal_small<S: State>(&self, kind: Kind<'_>, state: &S) -> Option<String> {
        let envelope = self.jar.envelope(kind);
        let draft = envelope.draft(state).ok()?;
        envelope
            .seal(&draft, &self.keys, self.now)
            .inspect_err(|e| error!("no cookie written: {e}"))
            .ok()
    }

    /// Deletes the session's cookies: those that came, and those that this answer was about to set.
    pub(super) fn delete_session(&mut self) {
        self.delete_chunks_from(0);
        let pending: Vec<String> = self.out.names().map(str::to_owned).collect();
        for name in &pending {
            if let Some(kind @ (Kind::Session(_) | Kind::Seen)) =
                self.jar.names.kind(name.as_bytes())
            {
                self.delete(kind);
            }
        }
        if self.received.values(Kind::Seen).next().is_some() {
            self.delete(Kind::Seen);
        }
    }

    pub(super) fn delete_chunks_from(&mut self, first: u8) {
        for (kind, _) in self.received.iter() {
            if matches!(kind, Kind::Session(index) if index >= first) {
                self.jar.delete(kind, &mut self.out);
            }
        }
    }
}

/// Until when a late answer could bring the session back with tokens that work. The access token of a refresh that is
/// under way lives as long as the present one does from its beginning, and logout revokes the refresh token.
fn mark_until(session: &Session, now: UnixTime) -> UnixTime {
    let tokens = &session.tokens;
    let late = now.plus(tokens.lifetime()).max(tokens.expires_at);
    let soonest = now.as_secs().saturating_add(SHORTEST_MARK);
    late.min(session.ends_at).max(UnixTime::from_secs(soonest))
}
