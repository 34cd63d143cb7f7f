//! Traces over OTLP: the OpenTelemetry SDK samples, batches and repeats what failed; this module decides when there is any of it.
//!
//! - `settings`: what the environment says · `losses`: spans that could not be exported, and who is told
//! - `export`: what stands around the SDK's queue and exporter · `encode`: a batch as it is sent · `client`: HTTP
//!
//! # Invariants
//! - Without a collector in the environment no thread, no connection and no span is made.
//! - A request never waits for the collector: a span goes into a bounded queue, or is counted as lost.
//! - The values of the variables are in no line of the log: headers are secrets.
//!
//! # Why the SDK without the crate `tracing`
//! A request has few spans, and each has one place in the code. They are opened there by hand, and nothing looks for a
//! subscriber on the way of every other line.
//!
//! # Spec
//! OpenTelemetry: "Environment Variable Specification", "OpenTelemetry Protocol Exporter".

mod client;
mod encode;
mod export;
mod losses;
mod settings;

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span,
};

use self::client::Client;
use self::export::{Bounded, Outgoing, Reporting};
use self::losses::Losses;
use self::settings::Settings;
use super::TraceContext;
use super::attribute::Value;
use crate::clock::Clock;

/// Room for the attributes of a request's span.
const ATTRIBUTES: usize = 12;

/// A variable that asks for traces, and cannot be understood: what is wrong, and a remedy.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadEnvironment(String);

