//! What happens to a session while somebody listens for it: it was refreshed, it was used, or another one took its place in
//! the browser.
//!
//! `endpoint::events` listens. Whoever changes a session says so here.
//!
//! # Invariants
//! - A session has a place here only while somebody listens, so the number of streams bounds the memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::session::{Session, SessionId};

/// What is known of a session since somebody listens.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// How often it was refreshed.
    pub refreshes: u64,
    /// When it is over, unless it is refreshed again; `None` before the first refresh.
    pub over_at: Option<UnixTime>,
    /// When it was used last; `None` before the first use.
    pub used_at: Option<UnixTime>,
    /// The session that the browser has instead.
    pub successor: Option<Arc<Session>>,
}

/// The sessions that somebody listens for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct News(Arc<Mutex<HashMap<SessionId, Place>>>);

#[derive(Debug, Default)]
struct Place {
    state: watch::Sender<State>,
    listeners: usize,
}

impl News {
    /// The session was stored in the browser with new tokens.
    pub fn refreshed(&self, session: &Session) {
        self.change(session.id, |state| {
            state.refreshes += 1;
            state.over_at = Some(session.over_at());
            state.used_at = state.used_at.max(Some(session.last_seen));
        });
    }

    /// The browser was told that the session was used: its idle time begins anew.
    pub fn used(&self, session: SessionId, now: UnixTime) {
        self.change(session, |state| state.used_at = Some(now));
    }

    /// The browser has another session now, in place of this one.
    pub fn replaced(&self, old: SessionId, new: &Session) {
        self.change(old, |state| state.successor = Some(Arc::new(new.clone())));
    }

    /// Listens until the result is dropped.
    pub fn listen(&self, session: SessionId) -> Listener {
        let mut table = self.table();
        let place = table.entry(session).or_default();
        place.listeners += 1;
        Listener {
            table: self.clone(),
            session,
            state: place.state.subscribe(),
        }
    }

    fn change(&self, session: SessionId, change: impl FnOnce(&mut State)) {
        if let Some(place) = self.table().get(&session) {
            place.state.send_modify(change);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Place>> {
        // The table is consistent after every statement, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who listens for one session.
#[derive(Debug)]
#[must_use = "the session is listened for only while this lives"]
pub struct Listener {
    table: News,
    session: SessionId,
    state: watch::Receiver<State>,
}

impl Listener {
    /// What is known now.
    pub fn state(&mut self) -> State {
        self.state.borrow_and_update().clone()
    }

    /// Waits until there is more.
    pub async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            // The place owns the sender and lives as long as somebody listens.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The count changes under the lock. Of two that leave at once, the second removes the place.
        if let Entry::Occupied(mut place) = self.table.table().entry(self.session) {
            let listeners = &mut place.get_mut().listeners;
            *listeners = listeners.saturating_sub(1);
            if *listeners == 0 {
                place.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples;

    const NOW: UnixTime = UnixTime::from_secs(1000);

    #[test]
    fn all_who_listen_hear_of_their_own_session_alone() {
        let news = News::default();
        let session = samples::session(NOW);
        let other = Session {
            id: SessionId([9; 16]),
            ..session.clone()
        };
        let (mut first, mut second) = (news.listen(session.id), news.listen(session.id));
        let mut others = news.listen(other.id);
        news.refreshed(&session);
        news.used(session.id, NOW);
        for listener in [&mut first, &mut second] {
            let state = listener.state();
            assert_eq!((state.refreshes, state.used_at), (1, Some(NOW)));
        }
        let state = others.state();
        assert_eq!((state.refreshes, state.used_at), (0, None));
    }

    #[test]
    fn who_listens_learns_of_the_successor() {
        let news = News::default();
        let session = samples::session(NOW);
        let mut listener = news.listen(session.id);
        assert!(listener.state().successor.is_none());
        let again = Session {
            id: SessionId([9; 16]),
            ..session.clone()
        };
        news.replaced(session.id, &again);
        assert_eq!(listener.state().successor.unwrap().id, again.id);
    }

    #[test]
    fn whom_nobody_listens_for_has_no_place() {
        let news = News::default();
        let session = samples::session(NOW);
        news.refreshed(&session);
        assert!(news.table().is_empty());
        let (first, second) = (news.listen(session.id), news.listen(session.id));
        drop(first);
        assert_eq!(news.table().len(), 1);
        drop(second);
        assert!(news.table().is_empty());
    }
}
