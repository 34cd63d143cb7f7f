//! A collector of traces: OTLP over HTTP, every byte kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::process::eventually;
use super::upstream::RawUpstream;

/// What one export was.
#[derive(Clone)]
pub struct Export {
    /// In lower case.
    pub head: String,
    /// Not compressed any more.
    pub body: Vec<u8>,
}

/// A span as it arrived. Ids are hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty at the root.
    pub parent: String,
    /// As OTLP numbers them: 1 internal, 2 server, 3 client.
    pub kind: i32,
    pub is_error: bool,
    pub begun: u64,
    pub ended: u64,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute, or nothing.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

pub struct Collector {
    pub addr: SocketAddr,
    upstream: RawUpstream,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl Collector {
    /// Takes everything.
    pub fn start() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }

    /// Gives each export this answer. An empty one is no answer: the connection stays open, and silent.
    pub fn answering(answer: &'static str) -> Self {
        let exports: Arc<Mutex<Vec<Export>>> = Arc::default();
        let kept = Arc::clone(&exports);
        let upstream = RawUpstream::start(move |mut talk| {
            while let Some(head) = talk.head() {
                let head = head.to_ascii_lowercase();
                let field = |name: &str| {
                    let mut lines = head.lines();
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let length = field("content-length").and_then(|text| text.parse().ok());
                let mut body = Vec::new();
                while body.len() < length.unwrap_or(0) {
                    let piece = talk.hear();
                    if piece.is_empty() {
                        return;
                    }
                    body.extend(piece);
                }
                if field("content-encoding") == Some("gzip") {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(&body[..]);
                    decoder.read_to_end(&mut plain).expect("gzip");
                    body = plain;
                }
                kept.lock().unwrap().push(Export { head, body });
                if !answer.is_empty() {
                    talk.say(answer);
                }
            }
        });
        Self {
            addr: upstream.addr,
            upstream,
            exports,
        }
    }

    /// The URL for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Makes a program export here, without delay.
    pub fn collect(&self, command: &mut Command) {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.url())
            .env("OTEL_BSP_SCHEDULE_DELAY", "20");
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.upstream.connections()
    }

    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }

    /// All spans so far, in the order in which they ended.
    pub fn spans(&self) -> Vec<Span> {
        let exports = self.exports();
        exports
            .iter()
            .flat_map(|export| spans(&export.body))
            .collect()
    }

    /// The first span of this name that is as wanted, once it is there.
    #[track_caller]
    pub fn span(&self, name: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        eventually(name, || {
            let mut spans = self.spans().into_iter();
            spans.find(|span| span.name == name && wanted(span))
        })
    }

    /// The spans that have this one as their parent, once so many of them are there, in the order of their beginning.
    #[track_caller]
    pub fn children(&self, of: &Span, number: usize) -> Vec<Span> {
        let mut children = eventually(&format!("{number} children of {of:?}"), || {
            let spans = self.spans().into_iter();
            let children: Vec<_> = spans.filter(|span| span.parent == of.id).collect();
            (children.len() >= number).then_some(children)
        });
        children.sort_by_key(|span| span.begun);
        for child in &children {
            assert_eq!(child.trace, of.trace, "one trace");
            assert!(of.begun <= child.begun && child.begun <= child.ended);
        }
        children
    }
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
    let mut found = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.expect("a resource");
        let resource = attributes(resource.attributes);
        for of_scope in of_resource.scope_spans {
            for span in of_scope.spans {
                let status = span.status.unwrap_or_default();
                found.push(Span {
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: span.kind,
                    is_error: status.code == StatusCode::Error as i32,
                    begun: span.start_time_unix_nano,
                    ended: span.end_time_unix_nano,
                    attributes: attributes(span.attributes),
                    resource: resource.clone(),
                });
            }
        }
    }
    found
}

fn attributes(fields: Vec<KeyValue>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for KeyValue { key, value, .. } in fields {
        let text = match value {
            Some(AnyValue {
                value: Some(Value::StringValue(text)),
            }) => text,
            Some(AnyValue {
                value: Some(Value::IntValue(number)),
            }) => number.to_string(),
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(found.insert(key.clone(), text), None, "{key} is said once");
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
