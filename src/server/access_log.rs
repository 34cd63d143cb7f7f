//! What the access log says of a request, gathered when the head of its answer is made.

use super::client_addr;
use super::response::Asked;
use crate::bff::Configured;
use crate::frontend::Target;
use crate::message::Answer;
use crate::names::RequestPath;
use crate::telemetry::AccessLine;

/// The line, which is written when the answer has been sent. `None` unless each request gets one.
pub(super) fn line(
    asked: Asked<'_>,
    response: &Answer,
    outcome: &'static str,
    configured: &Configured,
) -> Option<AccessLine> {
    let telling = configured.telling;
    if !telling.access_log {
        return None;
    }
    let request = asked.request;
    let session = asked.ctx.and_then(|ctx| ctx.caller.session());
    let client = asked.ctx.map(|ctx| ctx.client);
    Some(AccessLine {
        scope: asked.arrival.scope.clone(),
        at: asked.arrival.at,
        method: request.method().to_string(),
        path: path(asked),
        status: response.status().as_u16(),
        outcome,
        client: client.unwrap_or_else(|| client_addr::of(request, &configured.trusted_proxies)),
        session: session.map(|session| session.id.fingerprint()),
        subject: session.and_then(|session| telling.subject.told(&session.subject)),
    })
}

/// The path without claims: whoever reads the log must not learn them from it.
pub(super) fn path(asked: Asked<'_>) -> String {
    let path = asked.request.uri().path();
    match asked.ctx.and_then(|ctx| ctx.target) {
        Some(Target::Route(matched)) => matched.route.path.without_claims(matched.path),
        Some(_) => path.to_owned(),
        // The method is wrong, or nothing is there: the segments may be claims all the same.
        None => {
            let frontend = asked.ctx.map(|ctx| ctx.frontend);
            let parsed = RequestPath::parse(path).ok();
            let found = frontend.zip(parsed).and_then(|(frontend, path)| {
                let (route, _) = frontend.routes.find(path)?;
                Some(route.path.without_claims(path))
            });
            found.unwrap_or_else(|| path.to_owned())
        }
    }
}
