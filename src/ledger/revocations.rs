//! Sessions that were ended before their time, so that a copied cookie no longer opens.
//!
//! A logout and a back-channel logout fill the table. Each request asks it about the session it opened, and long streams
//! wait for [`Revocations::ended`]. The table lives in the process. With `[coordination]`, a feed adds the revocations of
//! the other replicas.
//!
//! # Invariants
//! - To ask does no I/O, and costs nothing while the table is empty.
//! - A fact is kept until each session that it ends would be over anyway. Memory is bounded all the same: a table of
//!   [`MAX_KEPT`] facts forgets those that would be over soonest, and the log says so.
//! - The table holds digests. It does not reveal who was signed in.
//!
//! # Spec
//! OWASP ASVS 7.4.1 (list of ended sessions, not-before time), OpenID Connect Back-Channel Logout 1.0 §2.7.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::watch;

use super::bounded::forget_soonest;
use super::digest::digest;
use crate::clock::UnixTime;
use crate::session::{Session, SessionId};

/// The most facts that are kept. A fact takes under 100 bytes.
const MAX_KEPT: usize = 500_000;

/// A table that is shorter than this is not looked through for facts that are over.
const FIRST_SWEEP: usize = 1024;

/// What was ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// One of our sessions.
    Session(SessionId),
    /// All sessions that came from one session at an identity provider and began before a point in time. A provider can end
    /// the session at one client, go on with its own, and sign the user in at that client again with the same `sid`.
    ProviderSession {
        /// The issuer.
        issuer: String,
        /// Its `sid`.
        sid: String,
        /// Sessions that began earlier are over.
        not_before: UnixTime,
    },
    /// The sessions of a user that began before a point in time and have no `sid` of the provider. Any of them may be the
    /// session that a logout token means by its `sid`.
    WithoutSid {
        /// The issuer.
        issuer: String,
        /// What it calls the user.
        subject: String,
        /// Sessions that began earlier are over.
        not_before: UnixTime,
    },
    /// Copies of one of our sessions from before it was bound to a device. A request asks for it by
    /// [`bound_since`](Revocations::bound_since).
    Unbound {
        /// The session.
        session: SessionId,
        /// When it was bound.
        bound_at: UnixTime,
    },
    /// All sessions of a user that began before a point in time.
    Subject {
        /// The issuer.
        issuer: String,
        /// What it calls the user.
        subject: String,
        /// Sessions that began earlier are over.
        not_before: UnixTime,
    },
}

impl Revocation {
    pub(crate) fn key(&self) -> RevocationKey {
        match self {
            Self::Session(id) => RevocationKey::session(id),
            Self::Unbound { session, .. } => RevocationKey::unbound(session),
            Self::ProviderSession { issuer, sid, .. } => {
                RevocationKey::provider_session(issuer, sid)
            }
            Self::WithoutSid {
                issuer, subject, ..
            } => RevocationKey::without_sid(issuer, subject),
            Self::Subject {
                issuer, subject, ..
            } => RevocationKey::subject(issuer, subject),
        }
    }

    /// It ends only sessions that began before this time.
    pub(crate) const fn not_before(&self) -> UnixTime {
        match self {
            Self::Subject { not_before, .. }
            | Self::WithoutSid { not_before, .. }
            | Self::ProviderSession { not_before, .. } => *not_before,
            Self::Unbound { bound_at, .. } => *bound_at,
            Self::Session(_) => UnixTime::from_secs(u64::MAX),
        }
    }
}

/// The key under which a revocation is found: half of a SHA-256 over what it names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct RevocationKey(pub(crate) [u8; 16]);

impl RevocationKey {
    fn session(id: &SessionId) -> Self {
        Self::of("session", &[&id.0])
    }

    fn unbound(id: &SessionId) -> Self {
        Self::of("unbound", &[&id.0])
    }

    fn provider_session(issuer: &str, sid: &str) -> Self {
        Self::of("sid", &[issuer.as_bytes(), sid.as_bytes()])
    }

    fn without_sid(issuer: &str, subject: &str) -> Self {
        Self::of("no sid", &[issuer.as_bytes(), subject.as_bytes()])
    }

    fn subject(issuer: &str, subject: &str) -> Self {
        Self::of("sub", &[issuer.as_bytes(), subject.as_bytes()])
    }

    fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let digest = digest(kind, parts);
        Self(std::array::from_fn(|n| {
            digest.get(n).copied().unwrap_or_default()
        }))
    }
}

/// A session as the table looks for it: its keys, and when it began.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    keys: [RevocationKey; 3],
    started_at: UnixTime,
}

