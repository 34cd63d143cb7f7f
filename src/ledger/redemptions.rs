//! One token call for each login. Its result is also for a browser that sends the same answer again.
//!
//! Browsers send a navigation twice: after a double click, a reload while the page loads, or a broken connection. A code
//! is good once, and a provider that sees it twice may revoke the tokens it gave for it (RFC 6749 §4.1.2). So all
//! requests that bring the same login attempt while it is under way get the same session. If all of them have hung up,
//! the next request gets it.
//!
//! # Invariants
//! - A result is forgotten once an answer carries it to the browser. A copy of the login attempt gets no session.
//! - Only the entry itself is forgotten, never a later one under the same key ([`Ticket`]).
//! - Memory is bounded. A result that no request takes is forgotten after a minute.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::names::FrontendName;
use crate::problem::Caused;
use crate::session::Session;

/// The most results that are kept. A result is a session of some KiB.
const MAX_KEPT: usize = 2_000;

/// How long a result is kept that no request takes. Browsers that send a request again by themselves do so within it.
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
    /// A result that no answer carries yet.
    pub const fn new(session: Session, id_token: String) -> Self {
        Self {
            session,
            id_token,
            is_delivered: AtomicBool::new(false),
        }
    }

    /// Notes that an answer carries it to the browser. Whether that is the first answer.
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

/// How a redemption ended. The table and all requests share it.
pub type Landing = Result<Arc<Redeemed>, Caused>;

/// What a request that brings a code has to do.
#[derive(Debug)]
pub enum Redemption {
    /// Redeem the code, and send the result here.
    Lead(watch::Sender<Option<Landing>>),
    /// Wait for the result of another request.
    Follow(watch::Receiver<Option<Landing>>),
}

/// Names one entry of the table. A later entry under the same key has another ticket.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    key: [u8; 32],
    number: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    result: watch::Receiver<Option<Landing>>,
    until: UnixTime,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<[u8; 32], Entry>,
    last_number: u64,
}

/// The codes that are being redeemed, and those that were redeemed lately.
#[derive(Debug, Default)]
pub struct Redemptions(Mutex<Table>);

impl Redemptions {
    /// Asks for the right to redeem the code of the login attempt with this `state`. The ticket is for
    /// [`forget`](Self::forget).
    pub fn begin(
        &self,
        frontend: &FrontendName,
        state: &str,
        now: UnixTime,
    ) -> (Redemption, Ticket) {
        let key = key(frontend, state);
        let mut table = self.table();
        let known = table.entries.get(&key).filter(|entry| entry.until > now);
        if let Some(Entry { result, number, .. }) = known {
            let ticket = Ticket {
                key,
                number: *number,
            };
            return (Redemption::Follow(result.clone()), ticket);
        }
        if table.entries.len() >= MAX_KEPT {
            table.entries.retain(|_, entry| entry.until > now);
        }
        table.last_number = table.last_number.wrapping_add(1);
        let number = table.last_number;
        let (sender, result) = watch::channel(None);
        if table.entries.len() < MAX_KEPT {
            let entry = Entry {
                number,
                result,
                until: now.plus(REDEMPTION_MEMORY),
            };
            table.entries.insert(key, entry);
        }
        (Redemption::Lead(sender), Ticket { key, number })
    }

    /// Forgets a result, because it is on its way to the browser.
    pub fn forget(&self, ticket: Ticket) {
        let mut table = self.table();
        let entry = table.entries.get(&ticket.key);
        if entry.is_some_and(|entry| entry.number == ticket.number) {
            table.entries.remove(&ticket.key);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a login attempt. It is a hash, so that the table holds no `state`.
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

    fn begin(table: &Redemptions, frontend: &str, state: &str, now: UnixTime) -> (bool, Ticket) {
        let frontend = FrontendName::parse(frontend).unwrap();
        let (redemption, ticket) = table.begin(&frontend, state, now);
        (matches!(redemption, Redemption::Lead(_)), ticket)
    }

    fn leads(table: &Redemptions, frontend: &str, state: &str, now: UnixTime) -> bool {
        begin(table, frontend, state, now).0
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
        let (is_first, ticket) = begin(&table, "shop", "b", NOW);
        assert!(!is_first);
        table.forget(ticket);
        assert!(leads(&table, "shop", "b", NOW));
    }

    #[test]
    fn a_late_request_forgets_no_later_entry_of_the_same_attempt() {
        // P27: three requests bring one answer. The first two share a result; the third begins anew after the first
        // has forgotten it. The second must not take the third's entry away.
        let table = Redemptions::default();
        let (_, first) = begin(&table, "shop", "a", NOW);
        let (_, second) = begin(&table, "shop", "a", NOW);
        table.forget(first);
        let (is_new, third) = begin(&table, "shop", "a", NOW);
        assert!(is_new);
        table.forget(second);
        assert!(!leads(&table, "shop", "a", NOW), "the third is under way");
        table.forget(third);
        assert!(leads(&table, "shop", "a", NOW));
    }

    #[test]
    fn memory_is_bounded() {
        let table = Redemptions::default();
        for n in 0..MAX_KEPT + 10 {
            assert!(leads(&table, "shop", &n.to_string(), NOW));
        }
        assert_eq!(table.table().entries.len(), MAX_KEPT);
        assert!(leads(&table, "shop", "later", NOW.plus(REDEMPTION_MEMORY)));
        assert_eq!(table.table().entries.len(), 1);
    }
}
