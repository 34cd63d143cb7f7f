//! Answers that are hard for a proxy: streams, slow answers, cookies, markup, large bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;

use super::{Shared, observe};

/// An event each second, the first at once: `{"n":1}`, `{"n":2}` …
pub(super) async fn events(request: HttpRequest, body: Payload, api: Data<Shared>) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    let open = OpenStream::new(&api.streams);
    let second = actix_web::rt::time::interval(Duration::from_secs(1));
    let events = stream::unfold((open, second, 0_u64), |(open, mut second, n)| async move {
        second.tick().await;
        let n = n + 1;
        let event = Bytes::from(format!("id: {n}\nevent: tick\ndata: {{\"n\":{n}}}\n\n"));
        Some((Ok::<_, actix_web::Error>(event), (open, second, n)))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .streaming(events)
}

/// An empty answer with this status.
pub(super) async fn status(
    request: HttpRequest,
    body: Payload,
    code: Path<u16>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    match StatusCode::from_u16(*code) {
        Ok(status) if code.into_inner() >= 200 => HttpResponse::build(status).finish(),
        _ => HttpResponse::BadRequest().body("no final status code"),
    }
}

#[derive(Deserialize)]
pub(super) struct Slow {
    ms: u64,
}

/// Waits before it answers, for a minute at most.
pub(super) async fn slow(
    request: HttpRequest,
    body: Payload,
    wait: Query<Slow>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    let wait = Duration::from_millis(wait.ms.min(60_000));
    actix_web::rt::time::sleep(wait).await;
    HttpResponse::Ok().json(json!({ "waited_ms": wait.as_millis() }))
}

/// Cookies of its own, and two with names of sealgate's.
pub(super) async fn set_cookie(
    request: HttpRequest,
    body: Payload,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    HttpResponse::Ok()
        .append_header((header::SET_COOKIE, "theme=dark; Path=/"))
        .append_header((header::SET_COOKIE, "tracking=1; Path=/; HttpOnly"))
        .append_header((
            header::SET_COOKIE,
            "__Host-Http-shop=forged; Path=/; Secure; HttpOnly",
        ))
        .append_header((header::SET_COOKIE, "sealgate-shop=forged; Path=/; HttpOnly"))
        .json(json!({ "cookies": 4 }))
}

/// A page that would run a script on the application's origin.
pub(super) async fn html(request: HttpRequest, body: Payload, api: Data<Shared>) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body("<!doctype html><title>API</title><p id=\"text\">safe</p><script>document.getElementById('text').textContent = 'script ran';</script>")
}

#[derive(Deserialize)]
pub(super) struct Big {
    bytes: usize,
}

/// As many bytes as the query asks for, in pieces of 16 KiB.
pub(super) async fn big(
    request: HttpRequest,
    body: Payload,
    wanted: Query<Big>,
    api: Data<Shared>,
) -> HttpResponse {
    const PIECE: usize = 16 * 1024;
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::unfold(wanted.bytes, move |left| {
        let now = piece.slice(..left.min(PIECE));
        async move {
            let left = left - now.len();
            (!now.is_empty()).then_some((Ok::<_, actix_web::Error>(now), left))
        }
    });
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .streaming(pieces)
}

/// Counts as one until it is dropped.
pub(super) struct OpenStream(Arc<AtomicUsize>);

impl OpenStream {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
