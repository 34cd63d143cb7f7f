//! Routes that ask for a proof of the last minute (`require_fresh_device`).
//!
//! The browser is sent to the same address again, without its device cookie: it proves before it asks again. Whoever cannot
//! prove comes without that cookie, and is refused. An app proves with each request; it is asked for a nonce of the last minute.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::clock::UnixTime;
use crate::frontend::{Matched, WebSocket};
use crate::message::{self, Answer};
use crate::problem::{Problem, TokenRefusal};
use crate::request::{App, Caller, Ctx};

/// How old a proof may be.
const FRESH: Duration = Duration::from_mins(1);

/// The answer that makes the browser prove, if its last proof is too old.
pub(super) fn prove_first(
    matched: Matched<'_, '_>,
    ctx: &mut Ctx<'_>,
) -> Result<Option<Answer>, Problem> {
    if !matched.route.require_fresh_device {
        return Ok(None);
    }
    let session = match &ctx.caller {
        Caller::Nobody => return Err(ctx.frontend.login_required()),
        Caller::App(app) => return check_app(app, ctx.now),
        Caller::Browser(session) => session,
    };
    let proved = ctx.wallet.device_proof(session).ok();
    let proved = proved.ok_or_else(|| ctx.frontend.device_proof_required())?;
    if ctx.now.since(proved) <= FRESH {
        return Ok(None);
    }
    // A handshake follows no redirect.
    let address = ctx.request.uri().path_and_query();
    let address = address.filter(|_| matched.websocket == WebSocket::NotAsked);
    let address = address.ok_or_else(|| ctx.frontend.device_proof_required())?;
    ctx.wallet.end_device_proof();
    let again = HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, address.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish();
    Ok(Some(message::answer(again)))
}

/// A proof is no older than the nonce in it.
fn check_app(app: &App, now: UnixTime) -> Result<Option<Answer>, Problem> {
    let refusal = match app.proved_at {
        Some(proved_at) if now.since(proved_at) <= FRESH => return Ok(None),
        Some(_) => TokenRefusal::nonce(),
        None => TokenRefusal::token("DPoP", "this needs a token that is bound to a key"),
    };
    Err(Problem::TokenRefused(refusal))
}
