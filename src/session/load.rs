//! A session out of its cookies.
//!
//! # Invariants
//! - Expiry, idleness, the end by logout and `not_before` are judged by what was sealed, never by a cookie's `Max-Age` (C14, F1, F2, G16).
//! - Nothing is deleted that another replica might be able to open (E19).
//!
//! # Why an `-out` mark of an unknown key is passed over
//! It could only be believed at the price of locking its owner out, after an emergency deletion of a key for as long as
//! the mark lives. Passed over, it lets a late answer through on a replica that lags behind the others' key ring.

use std::rc::Rc;

use super::cookies::Received;
use super::jar::Jar;
use super::names::Kind;
use super::opened::{Opened, OpenedSessions};
use super::outcome::{Loaded, OpenResult};
use super::set_cookie::SetCookies;
use super::state::{EndedMark, SessionId};
use crate::clock::UnixTime;
use crate::keyring::{KeyRing, Kid, OpenError};

/// Cookies beside the session that do not count: over, another session's, or not to be opened.
type Stale = Vec<Kind<'static>>;

impl Jar {
    /// Opens the session. Puts deletions for whatever is stale, torn, expired or ended into `out` (never for `UnknownKey`).
    pub fn load(
        &self,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Loaded {
        self.load_again(&mut OpenedSessions::default(), received, keys, now, out)
    }

    /// The same, but what has been opened lately is not opened again.
    pub fn load_again(
        &self,
        known: &mut OpenedSessions,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        out: &mut SetCookies,
    ) -> Loaded {
        let mut stale = Stale::new();
        let (result, opened) = self.judge(known, received, keys, now, &mut stale);
        if result != OpenResult::UnknownKey {
            for kind in stale {
                self.delete(kind, out);
            }
        }
        match (result, &opened) {
            (OpenResult::Anonymous | OpenResult::UnknownKey, _) => {}
            (OpenResult::Ok | OpenResult::Unrefreshable, Some(opened)) => {
                self.delete_chunks_from(opened.chunks, received, out);
            }
            _ => self.delete_session(received, out),
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

    fn judge(
        &self,
        known: &mut OpenedSessions,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        stale: &mut Stale,
    ) -> (OpenResult, Option<Opened>) {
        if received.is_ambiguous() {
            return (OpenResult::Rejected, None);
        }
        if !received.has_session() {
            return (OpenResult::Anonymous, None);
        }
        let base = &self.names.base;
        let (opened, seen) = match known.find(base, received, keys, now) {
            Some(opened) => (opened, Ok(())),
            None => match self.open(received, keys, stale) {
                Ok((opened, seen)) => {
                    // A `-seen` that does not open has to be cleared away each time, or may open later.
                    if seen.is_ok() {
                        known.keep(base, received, opened.clone(), now);
                    }
                    (opened, seen)
                }
                Err(OpenError::UnknownKey) => return (OpenResult::UnknownKey, None),
                Err(OpenError::Rejected) => return (OpenResult::Rejected, None),
            },
        };
        let session = &opened.session;
        let idle_timeout = self.settings.session.idle_timeout;
        let is_too_old = |epoch: UnixTime| session.started_at < epoch;
        let is_over = session.is_expired(now);
        let is_at_its_end = session.is_refreshable() || now >= session.ends_at;
        let result = if self.was_ended(session.id, received, keys, now, stale)
            || self.settings.session.not_before.is_some_and(is_too_old)
        {
            OpenResult::Ended
        } else if is_over && is_at_its_end {
            OpenResult::Expired
        } else if !session.is_idle(now, idle_timeout) {
            if is_over {
                OpenResult::Unrefreshable
            } else {
                OpenResult::Ok
            }
        } else if seen == Err(OpenError::UnknownKey) {
            // The activity of which a newer key tells may be more recent (E19).
            OpenResult::UnknownKey
        } else {
            OpenResult::Idle
        };
        (result, Some(opened))
    }

    /// The session, with the activity that `-seen` tells of; and how that cookie was found.
    fn open(
        &self,
        received: &Received<'_>,
        keys: &KeyRing,
        stale: &mut Stale,
    ) -> Result<(Opened, Result<(), OpenError>), OpenError> {
        let chunk = |index| received.value(Kind::Session(index));
        let unsealed = self.session.open(chunk, keys)?;
        let mut session = unsealed.state;
        let seen = match self.last_seen(session.id, received, keys, stale) {
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

    /// Whether a mark names this session. A cookie whose marks are over, or that does not open, is cleared away.
    fn was_ended(
        &self,
        session: SessionId,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        stale: &mut Stale,
    ) -> bool {
        match self.marks(received, keys, now) {
            Ok(marks) => marks.iter().any(|mark| mark.session == session),
            Err(OpenError::UnknownKey) => false,
            Err(OpenError::Rejected) => {
                stale.push(Kind::Ended);
                false
            }
        }
    }

    /// The marks that count, the latest first. If all are over, they are as good as none that opens.
    pub(super) fn marks(
        &self,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Result<Vec<EndedMark>, OpenError> {
        let Some(value) = received.value(Kind::Ended) else {
            return Ok(Vec::new());
        };
        let mut marks = self.ended.open(|_| Some(value), keys)?.state.0;
        marks.retain(|mark| mark.until > now);
        if marks.is_empty() {
            return Err(OpenError::Rejected);
        }
        Ok(marks)
    }

    /// Activity of this session, and the key that sealed it. Another session's, or what does not open, is cleared away.
    fn last_seen(
        &self,
        session: SessionId,
        received: &Received<'_>,
        keys: &KeyRing,
        stale: &mut Stale,
    ) -> Result<Option<(UnixTime, Kid)>, OpenError> {
        let Some(value) = received.value(Kind::Seen) else {
            return Ok(None);
        };
        match self.seen.open(|_| Some(value), keys) {
            Ok(seen) if seen.state.session == session => Ok(Some((seen.state.at, seen.kid))),
            Err(OpenError::UnknownKey) => Err(OpenError::UnknownKey),
            Ok(_) | Err(OpenError::Rejected) => {
                stale.push(Kind::Seen);
                Err(OpenError::Rejected)
            }
        }
    }
}
