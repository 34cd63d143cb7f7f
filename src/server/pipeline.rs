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

use super::{Worker, client_addr, response, sent};
use crate::bff::{Bff, Ctx, InFlight};
use crate::coordination::Coordinator;
use crate::frontend::{Api, SessionUse, Target};
use crate::guard;
use crate::ledger::Fingerprint;
use crate::names::Authority;
use crate::problem::Problem;
use crate::proxy::{self, Called, Challenge, Proxy};
use crate::session::OpenResult;
use crate::{assets, endpoint, token};

/// Takes one request from its first byte to its answer.
pub(super) async fn handle(request: HttpRequest, body: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().map(Rc::clone) else {
        return HttpResponse::InternalServerError().finish();
    };
    let in_flight = InFlight::begin(&worker.bff);
    let mut exchange = response::Exchange::begin(&request);
    let answer = run(&request, body, &worker, &mut exchange).await;
    // 9 Headers and cookies; a problem becomes an answer.
    let answer = response::finish(&request, &worker.bff, &exchange, answer);
    sent::until_sent(answer, in_flight)
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
    let host = host(request)?;
    let frontend = bff.frontends.select(host);
    let frontend = frontend.inspect_err(|_| tell_of_unknown(host, bff))?;
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
            refuse_upgrade(request)?;
            let site = assets::Site {
                origin: &frontend.origin,
                framed: &frontend.provider.origins(),
            };
            return assets::serve(request, assets, site).await;
        }
        Target::Private(target) => target,
    };
    exchange.target(target);
    if let Api::Endpoint(_) = target {
        refuse_upgrade(request)?;
    }
    // 4 May it come in at all: CSRF, sizes, rates by address; 403, 413, 429.
    let admitted = guard::admit(request, frontend, target, client.addr)?;
    let mut ctx = Ctx {
        bff: &worker.bff,
        frontend,
        idp: &worker.idp,
        request,
        received: &received,
        session: None,
        found: OpenResult::Anonymous,
        keys: bff.keys.current(),
        arrived_at: exchange.begun,
        now: bff.clock.now(),
        cookies: &mut exchange.cookies,
        back: &mut exchange.back,
        look_again: &mut exchange.look_again,
    };
    // 5 Whose session, and 6 was it ended: bad and dead cookies are nobody's, and are cleared.
    if needs_session(target) {
        open(&mut ctx, worker).await;
        check_knowledge(&ctx, target)?;
    }
    match target {
        // A management endpoint answers,
        Api::Endpoint(endpoint) => endpoint::serve(endpoint, admitted, &mut ctx, body).await,
        Api::Route(route) => {
            // Of what lasts, the end counts from here on, wherever another request's refresh moves it meanwhile (D37).
            let streamed = ctx.session.as_ref().filter(|_| proxy::may_last(request));
            let watched = streamed.map(|session| bff.ends.watch(session));
            // 7 or policy and refresh decide whether, and with which token: 401, 403, 429, 503;
            let permit = token::permit(admitted, route, &mut ctx).await?;
            // 8 and the upstream answers: 502, 504.
            let proxy = Proxy {
                upstreams: &worker.upstreams,
                request,
                client,
                origin: &frontend.origin,
                csrf_header: &frontend.csrf_header,
            };
            let ask = async |permit: token::Permit, body| {
                let sent_at = Instant::now();
                let called = proxy.forward(&permit, route, body).await?;
                let seconds = sent_at.elapsed().as_secs_f64();
                bff.metrics.upstream_answered(&route.upstream, seconds);
                Ok::<_, Problem>((called, permit.bearer()))
            };
            let mut asked = ask(permit, body).await?;
            // A 401 that new tokens or a new login may mend (D21, B56). Nothing of it has been sent, so step 7 may
            // still decide about cookies. A token that was renewed for it is not renewed again.
            let answer = loop {
                let (lines, answer, bearer) = match asked {
                    (Called::Answer(answer), _) => break answer,
                    (Called::Unauthorized(Challenge(lines), answer), bearer) => {
                        (lines, answer, bearer)
                    }
                };
                let refused = token::Refused {
                    bearer,
                    challenge: &lines,
                    is_replayable: proxy::is_replayable(request, route),
                };
                let Some(permit) = token::renew(refused, route, &mut ctx).await? else {
                    break answer;
                };
                // What holds its connection goes before another one is asked for.
                drop(answer);
                asked = ask(permit, proxy::no_body(request).await?).await?;
            };
            let answer = proxy::end_in_time(answer, bff, ctx.session.as_deref().map(|s| &**s));
            drop(watched);
            exchange.is_upstream = true;
            Ok(answer)
        }
    }
}

