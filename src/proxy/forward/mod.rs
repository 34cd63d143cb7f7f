//! The mirror of a client's request: one call to the route's upstream, and its answer for the client.
//!
//! [`Proxy::forward`] decides what crosses, and leaves the sending to [`Call`]. Both bodies follow by themselves.
//!
//! - `check`: what is never forwarded · `response_body`: the answer's body, as fast as the client reads
//! - `upgrade`: the WebSocket handshake · `tunnel`: what follows it · `frames`: where its frames begin and end
//! - `lasting`: what ends an answer that would outlive its session

mod check;
mod frames;
mod lasting;
mod response_body;
mod tunnel;
mod upgrade;

use actix_web::body::{BodySize, MessageBody as _};
use http::{HeaderValue, Method, StatusCode, Uri, header};

use super::call::{self, Call, Called, ClientBody, Handshake, Length, Proxy, Told, Upstream};
use super::headers::request::UpstreamHeaders;
use super::headers::response::{self, ClientHeaders};
use crate::frontend::{Forward, Matched, WebSocket};
use crate::message::{Answer, Payload, Request};
use crate::problem::Problem;
use crate::token::Permit;
use response_body::ResponseBody;
use tunnel::Tunnel;

pub use lasting::{end_in_time, may_last};

impl Proxy<'_> {
    /// Forwards the request along a route, and mirrors the answer. Both bodies are streamed.
    ///
    /// A WebSocket handshake becomes a tunnel if the route takes them, and is refused otherwise. The caller closes the
    /// connection after a refusal, as [`WebSocket::must_close`] says, and gives the answer to [`end_in_time`].
    pub async fn forward(
        &self,
        permit: &Permit,
        forward: &Forward,
        matched: Matched<'_, '_>,
        body: Payload,
    ) -> Result<Called<Answer>, Problem> {
        let upstream = self.upstreams.find(&forward.upstream)?;
        let asks_for_websocket = matched.websocket != WebSocket::NotAsked;
        if asks_for_websocket && !forward.websocket {
            return Err(Problem::BadRequest("this route takes no upgrade"));
        }
        check::check(self.request, permit.credential().has_token())?;
        let uri = uri(self.request, forward, matched, upstream)?;
        let told = Told::begin(upstream, self.request.method().as_str());
        let forwarding = Forwarding {
            proxy: self,
            call: Call {
                upstream,
                permit,
                client: self.client,
                limit: forward.timeout.unwrap_or(upstream.settings.timeout),
                span: &told.span,
            },
            forward,
            matched,
            uri,
        };
        let outcome = if asks_for_websocket {
            Box::pin(forwarding.handshake(body)).await
        } else {
            forwarding.exchange(body).await
        };
        told.end(&outcome, |answer| answer.status().as_u16());
        outcome
    }
}

/// Whether a request can be sent a second time: it has no body that the first attempt has read, and asks for no upgrade.
pub fn is_replayable(request: &Request, forward: &Forward, websocket: WebSocket) -> bool {
    let length = Length::of(request, forward.body_limit);
    matches!(length, Ok(Length::None)) && websocket == WebSocket::NotAsked
}

/// One request on its way along a route.
struct Forwarding<'a> {
    proxy: &'a Proxy<'a>,
    call: Call<'a>,
    forward: &'a Forward,
    matched: Matched<'a, 'a>,
    /// The URL at the upstream.
    uri: Uri,
}

impl Forwarding<'_> {
    async fn exchange(self, body: Payload) -> Result<Called<Answer>, Problem> {
        let length = Length::of(self.proxy.request, self.forward.body_limit)?;
        let called = if length == Length::None {
            self.call.send(&self.uri, || self.head(length)).await?
        } else {
            let body = ClientBody {
                payload: Some(body),
                length,
                limit: self.forward.body_limit,
                idle: self.call.upstream.settings.idle_timeout,
            };
            self.call
                .send_with_body(&self.uri, || self.head(length), body)
                .await?
        };
        Ok(called.map(|answer| self.mirror(answer)))
    }

    /// Asks for a WebSocket.
    async fn handshake(self, body: Payload) -> Result<Called<Answer>, Problem> {
        let key = upgrade::check(self.proxy.request, self.matched.websocket)?;
        let mut head = self.head(Length::None)?;
        upgrade::ask(head.headers_mut());
        let is_accepted = |headers: &http::HeaderMap| upgrade::is_accepted(headers, key);
        match self.call.send_handshake(head, is_accepted).await? {
            Handshake::Refused(called) => {
                Ok(called.map(|answer| upgrade::refuse(self.mirror(answer))))
            }
            Handshake::Switched {
                headers,
                connection,
                place,
            } => {
                let passed = self.client_headers(false).headers(headers);
                let idle = self.call.upstream.settings.idle_timeout;
                let tunnel = Tunnel::new(connection, body, idle, place);
                Ok(Called::Answer(upgrade::switch(&passed, tunnel)))
            }
        }
    }

    /// The head of the request to the upstream.
    fn head(&self, length: Length) -> Result<http::Request<()>, Problem> {
        let request = self.proxy.request;
        let outbound = UpstreamHeaders {
            cookies: &self.forward.cookies,
            strip_headers: &self.forward.strip_headers,
            restricts_methods: !self.forward.methods.is_empty(),
            ..self.proxy.upstream_headers(self.call.upstream)
        };
        let mut headers = outbound.headers(request.headers(), |_| true)?;
        match length {
            // hyper sends a chunked body with these methods only if it is told to.
            Length::Unknown => {
                headers.insert(
                    header::TRANSFER_ENCODING,
                    HeaderValue::from_static("chunked"),
                );
            }
            // RFC 9110 §8.6: a method that gives a body a meaning says so if there is none.
            Length::None
                if matches!(
                    *request.method(),
                    Method::POST | Method::PUT | Method::PATCH
                ) =>
            {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Length::None | Length::Exact(_) => {}
        }
        let mut head = http::Request::new(());
        head.method_mut().clone_from(request.method());
        *head.uri_mut() = self.uri.clone();
        *head.headers_mut() = headers;
        Ok(head)
    }

    /// The upstream's answer as the client gets it.
    fn mirror(&self, answer: call::Answer) -> Answer {
        let (received, body) = answer.into_parts();
        let status = received.status;
        let size = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodySize::None,
            _ if *self.proxy.request.method() == Method::HEAD => {
                let length = response::content_length(&received.headers);
                length.map_or(BodySize::None, BodySize::Sized)
            }
            _ => body.length().map_or(BodySize::Stream, BodySize::Sized),
        };
        let mut mirrored = Answer::new(ResponseBody::new(body, size).boxed());
        *mirrored.status_mut() = status;
        let headers = self.client_headers(status == StatusCode::NOT_MODIFIED);
        *mirrored.headers_mut() = headers.headers(received.headers);
        mirrored
    }

    fn client_headers(&self, is_not_modified: bool) -> ClientHeaders<'_> {
        ClientHeaders {
            forward: self.forward,
            matched: self.matched,
            asked: &self.uri,
            upstream: &self.call.upstream.settings.url,
            is_private: self.call.permit.is_private(),
            is_not_modified,
        }
    }
}

/// The upstream's origin and prefix, then the raw path below the route, then the raw query.
fn uri(
    request: &Request,
    forward: &Forward,
    matched: Matched<'_, '_>,
    upstream: &Upstream,
) -> Result<Uri, Problem> {
    let below = matched.upstream_path(forward.strip_prefix);
    let uri = upstream.base.uri(below, request.uri().query());
    uri.map_err(|_| Problem::BadRequest("the path and query do not fit the API's URL"))
}
