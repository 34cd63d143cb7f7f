//! A session into its cookies, and out of the browser.
//!
//! `endpoint::callback` and `token` store, `server::pipeline` touches, `endpoint::logout` ends.
//!
//! # Invariants
//! - Whatever writes the session clears the chunks beyond it in the same answer (C6).
//! - Only [`Jar::store`] writes tokens; activity has its own cookie (G9).
//! - A session that was ended stays ended, even if an answer that was under way brings its cookies back (G10).

use std::time::Duration;

use log::error;

use super::budget;
use super::cookies::Received;
use super::encode::State;
use super::envelope::Envelope;
use super::jar::Jar;
use super::names::Kind;
use super::outcome::StoreError;
use super::set_cookie::SetCookies;
use super::state::{EndedMark, EndedMarks, Seen, Session, SessionId};
use crate::clock::UnixTime;
use crate::keyring::KeyRing;

/// The shortest life of an `-out` mark, in seconds: longer than an answer is under way.
const SHORTEST_MARK: u64 = 60;

/// How long a browser remembers that a refresh was refused: as long as the process that was told so.
const REFUSAL_MARK: Duration = Duration::from_hours(1);

impl Jar {
    /// Writes the session, clears chunks the browser has beyond it. Over budget, nothing is written.
    ///
    /// Says how many bytes of cookies the browser will send to an API route: the session and its `-seen`.
    pub fn store(
        &self,
        session: &Session,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Result<usize, StoreError> {
        // Whoever gets new tokens is active: idle time starts again.
        let session = Session {
            last_seen: now,
            ..session.clone()
        };
        let draft = self
            .session
            .draft(&session)
            .map_err(|oversize| budget::too_large(self, &session, oversize.text_len))?;
        budget::check(self, &session, draft.text_len())?;
        let text = self.session.seal(&draft, keys, now)?;

        let mut count = 0;
        for (index, chunk) in self.session.layout().split(&text) {
            self.set(Kind::Session(index), chunk, None, out);
            count = index.saturating_add(1);
        }
        self.delete_chunks_from(count, received, out);
        self.drop_logins(
            self.room_for_logins(draft.text_len()),
            received,
            keys,
            now,
            out,
        );
        Ok(self.header_bytes(draft.text_len()))
    }

    /// Writes `-seen` if the last write is over a tenth of the idle timeout ago.
    pub fn touch(&self, session: &Session, keys: &KeyRing, now: UnixTime, out: &mut SetCookies) {
        if now.since(session.last_seen) < self.settings.session.idle_timeout / 10 {
            return;
        }
        let seen = Seen {
            session: session.id,
            at: now,
        };
        if let Some(text) = seal_small(&self.seen, &seen, keys, now) {
            self.set(Kind::Seen, &text, None, out);
        }
    }

    /// Deletes the session cookies, leaves the `-out` mark if there was a session.
    pub fn end(
        &self,
        session: Option<&Session>,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        self.delete_session(received, out);
        // Even if they were not sent: a request from another site does not show them (SameSite).
        self.delete(Kind::Session(0), out);
        self.delete(Kind::Seen, out);
        if let Some(session) = session {
            let mark = (session.id, mark_until(session, now));
            self.mark(mark, received, keys, now, out);
        }
    }

    /// Leaves the `-out` mark for a session that `by` has taken the place of, so that a late answer of the old one does
    /// not put its user back (B24, G10).
    pub fn mark_replaced(
        &self,
        replaced: SessionId,
        by: &Session,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        let mark = (replaced, mark_until(by, now));
        self.mark(mark, received, keys, now, out);
    }

    /// Lets the `-out` mark of a session that was just ended live for as long as a late answer of it could be of use,
    /// because its refresh token could not be revoked: until it would be idle, or at its end (G10).
    pub fn mark_unrevoked(
        &self,
        session: &Session,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        let soonest = mark_until(session, now);
        let idle = soonest.plus(self.settings.session.idle_timeout);
        let until = idle.min(session.ends_at).max(soonest);
        self.mark((session.id, until), received, keys, now, out);
    }

    /// Lets the browser say that its refresh token was refused, to whichever replica it asks next.
    pub fn mark_refused(
        &self,
        refusal: [u8; 16],
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        let mark = (SessionId(refusal), now.plus(REFUSAL_MARK));
        self.mark(mark, received, keys, now, out);
    }

    /// Whether the browser says so.
    pub fn is_marked_refused(
        &self,
        refusal: [u8; 16],
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
    ) -> bool {
        let marks = self.marks(received, keys, now).unwrap_or_default();
        marks.iter().any(|mark| mark.session.0 == refusal)
    }

    /// Puts a mark before those that came and still count.
    fn mark(
        &self,
        (session, until): (SessionId, UnixTime),
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) {
        let mut marks = self.marks(received, keys, now).unwrap_or_default();
        marks.retain(|mark| mark.session != session);
        marks.insert(0, EndedMark { session, until });
        marks.truncate(EndedMarks::MOST);
        let last = marks.iter().map(|mark| mark.until).max().unwrap_or(until);
        if let Some(text) = seal_small(&self.ended, &EndedMarks(marks), keys, now) {
            self.set(Kind::Ended, &text, Some(last.since(now).as_secs()), out);
        }
    }

    /// Deletes the session's cookies: those received, and those that this answer was about to set.
    pub(super) fn delete_session(&self, received: &Received<'_>, out: &mut SetCookies) {
        self.delete_chunks_from(0, received, out);
        let pending: Vec<String> = out.names().map(str::to_owned).collect();
        for kind in pending
            .iter()
            .filter_map(|name| self.names.kind(name.as_bytes()))
        {
            if matches!(kind, Kind::Session(_) | Kind::Seen) {
                self.delete(kind, out);
            }
        }
        if received.values(Kind::Seen).next().is_some() {
            self.delete(Kind::Seen, out);
        }
    }

    pub(super) fn delete_chunks_from(
        &self,
        first: u8,
        received: &Received<'_>,
        out: &mut SetCookies,
    ) {
        for (kind, _) in received.iter() {
            if matches!(kind, Kind::Session(index) if index >= first) {
                self.delete(kind, out);
            }
        }
    }
}

/// Seals what always fits. Failure is logged, not returned: the answer is right without the cookie.
fn seal_small<S: State>(
    envelope: &Envelope<S>,
    state: &S,
    keys: &KeyRing,
    now: UnixTime,
) -> Option<String> {
    let draft = envelope.draft(state).ok()?;
    envelope
        .seal(&draft, keys, now)
        .inspect_err(|e| error!("no cookie written: {e}"))
        .ok()
}

/// Until when a late answer could bring the session back with tokens that work: the access token of a refresh that is
/// under way lives as long as the present one did from its beginning, and logout revokes the refresh token (G10).
fn mark_until(session: &Session, now: UnixTime) -> UnixTime {
    let tokens = &session.tokens;
    let late = now.plus(tokens.lifetime()).max(tokens.expires_at);
    let soonest = now.as_secs().saturating_add(SHORTEST_MARK);
    late.min(session.ends_at).max(UnixTime::from_secs(soonest))
}
