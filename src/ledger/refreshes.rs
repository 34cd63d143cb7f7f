//! One token call for each refresh token. Its result is for all requests that ask.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::{AccessToken, RefreshToken};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::bounded::forget_soonest;
use crate::clock::UnixTime;
use crate::session::{Session, SessionId, TokenSet};

/// The most results that are kept. A result is a token set of a few KiB.
const MAX_KEPT: usize = 10_000;

/// How many places a full table makes at once. Looking through it costs too much to do it for each new entry.
const ROOM: usize = MAX_KEPT / 10;

/// How long an outage is remembered. Meanwhile the provider gets no calls from requests whose tokens still serve.
const OUTAGE_MEMORY: Duration = Duration::from_secs(5);

/// How long a refused refresh token is remembered as spent, here and on other replicas. It is longer than a page waits
/// between two calls. Otherwise each call would tell the page to try again.
pub(crate) const SPENT_MEMORY: Duration = Duration::from_hours(1);

/// Which session wants to spend which refresh token. It is a hash, so that the table holds no refresh token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a session and its refresh token, if it has one.
    pub fn of(session: &Session) -> Option<Self> {
        let tokens = &session.tokens;
        let refresh_token = tokens.refresh_token.as_ref()?;
        Some(Self::new(&session.id, refresh_token, &tokens.access_token))
    }

    /// The session is part of it, so two sessions never share a result, whatever the provider handed out. The access
    /// token is part of it because a refresh token that is not rotated is spent many times (RFC 6749 §6).
    pub fn new(
        session: &SessionId,
        refresh_token: &RefreshToken,
        access_token: &AccessToken,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(session.0);
        hash.update(Sha256::digest(refresh_token.secret()));
        hash.update(Sha256::digest(access_token.secret()));
        Self(hash.finalize().into())
    }

    /// The mark by which a browser tells us that this token was refused.
    pub fn mark(&self) -> [u8; 16] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// The bytes that other digests are made from.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a successful refresh brought.
#[derive(Clone, Deserialize, Serialize)]
pub struct Renewal {
    /// The new tokens.
    pub tokens: TokenSet,
    /// The raw ID token, if one came. It is the newest hint for a logout.
    pub id_token: Option<String>,
    /// What `UserInfo` said with the new tokens, if it was asked. Other replicas do without.
    pub userinfo: Option<Map<String, Value>>,
    /// When the provider wants the whole session to end at the latest, if it said so with these tokens.
    pub session_ends_by: Option<UnixTime>,
}

impl fmt::Debug for Renewal {
    // SECURITY: the raw ID token is a plain `String`, so this cannot be derived.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("tokens", &self.tokens)
            .field("id_token", &self.id_token.is_some())
            .field("userinfo", &self.userinfo.is_some())
            .field("session_ends_by", &self.session_ends_by)
            .finish()
    }
}

/// Why a refresh failed, in words for the log.
pub type Why = Arc<str>;

/// How a refresh went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// New tokens.
    Refreshed(Arc<Renewal>),
    /// The provider refused the refresh token, and nobody else can have spent it. The session is over.
    Refused(Why),
    /// The refresh token is spent, or may be. Somebody else may have the new tokens.
    Contested(Why),
    /// The answer belongs to another user or issuer. The session must end (OpenID Connect Core §12.2).
    Mismatch(Why),
    /// The provider gave no usable answer.
    Unavailable(Why),
}

impl Outcome {
    /// The call ended without a word of what came of it.
    pub fn given_up() -> Self {
        Self::Unavailable("the call was given up".into())
    }
}

/// What a request that wants to refresh has to do.
#[derive(Debug)]
pub enum Begin {
    /// Call the provider, then [`land`](Flight::land).
    Lead(Flight),
    /// Another request has begun it.
    Join(Join),
}

