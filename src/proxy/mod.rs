//! Calls APIs, and passes their answers on to the client.
//!
//! The module has two halves:
//! - `call` makes one call to one upstream: a place among its connections, the credential, the time limit, one more
//!   attempt after a stale connection, the check of the answer's framing. It gives a [`Called`] answer and does not know
//!   what the answer is for.
//! - `forward` mirrors a client's request: which headers pass, how both bodies stream, what a WebSocket handshake
//!   becomes, and what ends an answer that outlives its session.
//!
//! `headers` holds the rules for header fields, which both halves use. [`Upstreams`] holds the connections of one
//! worker. Code that needs an API's answer for itself, rather than for a client, calls [`Proxy::get`].
//!
//! # Invariants
//! - The route's upstream decides scheme, host and port of a call. Nothing in a request does.
//! - A connection never carries the rest of another request's answer.
//! - An answer that arrived incomplete leaves incomplete: sealgate cuts the client's connection.
//! - What a client says about itself (`Authorization`, `Forwarded`, `X-User-*` …) never reaches an upstream.
//! - A request is sent once. The one exception: an idempotent request without a body whose connection turned out to be
//!   stale (RFC 9110 §9.2.2).
//!
//! # Spec
//! RFC 9110 §7.6 (message forwarding), RFC 9111 §3.5 (shared caches), RFC 9112 §6 (framing), RFC 7239 (`Forwarded`).
//!
//! # Why hyper's client, not awc
//! awc takes a 1xx for the final answer and pools the connection while the real answer is still to come, so the next
//! user gets it. It completes truncated bodies silently, loses early answers and does not retry stale connections.
//! `tests` below holds those five cases against this module.

mod call;
mod forward;
mod headers;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use call::{Answer, BrokenOff, Called, Challenge, Get, Proxy, ReadError, Upstreams};
pub use forward::{end_in_time, is_replayable, may_last};
