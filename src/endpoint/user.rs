//! `GET /bff/user`: who is signed in, as Duende BFF answers it: an array of `{"type","value"}`.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{Times, logout, nobody, query, single};
use crate::bff::Ctx;
use crate::guard;
use crate::problem::Problem;

pub(super) fn serve(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let slides = single(&query(ctx), "slide")?.is_none_or(|value| value != "false");
    let Some((session, times)) = Times::of(ctx) else {
        return Err(nobody(ctx));
    };
    let mut claims = Vec::new();
    for (name, value) in &session.claims {
        match value {
            _ if !ctx.frontend.shows_claim(name) => {}
            // A claim with several values is several claims, as ASP.NET has it.
            Value::Array(values) => claims.extend(values.iter().map(|value| claim(name, value))),
            value => claims.push(claim(name, value)),
        }
    }
    let logout_url = logout::url(ctx.frontend, session);
    let expires_in = times.over_at.since(ctx.now).as_secs();
    claims.push(json!({"type": "bff:logout_url", "value": logout_url}));
    claims.push(json!({"type": "bff:session_expires_in", "value": expires_in}));
    if let Some(state) = session.claims.get("session_state")
        && ctx.frontend.shows_claim("session_state")
    {
        claims.push(json!({"type": "bff:session_state", "value": state}));
    }
    if slides && !guard::is_speculative(ctx.request.headers()) {
        ctx.touch();
    }
    Ok(HttpResponse::Ok().json(claims))
}

fn claim(name: &str, value: &Value) -> Value {
    json!({"type": name, "value": value})
}
