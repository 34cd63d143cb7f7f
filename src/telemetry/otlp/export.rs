//! What stands around the SDK's queue and exporter, so that losses are counted and told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use super::encode;
use super::losses::Losses;

/// The batch that is on its way, as it is sent. `export` puts it there, and `client` sends it.
///
/// The exporter between them is given no spans. It decides about headers, time limits and repetitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing(Arc<Mutex<Bytes>>);

impl Outgoing {
    fn put(&self, body: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body.into();
    }

    /// It stays until the next one comes: it may be sent again.
    pub(super) fn body(&self) -> Bytes {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.clone()
    }
}

/// The SDK's queue. It has the same room, but does not say how many spans find none.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    losses: Arc<Losses>,
}

impl Bounded {
    pub(super) const fn new(batches: BatchSpanProcessor, losses: Arc<Losses>) -> Self {
        Self { batches, losses }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.losses.enters() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that encodes, and tells what did not arrive. It runs on the thread of the SDK's queue.
#[derive(Debug)]
pub(super) struct Reporting<E> {
    exporter: E,
    outgoing: Outgoing,
    resource: Resource,
    losses: Arc<Losses>,
}

impl<E> Reporting<E> {
    pub(super) fn new(exporter: E, outgoing: Outgoing, losses: Arc<Losses>) -> Self {
        Self {
            exporter,
            outgoing,
            resource: Resource::builder_empty().build(),
            losses,
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.losses.leave(spans);
        self.outgoing.put(encode::batch(&batch, &self.resource));
        drop(batch);
        let outcome = self.exporter.export(Vec::new()).await;
        self.outgoing.put(Vec::new());
        self.losses.sent(spans, outcome.is_ok());
        self.losses.tell();
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
        self.exporter.set_resource(resource);
    }
}
