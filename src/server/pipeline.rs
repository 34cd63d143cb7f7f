//! The path of every request, in nine steps. Read downward.
//!
//! A step yields the next value or a [`Problem`]; [`response::finish`] turns either into the answer, so that every answer
//! leaves with its headers. Steps 7 and 8 are in `endpoint` and `api`: may it be done, and do it. The one way back is in
//! `api::forward`: it renews a token that an upstream has refused, and asks again.
//!
//! # Invariants
//! - All decisions about cookies are made before the first byte of an answer leaves.
//! - The order of the security checks is the order below. None of them is in a middleware.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Worker, client_addr, response, sent};
use crate::api::{self, ApiCall};
use crate::bff::{Bff, Ctx, InFlight};
use crate::coordination::Coordinator;
use crate::frontend::{SessionUse, Target, WebSocket};
use crate::guard::{self, CookieLines};
use crate::ledger::Fingerprint;
use crate::names::Authority;
use crate::problem::Problem;
use crate::session::OpenResult;
use crate::telemetry::RequestScope;
use crate::{assets, endpoint};

/// Takes one request from its first byte to its answer.
pub(super) async fn handle(request: HttpRequest, body: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().map(Rc::clone) else {
        return HttpResponse::InternalServerError().finish();
    };
    let in_flight = InFlight::begin(&worker.bff);
    // Every log line from here on says which request it is about, those of the answer's body too.
    let scope = RequestScope::begin(rand::random());
    let served = async {
        let mut exchange = response::Exchange::begin(&request, scope.clone());
        let answer = run(&request, body, &worker, &mut exchange).await;
        // 9 Headers and cookies; a problem becomes an answer.
        response::finish(&request, &worker.bff, &exchange, answer)
    };
    let answer = scope.clone().around(served).await;
    sent::until_sent(answer, in_flight, scope)
}

async fn run(
    request: &HttpRequest,
    body: web::Payload,
    worker: &Worker,
    exchange: &mut response::Exchange,
) -> Result<HttpResponse, Problem> {
    let bff = &*worker.bff;
    // 1 Who is calling.
    let client = client_addr::of(peer(request), request.headers(), &bff.trusted_proxies);
    // 2 Which frontend: 421 if none has this Host.
    let host = host(request)?;
    let frontend = bff.frontends.select(host);
    let frontend = frontend.inspect_err(|_| tell_of_unknown(host, bff))?;
    exchange.select(Arc::clone(frontend));
    let now = bff.clock.now();
    let cookies = CookieLines::of(request);
    let wallet = || {
        let keys = bff.keys.current();
        frontend.jar.wallet(cookies.iter(), keys, now)
    };
    if let Err(problem) = guard::check_header_size(request.headers(), &cookies) {
        let mut wallet = wallet();
        wallet.delete_all();
        exchange.cookies = wallet.into_set_cookies();
        return Err(problem);
    }
    // 3 Which target: 400, 404, 405.
    let (method, path) = (request.method().as_str(), request.uri().path());
    let target = frontend.resolve(method, path, exchange.websocket)?;
    exchange.target(target);
    // 4 May it come in at all: CSRF, sizes, rates by address; 400, 403, 413, 429.
    refuse_upgrade(target, exchange.websocket)?;
    let admitted = guard::admit(request, frontend, target, client)?;
    let mut ctx = Ctx {
        bff: &worker.bff,
        frontend,
        idp: &worker.idp,
        request,
        wallet: wallet(),
        session: None,
        found: OpenResult::Anonymous,
        arrived_at: exchange.begun,
        now,
        back: &mut exchange.back,
        look_again: &mut exchange.look_again,
    };
    let answer = serve(target, admitted, body, &mut ctx, worker).await;
    exchange.is_upstream = answer.is_ok() && matches!(target, Target::Route(_));
    exchange.cookies = ctx.wallet.into_set_cookies();
    answer
}

/// Steps 5 to 8, which decide about cookies.
async fn serve(
    target: Target<'_, '_>,
    admitted: guard::Admitted,
    body: web::Payload,
    ctx: &mut Ctx<'_>,
    worker: &Worker,
) -> Result<HttpResponse, Problem> {
    // 5 Whose session: a cookie that is bad or dead is nobody's, and is deleted.
    // 6 Was it ended: 503 if that cannot be known.
    let session_use = session_use(target);
    if session_use != SessionUse::Ignores {
        open(ctx, worker).await;
        refuse_if_revocations_are_stale(ctx, session_use)?;
    }
    // 7 May it be done, and 8 do it.
    match target {
        Target::Assets(assets) => {
            let site = assets::Site {
                origin: &ctx.frontend.origin,
                framed: &ctx.frontend.provider.origins(),
            };
            assets::serve(ctx.request, assets, site).await
        }
        Target::Endpoint(endpoint) => endpoint::serve(endpoint, admitted, ctx, body).await,
        Target::Route(matched) => {
            let call = ApiCall {
                matched,
                admitted,
                body,
                upstreams: &worker.upstreams,
            };
            api::serve(call, ctx).await
        }
    }
}

/// Pages, files and endpoints switch no protocol, and nothing may follow a handshake that somebody took for accepted.
fn refuse_upgrade(target: Target<'_, '_>, websocket: WebSocket) -> Result<(), Problem> {
    match target {
        Target::Assets(_) | Target::Endpoint(_) if websocket.must_close() => {
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
        Target::Assets(_) | Target::Route(_) => SessionUse::Ignores,
    }
}

/// With `on_failure = "closed"` a session is not used while this process cannot tell whether it was ended elsewhere.
///
/// The answer is the one that a refresh gets while the provider is out of reach: the session is neither good nor over,
/// its cookies are kept, and the same request will do later. Logout and login go on.
fn refuse_if_revocations_are_stale(ctx: &Ctx<'_>, session_use: SessionUse) -> Result<(), Problem> {
    let is_stale = |coordinator: &Arc<Coordinator>| coordinator.is_in_the_dark();
    if ctx.session.is_some()
        && session_use == SessionUse::ReliesOn
        && ctx.bff.coordinator.as_ref().is_some_and(is_stale)
    {
        return Err(Problem::IdentityProviderUnavailable);
    }
    Ok(())
}

/// Opens the session cookies, with another look at the key directory if they name a key nobody here knows.
async fn open(ctx: &mut Ctx<'_>, worker: &Worker) {
    let load = |ctx: &mut Ctx<'_>| ctx.wallet.load_cached(&mut worker.opened.borrow_mut());
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
