//! To the APIs: one request becomes one upstream request, one answer comes back.
//!
//! `server::pipeline` calls [`forward`] last of all, when cookies and tokens are decided. [`Upstreams`] holds the
//! connections of one worker; `headers` says what crosses, in both directions. `upgrade` and `tunnel` are WebSocket;
//! [`end_in_time`] ends what would outlive its session.
//!
//! # Invariants
//! - No part of a request chooses scheme, host or port: they are the route's upstream's, always (A18).
//! - Nobody's connection ever carries the rest of somebody else's answer.
//! - An answer that arrived incomplete leaves incomplete: the client's connection is cut.
//! - What a client says about itself (`Authorization`, `Forwarded`, `X-User-*` …) never reaches an upstream.
//! - Nothing is sent twice, but for a bodiless idempotent request on a connection that had died meanwhile (D20).
//!
//! # Spec
//! RFC 9110 §7.6 (message forwarding), RFC 9111 §3.5 (shared caches), RFC 9112 §6 (framing), RFC 7239 (`Forwarded`).
//!
//! # Why hyper's client, not awc
//! awc takes a 1xx for the final answer and pools the connection with the real one still to come, so the next
//! user gets it; it completes truncated bodies silently, loses early answers and does not retry stale connections.
//! `tests` below holds those five cases against this module.

mod connector;
mod forward;
mod frames;
mod headers;
mod lasting;
mod places;
mod request_body;
mod response_body;
mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tunnel;
mod upgrade;
mod upstream;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use url::Url;

use crate::frontend::{Frontend, Route};
use crate::problem::Problem;
use crate::token::Permit;

pub use forward::Challenge;
use forward::Crossing;
pub use lasting::{end_in_time, may_last};
pub use upstream::Upstreams;

/// `[upstream.<name>]`, resolved.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Scheme, authority, and a path prefix without trailing slash.
    pub url: Url,
    /// Until response headers.
    pub timeout: Duration,
    /// Between bytes, both ways.
    pub idle_timeout: Duration,
    /// Connections at the most, for each worker.
    pub max_connections: usize,
    /// PEM file of additional trust anchors: only these are trusted then.
    pub ca: Option<PathBuf>,
}

/// What the client's connection is known to be, behind trusted proxies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// The client's address.
    pub addr: IpAddr,
}

/// One request to one upstream, both bodies streamed.
///
/// A WebSocket handshake becomes a tunnel where the route takes them, and is refused elsewhere: the caller must close the
/// connection after a refusal, as [`must_close`] says, and call [`end_in_time`] for what is no refusal.
pub async fn forward(
    permit: Permit,
    frontend: &Frontend,
    route: &Route,
    client: Client,
    request: &HttpRequest,
    body: web::Payload,
    upstreams: &Upstreams,
) -> Result<HttpResponse, Problem> {
    let upstream = upstreams.find(&route.upstream)?;
    let crossing = Crossing {
        permit,
        origin: &frontend.origin,
        csrf_header: &frontend.csrf_header,
        route,
        client,
        upstream,
    };
    crossing.forward(request, body).await
}

/// What the upstream said with a 401, if that was its answer.
pub fn challenge(answer: &HttpResponse) -> Option<Challenge> {
    answer.extensions().get::<Challenge>().cloned()
}

/// Whether a request can be sent a second time: there is no body that would have been read, nor an upgrade.
pub fn is_replayable(request: &HttpRequest, route: &Route) -> bool {
    let length = request_body::Length::of(request, route.body_limit);
    matches!(length, Ok(request_body::Length::None)) && !target::asks_for_websocket(request)
}

/// The body of a request that is sent once more.
pub async fn no_body(request: &HttpRequest) -> Result<web::Payload, Problem> {
    web::Payload::from_request(request, &mut actix_web::dev::Payload::None)
        .await
        .map_err(|_| Problem::Internal)
}

/// Whether the connection of a request must be closed after a refusal (D8).
///
/// A client may send its first frames before it knows the answer, or another server between it and us may take the
/// protocol for switched. What follows is not a request, whatever it looks like.
pub fn must_close(request: &HttpRequest) -> bool {
    target::asks_for_websocket(request)
}
