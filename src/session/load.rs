//! A session out of its cookies.
//!
//! # Invariants
//! - Expiry, idleness and the end by logout are judged by what was sealed, never by a cookie's `Max-Age` (C14, F1, F2).
//! - Nothing is deleted that another replica might be able to open (E19).
//!
//! # Why an `-out` mark of an unknown key is passed over
//! It could only be believed at the price of locking its owner out, after an emergency deletion of a key for as long as
//! the mark lives. Passed over, it lets a late answer through on a replica that lags behind the others' key ring.

use super::cookies::Received;
use super::envelope::Unsealed;
use super::jar::Jar;
use super::names::Kind;
use super::outcome::{Loaded, OpenResult};
use super::set_cookie::SetCookies;
use super::state::{Session, SessionId};
use crate::clock::UnixTime;
use crate::keyring::{KeyRing, OpenError};

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
        let mut stale = Stale::new();
        let (result, opened) = self.judge(received, keys, now, &mut stale);
        if result != OpenResult::UnknownKey {
            for kind in stale {
                self.delete(kind, out);
            }
        }
        match (result, &opened) {
            (OpenResult::Anonymous | OpenResult::UnknownKey, _) => {}
            (OpenResult::Ok, Some(opened)) => {
                self.delete_chunks_from(opened.header.chunks, received, out);
            }
            _ => self.delete_session(received, out),
        }
        let kid = opened.as_ref().map(|opened| opened.kid);
        let session = opened.map(|opened| opened.state);
        Loaded {
            session: session.filter(|_| result == OpenResult::Ok),
            result,
            kid,
        }
    }

    fn judge(
        &self,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        stale: &mut Stale,
    ) -> (OpenResult, Option<Unsealed<Session>>) {
        if received.is_ambiguous() {
            return (OpenResult::Rejected, None);
        }
        if !received.has_session() {
            return (OpenResult::Anonymous, None);
        }
        let chunk = |index| received.value(Kind::Session(index));
        let mut opened = match self.session.open(chunk, keys) {
            Ok(opened) => opened,
            Err(OpenError::UnknownKey) => return (OpenResult::UnknownKey, None),
            Err(OpenError::Rejected) => return (OpenResult::Rejected, None),
        };
        let session = &mut opened.state;
        let result = if self.was_ended(session.id, received, keys, now, stale) {
            OpenResult::Ended
        } else if session.is_expired(now) {
            OpenResult::Expired
        } else {
            let seen = self.last_seen(session.id, received, keys, stale);
            session.last_seen = session.last_seen.max(seen.unwrap_or(session.last_seen));
            match seen {
                _ if !session.is_idle(now, self.settings.session.idle_timeout) => OpenResult::Ok,
                // The activity of which a newer key tells may be more recent (E19).
                Err(OpenError::UnknownKey) => OpenResult::UnknownKey,
                _ => OpenResult::Idle,
            }
        };
        (result, Some(opened))
    }

    /// Whether the mark names this session. A mark that is over or does not open is cleared away.
    fn was_ended(
        &self,
        session: SessionId,
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
        stale: &mut Stale,
    ) -> bool {
        let Some(value) = received.value(Kind::Ended) else {
            return false;
        };
        match self.ended.open(|_| Some(value), keys) {
            Ok(mark) if mark.state.until > now => mark.state.session == session,
            Err(OpenError::UnknownKey) => false,
            Ok(_) | Err(OpenError::Rejected) => {
                stale.push(Kind::Ended);
                false
            }
        }
    }

    /// Activity of this session. Another session's, or what does not open, is cleared away.
    fn last_seen(
        &self,
        session: SessionId,
        received: &Received<'_>,
        keys: &KeyRing,
        stale: &mut Stale,
    ) -> Result<UnixTime, OpenError> {
        let Some(value) = received.value(Kind::Seen) else {
            return Err(OpenError::Rejected);
        };
        match self.seen.open(|_| Some(value), keys) {
            Ok(seen) if seen.state.session == session => Ok(seen.state.at),
            Err(OpenError::UnknownKey) => Err(OpenError::UnknownKey),
            Ok(_) | Err(OpenError::Rejected) => {
                stale.push(Kind::Seen);
                Err(OpenError::Rejected)
            }
        }
    }
}
