//! `GET /bff/session`: the session's times, for a page that counts down. Never slides the session.

use actix_web::HttpResponse;
use serde_json::{Map, json};

use super::device_messages::offer;
use super::times::Times;
use crate::request::Ctx;

pub(super) fn serve(ctx: &Ctx<'_>) -> HttpResponse {
    let Some((session, times)) = Times::of(ctx) else {
        return HttpResponse::Ok().json(json!({"active": false}));
    };
    let claims: Map<_, _> = session
        .claims
        .iter()
        .filter(|(name, _)| ctx.frontend.shows_claim(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut answer = HttpResponse::Ok().json(json!({
        "active": true,
        "server_now": ctx.now,
        "session_ends_at": times.over_at,
        "idle_ends_at": times.idle_ends_at,
        "access_token_expires_at": session.tokens.expires_at,
        "refresh_possible": times.is_refresh_possible,
        "claims": claims,
    }));
    offer(&mut answer, ctx);
    answer
}
