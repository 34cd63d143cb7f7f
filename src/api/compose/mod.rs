//! A route with parts: several calls, one JSON answer.
//!
//! - `plan` in [`frontend`](crate::frontend::Composition): what is called, and who needs whose answer
//! - `values`: what fills the placeholders · `progress`: which call can go out next, and what has come of each
//! - `permits`: with whose token each call goes, and what follows when a token is not taken
//! - `freshness`: how long the answer may be kept
//!
//! # Invariants
//! - Every call is a GET with what a forwarded GET carries; nothing else of the client's request reaches an API.
//! - All parts share one session, one refresh and one renewal after a 401. A part that has answered is not asked again.
//! - The first required part that fails ends the others.
//!
//! # Spec
//! RFC 9110 §8.8.3, §13.1.2 (`ETag`, `If-None-Match`); RFC 9111 §5.2 (`Cache-Control`).

mod freshness;
mod permits;
mod progress;
mod values;

use std::collections::VecDeque;
use std::pin::pin;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::ApiCall;
use crate::compose::{Failure, FailureCode, Kept, merged};
use crate::frontend::{Composition, Part, Route};
use crate::message::{self, Answer, names_tag};
use crate::problem::Problem;
use crate::proxy::{BrokenOff, Called, Challenge, Get, Proxy, ReadError};
use crate::request::Ctx;
use crate::telemetry::{Label, Span, SpanName, attribute};
use crate::token;
use freshness::Freshness;
use permits::{Again, Leave, Permits, Tried};
use progress::{Job, Progress};
use values::Values;

/// Answers with what all parts came to.
pub(super) async fn serve(
    plan: &Composition,
    call: ApiCall<'_>,
    ctx: &mut Ctx<'_>,
) -> Result<Answer, Problem> {
    let deadline = tokio::time::Instant::now() + plan.deadline;
    let ApiCall {
        matched,
        admitted,
        upstreams,
        ..
    } = call;
    let proxy = Proxy {
        upstreams,
        request: ctx.request,
        client: admitted.client(),
        origin: &ctx.frontend.origin,
        csrf_header: &ctx.frontend.csrf_header,
    };
    let route = matched.route;
    // May it be asked for, and as whom: 401, 403, 429, 503.
    let allowed = token::check_policy(&admitted, matched, ctx);
    let permits = match tokio::time::timeout_at(deadline, allowed).await {
        Ok(allowed) => {
            allowed?;
            tokio::time::timeout_at(deadline, Permits::get(plan, route, ctx)).await
        }
        Err(late) => Err(late),
    };
    // What the request itself has to say: 400.
    let values = Values::of(plan, matched, ctx)?;
    let run = Run {
        plan,
        route,
        proxy,
        deadline,
    };
    let mut progress = Progress::new(plan, values);
    let ended = match permits {
        Ok(permits) => run.to_the_end(&mut progress, permits?, ctx).await,
        // A refresh that takes that long goes on without this request.
        Err(_) => run.too_late(&mut progress, ctx),
    };
    progress.count(ctx.frontend, route, &ctx.bff.metrics);
    ended?;
    let freshness = progress.freshness();
    let partial = progress.partial();
    let parts = progress.into_outcomes();
    let pieces = match parts.as_slice() {
        [(_, outcome)] if plan.is_inline => outcome.inline(),
        parts => merged(parts),
    };
    Ok(answer(ctx.request.headers(), pieces, freshness, &partial))
}

/// What all calls of one request have in common.
struct Run<'a> {
    plan: &'a Composition,
    route: &'a Route,
    proxy: Proxy<'a>,
    deadline: tokio::time::Instant,
}

/// What one call came to.
struct Landed {
    job: Job,
    tried: Tried,
    outcome: Result<Answered, Setback>,
}

/// A good answer.
struct Answered {
    kept: Kept,
    freshness: Freshness,
}

/// Why there is no good answer yet.
enum Setback {
    Failed(Failure),
    /// The API does not take the token.
    Unauthorized(Challenge),
    /// The provider does not take the user's token in exchange.
    NotExchanged,
}

