//! The session behind a request's cookies: opened, and looked up among those that were ended.

use std::cell::RefCell;
use std::sync::Arc;

use super::ctx::Ctx;
use crate::coordination::Coordinator;
use crate::frontend::SessionUse;
use crate::ledger::Fingerprint;
use crate::problem::{Problem, TokenRefusal};
use crate::session::{OpenResult, OpenedSessions};

impl Ctx<'_> {
    /// Opens the session cookies, with another look at the key directory if they name a key that is unknown here. A bad
    /// or dead cookie is nobody's session, and is deleted.
    pub async fn open_session(&mut self, cache: &RefCell<OpenedSessions>) {
        let mut loaded = self.wallet.load_cached(&mut cache.borrow_mut());
        if loaded.result == OpenResult::UnknownKey && self.look_for_keys().await {
            loaded = self.wallet.load_cached(&mut cache.borrow_mut());
        }
        if let Some(kid) = loaded.kid {
            self.bff.metrics.opened_with(*kid.as_bytes());
        }
        self.caller = loaded.session.into();
        self.found = loaded.result;
        if let Some(session) = self.caller.session().filter(|_| loaded.is_new)
            && self.bff.coordinator.is_none()
        {
            let tokens = || Fingerprint::of(session);
            let replicas = &self.bff.replicas;
            replicas.see_tokens(tokens, session.tokens.issued_at, self.now);
        }
    }

    /// Lets no session through that was ended: its cookies may be a copy. Then counts how the session was found.
    ///
    /// With `on_failure = "closed"` a session is not used while this process cannot tell whether it was ended elsewhere.
    /// The answer is the one that a refresh gets while the provider is out of reach: the session is neither good nor over,
    /// its cookies are kept, and the same request will do later. Logout and login go on.
    pub fn check_revocations(&mut self, session_use: SessionUse) -> Result<(), Problem> {
        let revocations = &self.bff.revocations;
        let session = self.caller.session();
        let is_revoked = session.is_some_and(|session| revocations.is_revoked(session));
        if is_revoked {
            self.found = OpenResult::Ended;
        }
        self.bff.metrics.session_opened(self.found.as_str());
        if is_revoked {
            if let Some(app) = self.caller.app() {
                let refusal = TokenRefusal::token(app.scheme, "the session is over");
                return Err(Problem::TokenRefused(refusal));
            }
            self.drop_session();
        }
        let is_stale = |coordinator: &Arc<Coordinator>| coordinator.revocations_are_stale();
        if !self.caller.is_nobody()
            && session_use == SessionUse::ReliesOn
            && self.bff.coordinator.as_ref().is_some_and(is_stale)
        {
            return Err(Problem::RevocationsUnknown);
        }
        Ok(())
    }
}
