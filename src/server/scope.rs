//! The id of a request, and the trace that it belongs to.

use http::HeaderName;
use ipnet::IpNet;

use super::client_addr;
use crate::message::Request;
use crate::telemetry::{self, Recorder, RequestId, RequestScope, Span, TraceContext};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The scope of a request that has come. Its id is the one that a trusted proxy gave it; a client cannot choose one.
///
/// A trace may be continued by anybody (W3C Trace Context §4): its ids say nothing but that requests belong together.
///
/// With it comes the request's span, which is empty unless there are traces and the sampler wants this one.
pub(super) fn of(
    request: &Request,
    trusted: &[IpNet],
    recorder: Option<Recorder>,
) -> (RequestScope, Span) {
    let received =
        only(request, &X_REQUEST_ID).filter(|_| client_addr::is_of_proxy(request, trusted));
    let id = received.and_then(RequestId::received);
    let id = id.unwrap_or_else(|| RequestId::made(rand::random()));
    let parent = only(request, &TRACEPARENT);
    let state = parent.and_then(|_| states(request));
    let trace = TraceContext::of(parent, state.as_deref(), rand::random());
    telemetry::begin_request(id, trace, recorder)
}

/// The value of a header that is there once.
fn only<'r>(request: &'r Request, name: &HeaderName) -> Option<&'r str> {
    let mut lines = request.headers().get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

/// `tracestate`, whose lines are one list (§3.3).
fn states(request: &Request) -> Option<String> {
    let lines = request.headers().get_all(&TRACESTATE).iter();
    let lines: Vec<_> = lines.map_while(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}
