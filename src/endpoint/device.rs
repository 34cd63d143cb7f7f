//! `POST /bff/device` and `POST /bff/device/refresh`: a browser binds its session to its device, and proves that it is still there.
//!
//! The session is sealed again with the device's public key, so that no replica remembers anything. From then on it needs a
//! short cookie beside it, which only the device's key gets renewed. All requests of the browser wait for that, so the
//! tokens are refreshed here too: by one call, whatever replica the requests reach then.
//!
//! # Invariants
//! - A session takes one key. Another key needs another login.
//! - Where sessions must be bound, one that was not bound in time is not bound any more.
//! - A proof answers a challenge that was sealed for the same session, and for the same key where there is one.
//!
//! # Spec
//! Device Bound Session Credentials (W3C).
//!
//! # Why a challenge may be answered twice
//! Browsers keep what they have signed, and send it again when an answer was lost. A proof that somebody caught is of no
//! use without the session's cookies, and for five minutes at the most.

use std::rc::Rc;

use actix_web::HttpResponse;

use super::device_messages::{self as messages, Purpose, TYP};
use super::times::nobody;
use crate::ledger::Revocation;
use crate::problem::Problem;
use crate::proof::{Proof, PublicKey, claims_of};
use crate::request::{Caller, Ctx};
use crate::session::{Binding, DeviceBinding, OpenResult, OpenSession, Session, StoreError};
use crate::token;

/// Longest name of a session that is said back. Ours have 22 characters.
const LONGEST_ID: usize = 64;

const BAD_PROOF: Problem = Problem::BadRequest("the proof is not valid");

/// `POST /bff/device`
pub(super) async fn register(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    check_is_on(ctx)?;
    let session = session(ctx).ok_or_else(|| nobody(ctx))?;
    ctx.check_not_too_late(&session)?;
    let purpose = messages::registration_of(&session);
    let Some(text) = messages::proof(ctx)? else {
        return purpose.ask(ctx);
    };
    let Proof { key, claims } = Proof::read(text, TYP).map_err(|_| BAD_PROOF)?;
    messages::check_audience(&claims, ctx)?;
    if !purpose.is_answered(&claims, ctx)? {
        return purpose.ask(ctx);
    }
    let is_others = session.device.is_some_and(|known| known != key);
    if is_others || ctx.was_bound_meanwhile(&session) {
        return Err(Problem::BadRequest("the session is bound to another key"));
    }
    if session.device.is_none() {
        bind(key, ctx).await?;
    }
    messages::granted(Binding::of(session.id, &key), ctx)
}

/// `POST /bff/device/refresh`
pub(super) async fn refresh(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    check_is_on(ctx)?;
    let id = named(ctx)?;
    if ctx.found == OpenResult::UnknownKey {
        // Browsers keep their session at a 503, and ask again.
        let problem = Problem::UnknownKey;
        log::info!(code = problem.code(); "a device proves for a session that is sealed with a key that this process does not have: if that goes \
            on, see that all replicas have the same key files (keys.dir)");
        return Err(problem);
    }
    let session = session(ctx);
    let bound = session.as_ref().and_then(|session| {
        let binding = session.binding().filter(|own| own.to_text() == id)?;
        Some((binding, session.device?))
    });
    let Some((binding, key)) = bound else {
        return Ok(over(&id, ctx));
    };
    let purpose = Purpose::Proof(binding);
    let Some(text) = messages::proof(ctx)? else {
        return purpose.ask(ctx);
    };
    let claims = claims_of(text, TYP, &key).map_err(|_| BAD_PROOF)?;
    messages::check_audience(&claims, ctx)?;
    if !purpose.is_answered(&claims, ctx)? {
        return purpose.ask(ctx);
    }
    refresh_tokens(ctx).await;
    if ctx.caller.is_nobody() {
        return Ok(over(&id, ctx));
    }
    messages::granted(binding, ctx)
}

fn check_is_on(ctx: &Ctx<'_>) -> Result<(), Problem> {
    if ctx.frontend.session.device_binding == DeviceBinding::Off {
        Err(Problem::NotFound)
    } else {
        Ok(())
    }
}

fn session(ctx: &Ctx<'_>) -> Option<Rc<OpenSession>> {
    ctx.caller.session().cloned()
}

/// The session that the browser speaks of.
fn named(ctx: &Ctx<'_>) -> Result<String, Problem> {
    const MALFORMED: Problem = Problem::BadRequest("Sec-Secure-Session-Id is missing or malformed");
    let id = messages::text(ctx, "sec-secure-session-id").map_err(|()| MALFORMED)?;
    let is_plain = |id: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(plain)
    };
    id.filter(is_plain).map(str::to_owned).ok_or(MALFORMED)
}

/// Ends what the browser keeps: left over from another login, another key, or a session that is over.
fn over(id: &str, ctx: &mut Ctx<'_>) -> HttpResponse {
    if ctx.caller.is_nobody() {
        ctx.wallet.end_device_proof();
    }
    messages::over(id)
}

/// Seals the session again, with the key of its device.
async fn bind(key: PublicKey, ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    // Another request may have new tokens already. Bound to the old ones, the session would lose them.
    if let Err(problem) = token::catch_up(ctx).await
        && ctx.caller.is_nobody()
    {
        return Err(problem);
    }
    let session = session(ctx).ok_or_else(|| nobody(ctx))?;
    let mut bound = Session::clone(&session);
    bound.device = Some(key);
    ctx.store(&bound).map_err(|error| {
        let (level, problem) = match &error {
            StoreError::TooLarge(error) => {
                let detail = error.to_string();
                let at_login = false;
                let problem = Problem::SessionTooLarge { at_login, detail };
                (log::Level::Warn, problem)
            }
            StoreError::Seal(_) => (log::Level::Error, Problem::Internal),
        };
        log::log!(level, code = problem.code(); "a session is not bound to its device: {error}");
        problem
    })?;
    log::info!(target: "sealgate::audit", session = bound.id.fingerprint(); "session bound to a device");
    announce(&bound, ctx).await;
    ctx.caller = Caller::browser(bound);
    Ok(())
}

/// Lets no older copy of the session, which is not bound, be of use at any replica.
async fn announce(bound: &Session, ctx: &Ctx<'_>) {
    let Some(coordinator) = &ctx.bff.coordinator else {
        return;
    };
    let revocation = Revocation::Unbound {
        session: bound.id,
        bound_at: ctx.now,
    };
    let until = ctx.now.plus(ctx.frontend.longest_session);
    ctx.bff.revocations.revoke(&revocation, until, ctx.now);
    coordinator.announce(&revocation, until);
    coordinator.settled().await;
}

/// Refreshes tokens that would be due before the next proof. If that fails, the session goes on with those that it has.
async fn refresh_tokens(ctx: &mut Ctx<'_>) {
    let Some(session) = ctx.caller.session() else {
        return;
    };
    let next_proof = ctx.now.plus(messages::life(session, ctx));
    if let Err(problem) = token::refresh_before(next_proof, ctx).await {
        log::debug!(code = problem.code(); "a device has proved, and its tokens stay as they are");
    }
}
