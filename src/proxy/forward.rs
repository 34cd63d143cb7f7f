//! One request to one upstream, from head to head; the bodies follow by themselves.

use std::pin::pin;
use std::time::Duration;

use actix_web::body::BodySize;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, web};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use tokio::time::timeout;

use super::headers::request::Outbound;
use super::headers::response::{self, Inbound};
use super::request_body::{ClientBody, Length, RequestBody, Upload};
use super::response_body::{Hold, Open, ResponseBody};
use super::tunnel::Tunnel;
use super::upstream::{Upstream, met_stale_connection};
use super::{Client, target, upgrade};
use crate::frontend::Route;
use crate::names::Origin;
use crate::problem::Problem;
use crate::session::Jar;
use crate::token::Permit;

/// What an upstream's 401 asks for (RFC 9110 §11.6.1): for `token`, never for the browser (B57).
#[derive(Clone, Debug)]
pub struct Challenge(pub Vec<HeaderValue>);

/// One request, and all that decides how it crosses.
pub(super) struct Crossing<'a> {
    pub(super) permit: Permit,
    pub(super) origin: &'a Origin,
    pub(super) csrf_header: &'a str,
    pub(super) route: &'a Route,
    pub(super) client: Client,
    pub(super) upstream: &'a Upstream,
}