impl Run<'_> {
    /// Makes every call that is needed. An error is the answer of the whole route.
    async fn to_the_end<'c>(
        &self,
        progress: &mut Progress<'_>,
        mut permits: Permits<'c>,
        ctx: &mut Ctx<'c>,
    ) -> Result<(), Problem> {
        let mut running = FuturesUnordered::new();
        // What landed while a token was renewed.
        let mut landed: VecDeque<Landed> = VecDeque::new();
        let mut late = pin!(tokio::time::sleep_until(self.deadline));
        loop {
            let mut has_failed = false;
            for job in progress.ready() {
                match permits.of(job.part(self.plan)) {
                    Ok(leave) => running.push(self.ask(job, leave, false)),
                    Err(failure) => {
                        progress.fail(job.place, job.index, failure);
                        has_failed = true;
                    }
                }
            }
            self.fail_if_required(progress, ctx)?;
            if has_failed {
                // Others may have waited for it.
                continue;
            }
            let next = match landed.pop_front() {
                Some(next) => next,
                None if running.is_empty() => return Ok(()),
                None => tokio::select! {
                    biased;
                    Some(next) = running.next() => next,
                    () = &mut late => return self.too_late(progress, ctx),
                },
            };
            let Landed {
                job,
                tried,
                outcome,
            } = next;
            match outcome {
                Ok(answered) => {
                    progress.land(job.place, job.index, answered.kept, answered.freshness);
                }
                Err(Setback::Failed(failure)) => progress.fail(job.place, job.index, failure),
                Err(setback) => {
                    let again = {
                        let part = job.part(self.plan);
                        let renewing = permits.renew(setback, part, tried, self.route, ctx);
                        let mut renewing = pin!(renewing);
                        loop {
                            tokio::select! {
                                biased;
                                again = &mut renewing => break again?,
                                Some(next) = running.next() => landed.push_back(next),
                                () = &mut late => break Again::Late,
                            }
                        }
                    };
                    match again {
                        Again::With(leave) => running.push(self.ask(job, leave, true)),
                        Again::Not(failure) => progress.fail(job.place, job.index, failure),
                        Again::Late => return self.too_late(progress, ctx),
                    }
                }
            }
        }
    }

    /// The deadline is over: what is not there has failed.
    fn too_late(&self, progress: &mut Progress<'_>, ctx: &Ctx<'_>) -> Result<(), Problem> {
        progress.fail_rest(FailureCode::Deadline);
        self.fail_if_required(progress, ctx)
    }

    /// The answer if a part failed that it cannot do without.
    fn fail_if_required(&self, progress: &Progress<'_>, ctx: &Ctx<'_>) -> Result<(), Problem> {
        let Some((part, failure)) = progress.fatal() else {
            return Ok(());
        };
        let name = part.name.as_str();
        let (root, cause) = progress.root(part, failure);
        let code = match problem(root, cause) {
            Problem::PartFailed { .. } => cause.code.as_str(),
            // What the whole answer needs, as it would be said of any other.
            problem => problem.code(),
        };
        let because = if root.name == part.name {
            String::new()
        } else {
            format!(" because of {}", root.name.as_str())
        };
        let level = ctx.arrival.scope.unless_told(log::Level::Info, code);
        log::log!(level, frontend = ctx.frontend.name.as_str(), route = self.route.name.as_str(), part = root.name.as_str(), code = code;
            "the part {name} failed{because}, and the answer with it");
        Err(problem(part, failure))
    }

    /// Makes one call.
    async fn ask(&self, job: Job, leave: Leave<'_>, is_second: bool) -> Landed {
        let tried = Tried {
            is_second,
            generation: leave.generation,
        };
        let mut span = Span::begin(SpanName::Part);
        let outcome = span.around(self.outcome(&job, leave, is_second)).await;
        if span.is_recorded() {
            tell(&mut span, job.part(self.plan), &outcome);
        }
        Landed {
            job,
            tried,
            outcome,
        }
    }

    async fn outcome(
        &self,
        job: &Job,
        leave: Leave<'_>,
        is_second: bool,
    ) -> Result<Answered, Setback> {
        let part = job.part(self.plan);
        let permit = leave.permit(part, self.route, is_second).await?;
        let (path, query) = match job.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*job.target, None),
        };
        let target = Get {
            upstream: &part.upstream,
            path,
            query,
            cookies: &self.plan.cookies,
            timeout: part.timeout,
        };
        let called = self
            .proxy
            .get(&permit, target)
            .await
            .map_err(|problem| Setback::Failed(failure(&problem)))?;
        let answer = match called {
            Called::Unauthorized(challenge, _) => return Err(Setback::Unauthorized(challenge)),
            Called::Answer(answer) => answer,
        };
        let status = answer.status();
        if !status.is_success() {
            return Err(Setback::Failed(Failure::status(status.as_u16())));
        }
        let freshness = Freshness::of(answer.headers());
        if status == http::StatusCode::NO_CONTENT {
            return Ok(Answered {
                kept: Kept::null(),
                freshness,
            });
        }
        let body = answer.read(part.max_bytes).await.map_err(|error| {
            Setback::Failed(match error {
                ReadError::TooLarge => FailureCode::TooLarge.into(),
                ReadError::BrokenOff(BrokenOff::Stalled) => FailureCode::UpstreamTimeout.into(),
                ReadError::BrokenOff(BrokenOff::Cut) => FailureCode::UpstreamUnavailable.into(),
            })
        })?;
        let kept = part.shape.keep(&body).map_err(|why| {
            let code = why.code();
            log::info!(upstream = part.upstream.as_str(), part = part.name.as_str(), code = code.as_str(); "{why}");
            Setback::Failed(code.into())
        })?;
        Ok(Answered { kept, freshness })
    }
}

