//! One token call for each login, and its result for the same answer when it comes again.
//!
//! Browsers send a navigation twice: a double click, a reload while it waits, a connection that broke. A code is good
//! once, and a provider that sees it twice may revoke what it gave for it (RFC 6749 §4.1.2). So all who bring the same
//! attempt while it is under way get the same session, and so does the next one if they have all hung up.
//!
//! # Invariants
//! - A result is forgotten as soon as an answer has taken it along: a copy of the attempt gets no session (G15).
//! - Memory is bounded, and a result that nobody takes is forgotten after a minute.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::names::FrontendName;
use crate::problem::Problem;
use crate::session::Session;

/// Results kept at the most; a result is a session of some KiB.
const MAX_KEPT: usize = 2_000;

/// How long one is kept that nobody has taken: as long as a browser sends the same again by itself.
pub const REDEMPTION_MEMORY: Duration = Duration::from_mins(1);

/// What a code was redeemed for.
pub struct Redeemed {
    /// The session.
    pub session: Session,
    /// The raw ID token, for logout.
    pub id_token: String,
    is_delivered: AtomicBool,
}

impl Redeemed {
    /// Delivered to nobody yet.
    pub const fn new(session: Session, id_token: String) -> Self {
        Self {
            session,
            id_token,
            is_delivered: AtomicBool::new(false),
        }
    }

    /// Notes that an answer takes it to the browser. Whether it is the first.
    pub fn deliver(&self) -> bool {
        !self.is_delivered.swap(true, Ordering::Relaxed)
    }
}

impl fmt::Debug for Redeemed {
    // SECURITY: the raw ID token is a plain `String`, so this cannot be derived.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redeemed")
            .field("session", &self.session.id)
            .finish_non_exhaustive()
    }
}

/// How it ended. The table keeps it as long as anybody, so it is shared.
pub type Landing = Result<Arc<Redeemed>, Problem>;

/// What an answer that brings a code has to do.
#[derive(Debug)]
pub enum Redemption {
    /// Redeem it, and send the result here.
    Lead(watch::Sender<Option<Landing>>),
    /// Wait for whoever does, or has done.
    Follow(watch::Receiver<Option<Landing>>),
}

#[derive(Debug)]
struct Entry {
    result: watch::Receiver<Option<Landing>>,
    until: UnixTime,
}

/// The codes that are being redeemed, and those that were lately.
#[derive(Debug, Default)]
pub struct Redemptions(Mutex<HashMap<[u8; 32], Entry>>);

impl Redemptions {
    /// Asks for the right to redeem the code of the attempt with this `state`.
    pub fn begin(&self, frontend: &FrontendName, state: &str, now: UnixTime) -> Redemption {
        let key = key(frontend, state);
        let mut table = self.table();
        if let Some(entry) = table.get(&key).filter(|entry| entry.until > now) {
            return Redemption::Follow(entry.result.clone());
        }
        if table.len() >= MAX_KEPT {
            table.retain(|_, entry| entry.until > now);
        }
        let (sender, result) = watch::channel(None);
        if table.len() < MAX_KEPT {
            let until = now.plus(REDEMPTION_MEMORY);
            table.insert(key, Entry { result, until });
        }
        Redemption::Lead(sender)
    }

    /// Forgets the result: it is on its way to the browser.
    pub fn forget(&self, frontend: &FrontendName, state: &str) {
        self.table().remove(&key(frontend, state));
    }

    fn table(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the attempt, so that the table holds no `state`.
fn key(frontend: &FrontendName, state: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(frontend.as_str());
    hash.update([0]);
    hash.update(state);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn leads(table: &Redemptions, frontend: &str, state: &str, now: UnixTime) -> bool {
        let frontend = FrontendName::parse(frontend).unwrap();
        matches!(table.begin(&frontend, state, now), Redemption::Lead(_))
    }

    #[test]
    fn one_leads_and_the_others_follow_for_a_minute() {
        // P27
        let table = Redemptions::default();
        assert!(leads(&table, "shop", "a", NOW));
        assert!(!leads(&table, "shop", "a", NOW.plus(REDEMPTION_MEMORY / 2)));
        assert!(leads(&table, "shop", "b", NOW));
        assert!(leads(&table, "other", "a", NOW));
        assert!(leads(&table, "shop", "a", NOW.plus(REDEMPTION_MEMORY)));
        assert!(!leads(&table, "shop", "b", NOW));
        table.forget(&FrontendName::parse("shop").unwrap(), "b");
        assert!(leads(&table, "shop", "b", NOW));
    }

    #[test]
    fn memory_is_bounded() {
        let table = Redemptions::default();
        for n in 0..MAX_KEPT + 10 {
            assert!(leads(&table, "shop", &n.to_string(), NOW));
        }
        assert_eq!(table.0.lock().unwrap().len(), MAX_KEPT);
        assert!(leads(&table, "shop", "later", NOW.plus(REDEMPTION_MEMORY)));
        assert_eq!(table.0.lock().unwrap().len(), 1);
    }
}
