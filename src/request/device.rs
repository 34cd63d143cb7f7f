//! Whether a session comes from the device that it is bound to.
//!
//! # Invariants
//! - A request that is refused here keeps its cookies: its browser may be about to prove, or its owner signs in again.
//! - A session that is not bound costs nothing here.
//! - `Secure-Session-Skipped`, by which a browser says that it could not prove, excuses nobody: anybody can send it.

use std::rc::Rc;
use std::time::Duration;

use super::caller::Caller;
use super::ctx::Ctx;
use crate::frontend::Target;
use crate::keyring::OpenError;
use crate::problem::Problem;
use crate::session::{DeviceBinding, Session};

/// How long a login may take to be bound where that is required.
const PATIENCE: Duration = Duration::from_mins(2);

/// For how long a registration that was offered in time may be under way: the browser makes a key, and the device may be slow.
const REGISTRATION: Duration = Duration::from_secs(30);

/// For how long requests may be under way that were sent before the session was bound, by the clocks of two replicas.
const UNDER_WAY: Duration = Duration::from_secs(2);

const SKIPPED: &str = "secure-session-skipped";

impl Ctx<'_> {
    /// Refuses a copy of a bound session that is used elsewhere, and where sessions must be bound one that is not.
    pub async fn check_device(&mut self, target: Target<'_, '_>) -> Result<(), Problem> {
        let mode = self.frontend.session.device_binding;
        let Caller::Browser(session) = &self.caller else {
            return Ok(());
        };
        if mode == DeviceBinding::Off || !asks(target) {
            return Ok(());
        }
        if session.device.is_none() {
            return self.check_unbound(session, mode);
        }
        let session = Rc::clone(session);
        let mut proof = self.wallet.device_proof(&session);
        if proof == Err(OpenError::UnknownKey) && self.look_for_keys().await {
            // Another replica sealed it with a key that this one had not read.
            proof = self.wallet.device_proof(&session);
        }
        if proof.is_ok() {
            return Ok(());
        }
        let says_why = self.request.headers().contains_key(SKIPPED);
        log::debug!(skipped = says_why; "a bound session came without its device's proof");
        Err(self.frontend.device_proof_required())
    }

    fn check_unbound(&self, session: &Session, mode: DeviceBinding) -> Result<(), Problem> {
        let is_late = self.now.since(session.started_at) > PATIENCE;
        let is_copy = || {
            let since = self.bff.revocations.bound_since(&session.id);
            since.is_some_and(|since| self.now.since(since) > UNDER_WAY)
        };
        if (mode == DeviceBinding::Required && is_late) || is_copy() {
            return Err(self.frontend.device_proof_required());
        }
        Ok(())
    }

    /// Refuses to bind a session where that is required and its time is over: whoever comes now may have a copy of it.
    pub fn check_not_too_late(&self, session: &Session) -> Result<(), Problem> {
        let is_required = self.frontend.session.device_binding == DeviceBinding::Required;
        let age = self.now.since(session.started_at);
        if is_required && session.device.is_none() && age > PATIENCE.saturating_add(REGISTRATION) {
            return Err(self.frontend.device_proof_required());
        }
        Ok(())
    }

    /// Whether this session, which is not bound, has been bound meanwhile, so that the browser has newer cookies.
    pub fn was_bound_meanwhile(&self, session: &Session) -> bool {
        session.device.is_none() && self.bff.revocations.bound_since(&session.id).is_some()
    }
}

/// The paths in the browser's scope ([`device_scope`](crate::frontend::Frontend::device_scope)).
fn asks(target: Target<'_, '_>) -> bool {
    match target {
        Target::Assets(..) => false,
        Target::Endpoint(endpoint) => endpoint.asks_for_device(),
        Target::Route(matched) => matched.route.opens_session(),
    }
}
