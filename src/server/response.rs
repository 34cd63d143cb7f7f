//! The last step of every request: problem to answer, cookies, headers, metrics.
//!
//! # Invariants
//! - Any answer with a `Set-Cookie` of ours is `no-store` (D27): a shared cache never hands out a session.
//! - Nothing of a request is reflected into an answer but its own request id, and in a 421 the host, if it is one.
//!
//! # Spec
//! RFC 9457 (problem details), RFC 9111 §5.2.2.5 (`no-store`).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::page;
use crate::bff::Bff;
use crate::frontend::{Endpoint, Frontend, Reader, Target, WebSocket};
use crate::guard;
use crate::names::ReturnTo;
use crate::problem::Problem;
use crate::session::SetCookies;
use crate::telemetry::RequestScope;

/// What is known of a request while it is served; the answer is finished with it.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What the answer sets, whatever becomes of the request.
    pub(super) cookies: SetCookies,
    /// What it says about WebSocket.
    pub(super) websocket: WebSocket,
    /// Whether the answer is an upstream's.
    pub(super) is_upstream: bool,
    /// Where the person wanted to be in the end, as far as it is known: a page about a problem leads back there.
    pub(super) back: Option<ReturnTo>,
    /// An address of ours that such a page goes on to by itself.
    pub(super) look_again: Option<String>,
    frontend: Option<Arc<Frontend>>,
    endpoint: Option<Endpoint>,
    /// For log and metrics.
    scope: RequestScope,
    /// When the request came.
    pub(super) begun: Instant,
}

impl Exchange {
    /// Notes the beginning of a request and gives it an id.
    pub(super) fn begin(request: &HttpRequest, scope: RequestScope) -> Self {
        log::debug!(method = request.method().as_str(), path = request.uri().path();
            "request");
        Self {
            cookies: SetCookies::none(),
            websocket: guard::websocket(request),
            is_upstream: false,
            back: None,
            look_again: None,
            frontend: None,
            endpoint: None,
            scope,
            begun: Instant::now(),
        }
    }

    /// The frontend is known.
    pub(super) fn select(&mut self, frontend: Arc<Frontend>) {
        self.scope.set_frontend((&frontend.name).into());
        self.frontend = Some(frontend);
    }

    /// The target is known.
    pub(super) fn target(&mut self, target: Target<'_, '_>) {
        match target {
            Target::Assets(_) => self.scope.set_route("assets".into()),
            Target::Endpoint(endpoint) => {
                self.endpoint = Some(endpoint);
                self.scope.set_route(endpoint.rules().name.into());
            }
            Target::Route(matched) => self.scope.set_route((&matched.route.name).into()),
        }
    }
}

