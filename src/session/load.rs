//! A session out of its cookies.
//!
//! # Invariants
//! - What was sealed decides expiry, idleness, the end by logout and `not_before`; a cookie's `Max-Age` decides nothing.
//! - Nothing is deleted that another replica might be able to open.
//!
//! # Why an `-out` mark of an unknown key is passed over
//! To believe it would lock out its owner: after an emergency deletion of a key, for as long as the mark lives. Passed
//! over, it lets a late answer through on a replica whose key ring lags behind the others'.

use std::rc::Rc;

use super::kind::Kind;
use super::opened::{Opened, OpenedSessions};
use super::outcome::{Loaded, OpenResult};
use super::state::{EndedMark, EndedMarks, Seen, Session, SessionId};
use super::wallet::Wallet;
use crate::clock::UnixTime;
use crate::keyring::{Kid, OpenError};

/// Cookies beside the session that do not count: over, another session's, or not to be opened.
type Stale = Vec<Kind<'static>>;

impl Wallet<'_> {
    /// Opens the session. Deletes what is stale, torn, expired or ended, but nothing for `UnknownKey`.
    pub fn load(&mut self) -> Loaded {
        self.load_cached(&mut OpenedSessions::default())
    }

    /// The same, but does not open again what `cache` holds.
    pub fn load_cached(&mut self, cache: &mut OpenedSessions) -> Loaded {
        let mut stale = Stale::new();
        let (result, opened) = self.judge(cache, &mut stale);
        if result != OpenResult::UnknownKey {
            for kind in stale {
                self.delete(kind);
            }
        }
        match (result, &opened) {
            (OpenResult::Anonymous | OpenResult::UnknownKey, _) => {}
            (OpenResult::Ok | OpenResult::Unrefreshable, Some(opened)) => {
                self.delete_chunks_from(opened.chunks);
            }
            _ => self.delete_session(),
        }
        let kid = opened.as_ref().map(|opened| opened.kid);
        let is_new = opened.as_ref().is_some_and(|opened| opened.is_new);
        let session = opened.map(|opened| opened.session);
        Loaded {
            session: session.filter(|_| result == OpenResult::Ok),
            result,
            kid,
            is_new,
        }
    }

    fn judge(&self, cache: &mut OpenedSessions, stale: &mut Stale) -> (OpenResult, Option<Opened>) {
        if self.received.is_ambiguous() {
            return (OpenResult::Rejected, None);
        }
        if !self.received.has_session() {
            return (OpenResult::Anonymous, None);
        }
        let place = self.jar.place.parts();
        let (opened, seen) = match cache.find(place, &self.received, &self.keys, self.now) {
            Some(opened) => (opened, Ok(())),
            None => match self.open(stale) {
                Ok((opened, seen)) => {
                    // A `-seen` that does not open must be deleted each time, and may open later.
                    if seen.is_ok() {
                        cache.keep(place, &self.received, opened.clone(), self.now);
                    }
                    (opened, seen)
                }
                Err(OpenError::UnknownKey) => return (OpenResult::UnknownKey, None),
                Err(OpenError::Rejected) => return (OpenResult::Rejected, None),
            },
        };
        let session = &opened.session;
        let settings = &self.jar.settings.session;
        let is_too_old = |epoch: UnixTime| session.started_at < epoch;
        let is_over = session.is_expired(self.now);
        let is_at_its_end = session.is_refreshable() || self.now >= session.ends_at;
        let result =
            if self.was_ended(session.id, stale) || settings.not_before.is_some_and(is_too_old) {
                OpenResult::Ended
            } else if is_over && is_at_its_end {
                OpenResult::Expired
            } else if !session.is_idle(self.now, settings.idle_timeout) {
                if is_over {
                    OpenResult::Unrefreshable
                } else {
                    OpenResult::Ok
                }
            } else if seen == Err(OpenError::UnknownKey) {
                // A key that is new here may tell of later activity.
                OpenResult::UnknownKey
            } else {
                OpenResult::Idle
            };
        (result, Some(opened))
    }

    /// The session, with the activity that `-seen` tells of; and what became of that cookie.
    fn open(&self, stale: &mut Stale) -> Result<(Opened, Result<(), OpenError>), OpenError> {
        let chunk = |index| self.received.value(Kind::Session(index));
        let unsealed = self
            .jar
            .envelope::<Session>(Kind::Session(0))
            .open(chunk, &self.keys)?;
        let mut session = unsealed.state;
        let seen = match self.last_seen(session.id, stale) {
            Ok(Some((at, kid))) => {
                session.last_seen = session.last_seen.max(at);
                Ok(Some(kid))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let opened = Opened {
            session: Rc::new(session.into()),
            kid: unsealed.kid,
            seen_kid: seen.unwrap_or_default(),
            chunks: unsealed.header.chunks,
            is_new: true,
        };
        Ok((opened, seen.map(|_| ())))
    }

    /// Whether a mark names this session. Cookies with marks that are over, or that do not open, are stale.
    fn was_ended(&self, session: SessionId, stale: &mut Stale) -> bool {
        match self.marks() {
            Ok(marks) => marks.iter().any(|mark| mark.session == session),
            Err(OpenError::UnknownKey) => false,
            Err(OpenError::Rejected) => {
                stale.push(Kind::Ended);
                false
            }
        }
    }

    /// The marks that count, the latest first. If all are over, the cookie is as good as one that does not open.
    pub(super) fn marks(&self) -> Result<Vec<EndedMark>, OpenError> {
        let Some(value) = self.received.value(Kind::Ended) else {
            return Ok(Vec::new());
        };
        let envelope = self.jar.envelope(Kind::Ended);
        let EndedMarks(mut marks) = envelope.open(|_| Some(value), &self.keys)?.state;
        marks.retain(|mark| mark.until > self.now);
        if marks.is_empty() {
            return Err(OpenError::Rejected);
        }
        Ok(marks)
    }

    /// Activity of this session, and the key that sealed it. Another session's, or what does not open, is stale.
    fn last_seen(
        &self,
        session: SessionId,
        stale: &mut Stale,
    ) -> Result<Option<(UnixTime, Kid)>, OpenError> {
        let Some(value) = self.received.value(Kind::Seen) else {
            return Ok(None);
        };
        match self
            .jar
            .envelope::<Seen>(Kind::Seen)
            .open(|_| Some(value), &self.keys)
        {
            Ok(seen) if seen.state.session == session => Ok(Some((seen.state.at, seen.kid))),
            Err(OpenError::UnknownKey) => Err(OpenError::UnknownKey),
            Ok(_) | Err(OpenError::Rejected) => {
                stale.push(Kind::Seen);
                Err(OpenError::Rejected)
            }
        }
    }
}
