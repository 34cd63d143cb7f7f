//! HTTP to the collector: hyper, on a runtime that only the thread of the SDK's queue drives.
//!
//! # Invariants
//! - Nothing here runs on a worker's thread.
//! - A call ends within the time limit, body included. The client follows no redirect.
//! - What goes wrong is noted without the request's headers. A collector's own words are for the level `debug` only.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::runtime::Runtime;

use super::export::Outgoing;
use super::losses::Losses;
use super::settings::Settings;
use crate::tls;

/// Longest answer, in bytes. A collector answers with a few.
const BODY_LIMIT: usize = 64 << 10;

/// The most characters of a collector's words that the log gets.
const LONGEST_WORDS: usize = 200;

type Hyper = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends batches.
pub(super) struct Client {
    limit: Duration,
    gzip: bool,
    collector: String,
    outgoing: Outgoing,
    losses: Arc<Losses>,
    /// Made for the first batch, on the thread that sends it.
    made: Mutex<Option<(Runtime, Hyper)>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(settings: &Settings, outgoing: Outgoing, losses: Arc<Losses>) -> Self {
        Self {
            limit: settings.timeout,
            gzip: settings.gzip,
            collector: settings.collector(),
            outgoing,
            losses,
            made: Mutex::default(),
        }
    }

    /// Sends one batch, and waits for the answer.
    fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        *request.body_mut() = self.outgoing.body();
        if self.gzip {
            compress(&mut request)?;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (runtime, hyper) = match &mut *made {
            Some(made) => made,
            none => none.insert(make()?),
        };
        let exchange = async {
            let answer = hyper.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BODY_LIMIT).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        let within = runtime.block_on(async { tokio::time::timeout(self.limit, exchange).await });
        match within {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {:?}", self.limit).into()),
        }
    }
}

impl Client {
    /// What the collector did not keep of a batch that it took (OTLP, "Partial Success").
    fn read(&self, body: &[u8]) {
        // What cannot be read says nothing of a loss.
        let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let Some(partial) = answer.partial_success else {
            return;
        };
        let collector = &self.collector;
        if let Ok(spans @ 1..) = usize::try_from(partial.rejected_spans) {
            self.losses.reject(spans);
            let cause = format!(
                "the collector {collector} took batches and rejected spans in them; its own log says why"
            );
            self.losses.because(cause);
        }
        // The words may quote a span.
        let words: String = partial.error_message.chars().take(LONGEST_WORDS).collect();
        if !words.is_empty() {
            log::debug!(collector = collector; "the collector says of a batch: {words}");
        }
    }
}

impl HttpClient for Client {
    fn send_bytes<'c, 'f>(
        &'c self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'c: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let answer = self.send(request);
            let collector = &self.collector;
            match &answer {
                Ok(answer) if answer.status().is_success() => self.read(answer.body()),
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let cause = format!("the collector {collector} answered {status}");
                    self.losses.because(cause);
                }
                Err(error) => {
                    let cause = innermost(&**error);
                    self.losses.because(format!("{collector}: {cause}"));
                }
            }
            answer
        })
    }
}

fn make() -> Result<(Runtime, Hyper), HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let roots = tls::public_roots(tls::further_roots().as_deref());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    Ok((runtime, hyper))
}

fn compress(request: &mut Request<Bytes>) -> Result<(), HttpError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(request.body())?;
    *request.body_mut() = encoder.finish()?.into();
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().insert(CONTENT_ENCODING, gzip);
    Ok(())
}

/// What is at the bottom of an error: hyper's own words say little.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