/// Pages, files and endpoints switch no protocol, and nothing may follow a handshake that was taken for accepted (D8).
fn refuse_upgrade(request: &HttpRequest) -> Result<(), Problem> {
    if proxy::must_close(request) {
        return Err(Problem::BadRequest("nothing here is upgraded"));
    }
    Ok(())
}

fn needs_session(target: Api<'_>) -> bool {
    match target {
        Api::Endpoint(endpoint) => endpoint.rules().session != SessionUse::Ignores,
        Api::Route(route) => route.opens_session(),
    }
}

/// With `on_failure = "closed"` no session is used while nobody here can tell whether it was ended elsewhere.
///
/// The answer is the one that a refresh gets while the provider is out of reach: the session is neither good nor over,
/// its cookies are kept, and the same request will do later. Logout and login go on.
fn check_knowledge(ctx: &Ctx<'_>, target: Api<'_>) -> Result<(), Problem> {
    let uses_session = match target {
        Api::Endpoint(endpoint) => endpoint.rules().session == SessionUse::ReliesOn,
        Api::Route(_) => true,
    };
    let is_in_the_dark = |coordinator: &Arc<Coordinator>| coordinator.is_in_the_dark();
    if ctx.session.is_some()
        && uses_session
        && ctx.bff.coordinator.as_ref().is_some_and(is_in_the_dark)
    {
        return Err(Problem::IdentityProviderUnavailable);
    }
    Ok(())
}

/// Opens the session cookies, with another look at the key directory if they name a key nobody here knows.
async fn open(ctx: &mut Ctx<'_>, worker: &Worker) {
    let load = |ctx: &mut Ctx<'_>| {
        let known = &mut worker.opened.borrow_mut();
        let jar = &ctx.frontend.jar;
        jar.load_again(known, ctx.received, &ctx.keys, ctx.now, ctx.cookies)
    };
    let mut loaded = load(ctx);
    if loaded.result == OpenResult::UnknownKey && ctx.look_for_keys().await {
        loaded = load(ctx);
    }
    if let Some(kid) = loaded.kid {
        ctx.bff.metrics.opened_with(*kid.as_bytes());
    }
    let mut result = loaded.result;
    ctx.session = loaded.session;
    if let Some(session) = ctx.session.as_ref().filter(|_| loaded.is_new)
        && ctx.bff.coordinator.is_none()
    {
        let tokens = || Fingerprint::of(session);
        let replicas = &ctx.bff.replicas;
        replicas.see_tokens(tokens, session.tokens.issued_at, ctx.now);
    }
    // 6 A cookie that was copied before its session ended (F5).
    let revocations = &ctx.bff.revocations;
    if ctx
        .session
        .as_ref()
        .is_some_and(|session| revocations.is_revoked(session))
    {
        result = OpenResult::Ended;
        ctx.drop_session();
    }
    ctx.found = result;
    ctx.bff.metrics.session_opened(result.as_str());
}

/// Nearly always it is a proxy in front that rewrites `Host`, and nothing else would say so.
fn tell_of_unknown(host: &str, bff: &Bff) {
    let Some(host) = Authority::parse(host) else {
        return;
    };
    if bff.unknown_hosts.may_tell(host.as_str(), bff.clock.now()) {
        log::warn!(host = host.as_str(); "a request for a host that no frontend has: if a proxy in front writes Host anew, let \
            it pass on what the browser sent, or else correct the frontend's origin");
    }
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
    // An absolute-form target names what we are (RFC 9112 §3.2.2); we speak for no other protocol.
    if !matches!(request.uri().scheme_str(), None | Some("http" | "https")) {
        return Err(Problem::BadRequest(
            "the request target is not an http or https URL",
        ));
    }
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