/// Turns what the pipeline came to into the answer.
pub(super) fn finish(
    request: &HttpRequest,
    bff: &Bff,
    exchange: &Exchange,
    answer: Result<HttpResponse, Problem>,
) -> HttpResponse {
    let outcome = outcome(&answer, exchange.is_upstream);
    let mut response = match answer {
        Ok(response) => response,
        Err(problem) => {
            report(&problem);
            refuse(request, &problem, exchange)
        }
    };
    let is_secure = exchange
        .frontend
        .as_ref()
        .is_some_and(|frontend| frontend.origin.is_secure());
    let headers = response.headers_mut();
    if exchange.endpoint.is_some() {
        own_headers(headers);
    }
    if is_secure {
        set(
            headers,
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        );
    }
    if !exchange.cookies.is_empty() {
        // Whatever an upstream said of caching is void now (RFC 9111 §7.3).
        for name in [header::EXPIRES, header::PRAGMA, header::AGE, header::ETAG] {
            headers.remove(name);
        }
        set(headers, header::CACHE_CONTROL, "no-store");
        for (name, bytes, attributes) in exchange.cookies.described() {
            log::debug!(cookie = name, bytes = bytes, attributes = attributes;
                "cookie");
        }
        for line in exchange.cookies.lines() {
            if let Ok(value) = HeaderValue::try_from(line) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
    if let Ok(id) = HeaderValue::try_from(exchange.scope.id()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    log::debug!(status = response.status().as_u16(), outcome = outcome; "answer");
    let seconds = exchange.begun.elapsed().as_secs_f64();
    let (frontend, route) = (exchange.scope.frontend(), exchange.scope.route());
    bff.metrics.request(frontend, route, outcome, seconds);
    response
}

/// The label of `sealgate_requests_total`.
fn outcome(answer: &Result<HttpResponse, Problem>, is_upstream: bool) -> &'static str {
    match answer {
        Err(problem) => problem.code(),
        // The one endpoint whose caller wants another form of error than ours.
        Ok(response) if !is_upstream && response.status().is_client_error() => "bad-request",
        Ok(_) if !is_upstream => "ok",
        Ok(response) => match response.head().status.as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        },
    }
}

/// Whose fault decides the level: ours is an error, a neighbour's a warning, a client's is its own affair. Nothing that a
/// client can cause is an error.
fn report(problem: &Problem) {
    let level = match problem {
        Problem::Internal => log::Level::Error,
        // A user with many groups; whose settings mend it, the log says.
        Problem::IdentityProviderUnavailable
        | Problem::SessionTooLarge { .. }
        | Problem::UpstreamTimeout
        | Problem::UpstreamUnavailable => log::Level::Warn,
        Problem::CrossSiteRequest(_)
        | Problem::Forbidden(_)
        | Problem::InsufficientScope { .. }
        | Problem::LoginFailed(_) => log::Level::Info,
        _ => log::Level::Debug,
    };
    log::log!(level, code = problem.code(); "{}", problem.detail().unwrap_or_else(|| problem.title()));
}

fn refuse(request: &HttpRequest, problem: &Problem, exchange: &Exchange) -> HttpResponse {
    let location = error_page(problem, exchange).filter(|_| exchange.look_again.is_none());
    // A redirect would be followed, and the page of a failure be kept for the real load (D44).
    let is_speculative = || guard::is_speculative(request.headers());
    if let Some(location) =
        location.filter(|_| !exchange.websocket.must_close() && !is_speculative())
    {
        let mut response = HttpResponse::SeeOther();
        return response
            .insert_header((header::LOCATION, location))
            .finish();
    }
    let status =
        StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    if let Problem::MethodNotAllowed { allow } = problem {
        builder.insert_header((header::ALLOW, allow.as_str()));
    }
    if let Some(seconds) = problem.retry_after() {
        builder.insert_header((header::RETRY_AFTER, seconds));
    }
    if matches!(problem, Problem::WebSocketVersion) {
        builder.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        builder.insert_header((header::UPGRADE, "websocket"));
    }
    if matches!(
        problem,
        Problem::BadRequest(_)
            | Problem::BodyStalled
            | Problem::BodyTooLarge
            | Problem::ExpectationFailed
    ) || exchange.websocket.must_close()
    {
        // What is left of the request on this connection is not worth reading.
        builder.force_close();
    }
    let reader = exchange.endpoint.map(|endpoint| endpoint.rules().reader);
    let for_person = reader == Some(Reader::Person);
    let headers = request.headers();
    let for_person = guard::wants_page(headers) || (for_person && !guard::is_fetch(headers));
    if let Some(address) = &exchange.look_again {
        builder.insert_header((header::REFRESH, format!("0;url={address}")));
    }
    let mut response = if for_person && !prefers_json(headers) {
        let frontend = exchange.frontend.as_ref();
        let here = here(request, problem, exchange);
        let place = page::Place {
            id: exchange.scope.id(),
            base_path: frontend.map(|frontend| frontend.base_path.as_str()),
            endpoint: exchange.endpoint,
            back: exchange.back.as_ref().or(here.as_ref()),
        };
        page::problem(builder, problem, place)
    } else {
        builder
            .content_type("application/problem+json")
            .body(body(problem, exchange.scope.id()))
    };
    own_headers(response.headers_mut());
    response
}

/// The address itself, where it can be asked for again as it is. Not after a login: it comes back from another site, so
/// without `SameSite=Strict` cookies, and an API is not for links from elsewhere.
fn here(request: &HttpRequest, problem: &Problem, exchange: &Exchange) -> Option<ReturnTo> {
    let is_repeatable = exchange.endpoint.is_none()
        && request.method() == "GET"
        && problem.login_url().is_none()
        && !matches!(problem, Problem::CrossSiteRequest(_));
    let address = request.uri().path_and_query()?;
    ReturnTo::parse(address.as_str()).filter(|_| is_repeatable)
}

/// A failed login of a person goes to the page the frontend has for it.
fn error_page(problem: &Problem, exchange: &Exchange) -> Option<String> {
    if exchange.endpoint != Some(Endpoint::Callback) {
        return None;
    }
    let page = exchange.frontend.as_ref()?.error_page.as_ref()?.as_str();
    let (path, fragment) = page
        .split_once('#')
        .map_or((page, None), |(p, f)| (p, Some(f)));
    let mut location = path.to_owned();
    let joint = if path.contains('?') { '&' } else { '?' };
    let _ = write!(location, "{joint}code={}", problem.code());
    if let Some(back) = &exchange.back {
        let back = byte_serialize(back.as_str().as_bytes());
        location.push_str("&returnUrl=");
        location.extend(back);
    }
    if let Some(fragment) = fragment {
        let _ = write!(location, "#{fragment}");
    }
    Some(location)
}

fn body(problem: &Problem, id: &str) -> String {
    let mut body = serde_json::Map::new();
    let mut put = |name: &str, value| body.insert(name.to_owned(), value);
    put(
        "type",
        json!(format!("urn:sealgate:problem:{}", problem.code())),
    );
    put("title", json!(problem.title()));
    put("status", json!(problem.status()));
    put("code", json!(problem.code()));
    put("instance", json!(id));
    if let Some(detail) = problem.detail() {
        put("detail", json!(detail));
    }
    if let Some(login_url) = problem.login_url() {
        put("login_url", json!(login_url));
    }
    if let Some(part) = problem.part() {
        put("part", json!(part));
    }
    if let Some(status) = problem.part_status() {
        put("part_status", json!(status));
    }
    Value::Object(body).to_string()
}

/// Headers of every answer that is ours from first to last byte (F8, F11).
fn own_headers(headers: &mut HeaderMap) {
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(
        headers,
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(headers, header::VARY, "Cookie, Origin, Sec-Fetch-Site");
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        set(
            headers,
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        );
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Whether `Accept` ranks JSON above HTML (RFC 9110 §12.5.1); a page is the default.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let quality = |wanted: &[&str]| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next()?;
                wanted
                    .iter()
                    .any(|name| media.eq_ignore_ascii_case(name))
                    .then(|| {
                        parts
                            .find_map(|part| part.strip_prefix("q="))
                            .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0))
                    })
            })
            .fold(0.0, f32::max)
    };
    quality(&["application/problem+json", "application/json"])
        > quality(&["text/html", "application/xhtml+xml"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_default_and_json_has_to_be_preferred() {
        for (accept, want) in [
            ("", false),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            ("application/json", true),
            ("application/problem+json", true),
            ("text/html;q=0.5, application/problem+json", true),
            ("text/html, application/json;q=0.9", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_json(&headers), want, "{accept}");
        }
    }
}
