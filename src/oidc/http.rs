//! The HTTP client for identity providers: hyper, with a connection for each call.
//!
//! Each worker has one [`IdpClient`]. `Provider` borrows it for each call, as a [`Channel`] that reaches only what that provider may
//! be reached by.
//!
//! # Invariants
//! - A connection carries one request, so no answer can reach another caller.
//! - The client follows no redirect, decompresses nothing and keeps no cookie.
//! - One time limit covers a whole call with its body. An answer is at most [`BODY_LIMIT`] long.
//! - Plain HTTP goes to loopback only, and only if the issuer itself is configured so.
//!
//! # Why
//! Trust is anchored in [`tls::public_roots`].

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openidconnect::{HttpRequest, HttpResponse};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::OidcError;
use super::egress::{Egress, HttpProxy, Unusable};
use super::transport;
use crate::names::is_loopback_host;
use crate::telemetry::metrics::{ProviderCall, ProviderCalls, ProviderResult};
use crate::telemetry::{RequestScope, Span, SpanName, attribute};
use crate::tls::{self, ClientCertificate};

/// Longest answer, in bytes. Metadata and key sets take some tens of KiB.
const BODY_LIMIT: usize = 1024 * 1024;

/// Whether a provider may be reached without TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PlainHttp {
    /// The configuration allows it (`oidc.allow_http`).
    Anywhere,
    /// The issuer is https: so is everything else.
    Never,
    /// The issuer is http on this machine: its endpoints may be, too.
    OnLoopback,
}

impl PlainHttp {
    /// Whether requests, or a browser, may be sent there.
    pub(super) fn allows(self, url: &Url) -> bool {
        let secure = match url.scheme() {
            "https" => true,
            "http" => match self {
                Self::Anywhere => true,
                Self::OnLoopback => url.host().is_some_and(|host| is_loopback_host(&host)),
                Self::Never => false,
            },
            _ => false,
        };
        secure && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    }
}

/// Per-worker HTTP client for identity providers.
#[derive(Clone)]
pub struct IdpClient {
    roots: Arc<RootCertStore>,
    tls: Arc<ClientConfig>,
    egress: Egress,
    timeout: Duration,
    /// Counts what became of calls.
    calls: Option<ProviderCalls>,
}

impl IdpClient {
    /// A client with a time limit for each call.
    pub fn new(egress: &Egress, timeout: Duration) -> Self {
        let further_roots = tls::further_roots();
        Self::trusting(further_roots.as_deref(), egress.clone(), timeout)
    }

    pub(super) fn trusting(
        further_roots: Option<&Path>,
        egress: Egress,
        timeout: Duration,
    ) -> Self {
        // The builder below panics where two providers are compiled in and none is chosen. An error means that one has been
        // chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let roots = Arc::new(tls::public_roots(further_roots));
        Self {
            tls: Arc::new(tls_config(Arc::clone(&roots), None)),
            roots,
            egress,
            timeout,
            calls: None,
        }
    }

    /// The same client, with its calls counted.
    #[must_use]
    pub fn counted(&self, calls: ProviderCalls) -> Self {
        Self {
            calls: Some(calls),
            ..self.clone()
        }
    }

    /// This client, for one provider's endpoints.
    pub(super) fn channel(&self, call: ProviderCall, plain_http: PlainHttp) -> Channel<'_> {
        Channel {
            client: self,
            call,
            plain_http,
            certificate: None,
        }
    }

    #[cfg(test)]
    pub(super) fn within(&self, plain_http: PlainHttp) -> Channel<'_> {
        self.channel(ProviderCall::Token, plain_http)
    }

    async fn exchange(
        &self,
        request: HttpRequest,
        target: &Url,
        certificate: Option<&ClientCertificate>,
    ) -> Result<HttpResponse, OidcError> {
        let proxy = self.egress.proxy_for(target);
        let proxy = proxy.map_err(|Unusable(variable)| {
            unavailable(format!("{variable} is not the URL of an HTTP proxy"))
        })?;
        let tls = match certificate {
            None => Arc::clone(&self.tls),
            Some(_) => Arc::new(tls_config(Arc::clone(&self.roots), certificate)),
        };
        // A proxy is not shown the certificate.
        let proxy_tls = proxy.map(|proxy| (proxy, &self.tls));
        let connecting = transport::connect(target, proxy_tls, &tls);
        // Shorter than the whole, so that a provider that cannot be reached is told from one that does not answer.
        let stream = tokio::time::timeout(self.timeout * 2 / 3, connecting)
            .await
            .map_err(|_| unavailable("no connection in time"))??;
        let request = outgoing(request, target, proxy)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        // It ends with the answer, or when this call is given up.
        tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| not_answered(&error))?;
        let (head, body) = answer.into_parts();
        if head.status.as_u16() < 200 {
            return Err(lost("it wants to speak another protocol"));
        }
        if head.headers.contains_key(CONTENT_ENCODING) {
            return Err(invalid("the answer is compressed, which was not asked for"));
        }
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let body = body.map_err(|error| not_read(&*error))?.to_bytes();
        Ok(http::Response::from_parts(head, body.to_vec()))
    }
}