impl Suspect {
    fn new(session: &Session) -> Self {
        let (issuer, subject) = (&session.issuer, &session.subject);
        let of_provider = match &session.idp_sid {
            Some(sid) => RevocationKey::provider_session(issuer, sid),
            None => RevocationKey::without_sid(issuer, subject),
        };
        Self {
            keys: [
                RevocationKey::session(&session.id),
                RevocationKey::subject(issuer, subject),
                of_provider,
            ],
            started_at: session.started_at,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Fact {
    not_before: UnixTime,
    until: UnixTime,
}

#[derive(Debug, Default)]
struct Table {
    facts: HashMap<RevocationKey, Fact>,
    next_sweep: usize,
}

#[derive(Debug, Default)]
struct Shared {
    table: RwLock<Table>,
    /// The number of facts. It lets a request ask an empty table without a lock.
    len: AtomicUsize,
    version: watch::Sender<u64>,
}

/// The table of revocations. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<Shared>);

impl Revocations {
    /// Ends sessions. `until` is when the last of them would have ended anyway.
    pub fn revoke(&self, revocation: &Revocation, until: UnixTime, now: UnixTime) {
        self.put(revocation.key(), revocation.not_before(), until, now);
    }

    pub(crate) fn put(
        &self,
        key: RevocationKey,
        not_before: UnixTime,
        until: UnixTime,
        now: UnixTime,
    ) {
        if until <= now {
            return;
        }
        let mut table = self.table();
        let fact = table.facts.entry(key).or_insert(Fact { not_before, until });
        // What was revoked stays revoked, in whatever order the facts arrive.
        fact.not_before = fact.not_before.max(not_before);
        fact.until = fact.until.max(until);
        table.sweep(now);
        self.0.len.store(table.facts.len(), Ordering::Release);
        drop(table);
        self.0.version.send_modify(|version| *version += 1);
    }

    /// Whether this session was ended.
    pub fn is_revoked(&self, session: &Session) -> bool {
        !self.is_empty() && self.names(&Suspect::new(session))
    }

    /// Whether the provider has ended its session since a login began that comes with it. The code may be from before, and
    /// its session begins when the browser brings it. Only the `sid` counts: a login page that was open when its user signed
    /// out elsewhere leads to a new session at the provider.
    pub fn has_ended_since(&self, begun: UnixTime, session: &Session) -> bool {
        let Some(sid) = session.idp_sid.as_ref().filter(|_| !self.is_empty()) else {
            return false;
        };
        let key = RevocationKey::provider_session(&session.issuer, sid);
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let fact = table.facts.get(&key);
        fact.is_some_and(|fact| begun < fact.not_before)
    }

    /// Since when this session is bound to a device, if that was announced.
    pub fn bound_since(&self, session: &SessionId) -> Option<UnixTime> {
        if self.is_empty() {
            return None;
        }
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let fact = table.facts.get(&RevocationKey::unbound(session));
        fact.map(|fact| fact.not_before)
    }

    /// Waits until this session is revoked. A stream needs it, because it outlives the check of its request.
    pub fn ended(&self, session: &Session) -> impl Future<Output = ()> + use<> {
        let suspect = Suspect::new(session);
        let mut version = self.0.version.subscribe();
        let table = self.clone();
        async move {
            // `table` owns the sender, so this never fails.
            let revoked = |_: &u64| !table.is_empty() && table.names(&suspect);
            let _ = version.wait_for(revoked).await;
        }
    }

    /// Asks about this session, whenever it is called and without the session at hand.
    pub fn asker(&self, session: &Session) -> impl Fn() -> bool + Send + Sync + use<> {
        let suspect = Suspect::new(session);
        let table = self.clone();
        move || !table.is_empty() && table.names(&suspect)
    }

    /// Tells of each new fact, from wherever it came.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// How many facts are kept.
    pub fn len(&self) -> usize {
        self.0.len.load(Ordering::Acquire)
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn names(&self, suspect: &Suspect) -> bool {
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut facts = suspect.keys.iter().filter_map(|key| table.facts.get(key));
        facts.any(|fact| suspect.started_at < fact.not_before)
    }

    fn table(&self) -> RwLockWriteGuard<'_, Table> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets the facts that are over, whenever the table has doubled. A full table forgets a tenth of its facts.
    fn sweep(&mut self, now: UnixTime) {
        if self.facts.len() < self.next_sweep.clamp(FIRST_SWEEP, MAX_KEPT) {
            return;
        }
        self.facts.retain(|_, fact| fact.until > now);
        if self.facts.len() >= MAX_KEPT {
            forget_soonest(&mut self.facts, MAX_KEPT / 10, |fact| Some(fact.until));
            log::error!(
                "over {MAX_KEPT} revocations are kept; those that would be over soonest are forgotten, and their sessions open again"
            );
        }
        self.next_sweep = self.facts.len().saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;
    use crate::session::samples;

    const NOW: UnixTime = UnixTime::from_secs(1000);
    const LATER: UnixTime = UnixTime::from_secs(9000);

    fn of(session: &Session) -> [Revocation; 3] {
        [
            Revocation::Session(session.id),
            Revocation::ProviderSession {
                issuer: session.issuer.clone(),
                sid: session.idp_sid.clone().unwrap(),
                not_before: session.started_at.plus(Duration::from_secs(1)),
            },
            Revocation::Subject {
                issuer: session.issuer.clone(),
                subject: session.subject.clone(),
                not_before: session.started_at.plus(Duration::from_secs(1)),
            },
        ]
    }

    #[test]
    fn each_kind_of_fact_ends_its_session_and_no_other() {
        // F5, G14
        let session = samples::session(NOW);
        let other = Session {
            id: SessionId([9; 16]),
            subject: "somebody else".to_owned(),
            idp_sid: None,
            ..session.clone()
        };
        let elsewhere = Session {
            id: SessionId([8; 16]),
            issuer: "https://other.example".to_owned(),
            ..session.clone()
        };
        for revocation in of(&session) {
            let table = Revocations::default();
            table.revoke(&revocation, LATER, NOW);
            assert!(table.is_revoked(&session), "{revocation:?}");
            assert!(!table.is_revoked(&other), "{revocation:?}");
            assert!(!table.is_revoked(&elsewhere), "{revocation:?}");
        }
    }

    #[test]
    fn that_a_session_was_bound_ends_none_and_is_known_of_it_alone() {
        let session = samples::session(NOW);
        let table = Revocations::default();
        assert_eq!(table.bound_since(&session.id), None);
        let revocation = Revocation::Unbound {
            session: session.id,
            bound_at: NOW,
        };
        table.revoke(&revocation, LATER, NOW);
        assert!(!table.is_revoked(&session));
        assert_eq!(table.bound_since(&session.id), Some(NOW));
        assert_eq!(table.bound_since(&SessionId([9; 16])), None);
    }

    #[test]
    fn sessions_without_a_sid_are_ended_by_themselves() {
        // B66
        let without_sid = |subject: &str| Session {
            subject: subject.to_owned(),
            idp_sid: None,
            ..samples::session(NOW)
        };
        let revocation = Revocation::WithoutSid {
            issuer: without_sid("a").issuer,
            subject: "a".to_owned(),
            not_before: NOW.plus(Duration::from_secs(1)),
        };
        let table = Revocations::default();
        table.revoke(&revocation, LATER, NOW);
        assert!(table.is_revoked(&without_sid("a")));
        assert!(!table.is_revoked(&without_sid("b")));
        let named = Session {
            idp_sid: Some("another".to_owned()),
            ..without_sid("a")
        };
        assert!(!table.is_revoked(&named));
        let later = Session {
            started_at: NOW.plus(Duration::from_secs(1)),
            ..without_sid("a")
        };
        assert!(!table.is_revoked(&later), "F6");
    }

    #[test]
    fn a_user_who_signs_in_again_is_not_held_to_an_older_end() {
        // F6: in whichever order the facts come
        let session = samples::session(NOW);
        let (issuer, subject) = (session.issuer.clone(), session.subject.clone());
        let sid = session.idp_sid.clone().unwrap();
        let of_subject = |not_before| Revocation::Subject {
            issuer: issuer.clone(),
            subject: subject.clone(),
            not_before,
        };
        let of_sid = |not_before| Revocation::ProviderSession {
            issuer: issuer.clone(),
            sid: sid.clone(),
            not_before,
        };
        let kinds: [&dyn Fn(UnixTime) -> Revocation; 2] = [&of_subject, &of_sid];
        for kind in kinds {
            let table = Revocations::default();
            for at in [NOW, NOW.minus(Duration::from_secs(9))] {
                table.revoke(&kind(at), LATER, NOW);
                assert!(!table.is_revoked(&session), "it began then, not earlier");
                assert!(table.is_revoked(&samples::session(NOW.minus(Duration::from_secs(1)))));
            }
        }
    }

    fn is_over(future: Pin<&mut impl Future<Output = ()>>) -> bool {
        future
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn those_who_wait_for_the_end_of_a_session_hear_of_it_at_once() {
        for revocation in of(&samples::session(NOW)) {
            let table = Revocations::default();
            let session = samples::session(NOW);
            let mut ended = std::pin::pin!(table.ended(&session));
            table.revoke(&Revocation::Session(SessionId([1; 16])), LATER, NOW);
            assert!(!is_over(ended.as_mut()) && !table.asker(&session)());
            table.revoke(&revocation, LATER, NOW);
            assert!(is_over(ended.as_mut()), "{revocation:?}");
            assert!(table.asker(&session)());
            let late = std::pin::pin!(table.ended(&session));
            assert!(is_over(late), "and so is one that begins to wait later");
        }
    }

    #[test]
    fn what_is_over_is_forgotten_and_memory_is_bounded() {
        let table = Revocations::default();
        let key = |n: usize| RevocationKey::of("test", &[&n.to_be_bytes()]);
        table.put(key(0), LATER, NOW, NOW);
        assert!(table.is_empty(), "it was over before it came");
        for n in 0..FIRST_SWEEP {
            table.put(key(n), LATER, NOW.plus(Duration::from_secs(1)), NOW);
        }
        for n in 0..FIRST_SWEEP * 2 {
            let after = NOW.plus(Duration::from_secs(2));
            table.put(key(FIRST_SWEEP + n), LATER, LATER, after);
        }
        assert_eq!(table.len(), FIRST_SWEEP * 2, "the first lot is gone");
        for n in 0..MAX_KEPT {
            table.put(
                key(9999 + n),
                LATER,
                LATER.plus(Duration::from_secs(1)),
                NOW,
            );
        }
        assert!(table.len() < MAX_KEPT);
    }
}
