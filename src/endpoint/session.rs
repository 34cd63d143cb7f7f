//! `GET /bff/session`: the session's times, for a page that counts down. Never slides the session.

use actix_web::HttpResponse;
use serde_json::{Map, json};

use crate::bff::Ctx;

pub(super) fn serve(ctx: &Ctx<'_>) -> HttpResponse {
    let Some(session) = &ctx.session else {
        return HttpResponse::Ok().json(json!({"active": false}));
    };
    let over_at = session.over_at();
    let claims: Map<_, _> = session
        .claims
        .iter()
        .filter(|(name, _)| ctx.frontend.shows_claim(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let idle_ends_at = session.last_seen.plus(ctx.frontend.session.idle_timeout);
    HttpResponse::Ok().json(json!({
        "active": true,
        "server_now": ctx.now,
        "session_ends_at": over_at,
        "idle_ends_at": idle_ends_at.min(over_at),
        "access_token_expires_at": session.tokens.expires_at,
        "refresh_possible": session.tokens.usable_refresh_token(ctx.now).is_some(),
        "claims": claims,
    }))
}
