//! The last step of every request: the answer gets its headers and cookies, and is counted.
//!
//! - `challenge`: what an app is told with a 401
//! - `problem`: a problem becomes an answer · `negotiation`: page or JSON · `headers`: what the answer leaves with
//!
//! # Invariants
//! - Any answer with a `Set-Cookie` of ours is `no-store` (RFC 9111 §5.2.2.5): a shared cache never hands out a session.

mod challenge;
mod headers;
mod negotiation;
mod problem;

use http::StatusCode;

use super::{Worker, access_log, request_span};
use crate::bff::{Bff, Configured};
use crate::frontend::{Endpoint, Limit, Target};
use crate::message::{Answer, Request};
use crate::problem::Problem;
use crate::request::{Arrival, Ctx};
use crate::telemetry::metrics::LoginFailed;
use crate::telemetry::{AccessLine, Span};

/// What was asked, as far as it became known.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) arrival: &'a Arrival,
    /// `None` if no frontend has this host.
    pub(super) ctx: Option<&'a Ctx<'a>>,
}

impl Asked<'_> {
    fn endpoint(&self) -> Option<Endpoint> {
        match self.ctx?.target? {
            Target::Endpoint(endpoint) => Some(endpoint),
            Target::Assets(..) | Target::Route(_) => None,
        }
    }

    fn is_of_route(&self) -> bool {
        let target = self.ctx.and_then(|ctx| ctx.target);
        matches!(target, Some(Target::Route(_)))
    }
}

/// Turns what the pipeline came to into the answer, and gives the line for the access log. Without a `ctx` no frontend was
/// found.
pub(super) fn finish(
    (request, arrival): (&Request, &Arrival),
    ctx: Option<&Ctx<'_>>,
    answer: Result<Answer, Problem>,
    configured: &Configured,
    worker: &Worker,
    span: &mut Span,
) -> (Answer, Option<AccessLine>) {
    let bff = &worker.bff;
    let asked = Asked {
        request,
        arrival,
        ctx,
    };
    let outcome = outcome(&answer, asked.is_of_route());
    let problem = answer.as_ref().err().map(Problem::code);
    let mut response = match answer {
        Ok(response) => response,
        Err(problem) => {
            problem::report(&problem, &arrival.scope);
            count_login(&problem, asked, bff);
            problem::answer(&problem, asked)
        }
    };
    log::debug!(method = request.method().as_str(), path = access_log::path(asked), status = response.status().as_u16(),
        outcome = outcome; "answer");
    let line = access_log::line(asked, &response, outcome, configured);
    request_span::tell(span, asked, &response, outcome, problem);
    let headers = response.headers_mut();
    if asked.endpoint().is_some() {
        headers::of_our_own(headers);
    }
    if asked.is_of_route()
        && let Some(session) = ctx.and_then(|ctx| ctx.caller.session())
    {
        headers::session(headers, session.fingerprint());
    }
    if let Some(ctx) = ctx {
        headers::strict_transport_security(headers, ctx.frontend);
        headers::nonce(headers, ctx.nonce.as_deref());
        headers::cookies(headers, ctx.wallet.set_cookies());
    }
    headers::request_id(headers, arrival.scope.id_header());
    let seconds = arrival.at.elapsed().as_secs_f64();
    let (frontend, route) = (arrival.scope.frontend(), arrival.scope.route());
    let metrics = &bff.metrics;
    metrics.request(&worker.answered, frontend, route, outcome, seconds);
    (response, line)
}

/// Counts a login that was not let in. Those that fail later count where it is known why.
fn count_login(problem: &Problem, asked: Asked<'_>, bff: &Bff) {
    let limit = asked.endpoint().map(|endpoint| endpoint.rules().limit);
    if let (Problem::RateLimited { .. }, Some(Limit::Logins)) = (problem, limit)
        && let Some(ctx) = asked.ctx
    {
        let name = &ctx.frontend.name;
        bff.metrics.login_failed(name, LoginFailed::Rate);
    }
}

/// The label of `sealgate_requests_total`.
fn outcome(answer: &Result<Answer, Problem>, is_of_route: bool) -> &'static str {
    match answer {
        Err(problem) => problem.code(),
        // An app's: the provider was needed, and out of reach.
        Ok(response) if !is_of_route && response.status() == StatusCode::SERVICE_UNAVAILABLE => {
            Problem::IdentityProviderUnavailable.code()
        }
        Ok(response) if !is_of_route && response.status().is_server_error() => {
            Problem::Internal.code()
        }
        // The back channel and apps: their callers expect another form of error than ours (RFC 6749 §5.2).
        Ok(response) if !is_of_route && response.status().is_client_error() => "bad-request",
        Ok(_) if !is_of_route => "ok",
        Ok(response) => match response.status().as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        },
    }
}
