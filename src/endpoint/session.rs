//! `GET /bff/session`: the session's times, for a page that counts down. Never slides the session.

use actix_web::HttpResponse;
use serde_json::json;

use crate::bff::Ctx;

pub(super) fn serve(ctx: &Ctx<'_>) -> HttpResponse {
    let Some(session) = &ctx.session else {
        return HttpResponse::Ok().json(json!({"active": false}));
    };
    let idle_ends_at = session.last_seen.plus(ctx.frontend.session.idle_timeout);
    HttpResponse::Ok().json(json!({
        "active": true,
        "server_now": ctx.now,
        "session_ends_at": session.ends_at,
        "idle_ends_at": idle_ends_at.min(session.ends_at),
        "access_token_expires_at": session.tokens.expires_at,
        "refresh_possible": session.tokens.refresh_token.is_some(),
        "claims": session.claims,
    }))
}
