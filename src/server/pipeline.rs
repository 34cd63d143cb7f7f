//! The path of every request. Read downward; nothing calls back up.
//!
//! A step yields the next value or a [`Problem`]; [`response::finish`] turns either into the answer, so none leaves
//! without its headers.
//!
//! # Invariants
//! - Cookies are decided in steps 5 to 7, before step 8 lets an upstream see a byte.
//! - No security decision lives in a middleware; the order of the checks is the order below.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Worker, client_addr, response};
use crate::bff::Ctx;
use crate::frontend::{Api, Target, TokenRequirement};
use crate::guard;
use crate::problem::Problem;
use crate::proxy;
use crate::session::{OpenResult, Session};
use crate::{assets, endpoint, token};

/// Takes one request from its first byte to its answer.
pub(super) async fn handle(request: HttpRequest, body: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().map(Rc::clone) else {
        return HttpResponse::InternalServerError().finish();
    };
    let mut exchange = response::Exchange::begin(&request);
    let answer = run(&request, body, &worker, &mut exchange).await;
    // 9 Headers and cookies; a problem becomes an answer.
    response::finish(&request, &worker.bff, &exchange, answer)
}

async fn run(
    request: &HttpRequest,
    body: web::Payload,
    worker: &Worker,
    exchange: &mut response::Exchange,
) -> Result<HttpResponse, Problem> {
    let bff = &*worker.bff;
    // 1 Who is really calling.
    let client = client_addr::of(peer(request), request.headers(), &bff.trusted_proxies);
    // 2 Which frontend: 421 if none has this Host.
    let frontend = bff.frontends.select(host(request)?)?;
    exchange.select(Arc::clone(frontend));
    let received = frontend.jar.read(cookie_lines(request.headers()));
    if let Err(problem) = guard::check_header_size(request.headers()) {
        frontend.jar.delete_all(&received, &mut exchange.cookies);
        return Err(problem);
    }
    // 3 Which target: 400, 404, 405.
    let target = match frontend.resolve(request.method().as_str(), request.uri().path())? {
        // The app's files are public: no cookie is opened for them.
        Target::Assets(assets) => {
            exchange.route = "assets".into();
            return assets::serve(request, assets, &frontend.origin).await;
        }
        Target::Private(target) => target,
    };
    exchange.target(target);
    // 4 May it come in at all: CSRF, sizes; 403, 413.
    let admitted = guard::admit(request, frontend, target)?;
    let mut ctx = Ctx {
        bff,
        frontend,
        idp: &worker.idp,
        request,
        received: &received,
        session: None,
        keys: bff.keys.current(),
        arrived_at: exchange.begun,
        now: bff.clock.now(),
        cookies: &mut exchange.cookies,
    };
    // 5 Whose session: bad cookies are nobody's, and are cleared.
    if needs_session(target) {
        ctx.session = open(&mut ctx);
    }
    match target {
        // 6 A management endpoint answers,
        Api::Endpoint(endpoint) => endpoint::serve(endpoint, admitted, &mut ctx, body).await,
        Api::Route(route) => {
            // 7 or policy and refresh decide whether, and with which token: 401, 503;
            let permit = token::permit(admitted, route, &mut ctx).await?;
            // 8 and the upstream answers: 502, 504.
            let sent_at = Instant::now();
            let upstreams = &worker.upstreams;
            let answer =
                proxy::forward(permit, frontend, route, client, request, body, upstreams).await?;
            let seconds = sent_at.elapsed().as_secs_f64();
            bff.metrics
                .upstream_answered(route.upstream.as_str(), seconds);
            exchange.is_upstream = true;
            Ok(answer)
        }
    }
}

fn needs_session(target: Api<'_>) -> bool {
    !matches!(target, Api::Route(route) if route.token == TokenRequirement::None)
}

/// Opens the session cookies, with another look at the key directory if they name a key nobody here knows.
fn open(ctx: &mut Ctx<'_>) -> Option<Session> {
    let mut loaded = ctx
        .frontend
        .jar
        .load(ctx.received, &ctx.keys, ctx.now, ctx.cookies);
    if loaded.result == OpenResult::UnknownKey && ctx.look_for_keys() {
        loaded = ctx
            .frontend
            .jar
            .load(ctx.received, &ctx.keys, ctx.now, ctx.cookies);
    }
    ctx.bff.metrics.session_opened(loaded.result.as_str());
    if let Some(kid) = loaded.kid {
        ctx.bff.metrics.opened_with(&kid.to_string());
    }
    loaded.session
}

fn peer(request: &HttpRequest) -> std::net::IpAddr {
    // Without a peer address (a Unix socket) nobody is trusted and nobody is named.
    request.peer_addr().map_or(
        std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        |addr| addr.ip(),
    )
}

/// The one `Host` of the request (RFC 9112 §3.2); an absolute-form target must agree with it (D9, D10).
fn host(request: &HttpRequest) -> Result<&str, Problem> {
    let mut hosts = request.headers().get_all(header::HOST);
    let host = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .filter(|_| hosts.next().is_none())
        .ok_or(Problem::BadRequest(
            "exactly one valid Host header is needed",
        ))?;
    match request.uri().authority() {
        Some(authority) if authority.as_str() != host => Err(Problem::BadRequest(
            "the request target and the Host header disagree",
        )),
        _ => Ok(host),
    }
}

fn cookie_lines(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .map(header::HeaderValue::as_bytes)
}
