//! What became of requests.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Known, Metrics, seconds};
use crate::names::{FrontendName, PartName, RouteName};
use crate::telemetry::Label;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answer {
    frontend: Label,
    route: Label,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Target {
    frontend: Label,
    route: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallOfRoute {
    frontend: Label,
    route: Label,
    part: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallResult {
    frontend: Label,
    route: Label,
    part: Label,
    outcome: &'static str,
}

#[derive(Debug)]
pub(super) struct Answers {
    requests: Family<Answer, Counter>,
    request_seconds: Family<Target, Histogram>,
    part_seconds: Family<CallOfRoute, Histogram>,
    part_total: Family<CallResult, Counter>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            part_seconds: Family::new_with_constructor(seconds),
            part_total: Family::default(),
        }
    }
}

impl Answers {
    pub(super) fn begin(&self, known: &Known<'_>) {
        for (frontend, route, outcomes) in known.answers {
            let target = Target {
                frontend: (*frontend).into(),
                route: route.clone(),
            };
            drop(self.request_seconds.get_or_create(&target));
            for outcome in *outcomes {
                let Target { frontend, route } = target.clone();
                let _ = self.requests.get_or_create(&Answer {
                    frontend,
                    route,
                    outcome,
                });
            }
        }
        for (frontend, route, part, outcomes) in known.parts {
            let call = CallOfRoute {
                frontend: (*frontend).into(),
                route: route.clone(),
                part: part.clone(),
            };
            drop(self.part_seconds.get_or_create(&call));
            for outcome in *outcomes {
                let CallOfRoute {
                    frontend,
                    route,
                    part,
                } = call.clone();
                let _ = self.part_total.get_or_create(&CallResult {
                    frontend,
                    route,
                    part,
                    outcome,
                });
            }
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register("requests", "Answers by outcome", self.requests.clone());
        r.register(
            "request_seconds",
            "Time until an answer's headers",
            self.request_seconds.clone(),
        );
        r.register(
            "part_seconds",
            "Time that a part of a composed answer took",
            self.part_seconds.clone(),
        );
        r.register(
            "part",
            "Parts of composed answers by outcome",
            self.part_total.clone(),
        );
    }
}

impl Metrics {
    /// One answer: `route` is a route's or endpoint's name, `outcome` a class of status, a problem code, or `ok`.
    pub fn request(&self, frontend: Label, route: Label, outcome: &'static str, seconds: f64) {
        let target = Target { frontend, route };
        let answers = &self.answers;
        let time = answers.request_seconds.get_or_create(&target);
        time.observe(seconds);
        drop(time);
        let Target { frontend, route } = target;
        let answer = Answer {
            frontend,
            route,
            outcome,
        };
        answers.requests.get_or_create(&answer).inc();
    }

    /// How one part of a composed answer ended: `ok`, or the code of its failure. It took no time if nothing was asked.
    pub fn part(
        &self,
        frontend: &FrontendName,
        route: &RouteName,
        part: &PartName,
        outcome: &'static str,
        seconds: Option<f64>,
    ) {
        let call = CallOfRoute {
            frontend: frontend.into(),
            route: route.into(),
            part: part.into(),
        };
        if let Some(seconds) = seconds {
            let times = &self.answers.part_seconds;
            times.get_or_create(&call).observe(seconds);
        }
        let CallOfRoute {
            frontend,
            route,
            part,
        } = call;
        let result = CallResult {
            frontend,
            route,
            part,
            outcome,
        };
        self.answers.part_total.get_or_create(&result).inc();
    }
}
