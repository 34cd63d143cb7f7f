//! A problem as an answer: a page for a person, JSON for a script, and its line in the log.
//!
//! # Invariants
//! - Nothing of a request is reflected into an answer but its own request id, and in a 421 the host, if it is one.
//!
//! # Spec
//! RFC 9457 (problem details).

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{Asked, challenge, headers, negotiation};
use crate::frontend::Endpoint;
use crate::guard;
use crate::message::{self, Answer};
use crate::names::ReturnTo;
use crate::problem::Problem;
use crate::server::page;
use crate::telemetry::RequestScope;

/// Writes the problem into the log, unless a line as grave has this problem as its `code`. Our fault is an error, a neighbour's a warning.
/// Nothing that a client can cause is an error.
pub(super) fn report(problem: &Problem, scope: &RequestScope) {
    let level = match problem {
        Problem::Internal => log::Level::Error,
        // A user with many groups; whose settings mend it, the log says.
        Problem::IdentityProviderUnavailable
        | Problem::RevocationsUnknown
        | Problem::SessionTooLarge { .. }
        | Problem::UpstreamTimeout
        | Problem::UpstreamUnavailable => log::Level::Warn,
        Problem::CrossSiteRequest(_)
        | Problem::Forbidden(_)
        | Problem::InsufficientScope { .. }
        | Problem::LoginFailed(_) => log::Level::Info,
        _ => log::Level::Debug,
    };
    let level = scope.unless_told(level, problem.code());
    log::log!(level, code = problem.code(); "{}", problem.detail().unwrap_or_else(|| problem.title()));
}

/// Answers with a problem: a page, JSON, or a redirect to the frontend's own page for failed logins.
pub(super) fn answer(problem: &Problem, asked: Asked<'_>) -> Answer {
    let Asked {
        request,
        arrival,
        ctx,
    } = asked;
    let look_again = ctx.and_then(|ctx| ctx.look_again.as_ref());
    let must_close = arrival.websocket.must_close();
    let location = error_page(problem, asked).filter(|_| look_again.is_none());
    // A browser would follow a redirect, and keep the page of a failure for the real load.
    let is_speculative = || guard::is_speculative(request.headers());
    if let Some(location) = location.filter(|_| !must_close && !is_speculative()) {
        let mut response = HttpResponse::SeeOther();
        response.insert_header((header::LOCATION, location));
        return message::answer(response.finish());
    }
    let status =
        StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    if let Problem::MethodNotAllowed { allow } = problem {
        builder.insert_header((header::ALLOW, allow.as_str()));
    }
    if let Some(challenge) = ctx.and_then(|ctx| challenge::of(problem, ctx)) {
        builder.insert_header((header::WWW_AUTHENTICATE, challenge));
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
    ) || must_close
    {
        // What is left of the request on this connection is not worth reading.
        builder.force_close();
    }
    if let Some(address) = look_again {
        builder.insert_header((header::REFRESH, format!("0;url={address}")));
    }
    let reader = asked.endpoint().map(|endpoint| endpoint.rules().reader);
    let response = if negotiation::wants_page(request.headers(), reader) {
        let here = here(problem, asked);
        let place = page::Place {
            id: arrival.scope.id(),
            base_path: ctx.map(|ctx| ctx.frontend.base_path.as_str()),
            endpoint: asked.endpoint(),
            back: ctx.and_then(|ctx| ctx.back.as_ref()).or(here.as_ref()),
        };
        page::problem(builder, problem, place)
    } else {
        builder
            .content_type("application/problem+json")
            .body(json(problem, arrival.scope.id()))
    };
    let mut answer = message::answer(response);
    headers::of_our_own(answer.headers_mut());
    answer
}

/// The address itself, where it can be asked for again as it is. Not after a login: it comes back from another site, so
/// without `SameSite=Strict` cookies, and an API is not for links from elsewhere.
fn here(problem: &Problem, asked: Asked<'_>) -> Option<ReturnTo> {
    let request = asked.request;
    let is_repeatable = asked.endpoint().is_none()
        && request.method() == "GET"
        && problem.login_url().is_none()
        && !matches!(problem, Problem::CrossSiteRequest(_));
    let address = request.uri().path_and_query()?;
    ReturnTo::parse(address.as_str()).filter(|_| is_repeatable)
}

/// A failed login of a person goes to the page the frontend has for it.
fn error_page(problem: &Problem, asked: Asked<'_>) -> Option<String> {
    // The provider may refuse a login before the browser goes there.
    let has_failed = matches!(problem, Problem::LoginFailed(_));
    if asked.endpoint() != Some(Endpoint::Callback) && !has_failed {
        return None;
    }
    let ctx = asked.ctx?;
    let page = ctx.frontend.error_page.as_ref()?.as_str();
    let (path, fragment) = page
        .split_once('#')
        .map_or((page, None), |(p, f)| (p, Some(f)));
    let mut location = path.to_owned();
    let joint = if path.contains('?') { '&' } else { '?' };
    let _ = write!(location, "{joint}code={}", problem.code());
    if let Some(back) = &ctx.back {
        let back = byte_serialize(back.as_str().as_bytes());
        location.push_str("&returnUrl=");
        location.extend(back);
    }
    if let Some(fragment) = fragment {
        let _ = write!(location, "#{fragment}");
    }
    Some(location)
}

fn json(problem: &Problem, id: &str) -> String {
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
