//! `GET /bff/user`: who is signed in, as Duende BFF answers it: an array of `{"type","value"}`.
//!
//! # Why claims are texts
//! There they come from ASP.NET's claims, which are texts whatever the token had: a list is several claims, numbers and
//! truth values are written as JSON writes them, objects and lists in lists as JSON text. Frontends made for it parse what
//! they need. `bff:session_expires_in` is a number there too. `/bff/session` keeps the types.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::device_messages::offer;
use super::form::{query, single};
use super::logout;
use super::times::{Times, nobody};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::SESSION_STATE;

pub(super) fn serve(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let slides = single(&query(ctx), "slide")?.is_none_or(|value| value != "false");
    let Some((session, times)) = Times::of(ctx) else {
        return Err(nobody(ctx));
    };
    let mut claims = Vec::new();
    for (name, value) in &session.claims {
        if ctx.frontend.shows_claim(name) {
            claims.extend(texts(value).map(|text| json!({"type": name, "value": text})));
        }
    }
    let expires_in = times.over_at.since(ctx.now).as_secs();
    // An app revokes its tokens instead.
    if ctx.caller.app().is_none() {
        let logout_url = logout::url(ctx.frontend, session);
        claims.push(json!({"type": "bff:logout_url", "value": logout_url}));
    }
    claims.push(json!({"type": "bff:session_expires_in", "value": expires_in}));
    let claim = || {
        session
            .claims
            .get("session_state")
            .filter(|_| ctx.frontend.shows_claim("session_state"))
    };
    if let Some(state) = session.claims.get(SESSION_STATE).or_else(claim) {
        claims.extend(texts(state).map(|text| json!({"type": "bff:session_state", "value": text})));
    }
    let mut answer = HttpResponse::Ok().json(claims);
    offer(&mut answer, ctx);
    if slides {
        ctx.touch();
    }
    Ok(answer)
}

/// The values of a claim.
fn texts(claim: &Value) -> impl Iterator<Item = String> {
    let values = match claim {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().map(text)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_as_many_texts_as_it_has_values() {
        // B10
        for (claim, expected) in [
            (json!("a"), &["a"][..]),
            (json!(7), &["7"]),
            (json!(-1.5), &["-1.5"]),
            (json!(true), &["true"]),
            (json!(null), &[""]),
            (json!({"a": [1, "x"]}), &[r#"{"a":[1,"x"]}"#]),
            (
                json!(["a", 1, false, {"b": 2}, ["c"]]),
                &["a", "1", "false", r#"{"b":2}"#, r#"["c"]"#],
            ),
            (json!([]), &[]),
        ] {
            assert_eq!(texts(&claim).collect::<Vec<_>>(), expected, "{claim}");
        }
    }
}
