//! A route that forwards: may the request go, with which token, what does the upstream answer, and what follows from a 401.
//!
//! # Invariants
//! - Nothing of an answer is sent before all decisions about cookies are made, those after a 401 too.
//! - A token that was renewed for this request is not renewed again, so an upstream is asked twice at the most.

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};

use super::ApiCall;
use crate::frontend::Forward;
use crate::message::{Answer, Payload};
use crate::problem::Problem;
use crate::proxy::{self, Called, Proxy};
use crate::request::Ctx;
use crate::token::{self, Permit, Refused};

pub(super) async fn serve(
    forward: &Forward,
    call: ApiCall<'_>,
    ctx: &mut Ctx<'_>,
) -> Result<Answer, Problem> {
    let ApiCall {
        matched,
        admitted,
        mut body,
        upstreams,
    } = call;
    let (bff, request) = (ctx.bff, ctx.request);
    let proxy = Proxy {
        upstreams,
        request,
        client: admitted.client(),
        origin: &ctx.frontend.origin,
        csrf_header: &ctx.frontend.csrf_header,
    };
    // The end of the session counts for a stream from here on, wherever the refresh of another request moves it.
    let lasts = ctx.caller.lasts();
    let streamed = lasts.filter(|_| proxy::may_last(request, matched.websocket));
    let watched = streamed.map(|(session, end)| bff.ends.watch(session.id, end));
    // May it go, and as whom: 401, 403, 429, 503.
    let mut permit = token::permit(admitted, matched, ctx).await?;
    let answer = loop {
        // The upstream answers: 502, 504.
        let called = proxy.forward(&permit, forward, matched, body).await?;
        let (challenge, answer) = match called {
            Called::Answer(answer) => break answer,
            Called::Unauthorized(challenge, answer) => (challenge, answer),
        };
        // A 401 that a new token may mend, or a new login.
        let refused = Refused {
            bearer: permit.bearer(),
            challenge: &challenge.0,
            is_replayable: proxy::is_replayable(request, forward, matched.websocket),
        };
        let Some(renewed) = token::renew(refused, matched.route.into(), ctx).await? else {
            break answer;
        };
        // Once more. The first answer gives its place at the upstream back before.
        drop(answer);
        permit = renewed;
        body = Payload::None;
    };
    let answer = challenge_app(answer, &permit, ctx);
    let answer = proxy::end_in_time(answer, bff, ctx.caller.lasts());
    drop(watched);
    Ok(answer)
}

/// Says to an app that an upstream does not take its token (RFC 6750 §3.1): it can refresh it. A browser's has been renewed by
/// now, as far as that is possible.
fn challenge_app(mut answer: Answer, permit: &Permit, ctx: &Ctx<'_>) -> Answer {
    if let Some(app) = ctx.caller.app()
        && permit.bearer().is_users()
        && answer.status() == StatusCode::UNAUTHORIZED
        && let Ok(value) = HeaderValue::try_from(format!("{} error=\"invalid_token\"", app.scheme))
    {
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    answer
}
