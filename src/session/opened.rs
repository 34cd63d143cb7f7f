//! The sessions that a worker has opened lately, so that the next request with the same cookies opens nothing.
//!
//! [`Wallet::load_cached`](super::Wallet::load_cached) asks here first. One per worker: no lock on the way of a request.
//!
//! # Invariants
//! - What is found is what opening the cookies once more would give: the whole text is compared, with all that is
//!   sealed about the frontend, and the keys must still be in the ring (G17).
//! - Time is not remembered: expiry, idleness, the `-out` mark and revocation are judged on every request.
//! - Only what opened is kept, so strangers put nothing in. Memory is bounded; what nobody asks for is forgotten by the
//!   second request that comes a minute after the one before.
//!
//! # Why two generations
//! They forget about as well as a list in order of use, and need neither the list nor a clock hand.
//!
//! # Why a part of the cookie is the key
//! To hash all of it takes longer than to compare it. The part holds most of the nonce, so no two sessions share it, and
//! nobody learns from how long the comparison takes: who knows the nonce has the cookie.

use std::cell::{OnceCell, RefCell};
use std::collections::hash_map;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use foldhash::HashMap;
use http::header::InvalidHeaderValue;

use super::cookies::Received;
use super::kind::Kind;
use super::known_proof::KnownProof;
use super::state::Session;
use crate::clock::UnixTime;
use crate::keyring::{Erased, KeyRing, Kid};
use crate::oidc::Authorization;

/// Sessions in one generation; a session is about 8 KiB here.
const GENERATION: usize = 256;

/// How long a generation takes in sessions.
const TURN: Duration = Duration::from_mins(1);

/// The first characters of a session's text: header, algorithm, kid, and 22 of the nonce's 24 bytes.
type Prefix = [u8; 48];

/// A session, and what is worked out from it once.
pub struct OpenSession {
    session: Session,
    authorization: OnceCell<Authorization>,
    fingerprint: OnceCell<String>,
    pub(super) device_proof: RefCell<Option<KnownProof>>,
}

impl OpenSession {
    /// The `Authorization` of its access token.
    pub fn authorization(&self) -> Result<&Authorization, InvalidHeaderValue> {
        if let Some(known) = self.authorization.get() {
            return Ok(known);
        }
        let tokens = &self.session.tokens;
        let authorization = Authorization::of(&tokens.access_token, tokens.token_type)?;
        Ok(self.authorization.get_or_init(|| authorization))
    }

    /// What a client may know of it, to tell one session from another ([`SessionId::fingerprint`](super::SessionId::fingerprint)).
    pub fn fingerprint(&self) -> &str {
        self.fingerprint
            .get_or_init(|| self.session.id.fingerprint())
    }
}

impl From<Session> for OpenSession {
    fn from(session: Session) -> Self {
        Self {
            session,
            authorization: OnceCell::new(),
            fingerprint: OnceCell::new(),
            device_proof: RefCell::new(None),
        }
    }
}

impl Deref for OpenSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

/// What cookies held when they were opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// With the activity that `-seen` tells of.
    pub(super) session: Rc<OpenSession>,
    pub(super) kid: Kid,
    /// Of the key that sealed `-seen`, if there was one.
    pub(super) seen_kid: Option<Kid>,
    pub(super) chunks: u8,
    /// For this request, and not remembered from an earlier one.
    pub(super) is_new: bool,
}

impl Opened {
    /// Whether all of it could still be opened.
    fn has_its_keys(&self, keys: &KeyRing) -> bool {
        let mut kids = [Some(self.kid), self.seen_kid].into_iter().flatten();
        kids.all(|kid| keys.key(kid).is_some())
    }
}

/// The memory of one worker.
#[derive(Default)]
pub struct OpenedSessions {
    recent: HashMap<Prefix, Entry>,
    older: HashMap<Prefix, Entry>,
    turned_at: UnixTime,
}

struct Entry {
    text: Erased,
    opened: Opened,
}

impl OpenedSessions {
    /// What these cookies held, if they are remembered and their keys are still there.
    pub(super) fn find(
        &mut self,
        place: &[u8],
        received: &Received<'_>,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Option<Opened> {
        self.turn(now);
        let prefix = prefix(received)?;
        let known = match self.recent.entry(*prefix) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(room) => room.insert(self.older.remove(prefix)?),
        };
        let mut rest = &*known.text;
        for part in parts(place, known.opened.chunks, received) {
            rest = rest.strip_prefix(part)?;
        }
        let is_known = rest.is_empty() && known.opened.has_its_keys(keys);
        is_known.then(|| Opened {
            is_new: false,
            ..known.opened.clone()
        })
    }

    /// Remembers what these cookies held.
    pub(super) fn keep(
        &mut self,
        place: &[u8],
        received: &Received<'_>,
        opened: Opened,
        now: UnixTime,
    ) {
        if let Some(prefix) = prefix(received) {
            let parts = || parts(place, opened.chunks, received);
            let mut text = Erased::with_capacity(parts().map(<[u8]>::len).sum());
            parts().for_each(|part| text.push(part));
            self.recent.insert(*prefix, Entry { text, opened });
        }
        self.turn(now);
    }

    fn turn(&mut self, now: UnixTime) {
        if self.recent.len() >= GENERATION || now.since(self.turned_at) >= TURN {
            self.older = std::mem::take(&mut self.recent);
            self.turned_at = now;
        }
    }
}

impl fmt::Debug for OpenedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.recent.len().saturating_add(self.older.len());
        write!(f, "OpenedSessions({sessions})")
    }
}

fn prefix<'r>(received: &Received<'r>) -> Option<&'r Prefix> {
    received.value(Kind::Session(0))?.first_chunk()
}

/// All that decides what opening gives, but for the keys: the place, `-seen`, and `chunks` cookies of the session.
///
/// A cookie's value holds no `;`, so no two lists of values make one text.
fn parts<'a>(
    place: &'a [u8],
    chunks: u8,
    received: &Received<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    let seen = received.value(Kind::Seen);
    let seen_mark: &[u8] = if seen.is_some() { b";1" } else { b";0" };
    let front = [place, seen_mark, seen.unwrap_or_default()];
    let chunks = (0..chunks).map_while(|index| received.value(Kind::Session(index)));
    front
        .into_iter()
        .chain(chunks.flat_map(|chunk| [&b";"[..], chunk]))
}