impl Crossing<'_> {
    pub(super) async fn forward(
        self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<HttpResponse, Problem> {
        target::check(request, self.route, self.permit.credential().has_token())?;
        if target::asks_for_websocket(request) {
            return self.upgrade(request, payload).await;
        }
        let length = Length::of(request, self.route.body_limit)?;
        let uri = target::uri(request, self.route, &self.upstream.base)?;
        let head = self.head(request, &uri, length)?;
        if length == Length::None {
            let place = self.upstream.place(self.client.addr, self.limit()).await?;
            let again = || self.head(request, &uri, length);
            let answer = self.ask_without_body(head, again).await?;
            return self.answer(request, &uri, (answer, Hold::Place(place)), None);
        }
        let body = ClientBody {
            payload,
            length,
            limit: self.route.body_limit,
            idle: self.upstream.settings.idle_timeout,
        };
        // Nobody takes a place, and lets it wait for a body that does not come.
        let body = body.begun().await.map_err(|failure| {
            log::debug!("upstream {}: {failure}", self.upstream.name);
            failure.problem()
        })?;
        let place = self.upstream.place(self.client.addr, self.limit()).await?;
        let (body, upload) = body.carry(place.watch());
        let (answer, upload) = self.ask(head.map(|()| body), upload).await?;
        self.answer(request, &uri, (answer, Hold::Place(place)), Some(upload))
    }

    /// Asks for a WebSocket, always on a new connection: it would not go back to the pool, and is never stale.
    async fn upgrade(
        self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<HttpResponse, Problem> {
        upgrade::check(request)?;
        let uri = target::uri(request, self.route, &self.upstream.base)?;
        let mut head = self.head(request, &uri, Length::None)?;
        upgrade::ask(head.headers_mut());
        let place = self.upstream.tunnel()?;
        let asked = self
            .upstream
            .send_afresh(head.map(|()| RequestBody::default()));
        let answer = timeout(self.limit(), asked)
            .await
            .map_err(|_| self.too_late())?;
        let answer = answer.map_err(|failure| self.upstream.problem(&failure))?;
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let answer = self.head_or_problem(Ok(answer))?;
            return Ok(upgrade::refuse(self.answer(
                request,
                &uri,
                (answer, Hold::Tunnel(place)),
                None,
            )?));
        }
        let key = request.headers().get("sec-websocket-key");
        if !key.is_some_and(|key| upgrade::is_accepted(&answer, key.as_bytes())) {
            return Err(self.not_asked_for());
        }
        let inbound = self.inbound(request.uri().path(), &uri, false);
        let mut headers = HeaderMap::new();
        inbound.headers(answer.headers(), &mut headers);
        let upstream = hyper::upgrade::on(answer).await.map_err(|failure| {
            log::warn!("upstream {}: no upgrade: {failure}", self.upstream.name);
            Problem::UpstreamUnavailable
        })?;
        let idle = self.upstream.settings.idle_timeout;
        Ok(upgrade::switch(
            headers,
            Tunnel::new(upstream, payload, idle, place),
        ))
    }

    fn head(
        &self,
        request: &HttpRequest,
        uri: &Uri,
        length: Length,
    ) -> Result<Request<()>, Problem> {
        let outbound = Outbound {
            host: &self.upstream.base.host,
            origin: self.origin,
            client: self.client.addr,
            csrf_header: self.csrf_header,
            cookies: &self.route.cookies,
            strip_headers: &self.route.strip_headers,
            restricts_methods: !self.route.methods.is_empty(),
            protocol: match request.version() {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            },
            is_ours: Jar::is_ours,
        };
        let mut headers = outbound.headers(|| {
            let received = request.headers().iter();
            received.map(|(name, value)| (name.as_str(), value.as_bytes()))
        })?;
        match length {
            // hyper sends no chunked body with these methods unless told to.
            Length::Unknown => {
                headers.insert(
                    header::TRANSFER_ENCODING,
                    HeaderValue::from_static("chunked"),
                );
            }
            // RFC 9110 §8.6: methods that have a meaning for a body say that there is none.
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
        let method = http::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| Problem::BadRequest("the method cannot be forwarded"))?;
        let mut head = Request::new(());
        *head.method_mut() = method;
        *head.uri_mut() = uri.clone();
        *head.headers_mut() = headers;
        self.permit.credential().apply(&mut head);
        Ok(head)
    }

    /// Asks once, and once more if the first attempt met a connection that had died while it was idle (D20).
    async fn ask_without_body(
        &self,
        head: Request<()>,
        again: impl Fn() -> Result<Request<()>, Problem>,
    ) -> Result<Response<Incoming>, Problem> {
        let is_idempotent = head.method().is_idempotent();
        let attempts = async {
            let request = head.map(|()| RequestBody::default());
            match self.upstream.send(request).await {
                Err(failure) if is_idempotent && met_stale_connection(&failure) => {
                    log::debug!(
                        "upstream {}: a stale connection; once more",
                        self.upstream.name
                    );
                    let request = again()?.map(|()| RequestBody::default());
                    self.head_or_problem(self.upstream.send_afresh(request).await)
                }
                outcome => self.head_or_problem(outcome),
            }
        };
        let limit = self.limit();
        timeout(limit, attempts)
            .await
            .unwrap_or_else(|_| Err(self.too_late()))
    }

    /// Asks once. The time limit begins when the body is handed over; until then its progress is what counts.
    async fn ask(
        &self,
        request: Request<RequestBody>,
        mut upload: Upload,
    ) -> Result<(Response<Incoming>, Upload), Problem> {
        let mut answer = pin!(self.upstream.send(request));
        let early = tokio::select! {
            biased;
            outcome = &mut answer => Some(outcome), // 401 or 413 before the body was read
            carried = upload.finished() => match carried {
                Ok(()) => None,
                Err(failure) => {
                    log::debug!("upstream {}: {failure}", self.upstream.name);
                    return Err(failure.problem());
                }
            },
        };
        if let Some(outcome) = early {
            if outcome.is_err()
                && let Some(failure) = upload.failure().await
            {
                return Err(failure.problem());
            }
            return Ok((self.head_or_problem(outcome)?, upload));
        }
        let outcome = timeout(self.limit(), answer).await;
        let outcome = outcome.map_err(|_| self.too_late())?;
        Ok((self.head_or_problem(outcome)?, upload))
    }

    fn limit(&self) -> Duration {
        self.route.timeout.unwrap_or(self.upstream.settings.timeout)
    }

    fn too_late(&self) -> Problem {
        log::warn!("upstream {}: no answer in time", self.upstream.name);
        Problem::UpstreamTimeout
    }

    /// Refuses answers whose framing nobody here can be sure of (D30), and 101, which was not asked for.
    fn head_or_problem(
        &self,
        outcome: Result<Response<Incoming>, legacy::Error>,
    ) -> Result<Response<Incoming>, Problem> {
        let answer = outcome.map_err(|failure| self.upstream.problem(&failure))?;
        let headers = answer.headers();
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        // With a length beside it, somebody between here and there may have read another body (RFC 9112 §6.3).
        let is_plain = codings.all(|coding| {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(header::CONTENT_LENGTH)
        });
        if is_plain && answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        Err(self.not_asked_for())
    }

    fn not_asked_for(&self) -> Problem {
        log::warn!(
            "upstream {}: an answer that was not asked for",
            self.upstream.name
        );
        Problem::UpstreamUnavailable
    }

    fn inbound<'a>(&'a self, path: &'a str, asked: &'a Uri, is_not_modified: bool) -> Inbound<'a> {
        Inbound {
            route: self.route,
            path,
            asked,
            upstream: &self.upstream.settings.url,
            is_private: self.permit.is_private(),
            is_not_modified,
            is_ours: Jar::is_ours,
        }
    }

    fn answer(
        &self,
        request: &HttpRequest,
        uri: &Uri,
        (answer, hold): (Response<Incoming>, Hold),
        upload: Option<Upload>,
    ) -> Result<HttpResponse, Problem> {
        let status = StatusCode::from_u16(answer.status().as_u16())
            .map_err(|_| Problem::UpstreamUnavailable)?;
        let size = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodySize::None,
            _ if *request.method() == Method::HEAD => {
                response::content_length(answer.headers()).map_or(BodySize::None, BodySize::Sized)
            }
            _ => answer
                .body()
                .size_hint()
                .exact()
                .map_or(BodySize::Stream, BodySize::Sized),
        };
        let (received, incoming) = answer.into_parts();
        let received = received.headers;
        let open = Open {
            incoming,
            hold,
            upload,
        };
        let Upstream { settings, name, .. } = self.upstream;
        let body = ResponseBody::new(open, size, settings.idle_timeout, name.clone());
        let mut response = HttpResponse::build(status).body(body);
        let path = request.uri().path();
        let inbound = self.inbound(path, uri, status == StatusCode::NOT_MODIFIED);
        inbound.headers(&received, response.headers_mut());
        if status == StatusCode::UNAUTHORIZED {
            let lines = received.get_all(header::WWW_AUTHENTICATE);
            let challenge = Challenge(lines.iter().cloned().collect());
            response.extensions_mut().insert(challenge);
        }
        Ok(response)
    }
}
