//! The labels of metrics that follow from the configuration. Their series begin at zero.

use crate::compose::FailureCode;
use crate::config::Config;
use crate::frontend::{Action, Endpoint};
use crate::session::OpenResult;
use crate::telemetry::Label;
use crate::telemetry::metrics::{Known, Metrics};

/// The common outcomes of requests on a route. The counter of a rare one appears with its first answer.
const OF_ROUTES: [&str; 11] = [
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "forbidden",
    "identity-provider-unavailable",
    "internal",
    "login-required",
    "rate-limited",
    "upstream-timeout",
    "upstream-unavailable",
];

/// The common outcomes at an endpoint.
const OF_ENDPOINTS: [&str; 4] = [
    "identity-provider-unavailable",
    "internal",
    "login-failed",
    "ok",
];

/// How a part of a composed answer can end.
fn of_parts() -> Vec<&'static str> {
    let failures = FailureCode::ALL.iter().map(|code| code.as_str());
    std::iter::once("ok").chain(failures).collect()
}

/// Begins what a configuration names. Series that have begun before go on.
pub(super) fn begin(metrics: &Metrics, config: &Config) {
    let names: Vec<_> = config
        .frontends
        .iter()
        .map(|frontend| &frontend.name)
        .collect();
    let of_parts = of_parts();
    let mut answers = Vec::new();
    let mut parts = Vec::new();
    for frontend in config.frontends.iter() {
        for route in frontend.routes.iter() {
            let name = Label::from(&route.name);
            if let Action::Compose(plan) = &route.action {
                for part in &plan.parts {
                    let part = Label::from(&part.name);
                    parts.push((&frontend.name, name.clone(), part, &of_parts[..]));
                }
            }
            answers.push((&frontend.name, name, &OF_ROUTES[..]));
        }
        for endpoint in Endpoint::ALL {
            answers.push((
                &frontend.name,
                endpoint.rules().name.into(),
                &OF_ENDPOINTS[..],
            ));
        }
    }
    let sessions: Vec<_> = OpenResult::ALL.iter().map(|found| found.as_str()).collect();
    let upstreams: Vec<_> = config.upstreams.keys().collect();
    metrics.begin(&Known {
        frontends: &names,
        sessions: &sessions,
        answers: &answers,
        parts: &parts,
        upstreams: &upstreams,
    });
    let tls = config.server.tls.as_ref();
    if let Some(expires_at) = tls.and_then(|files| files.expires_at) {
        metrics.certificate_expires(expires_at);
    }
}