/// Records spans of requests. There is one as long as the process lives, if any.
#[derive(Clone, Copy)]
pub struct Recorder(&'static Inner);

struct Inner {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    losses: Arc<Losses>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// A request that has begun.
pub(super) struct Begun {
    /// Its place in the trace, with the word of the sampler.
    pub(super) trace: TraceContext,
    /// Its span, and what records those of its work. The sampler may not want them.
    pub(super) open: Option<Open>,
    pub(super) recording: Option<Recording>,
}

/// What records the spans of one request.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    recorder: Recorder,
    request: SpanContext,
}

/// A span that ends when it is dropped.
pub(super) struct Open(Span);

impl Recorder {
    /// The one that the environment asks for.
    pub fn from_environment() -> Result<Option<Self>, BadEnvironment> {
        let reading = settings::of_process()?;
        for warning in reading.warnings {
            log::warn!("{warning}");
        }
        let Some(settings) = reading.settings else {
            return Ok(None);
        };
        let collector = settings.collector();
        let recorder = Self::start(settings)?;
        log::info!(collector = collector; "traces are exported");
        Ok(Some(recorder))
    }

    /// What is wrong in the environment, without any consequence.
    pub fn check() -> Result<Vec<String>, BadEnvironment> {
        Ok(settings::of_process()?.warnings)
    }

    fn start(settings: Settings) -> Result<Self, BadEnvironment> {
        let losses = Arc::new(Losses::new(settings.queue, Clock::system()));
        let outgoing = Outgoing::default();
        let client = Client::new(&settings, outgoing.clone(), Arc::clone(&losses));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(settings.endpoint)
            .with_timeout(settings.timeout)
            .build()
            .map_err(|_| {
                let text = "the variables of OTEL_EXPORTER_OTLP do not fit each other\n    → compare them with the specification of the OTLP exporter";
                BadEnvironment(text.to_owned())
            })?;
        let exporter = Reporting::new(exporter, outgoing, Arc::clone(&losses));
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue)
            .build();
        let batches = BatchSpanProcessor::builder(exporter)
            .with_batch_config(queue)
            .build();
        // The builder reads the sampler and the limits from the environment.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(Bounded::new(batches, Arc::clone(&losses)))
            .build();
        let version = env!("CARGO_PKG_VERSION");
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"));
        let tracer = provider.tracer_with_scope(scope.with_version(version).build());
        // It lives as long as the process. If it were dropped at the end of a process that is told twice to end, it would
        // wait for the collector once more.
        Ok(Self(Box::leak(Box::new(Inner {
            provider,
            tracer,
            losses,
        }))))
    }

    /// Begins the span of a request, as part of the trace that its headers name.
    pub(super) fn begin_request(self, trace: TraceContext) -> Begun {
        let context = match parent(&trace) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = self.begin("request", SpanKind::Server, &context);
        let request = span.span_context().clone();
        if !request.is_valid() {
            // It has been stopped.
            return Begun {
                trace,
                open: None,
                recording: None,
            };
        }
        let (of_trace, of_span) = (request.trace_id().to_bytes(), request.span_id().to_bytes());
        let trace = trace.recorded(of_trace, of_span, request.is_sampled());
        let is_recorded = span.is_recording();
        Begun {
            trace,
            open: is_recorded.then_some(Open(span)),
            recording: is_recorded.then_some(Recording {
                recorder: self,
                request,
            }),
        }
    }

    fn begin(self, name: &'static str, kind: SpanKind, within: &Context) -> Span {
        let builder = SpanBuilder {
            attributes: Some(Vec::with_capacity(ATTRIBUTES)),
            ..SpanBuilder::from_name(name).with_kind(kind)
        };
        self.0.tracer.build_with_context(builder, within)
    }

    /// Sends what waits, for at most so long. Spans that end later are lost.
    pub async fn stop(self, patience: Duration) {
        let (done, ended) = tokio::sync::oneshot::channel();
        // The SDK blocks. A thread of its own holds nobody up if the collector does not answer.
        let flush = move || {
            // The count of what is lost says more than the error.
            let _ = self.0.provider.shutdown_with_timeout(patience);
            self.0.losses.conclude();
            // Nobody waits any more if the process is told twice to end.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("traces".to_owned());
        if thread.spawn(flush).is_ok() {
            let _ = ended.await;
        }
    }
}

impl Recording {
    /// Begins a span of the request's work: below another one of its spans, or else below the request's own.
    pub(super) fn begin(&self, name: &'static str, is_call: bool, within: Option<[u8; 8]>) -> Open {
        let request = &self.request;
        let parent = SpanContext::new(
            request.trace_id(),
            within.map_or_else(|| request.span_id(), SpanId::from_bytes),
            request.trace_flags(),
            false,
            request.trace_state().clone(),
        );
        let kind = if is_call {
            SpanKind::Client
        } else {
            SpanKind::Internal
        };
        let context = Context::new().with_remote_span_context(parent);
        Open(self.recorder.begin(name, kind, &context))
    }
}

impl Open {
    pub(super) fn id(&self) -> [u8; 8] {
        self.0.span_context().span_id().to_bytes()
    }

    pub(super) fn set(&mut self, key: &'static str, value: Value) {
        let value = match value {
            Value::Name(name) => opentelemetry::Value::from(name),
            Value::Number(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::Word(word) => word.into(),
        };
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Its attributes say of which class the error is.
    pub(super) fn fail(&mut self) {
        self.0.set_status(Status::error(""));
    }
}

/// The span that a request's headers name.
fn parent(trace: &TraceContext) -> Option<SpanContext> {
    let flags = if trace.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let state = trace.tracestate().map(TraceState::from_str);
    Some(SpanContext::new(
        TraceId::from_hex(trace.trace_id()).ok()?,
        SpanId::from_hex(trace.parent_id()?).ok()?,
        flags,
        true,
        state.and_then(Result::ok).unwrap_or_default(),
    ))
}

/// What all spans say of this process: what the environment says, and the name and version of the program.
fn resource() -> Resource {
    const SERVICE: &str = "service.name";
    let detected = Resource::builder().build();
    let key = opentelemetry::Key::from_static_str(SERVICE);
    // The SDK invents a name for a service that has none.
    let is_named = detected
        .get(&key)
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let version = opentelemetry::Key::from_static_str("service.version");
    let mut own = Vec::new();
    if !is_named {
        own.push(KeyValue::new(SERVICE, env!("CARGO_PKG_NAME")));
    }
    if detected.get(&version).is_none() {
        own.push(KeyValue::new(version, env!("CARGO_PKG_VERSION")));
    }
    Resource::builder().with_attributes(own).build()
}
