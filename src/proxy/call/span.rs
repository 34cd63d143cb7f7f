//! What is told of a call to an upstream, from its place to the head of the answer: its span, and how long it took.

use std::time::Instant;

use super::{Called, Upstream};
use crate::problem::Problem;
use crate::telemetry::{Label, Span, SpanName, attribute};

/// A call that is under way.
pub(in crate::proxy) struct Told<'u> {
    upstream: &'u Upstream,
    pub(in crate::proxy) span: Span,
    since: Instant,
}

impl<'u> Told<'u> {
    /// A call begins.
    pub(in crate::proxy) fn begin(upstream: &'u Upstream, method: &str) -> Self {
        let mut span = Span::begin(SpanName::Upstream);
        if span.is_recorded() {
            span.calls(method, &upstream.settings.url);
            span.set(attribute::UPSTREAM, Label::from(&upstream.name));
        }
        Self {
            upstream,
            span,
            since: Instant::now(),
        }
    }

    /// It has come to this.
    pub(in crate::proxy) fn end<A>(
        mut self,
        outcome: &Result<Called<A>, Problem>,
        status: impl FnOnce(&A) -> u16,
    ) {
        match outcome {
            Ok(Called::Answer(answer) | Called::Unauthorized(_, answer)) => {
                self.span.answered(status(answer));
                self.upstream.has_answered(self.since.elapsed());
            }
            Err(problem) => self.span.failed(problem.code()),
        }
    }
}