/// Says in the trace what came of a call.
fn tell(span: &mut Span, part: &Part, outcome: &Result<Answered, Setback>) {
    span.set(attribute::PART, Label::from(&part.name));
    let failure = match outcome {
        Ok(_) => return span.set(attribute::OUTCOME, "ok"),
        Err(Setback::Failed(failure)) => failure.code.as_str(),
        // The part may be asked again, with another token.
        Err(Setback::Unauthorized(_)) => "unauthorized",
        Err(Setback::NotExchanged) => "not-exchanged",
    };
    span.set(attribute::OUTCOME, failure);
    span.failed(failure);
}

/// What a problem means for one part.
fn failure(problem: &Problem) -> Failure {
    let code = match problem {
        Problem::InsufficientScope { .. } => FailureCode::InsufficientScope,
        Problem::StepUpRequired { login_url } => {
            return Failure {
                login_url: Some(login_url.clone()),
                ..FailureCode::StepUpRequired.into()
            };
        }
        Problem::LoginRequired { login_url, .. } => {
            return Failure {
                login_url: Some(login_url.clone()),
                ..Failure::status(401)
            };
        }
        Problem::UpstreamTimeout => FailureCode::UpstreamTimeout,
        Problem::Forbidden(_) | Problem::RateLimited { .. } => {
            return Failure::status(problem.status());
        }
        Problem::IdentityProviderUnavailable | Problem::RevocationsUnknown => {
            return Failure {
                status: Some(problem.status()),
                ..FailureCode::UpstreamUnavailable.into()
            };
        }
        _ => FailureCode::UpstreamUnavailable,
    };
    code.into()
}

/// What the failure of a required part means for the answer.
fn problem(part: &Part, failure: &Failure) -> Problem {
    let part = part.name.as_str().to_owned();
    match (failure.code, failure.status, &failure.login_url) {
        (FailureCode::StepUpRequired, _, Some(login_url)) => Problem::StepUpRequired {
            login_url: login_url.clone(),
        },
        (_, Some(401), Some(login_url)) => Problem::LoginRequired {
            login_url: login_url.clone(),
            detail: None,
        },
        (FailureCode::UpstreamUnavailable, Some(503), _) => Problem::IdentityProviderUnavailable,
        (FailureCode::InsufficientScope, ..) => Problem::InsufficientScope {
            detail: format!("The token for the part {part:?} does not reach that far."),
            part: Some(part),
        },
        (code, ..) => Problem::PartFailed {
            detail: format!("The part {part:?} failed: {code}."),
            part,
            part_status: failure.status,
            status: failure.status_of_answer(),
        },
    }
}

/// The answer with its validators, or 304 if the client has it already.
fn answer(
    request: &http::HeaderMap,
    pieces: Vec<Bytes>,
    freshness: Freshness,
    partial: &str,
) -> Answer {
    let etag = etag(&pieces);
    let is_known = names_tag(request, &etag) == Some(true);
    let status = if is_known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::ETAG, etag));
    let cache_control = if partial.is_empty() {
        freshness.cache_control()
    } else {
        "no-store".to_owned()
    };
    response.insert_header((header::CACHE_CONTROL, cache_control));
    response.insert_header((header::VARY, "Cookie, Accept-Language"));
    response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response.insert_header((
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ));
    if !partial.is_empty()
        && let Ok(names) = HeaderValue::from_str(partial)
    {
        response.insert_header((HeaderName::from_static("sealgate-partial"), names));
    }
    if is_known {
        return message::answer(response.finish());
    }
    response.content_type("application/json");
    let length = pieces.iter().map(Bytes::len).sum::<usize>();
    let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
    let body = SizedStream::new(length as u64, stream::iter(pieces));
    message::answer(response.body(body))
}

/// A strong validator (RFC 9110 §8.8.1): another for every other body.
fn etag(pieces: &[Bytes]) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    let digest = hash.finalize();
    let (half, _) = digest.split_at(16);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(half))
}