/// A refresh that another request has begun.
#[derive(Debug)]
pub enum Join {
    /// It is under way: wait for its result.
    Follow(watch::Receiver<Option<Outcome>>),
    /// It is done.
    Landed(Landed),
}

impl Join {
    /// Waits for the result.
    pub async fn landed(self) -> Landed {
        match self {
            Self::Follow(mut result) => {
                let outcome = result.wait_for(Option::is_some).await.ok();
                let outcome = outcome.and_then(|outcome| outcome.clone());
                Landed {
                    outcome: outcome.unwrap_or_else(Outcome::given_up),
                    told_at: None,
                }
            }
            Self::Landed(landed) => landed,
        }
    }
}

/// A refresh that is done.
#[derive(Clone, Debug)]
pub struct Landed {
    /// The result.
    pub outcome: Outcome,
    /// When a client was first told of a refusal ([`Refreshes::tell`]). A request that was sent before that time is not
    /// a second try.
    pub told_at: Option<Instant>,
}

#[derive(Debug)]
enum Entry {
    Flying(watch::Receiver<Option<Outcome>>),
    Landed { landed: Landed, until: UnixTime },
}

impl Entry {
    fn join(&self, now: UnixTime) -> Option<Join> {
        match self {
            Self::Flying(result) => Some(Join::Follow(result.clone())),
            Self::Landed { landed, until } if *until > now => Some(Join::Landed(landed.clone())),
            Self::Landed { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Fingerprint, Entry>,
    /// The table is looked through when it is as long as this, and at least [`MAX_KEPT`].
    next_sweep: usize,
}

/// The table of refreshes that are under way, and of those that were done lately.
#[derive(Clone, Debug, Default)]
pub struct Refreshes(Arc<Mutex<Table>>);

impl Refreshes {
    /// Asks for the right to spend a refresh token.
    pub fn begin(&self, fingerprint: Fingerprint, now: UnixTime) -> Begin {
        let mut table = self.table();
        let entry = table.entries.get(&fingerprint);
        if let Some(join) = entry.and_then(|entry| entry.join(now)) {
            return Begin::Join(join);
        }
        table.make_room(now);
        let (sender, receiver) = watch::channel(None);
        table.entries.insert(fingerprint, Entry::Flying(receiver));
        Begin::Lead(Flight {
            table: self.clone(),
            fingerprint,
            sender,
            has_landed: false,
        })
    }

    /// Whether the provider has refused this refresh token.
    pub fn is_refused(&self, fingerprint: Fingerprint, now: UnixTime) -> bool {
        match self.join(fingerprint, now) {
            Some(Join::Landed(landed)) => {
                matches!(landed.outcome, Outcome::Mismatch(_) | Outcome::Refused(_))
            }
            _ => false,
        }
    }

    /// The refresh that another request has begun, if there is one.
    pub fn join(&self, fingerprint: Fingerprint, now: UnixTime) -> Option<Join> {
        self.table().entries.get(&fingerprint)?.join(now)
    }

    /// Forgets an outage, so that a request that needs new tokens calls the provider again.
    pub fn forget_outage(&self, fingerprint: Fingerprint) {
        let mut table = self.table();
        if let Some(Entry::Landed { landed, .. }) = table.entries.get(&fingerprint)
            && matches!(landed.outcome, Outcome::Unavailable(_))
        {
            table.entries.remove(&fingerprint);
        }
    }

    /// Notes that a client is told of a refusal now.
    pub fn tell(&self, fingerprint: Fingerprint) {
        if let Some(Entry::Landed { landed, .. }) = self.table().entries.get_mut(&fingerprint) {
            landed.told_at.get_or_insert_with(Instant::now);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Drops the results that are over. If the table is still almost full, it drops those that would be over soonest.
    fn make_room(&mut self, now: UnixTime) {
        if self.entries.len() < self.next_sweep.max(MAX_KEPT) {
            return;
        }
        let until = |entry: &Entry| match entry {
            Entry::Flying(_) => None,
            Entry::Landed { until, .. } => Some(*until),
        };
        self.entries
            .retain(|_, entry| until(entry).is_none_or(|until| until > now));
        let surplus = self.entries.len().saturating_sub(MAX_KEPT - ROOM);
        forget_soonest(&mut self.entries, surplus, until);
        // If nearly all refreshes are under way, the table grows. It is not looked through for each of them.
        self.next_sweep = self.entries.len().saturating_add(ROOM);
    }
}

/// The right and the duty to bring a refresh to its end. One that is dropped before it lands counts as an outage.
#[derive(Debug)]
pub struct Flight {
    table: Refreshes,
    fingerprint: Fingerprint,
    sender: watch::Sender<Option<Outcome>>,
    has_landed: bool,
}

impl Flight {
    /// What is being refreshed.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether other requests wait for it. Who sends several at once may have sent one to another replica as well.
    pub fn is_shared(&self) -> bool {
        // The table holds one receiver.
        self.sender.receiver_count() > 1
    }

    /// Gives the result to all requests that wait, and keeps it for those that come later with the old cookie.
    pub fn land(mut self, outcome: Outcome, now: UnixTime) {
        self.has_landed = true;
        let until = match &outcome {
            Outcome::Contested(_) | Outcome::Mismatch(_) | Outcome::Refused(_) => {
                now.plus(SPENT_MEMORY)
            }
            Outcome::Refreshed(renewal) => renewal.tokens.expires_at,
            Outcome::Unavailable(_) => now.plus(OUTAGE_MEMORY),
        };
        let landed = Landed {
            outcome: outcome.clone(),
            told_at: None,
        };
        let entry = Entry::Landed { landed, until };
        self.table.table().entries.insert(self.fingerprint, entry);
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.has_landed {
            self.table.table().entries.remove(&self.fingerprint);
            self.sender.send_replace(Some(Outcome::given_up()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1000);

    fn fingerprint(n: u8) -> Fingerprint {
        named(n, "rt")
    }

    fn named(session: u8, refresh_token: &str) -> Fingerprint {
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        let access_token = AccessToken::new("at".to_owned());
        Fingerprint::new(&SessionId([session; 16]), &refresh_token, &access_token)
    }

    fn tokens() -> Outcome {
        let tokens = TokenSet {
            access_token: AccessToken::new("at".into()),
            token_type: crate::oidc::TokenType::Bearer,
            refresh_token: None,
            issued_at: NOW,
            expires_at: NOW.plus(Duration::from_secs(60)),
            refresh_ends_at: None,
            scope: String::new(),
        };
        Outcome::Refreshed(Arc::new(Renewal {
            userinfo: None,
            tokens,
            id_token: Some("canary-id".to_owned()),
            session_ends_by: None,
        }))
    }

    fn begin(table: &Refreshes, n: u8, after: u64) -> Begin {
        table.begin(fingerprint(n), NOW.plus(Duration::from_secs(after)))
    }

    #[test]
    fn one_leads_and_the_others_follow_then_find_the_result() {
        // G4, G5
        let table = Refreshes::default();
        let Begin::Lead(flight) = begin(&table, 1, 0) else {
            panic!("nobody leads")
        };
        let Begin::Join(Join::Follow(result)) = begin(&table, 1, 0) else {
            panic!("two lead")
        };
        assert!(matches!(begin(&table, 2, 0), Begin::Lead(_)));
        flight.land(tokens(), NOW);
        assert!(matches!(*result.borrow(), Some(Outcome::Refreshed(_))));
        assert!(matches!(
            begin(&table, 1, 59),
            Begin::Join(Join::Landed(Landed {
                outcome: Outcome::Refreshed(_),
                ..
            }))
        ));
        assert!(matches!(begin(&table, 1, 60), Begin::Lead(_)));
    }

    #[test]
    fn debug_shows_no_id_token() {
        // F14
        assert!(!format!("{:?}", tokens()).contains("canary"));
    }

    #[test]
    fn a_refusal_is_known_for_longer_than_a_page_rests() {
        // V1: asked again after every memory has gone, the frontend would be told to try again, and again
        let table = Refreshes::default();
        if let Begin::Lead(flight) = begin(&table, 1, 0) {
            flight.land(Outcome::Contested("why".into()), NOW);
        }
        for (after, is_known) in [(0, true), (3_599, true), (3_600, false)] {
            let joined = table.join(fingerprint(1), NOW.plus(Duration::from_secs(after)));
            assert_eq!(joined.is_some(), is_known, "{after}");
        }
    }

    #[test]
    fn a_flight_that_is_dropped_frees_those_who_wait() {
        let table = Refreshes::default();
        let Begin::Lead(flight) = begin(&table, 1, 0) else {
            panic!("nobody leads")
        };
        let Begin::Join(Join::Follow(result)) = begin(&table, 1, 0) else {
            panic!("two lead")
        };
        drop(flight);
        assert!(matches!(*result.borrow(), Some(Outcome::Unavailable(_))));
        assert!(matches!(begin(&table, 1, 0), Begin::Lead(_)));
    }

    #[test]
    fn a_flight_knows_whether_others_wait() {
        let table = Refreshes::default();
        let Begin::Lead(flight) = begin(&table, 1, 0) else {
            panic!("nobody leads")
        };
        assert!(!flight.is_shared());
        let waiting = begin(&table, 1, 0);
        assert!(flight.is_shared());
        drop(waiting);
        assert!(!flight.is_shared(), "it has hung up");
    }

    #[test]
    fn the_first_telling_of_a_refusal_is_remembered() {
        let table = Refreshes::default();
        let told_at = || match table.join(fingerprint(1), NOW) {
            Some(Join::Landed(landed)) => landed.told_at,
            _ => panic!("it has landed"),
        };
        if let Begin::Lead(flight) = begin(&table, 1, 0) {
            flight.land(Outcome::Contested("why".into()), NOW);
        }
        assert!(told_at().is_none());
        table.tell(fingerprint(1));
        let first = told_at();
        assert!(first.is_some());
        table.tell(fingerprint(1));
        assert_eq!(told_at(), first);
    }

    #[test]
    fn memory_is_bounded() {
        let table = Refreshes::default();
        for n in 0..MAX_KEPT + 10 {
            if let Begin::Lead(flight) = table.begin(named(0, &n.to_string()), NOW) {
                flight.land(tokens(), NOW);
            }
        }
        assert!(table.table().entries.len() <= MAX_KEPT);
    }

    #[test]
    fn a_full_table_forgets_what_ends_soonest_and_nothing_that_is_under_way() {
        let table = Refreshes::default();
        let lead = |n: usize| match table.begin(named(0, &n.to_string()), NOW) {
            Begin::Lead(flight) => flight,
            Begin::Join(_) => panic!("nobody has begun it"),
        };
        let under_way: Vec<Flight> = (0..100).map(lead).collect();
        for n in 100..MAX_KEPT {
            // An outage is remembered for a shorter time than a refusal.
            let outcome = [Outcome::given_up(), Outcome::Refused("why".into())][n % 2].clone();
            lead(n).land(outcome, NOW);
        }
        lead(MAX_KEPT).land(Outcome::Refused("why".into()), NOW);
        assert_eq!(table.table().entries.len(), MAX_KEPT - ROOM + 1);
        let is_kept = |n: usize| table.join(named(0, &n.to_string()), NOW).is_some();
        assert!((0..100).all(is_kept), "those under way");
        assert!((101..MAX_KEPT).step_by(2).all(is_kept), "refusals");
        // It is not looked through again before it is full again.
        assert!(table.table().next_sweep >= MAX_KEPT);
        drop(under_way);
    }
}
