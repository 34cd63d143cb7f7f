//! The headers by which an upstream can find the request that it serves in our log, and its trace.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::telemetry::{RequestScope, Span};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The names that [`add`] decides about: what the client says under them does not pass.
pub(super) fn is_ours(name: &str) -> bool {
    [TRACEPARENT, TRACESTATE, X_REQUEST_ID]
        .iter()
        .any(|ours| ours == name)
}

/// Adds the id of the present request, and the place of the call in the trace (W3C Trace Context §3.4).
pub(in crate::proxy) fn add(headers: &mut HeaderMap, call: &Span) {
    let Some(scope) = call.scope().cloned().or_else(RequestScope::current) else {
        return;
    };
    headers.insert(X_REQUEST_ID, scope.id_header().clone());
    if let Ok(parent) = HeaderValue::try_from(scope.traceparent()) {
        headers.insert(TRACEPARENT, parent);
    }
    let state = scope.trace().tracestate().map(HeaderValue::from_str);
    if let Some(Ok(state)) = state {
        headers.insert(TRACESTATE, state);
    }
}
