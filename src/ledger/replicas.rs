//! Whether this process is the only replica, as far as it can tell without a store.
//!
//! A refused refresh token means one of two things. Either the provider has ended the session, or another replica has
//! just spent the token and its cookies are on their way to the browser. `token::refresh` asks here which it can be.
//!
//! # What counts as a sign of another replica
//! A token set or a login that is younger than this process, and that this process did not make. A balancer that sends
//! requests to replicas in turns shows it with the first login. A balancer that keeps a session on one replica shows
//! nothing, but then no other replica can have spent the token. Other balancers may show nothing before the first refresh, so
//! `token::refresh` also takes several requests at once for a sign.
//!
//! # Invariants
//! - A forgotten entry makes the answer more careful, never less: a token set that this process made and no longer
//!   remembers counts as another replica's.
//! - Memory is bounded.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Fingerprint;
use crate::clock::UnixTime;

/// The most marks in one generation. A mark has 16 bytes.
const GENERATION: usize = 50_000;

/// How long a sign of another replica counts. During a restart the old and the new process run side by side for a moment.
const SIGN_MEMORY: Duration = Duration::from_hours(24);

/// The beginning of a digest, long enough to tell marks apart.
type Mark = [u8; 16];

/// What this process has made itself, and when it last saw something that another process made.
#[derive(Debug)]
pub struct Replicas {
    began_at: UnixTime,
    /// In seconds; 0 for never.
    seen_at: AtomicU64,
    own: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    recent: HashSet<Mark>,
    older: HashSet<Mark>,
}

impl Replicas {
    /// For a process that begins now and has seen no other.
    pub fn new(now: UnixTime) -> Self {
        Self {
            began_at: now,
            seen_at: AtomicU64::new(0),
            own: Mutex::default(),
        }
    }

    /// Notes that this process got these tokens.
    pub fn got(&self, tokens: Fingerprint) {
        self.note(of_tokens(tokens));
    }

    /// Notes that this process began the login with this `state`.
    pub fn began(&self, state: &str) {
        self.note(of_login(state));
    }

    /// Looks at tokens that a process got at this time. `tokens` is called only if they could be a sign.
    pub fn see_tokens(
        &self,
        tokens: impl FnOnce() -> Option<Fingerprint>,
        got_at: UnixTime,
        now: UnixTime,
    ) {
        self.see(|| tokens().map(of_tokens), got_at, now);
    }

    /// Looks at a login that a process began at this time.
    pub fn see_login(&self, state: &str, began_at: UnixTime, now: UnixTime) {
        self.see(|| Some(of_login(state)), began_at, now);
    }

    /// Whether another replica may have spent the refresh token among these tokens.
    pub fn may_have_spent(&self, tokens: Fingerprint, now: UnixTime) -> bool {
        self.has_seen_another(now) || !self.is_own(of_tokens(tokens))
    }

    fn see(&self, mark: impl FnOnce() -> Option<Mark>, made_at: UnixTime, now: UnixTime) {
        if made_at < self.began_at || self.has_seen_another(now) {
            return;
        }
        if mark().is_some_and(|mark| !self.is_own(mark)) {
            log::info!("there is another replica: a session that it made came here");
            self.seen_at.store(now.as_secs().max(1), Ordering::Relaxed);
        }
    }

    fn has_seen_another(&self, now: UnixTime) -> bool {
        let seen_at = self.seen_at.load(Ordering::Relaxed);
        seen_at > 0 && now.since(UnixTime::from_secs(seen_at)) < SIGN_MEMORY
    }

    fn note(&self, mark: Mark) {
        let mut own = self.own();
        if own.recent.len() >= GENERATION {
            own.older = std::mem::take(&mut own.recent);
        }
        own.recent.insert(mark);
    }

    fn is_own(&self, mark: Mark) -> bool {
        let own = self.own();
        own.recent.contains(&mark) || own.older.contains(&mark)
    }

    fn own(&self) -> MutexGuard<'_, Generations> {
        // The sets are consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_tokens(tokens: Fingerprint) -> Mark {
    mark(b"tokens", tokens.as_bytes())
}

fn of_login(state: &str) -> Mark {
    mark(b"login", state.as_bytes())
}

fn mark(kind: &[u8], bytes: &[u8]) -> Mark {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(bytes);
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use openidconnect::{AccessToken, RefreshToken};

    use super::*;
    use crate::session::SessionId;

    const BEGAN: UnixTime = UnixTime::from_secs(1_000);
    const NOW: UnixTime = UnixTime::from_secs(2_000);

    fn tokens(n: usize) -> Fingerprint {
        let (refresh, access) = (
            RefreshToken::new(n.to_string()),
            AccessToken::new("at".into()),
        );
        Fingerprint::new(&SessionId([1; 16]), &refresh, &access)
    }

    #[test]
    fn alone_it_can_only_have_spent_its_own_tokens_itself() {
        // V10
        let replicas = Replicas::new(BEGAN);
        assert!(
            replicas.may_have_spent(tokens(1), NOW),
            "of an earlier process, or another"
        );
        replicas.got(tokens(1));
        assert!(!replicas.may_have_spent(tokens(1), NOW));
        replicas.see_tokens(|| Some(tokens(1)), NOW, NOW);
        replicas.began("state");
        replicas.see_login("state", NOW, NOW);
        replicas.see_tokens(|| None, NOW, NOW);
        assert!(
            !replicas.may_have_spent(tokens(1), NOW),
            "nothing of it is another's"
        );
    }

    #[test]
    fn what_another_has_made_meanwhile_is_a_sign_for_a_day() {
        // V10, G7
        let before = UnixTime::from_secs(999);
        let saw = |see: &dyn Fn(&Replicas)| {
            let replicas = Replicas::new(BEGAN);
            replicas.got(tokens(1));
            see(&replicas);
            let after = |hours| NOW.plus(Duration::from_hours(hours));
            [0, 23, 24].map(|hours| replicas.may_have_spent(tokens(1), after(hours)))
        };
        let tokens_of = |made_at| saw(&|r| r.see_tokens(|| Some(tokens(2)), made_at, NOW));
        let login_of = |made_at| saw(&|r| r.see_login("other", made_at, NOW));
        for seen in [tokens_of(BEGAN), tokens_of(NOW), login_of(NOW)] {
            assert_eq!(seen, [true, true, false]);
        }
        for nothing in [tokens_of(before), login_of(before)] {
            assert_eq!(
                nothing, [false; 3],
                "it may be this process's predecessor's"
            );
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_makes_it_careful() {
        let replicas = Replicas::new(BEGAN);
        for n in 0..3 * GENERATION {
            replicas.got(tokens(n));
        }
        let own = replicas.own();
        assert!(own.recent.len() + own.older.len() <= 2 * GENERATION);
        drop(own);
        assert!(!replicas.may_have_spent(tokens(3 * GENERATION - 1), NOW));
        assert!(replicas.may_have_spent(tokens(0), NOW));
    }
}
