//! The path of every request, in nine steps. Read downward.
//!
//! A step yields the next value or a [`Problem`]. [`response::finish`] turns either into the answer, so that every answer
//! leaves with its headers. Steps 7 and 8 are in `assets`, `endpoint` and `api`: may it be done, and do it. The one way back
//! is in `api`: it renews a token that an upstream has refused, and asks again.
//!
//! # Invariants
//! - All decisions about cookies are made before the first byte of an answer leaves.
//! - The order of the security checks is the order below. None of them is in a middleware.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::view::View;
use super::{Worker, client_addr, host, response, scope, sent};
use crate::api::{self, ApiCall};
use crate::bff::Bff;
use crate::frontend::{SessionUse, Target, WebSocket};
use crate::guard::{self, Speaker};
use crate::message::{self, Answer, Payload, Request};
use crate::problem::Problem;
use crate::proxy::Upstreams;
use crate::request::{Arrival, Caller, Ctx};
use crate::session::{OpenResult, OpenedSessions};
use crate::telemetry::{Span, SpanName, attribute};
use crate::{assets, endpoint};

/// Takes one request from its first byte to its answer.
pub(super) async fn answer(worker: Rc<Worker>, request: Request, body: Payload) -> Answer {
    let bff = &worker.bff;
    // A reload while the request runs is for later ones.
    let view = worker.views.current(bff);
    let in_flight = sent::InFlight::begin(bff);
    // Every log line from here on says which request it is about, those of the answer's body too.
    let (scope, span) = scope::of(&request, &view.configured.trusted_proxies, bff.recorder);
    // Pinned here, because it would be copied into what wraps it.
    let served = std::pin::pin!(async {
        let mut span = span;
        log::debug!(method = request.method().as_str(); "request");
        let arrival = Arrival::of(&request, scope.clone());
        let mut ctx = None;
        let answer = match enter(&request, &arrival, bff, &view) {
            Ok(entered) => {
                let ctx = ctx.insert(entered);
                serve(ctx, body, &worker.opened, &view.upstreams).await
            }
            Err(problem) => Err(problem),
        };
        // 9 Headers and cookies; a problem becomes an answer.
        let asked = (&request, &arrival);
        let (answer, line) = response::finish(
            asked,
            ctx.as_ref(),
            answer,
            &view.configured,
            &worker,
            &mut span,
        );
        (answer, line, span)
    });
    let (answer, line, span) = scope.clone().around(served).await;
    sent::until_sent(answer, in_flight.telling(line, span), scope.clone())
}

/// Steps 1 and 2: who asks whom.
fn enter<'r>(
    request: &'r Request,
    arrival: &'r Arrival,
    bff: &'r Arc<Bff>,
    view: &'r View,
) -> Result<Ctx<'r>, Problem> {
    // 1 Who is calling.
    let client = client_addr::of(request, &view.configured.trusted_proxies);
    // 2 Which frontend: 421 if none has this Host.
    let host = host::of(request)?;
    let frontend = view.configured.frontends.select(host);
    let frontend = frontend.inspect_err(|_| host::warn_of_unknown(host, bff))?;
    arrival.scope.set_frontend((&frontend.name).into());
    let now = bff.clock.now();
    Ok(Ctx {
        arrival,
        request,
        client,
        bff,
        idp: view.idp(&frontend.name),
        frontend,
        target: None,
        now,
        wallet: frontend
            .jar
            .wallet(request.cookies(), bff.keys.current(), now),
        caller: Caller::Nobody,
        found: OpenResult::Anonymous,
        back: None,
        nonce: None,
        look_again: None,
    })
}

/// Steps 3 to 8, which decide about cookies.
async fn serve(
    ctx: &mut Ctx<'_>,
    body: Payload,
    opened: &RefCell<OpenedSessions>,
    upstreams: &Upstreams,
) -> Result<Answer, Problem> {
    let (request, frontend, websocket) = (ctx.request, ctx.frontend, ctx.arrival.websocket);
    // 3 Which target: 400, 404, 405; 431 for a header section that is too long, cookies and all.
    guard::check_header_size(request.headers()).inspect_err(|_| ctx.wallet.delete_all())?;
    let (method, path) = (request.method().as_str(), request.uri().path());
    let target = frontend.resolve(method, path, websocket)?;
    guard::check_query(request.uri())?;
    ctx.set_target(target);
    // 4 May it come in at all: CSRF, sizes, rates by address; 400, 403, 413, 429.
    refuse_upgrade(target, websocket)?;
    let admitted = guard::admit(request, frontend, target, ctx.client)?;
    let session_use = session_use(target);
    if session_use != SessionUse::Ignores {
        let mut span = Span::of(&ctx.arrival.scope, SpanName::SessionOpen);
        // 5 Whose session: a bad or dead cookie is nobody's, and is deleted. A bad token: 401.
        match admitted.speaker() {
            Speaker::Cookies => ctx.open_session(opened).await,
            Speaker::Token => {
                let opened = ctx.open_token().await;
                opened.inspect_err(|problem| span.failed(problem.code()))?;
            }
        }
        // 6 Was it ended: 503 if that cannot be known.
        let is_open = ctx.check_revocations(session_use);
        span.set(attribute::OUTCOME, ctx.found.as_str());
        drop(span);
        is_open?;
        // And is it on its device: 401.
        ctx.check_device(target).await?;
    }
    // 7 May it be done, and 8 do it.
    match target {
        Target::Assets(assets, path) => {
            let framed = frontend.provider.origins();
            assets::serve(request, path, assets, &framed).await
        }
        // Boxed: a login must not make the future of every API call larger.
        Target::Endpoint(endpoint) => {
            let answer = Box::pin(endpoint::serve(endpoint, admitted, ctx, body)).await;
            answer.map(message::answer)
        }
        Target::Route(matched) => {
            let call = ApiCall {
                matched,
                admitted,
                body,
                upstreams,
            };
            api::serve(call, ctx).await
        }
    }
}

/// Pages, files and endpoints switch no protocol, and nothing may follow a handshake that somebody took for accepted.
fn refuse_upgrade(target: Target<'_, '_>, websocket: WebSocket) -> Result<(), Problem> {
    match target {
        Target::Assets(..) | Target::Endpoint(_) if websocket.must_close() => {
            Err(Problem::BadRequest("nothing here is upgraded"))
        }
        _ => Ok(()),
    }
}

fn session_use(target: Target<'_, '_>) -> SessionUse {
    match target {
        Target::Endpoint(endpoint) => endpoint.rules().session,
        Target::Route(matched) if matched.route.opens_session() => SessionUse::ReliesOn,
        // The app's files are public.
        Target::Assets(..) | Target::Route(_) => SessionUse::Ignores,
    }
}
