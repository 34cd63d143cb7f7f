//! What became of requests.

use std::cell::RefCell;
use std::collections::hash_map::Entry;

use foldhash::HashMap;
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

/// What a worker has counted before, so that it need not be found again: a family hashes all labels, behind a lock.
#[derive(Debug, Default)]
pub struct AtHand(RefCell<HashMap<Target, Counted>>);

#[derive(Debug)]
struct Counted {
    times: Histogram,
    outcomes: Vec<(&'static str, Counter)>,
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
    pub fn request(
        &self,
        at_hand: &AtHand,
        frontend: Label,
        route: Label,
        outcome: &'static str,
        seconds: f64,
    ) {
        let mut targets = at_hand.0.borrow_mut();
        let target = Target {
            frontend: frontend.clone(),
            route: route.clone(),
        };
        let Counted { times, outcomes } = match targets.entry(target) {
            Entry::Occupied(counted) => counted.into_mut(),
            Entry::Vacant(new) => {
                let times = self.answers.request_seconds.get_or_create(new.key());
                let times = times.clone();
                new.insert(Counted {
                    times,
                    outcomes: Vec::new(),
                })
            }
        };
        times.observe(seconds);
        if let Some((_, count)) = outcomes.iter().find(|(known, _)| *known == outcome) {
            count.inc();
            return;
        }
        // Made by the same labels in every worker, so it is one counter.
        let answer = Answer {
            frontend,
            route,
            outcome,
        };
        let count = self.answers.requests.get_or_create(&answer).clone();
        count.inc();
        outcomes.push((outcome, count));
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