/// The request as it goes over the wire.
fn outgoing(
    request: HttpRequest,
    target: &Url,
    proxy: Option<&HttpProxy>,
) -> Result<Request<Full<Bytes>>, OidcError> {
    let unusable = |_| invalid("the request could not be made");
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    // RFC 9112 §3.2.2: a proxy that is to send the request on itself wants the whole address.
    let relay = proxy.filter(|_| target.scheme() == "http");
    let uri = match relay {
        Some(_) => head.uri.to_string(),
        None => path.to_owned(),
    };
    let host = head
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(host).map_err(|_| invalid("no host in its address"))?;
    let mut outgoing = Request::builder()
        .method(head.method)
        .uri(uri)
        .body(Full::new(Bytes::from(body)))
        .map_err(unusable)?;
    let headers = outgoing.headers_mut();
    *headers = head.headers;
    headers.insert(HOST, host);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = concat!("sealgate/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(scope) = RequestScope::current() {
        let mut tell = |name, text: &str| {
            // What a client's header held can stand in a header.
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        tell("x-request-id", scope.id());
        tell("traceparent", &scope.traceparent());
        if let Some(state) = scope.trace().tracestate() {
            tell("tracestate", state);
        }
    }
    if let Some(authorization) = relay.and_then(|proxy| proxy.authorization.as_ref()) {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(outgoing)
}

/// An [`IdpClient`] that reaches one provider's endpoints.
pub(super) struct Channel<'c> {
    client: &'c IdpClient,
    call: ProviderCall,
    plain_http: PlainHttp,
    certificate: Option<ClientCertificate>,
}

impl Channel<'_> {
    /// The same, with what is shown to a provider that asks for a certificate.
    pub(super) fn showing(self, certificate: Option<ClientCertificate>) -> Self {
        Self {
            certificate,
            ..self
        }
    }

    /// One request, one answer of any status. Never repeated.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        self.send_once(request)
            .await
            .map_err(OidcError::lost_or_not)
    }

    /// The same, but an answer that was lost is told apart: the provider may have processed the request.
    pub(super) async fn send_once(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let target = Url::parse(&request.uri().to_string())
            .ok()
            .filter(|url| self.plain_http.allows(url))
            .ok_or_else(|| invalid("an endpoint is not https://"))?;
        let limit = self.client.timeout;
        let mut span = Span::begin(SpanName::Oidc(self.call));
        span.calls(request.method().as_str(), &target);
        let counting = self
            .client
            .calls
            .as_ref()
            .map(|calls| calls.begin(self.call));
        // Nearly every request may come to a call, and few do: boxed, its three kilobytes are not in each of their futures.
        let exchange = self
            .client
            .exchange(request, &target, self.certificate.as_ref());
        let exchange = span.around(Box::pin(exchange));
        let answer = tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(lost(format!("no whole answer within {limit:?}"))));
        let result = result(&answer);
        span.set(attribute::OUTCOME, result.as_str());
        match &answer {
            Ok(answer) => span.answered(answer.status().as_u16()),
            Err(_) => span.failed(result.as_str()),
        }
        if let Some(counting) = counting {
            counting.ended(result);
        }
        answer.map_err(|error| at(target.host_str().unwrap_or_default(), error))
    }
}

/// The label of a call's end.
fn result(answer: &Result<HttpResponse, OidcError>) -> ProviderResult {
    match answer.as_ref().map(|answer| answer.status().as_u16()) {
        Ok(status) if is_outage(status) => ProviderResult::Unavailable,
        Ok(400..) => ProviderResult::Refused,
        Ok(_) => ProviderResult::Ok,
        Err(_) => ProviderResult::Unavailable,
    }
}

/// Whether a status means that the provider cannot answer now, rather than that it refuses.
pub(super) const fn is_outage(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

fn tls_config(roots: Arc<RootCertStore>, certificate: Option<&ClientCertificate>) -> ClientConfig {
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match certificate {
        Some(certificate) => builder.with_client_cert_resolver(certificate.resolver()),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// What a request that went out may have done, nobody knows.
fn not_answered(error: &hyper::Error) -> OidcError {
    if error.is_parse() || error.is_parse_too_large() {
        return invalid(format!("not HTTP: {error}"));
    }
    match error.source() {
        Some(cause) => lost(format!("no answer came: {cause}")),
        None => lost("no answer came"),
    }
}

fn not_read(error: &(dyn Error + Send + Sync + 'static)) -> OidcError {
    if error.is::<LengthLimitError>() {
        return invalid(format!("longer than {BODY_LIMIT} bytes"));
    }
    lost("the answer was cut off")
}

fn at(host: &str, error: OidcError) -> OidcError {
    match error {
        OidcError::Rejected(text) => OidcError::Rejected(text),
        OidcError::Unavailable(text) => OidcError::Unavailable(format!("{host}: {text}")),
        OidcError::Lost(text) => OidcError::Lost(format!("{host}: {text}")),
        OidcError::Unusable(text) => OidcError::Unusable(format!("{host}: {text}")),
        OidcError::Invalid(text) => OidcError::Invalid(format!("{host}: {text}")),
    }
}

fn invalid(text: impl Into<String>) -> OidcError {
    OidcError::Invalid(text.into())
}

fn lost(text: impl Into<String>) -> OidcError {
    OidcError::Lost(text.into())
}

fn unavailable(text: impl Into<String>) -> OidcError {
    OidcError::Unavailable(text.into())
}
