//! The HTTP client for identity providers: awc.
//!
//! Each worker has one [`IdpClient`]. `Provider` borrows it for each call, as a [`Channel`] that reaches only what that provider may
//! be reached by.
//!
//! # Invariants
//! - A connection carries one request. awc takes a 1xx for the final answer and leaves the real one, somebody's tokens, in the
//!   connection. From a pool, it would go to the next caller. So a 1xx is a failure, and its connection is closed.
//! - The client follows no redirect, decompresses nothing and keeps no cookie.
//! - One time limit covers a whole call with its body (awc's own ends with the head). An answer is at most [`BODY_LIMIT`] long.
//! - Plain HTTP goes to loopback only, and only if the issuer itself is configured so.
//!
//! # Why
//! Trust is anchored in the Mozilla roots compiled in. The environment variable `SSL_CERT_FILE`
//! names a PEM file with further ones, as private certificate authorities need them; it is
//! OpenSSL's name for it, so what already runs beside sealgate understands it too.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use awc::error::{PayloadError, SendRequestError};
use openidconnect::{HttpRequest, HttpResponse};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::OidcError;
use crate::names::is_loopback_host;
use crate::telemetry::RequestScope;
use crate::tls;

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

/// Per-worker HTTP client for identity providers (awc: not `Send`).
#[derive(Clone)]
pub struct IdpClient {
    http: awc::Client,
    timeout: Duration,
}

impl IdpClient {
    /// A client with a time limit for each call.
    pub fn new(timeout: Duration) -> Self {
        let further_roots = std::env::var_os("SSL_CERT_FILE");
        Self::trusting(further_roots.as_deref().map(Path::new), timeout)
    }

    pub(super) fn trusting(further_roots: Option<&Path>, timeout: Duration) -> Self {
        // awc's default connector panics where two providers are compiled in and none is chosen. An
        // error means that one has been chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Shorter than the whole, so that a provider that cannot be reached is told from one that does not answer.
        let connector = awc::Connector::new()
            .timeout(timeout / 3)
            .handshake_timeout(timeout / 3)
            .rustls_0_23(Arc::new(tls_config(further_roots)));
        let http = awc::Client::builder()
            .connector(connector)
            .disable_redirects()
            .disable_timeout()
            .no_default_headers()
            .finish();
        Self { http, timeout }
    }

    /// This client, for one provider's endpoints.
    pub(super) fn within(&self, plain_http: PlainHttp) -> Channel<'_> {
        Channel {
            client: self,
            plain_http,
        }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let (head, body) = request.into_parts();
        let method = awc::http::Method::from_bytes(head.method.as_str().as_bytes())
            .map_err(|_| invalid("no such method"))?;
        let mut call = self
            .http
            .request(method, head.uri.to_string())
            .insert_header(("accept-encoding", "identity"))
            .insert_header((
                "user-agent",
                concat!("sealgate/", env!("CARGO_PKG_VERSION")),
            ))
            .force_close()
            .no_decompress();
        if let Some(scope) = RequestScope::current() {
            call = call
                .insert_header(("x-request-id", scope.id()))
                .insert_header(("traceparent", scope.trace().traceparent()));
            if let Some(state) = scope.trace().tracestate() {
                call = call.insert_header(("tracestate", state));
            }
        }
        for (name, value) in &head.headers {
            call = call.append_header((name.as_str(), value.as_bytes()));
        }
        let sending = if body.is_empty() {
            call.send()
        } else {
            call.send_body(body)
        };
        let mut answer = sending.await.map_err(not_sent)?;
        let status = answer.status().as_u16();
        if status < 200 {
            return Err(lost(format!("it sent an interim answer ({status})")));
        }
        if answer.headers().contains_key("content-encoding") {
            return Err(invalid("the answer is compressed, which was not asked for"));
        }
        let mut response = http::Response::builder().status(status);
        for (name, value) in answer.headers() {
            response = response.header(name.as_str(), value.as_bytes());
        }
        let announced = header_number(answer.headers().get("content-length"));
        let body = answer
            .body()
            .limit(BODY_LIMIT)
            .await
            .map_err(|error| not_read(&error))?;
        if announced.is_some_and(|length| length > body.len()) {
            return Err(lost("the answer was cut off"));
        }
        response
            .body(body.to_vec())
            .map_err(|_| invalid("unreadable head"))
    }
}

/// An [`IdpClient`] that reaches one provider's endpoints.
pub(super) struct Channel<'c> {
    client: &'c IdpClient,
    plain_http: PlainHttp,
}

impl Channel<'_> {
    /// One request, one answer of any status. Never repeated.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        self.send_once(request).await.map_err(|error| match error {
            OidcError::Lost(text) => OidcError::Unavailable(text),
            error => error,
        })
    }

    /// The same, but an answer that was lost is told apart: the provider may have processed the request.
    pub(super) async fn send_once(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let target = Url::parse(&request.uri().to_string())
            .ok()
            .filter(|url| self.plain_http.allows(url))
            .ok_or_else(|| invalid("an endpoint is not https://"))?;
        let limit = self.client.timeout;
        tokio::time::timeout(limit, self.client.exchange(request))
            .await
            .unwrap_or_else(|_| Err(lost(format!("no whole answer within {limit:?}"))))
            .map_err(|error| at(target.host_str().unwrap_or_default(), error))
    }
}

/// Whether a status means that the provider cannot answer now, rather than that it refuses.
pub(super) const fn is_outage(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

fn tls_config(further_roots: Option<&Path>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = further_roots {
        match tls::certificates(file) {
            Ok(certificates) => {
                let (_, ignored) = roots.add_parsable_certificates(certificates);
                if ignored > 0 {
                    log::warn!("SSL_CERT_FILE: {ignored} certificates cannot be used as roots");
                }
            }
            Err(error) => log::error!("SSL_CERT_FILE: {error}; going on without it"),
        }
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // `force_close` means something to HTTP/1.1 only.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn header_number(value: Option<&awc::http::header::HeaderValue>) -> Option<usize> {
    value?.to_str().ok()?.parse().ok()
}

fn not_sent(error: SendRequestError) -> OidcError {
    use awc::error::ConnectError;
    match error {
        SendRequestError::Connect(ConnectError::Timeout) => unavailable("no connection in time"),
        // awc's name for a connection that was closed instead of an answer.
        SendRequestError::Connect(ConnectError::Disconnected) => lost("no answer came"),
        SendRequestError::Connect(error) => unavailable(error.to_string()),
        SendRequestError::Timeout => lost("no answer in time"),
        SendRequestError::Send(error) => lost(error.to_string()),
        SendRequestError::Response(error) => match error.source() {
            Some(cause) if cause.is::<io::Error>() => lost(cause.to_string()),
            _ => invalid(format!("not HTTP: {error}")),
        },
        _ => invalid("the request could not be made"),
    }
}

fn not_read(error: &PayloadError) -> OidcError {
    match error {
        PayloadError::Overflow => invalid(format!("longer than {BODY_LIMIT} bytes")),
        PayloadError::Io(_) | PayloadError::Incomplete(_) => lost("the answer was cut off"),
        _ => invalid("unreadable body"),
    }
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
