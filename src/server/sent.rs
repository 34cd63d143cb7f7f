//! Knows when an answer has been sent: for the access log, and so that the end of the process can say which answers it cuts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use crate::bff::Bff;
use crate::message::{Answer, BoxBody};
use crate::telemetry::{AccessLine, RequestScope, Span};

/// A request that does not have all of its answer yet.
pub(super) struct InFlight {
    bff: Arc<Bff>,
    is_done: bool,
    line: Option<AccessLine>,
    span: Span,
    /// Of the body, as far as the connection has taken it.
    bytes: u64,
}

impl InFlight {
    /// A request has come.
    pub(super) fn begin(bff: &Arc<Bff>) -> Self {
        bff.draining.request_begins();
        Self {
            bff: Arc::clone(bff),
            is_done: false,
            line: None,
            span: Span::default(),
            bytes: 0,
        }
    }

    /// The same; the access log gets this line when it is over, and the span ends.
    pub(super) fn telling(mut self, line: Option<AccessLine>, span: Span) -> Self {
        self.line = line;
        self.span = span;
        self
    }

    /// The connection takes more of the body.
    fn takes(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or_default();
    }

    /// All of the answer is with the connection.
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // First: once nothing is in flight, a stop sends the last spans.
        drop(std::mem::take(&mut self.span));
        self.bff.draining.request_ends(!self.is_done);
        if let Some(line) = self.line.take() {
            line.write(self.bytes);
        }
    }
}

/// The same answer. The request is in flight until the connection has taken all of the body.
pub(super) fn until_sent(answer: Answer, mut in_flight: InFlight, scope: RequestScope) -> Answer {
    answer.map(|body| {
        if matches!(body.size(), BodySize::None) {
            in_flight.done();
            return body;
        }
        match body.try_into_bytes() {
            // The connection takes it in one piece.
            Ok(whole) => {
                in_flight.takes(whole.len());
                in_flight.done();
                BoxBody::new(whole)
            }
            Err(body) => BoxBody::new(Sending {
                body: Some(body),
                in_flight: Some(in_flight),
                scope,
            }),
        }
    })
}

struct Sending {
    /// `None` once it is dropped.
    body: Option<BoxBody>,
    in_flight: Option<InFlight>,
    /// What the body logs is about its request.
    scope: RequestScope,
}

impl MessageBody for Sending {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.as_ref().map_or(BodySize::None, MessageBody::size)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let polled = this.scope.during(|| Pin::new(body).poll_next(cx));
        if let (Poll::Ready(Some(Ok(bytes))), Some(in_flight)) = (&polled, &mut this.in_flight) {
            in_flight.takes(bytes.len());
        }
        if let Poll::Ready(None | Some(Err(_))) = &polled
            && let Some(in_flight) = this.in_flight.take()
        {
            in_flight.done();
        }
        polled
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let body = self.body.take();
        self.scope.during(|| drop(body));
    }
}
