//! The span of a call to an upstream, from its place to the head of the answer.

use super::{Called, Upstream};
use crate::problem::Problem;
use crate::telemetry::{Label, Span, SpanName, attribute};

/// A call begins.
pub(in crate::proxy) fn begin(upstream: &Upstream, method: &str) -> Span {
    let mut span = Span::begin(SpanName::Upstream);
    if span.is_recorded() {
        span.calls(method, &upstream.settings.url);
        span.set(attribute::UPSTREAM, Label::from(&upstream.name));
    }
    span
}

/// It has come to this.
pub(in crate::proxy) fn end<A>(
    mut span: Span,
    outcome: &Result<Called<A>, Problem>,
    status: impl FnOnce(&A) -> u16,
) {
    match outcome {
        Ok(Called::Answer(answer) | Called::Unauthorized(_, answer)) => {
            span.answered(status(answer));
        }
        Err(problem) => span.failed(problem.code()),
    }
}
