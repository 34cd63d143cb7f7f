//! The operator's listener: `/livez`, `/readyz` and `/metrics`. The public listener does not answer these paths.
//!
//! # Invariants
//! - It answers a caller only if `Host` is an address, `localhost` or a configured name.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use http::{Method, Version};

use crate::bff::Bff;
use crate::message::Request;
use crate::names::Authority;

/// Answers `/livez`, `/readyz` and `/metrics`.
pub(super) fn answer(request: &Request, bff: &Bff) -> HttpResponse {
    if let Some(refusal) = refuse_host(request, bff) {
        return refusal;
    }
    let serve = match request.uri().path() {
        "/livez" => |_: &Bff| HttpResponse::Ok().body("alive\n"),
        "/readyz" => ready,
        "/metrics" => metrics,
        _ => return HttpResponse::NotFound().finish(),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = HttpResponse::MethodNotAllowed();
        return refusal.insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    serve(bff)
}

/// Refuses unknown names. A page can make its own name lead here and read the answers (DNS rebinding), but it cannot choose
/// an address or `localhost`. Orchestrators' probes use the pod's address.
fn refuse_host(request: &Request, bff: &Bff) -> Option<HttpResponse> {
    let mut hosts = request.headers().get_all(http::header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        // Simple probes still speak HTTP/1.0, which has no Host; browsers do not.
        (None, _) if request.version() == Version::HTTP_10 => return None,
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => return Some(HttpResponse::BadRequest().body("exactly one Host is needed\n")),
    };
    let configured = bff.configured.load();
    let is_known = |host: Authority<'_>| {
        let mut names = configured
            .admin_hosts
            .iter()
            .map(String::as_str)
            .chain(["localhost"]);
        host.is_address() || names.any(|name| name.eq_ignore_ascii_case(host.host()))
    };
    let named = Authority::parse(host);
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    if named.is_some_and(is_known) && target.is_none_or(|target| target == host) {
        return None;
    }
    if let Some(host) = named
        && bff
            .unknown_hosts
            .is_due_about(host.as_str(), bff.clock.now())
    {
        log::warn!(host = host.as_str(); "the admin listener was called by a name that it does not know: if it is yours, add it \
            to server.admin_hosts");
    }
    Some(
        HttpResponse::build(StatusCode::MISDIRECTED_REQUEST).body(
            "this listener answers addresses, localhost and the names in server.admin_hosts\n",
        ),
    )
}

/// Ready while the process takes traffic. An identity provider that is down is shown, but does not make the process
/// unready: live sessions go on without it, and would end if every replica left the balancer.
fn ready(bff: &Bff) -> HttpResponse {
    let mut text = String::new();
    for frontend in bff.configured.load().frontends.iter() {
        let provider = &frontend.provider;
        let state = match (provider.is_known(), provider.is_failing()) {
            (false, _) => "not reached yet",
            (true, false) => "known",
            (true, true) => "known, but it did not answer last",
        };
        let _ = writeln!(text, "identity provider of {}: {state}", frontend.name);
    }
    if let Some(coordinator) = &bff.coordinator {
        let state = match coordinator.feed_age() {
            Some(age) => format!("complete {} s ago", age.as_secs()),
            None => "not read yet".to_owned(),
        };
        let _ = writeln!(text, "feed of revocations: {state}");
    }
    if bff.draining.has_begun() {
        return HttpResponse::ServiceUnavailable().body(format!("draining\n{text}"));
    }
    if bff.coordinator.as_ref().is_some_and(|c| c.is_starting()) {
        return HttpResponse::ServiceUnavailable().body(format!("starting\n{text}"));
    }
    HttpResponse::Ok().body(format!("ready\n{text}"))
}

fn metrics(bff: &Bff) -> HttpResponse {
    let ring = bff.keys.current();
    let now = bff.clock.now();
    let primary_age = now.since(ring.primary(now).activates_at());
    let kids: Vec<_> = ring.kids().map(|kid| *kid.as_bytes()).collect();
    bff.metrics
        .keyring(&kids, primary_age.as_secs(), &ring.fingerprint());
    let feed_age = bff
        .coordinator
        .as_ref()
        .and_then(|coordinator| coordinator.feed_age());
    bff.metrics
        .coordination
        .knowledge(feed_age.map(|age| age.as_secs()), bff.revocations.len());
    HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            crate::telemetry::metrics::CONTENT_TYPE,
        ))
        .body(bff.metrics.encode())
}
