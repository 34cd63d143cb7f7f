//! What the span of a request says of it, gathered when the head of its answer is made.

use super::access_log;
use super::response::Asked;
use crate::frontend::Target;
use crate::message::Answer;
use crate::telemetry::{Label, Span, attribute};

/// The most bytes of a path that a span has. Spans wait in memory, and anybody may send long paths.
const LONGEST_PATH: usize = 1024;

/// Tells what was asked and how it was answered. `problem` is the code of the problem that the answer is, if it is one.
pub(super) fn tell(
    span: &mut Span,
    asked: Asked<'_>,
    response: &Answer,
    outcome: &'static str,
    problem: Option<&'static str>,
) {
    if !span.is_recorded() {
        return;
    }
    let method = asked.request.method().as_str();
    span.set(attribute::METHOD, attribute::method(method));
    // A path that leads nowhere says nothing of where a claim stands in it.
    if asked.ctx.is_some_and(|ctx| ctx.target.is_some()) {
        let mut path = access_log::path(asked);
        path.truncate(path.floor_char_boundary(LONGEST_PATH));
        span.set(attribute::URL_PATH, path);
    }
    if let Some(ctx) = asked.ctx {
        let origin = &ctx.frontend.origin;
        let scheme = if origin.is_secure() { "https" } else { "http" };
        span.set(attribute::URL_SCHEME, scheme);
        span.set(attribute::SERVER_ADDRESS, origin.host().to_owned());
        if let Some(Target::Route(matched)) = ctx.target {
            span.set(
                attribute::HTTP_ROUTE,
                matched.route.path.as_str().to_owned(),
            );
        }
    }
    let scope = &asked.arrival.scope;
    let mut name = |key, name: Label| {
        if !name.as_str().is_empty() {
            span.set(key, name);
        }
    };
    name(attribute::FRONTEND, scope.frontend());
    name(attribute::ROUTE, scope.route());
    span.set(attribute::OUTCOME, outcome);
    let status = response.status();
    span.set(attribute::STATUS, status.as_u16());
    // For the one who answers, only the statuses from 500 on are errors.
    match problem {
        Some(code) if status.is_server_error() => span.failed(code),
        Some(code) => span.set(attribute::ERROR_TYPE, code),
        None if status.is_server_error() => span.failed(status.as_u16().to_string()),
        None => {}
    }
}
