//! The operator's listener: is it alive, is it ready, how does it fare. Never on the public one (F13).

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::bff::Bff;

/// Adds `/livez`, `/readyz` and `/metrics`.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route(
        "/livez",
        web::get().to(async || HttpResponse::Ok().body("alive\n")),
    )
    .route("/readyz", web::get().to(ready))
    .route("/metrics", web::get().to(metrics));
}

/// Ready while the process takes traffic. An identity provider that is down makes no process unready: live
/// sessions go on without it, and taking every replica out of the balancer would end them (B40). It is shown.
async fn ready(bff: web::Data<Arc<Bff>>) -> HttpResponse {
    let mut text = String::new();
    for frontend in bff.frontends.iter() {
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
    HttpResponse::Ok().body(format!("ready\n{text}"))
}

async fn metrics(bff: web::Data<Arc<Bff>>) -> HttpResponse {
    let ring = bff.keys.current();
    let now = bff.clock.now();
    let primary_age = now.since(ring.primary(now).activates_at());
    bff.metrics
        .keyring(ring.len(), primary_age.as_secs(), &ring.fingerprint());
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
