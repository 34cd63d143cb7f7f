//! Routes that ask for a proof of the last minute (`require_fresh_device`).
//!
//! The browser is sent to the same address again, without its device cookie: it proves before it asks again. Whoever cannot
//! prove comes without that cookie, and is refused.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::frontend::{Matched, WebSocket};
use crate::problem::Problem;
use crate::request::{Caller, Ctx};

/// How old a proof may be.
const FRESH: Duration = Duration::from_mins(1);

/// The answer that makes the browser prove, if its last proof is too old.
pub(super) fn prove_first(
    matched: Matched<'_, '_>,
    ctx: &mut Ctx<'_>,
) -> Result<Option<HttpResponse>, Problem> {
    if !matched.route.require_fresh_device {
        return Ok(None);
    }
    let Caller::Browser(session) = &ctx.caller else {
        return Err(ctx.frontend.login_required());
    };
    let proved = session
        .binding()
        .and_then(|binding| ctx.wallet.device_proof(binding).ok());
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
    Ok(Some(again))
}
