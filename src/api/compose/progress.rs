//! Which calls can go out, and what came of those that did.

use std::borrow::Cow;
use std::time::Instant;

use super::freshness::Freshness;
use super::values::Values;
use crate::compose::{Failure, FailureCode, Filling, Kept, Outcome};
use crate::frontend::{Composition, Frontend, Part, PartValue, Route};
use crate::telemetry::metrics::Metrics;

/// Most elements that a part goes over. An API decides how many there are, and each costs a call.
const MOST_ELEMENTS: usize = 1000;

/// Most bytes of an answer before it is put together. They are in memory until then.
const MOST_BYTES: usize = 64 << 20;

/// One call that can go out now.
pub(super) struct Job {
    /// The part, by its place in the plan.
    pub(super) place: usize,
    /// The element it is for.
    pub(super) index: Option<usize>,
    /// Path and query.
    pub(super) target: String,
}

impl Job {
    /// The part it is a call of.
    pub(super) fn part<'p>(&self, plan: &'p Composition) -> &'p Part {
        // A job is made from the plan's own parts, so its place is one of theirs.
        #[expect(clippy::indexing_slicing, reason = "the place comes from the plan")]
        &plan.parts[self.place]
    }
}

/// How far each part has come.
pub(super) struct Progress<'a> {
    plan: &'a Composition,
    values: Values<'a>,
    states: Vec<State>,
    freshness: Freshness,
    /// Of all values so far.
    bytes: usize,
}

struct State {
    begun: Option<Instant>,
    seconds: f64,
    stage: Stage,
}

enum Stage {
    /// Waits for other parts.
    Waiting,
    /// One call is out.
    Asked,
    /// Calls for each element go out.
    Each(Elements),
    /// It is done.
    Done(Kept),
    /// All elements are done, some of them perhaps in vain.
    DoneEach(Vec<Result<Kept, Failure>>),
    Failed(Failure),
}

/// The calls of a part with `each`.
struct Elements {
    results: Vec<Option<Result<Kept, Failure>>>,
    /// The next element without a call.
    next: usize,
    running: usize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(plan: &'a Composition, values: Values<'a>) -> Self {
        let waiting = || State {
            begun: None,
            seconds: 0.0,
            stage: Stage::Waiting,
        };
        let states = plan.parts.iter().map(|_| waiting()).collect();
        Self {
            plan,
            values,
            states,
            freshness: Freshness::UNLIMITED,
            bytes: 0,
        }
    }

    /// The calls that can go out now. Parts that cannot be asked any more have failed afterwards.
    pub(super) fn ready(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        // A part that fails here may be what another one waits for.
        loop {
            let before = jobs.len();
            let mut has_settled = false;
            for place in 0..self.states.len() {
                has_settled |= self.advance(place, &mut jobs);
            }
            if !has_settled && jobs.len() == before {
                return jobs;
            }
        }
    }

    /// Takes a part as far as it can go. Whether it came to its end by that.
    fn advance(&mut self, place: usize, jobs: &mut Vec<Job>) -> bool {
        let Some((part, state)) = self.plan.parts.get(place).zip(self.states.get(place)) else {
            return false;
        };
        match &state.stage {
            Stage::Waiting => {}
            Stage::Each(_) => return self.advance_each(place, part, jobs),
            Stage::Asked | Stage::Done(_) | Stage::DoneEach(_) | Stage::Failed(_) => return false,
        }
        let needed = || {
            part.needs
                .iter()
                .filter_map(|need| self.states.get(*need))
                .map(|state| &state.stage)
        };
        if needed().any(|stage| matches!(stage, Stage::Failed(_))) {
            self.fail(place, None, FailureCode::Dependency.into());
            return true;
        }
        let is_done = |stage: &Stage| matches!(stage, Stage::Done(_) | Stage::DoneEach(_));
        if !needed().all(is_done) {
            return false;
        }
        if let Some(each) = part.each {
            let elements = match self.states.get(each.part).map(|state| &state.stage) {
                Some(Stage::Done(kept)) => kept.elements.len(),
                _ => 0,
            };
            if elements > MOST_ELEMENTS {
                self.fail(place, None, FailureCode::TooLarge.into());
                return true;
            }
            let results = (0..elements).map(|_| None).collect();
            self.begin(
                place,
                Stage::Each(Elements {
                    results,
                    next: 0,
                    running: 0,
                }),
            );
            return self.advance_each(place, part, jobs);
        }
        match self.target(part, None) {
            Ok(target) => {
                self.begin(place, Stage::Asked);
                jobs.push(Job {
                    place,
                    index: None,
                    target,
                });
                false
            }
            Err(failure) => {
                self.fail(place, None, failure);
                true
            }
        }
    }

    fn advance_each(&mut self, place: usize, part: &Part, jobs: &mut Vec<Job>) -> bool {
        let parallel = part.each.map_or(1, |each| each.parallel);
        loop {
            let Some(State {
                stage: Stage::Each(elements),
                ..
            }) = self.states.get_mut(place)
            else {
                return true;
            };
            if elements.next == elements.results.len() {
                if elements.running > 0 {
                    return false;
                }
                let missing = || Err(Failure::from(FailureCode::Dependency));
                let results = std::mem::take(&mut elements.results);
                let results = results
                    .into_iter()
                    .map(|result| result.unwrap_or_else(missing))
                    .collect();
                self.end(place, Stage::DoneEach(results));
                return true;
            }
            if elements.running >= parallel {
                return false;
            }
            let index = elements.next;
            elements.next += 1;
            elements.running += 1;
            match self.target(part, Some(index)) {
                Ok(target) => jobs.push(Job {
                    place,
                    index: Some(index),
                    target,
                }),
                Err(failure) => self.fail(place, Some(index), failure),
            }
        }
    }

    /// The path to ask for, with every value in its place.
    fn target(&self, part: &Part, index: Option<usize>) -> Result<String, Failure> {
        let kept = |place: usize| match self.states.get(place).map(|state| &state.stage) {
            Some(Stage::Done(kept)) => Some(kept),
            _ => None,
        };
        let scalar = |slots: Option<&'_ Vec<Option<String>>>, slot: usize| {
            let text = slots.and_then(|slots| slots.get(slot)?.as_deref());
            text.map_or(Filling::Missing, |text| {
                Filling::Value(Cow::Owned(text.to_owned()))
            })
        };
        let target = part.path.fill(|value| match value {
            PartValue::Part(place, slot) => scalar(kept(*place).map(|kept| &kept.referred), *slot),
            PartValue::Item(slot) => {
                let elements = part
                    .each
                    .and_then(|each| kept(each.part))
                    .map(|kept| &kept.elements);
                scalar(elements.and_then(|elements| elements.get(index?)), *slot)
            }
            of_request => self.values.get(of_request),
        });
        target.map_err(|_| FailureCode::BadValue.into())
    }

    /// A good answer has come.
    pub(super) fn land(
        &mut self,
        place: usize,
        index: Option<usize>,
        kept: Kept,
        freshness: Freshness,
    ) {
        self.freshness = self.freshness.and(freshness);
        self.bytes = self.bytes.saturating_add(kept.value.len());
        if self.bytes > MOST_BYTES {
            return self.fail(place, index, FailureCode::TooLarge.into());
        }
        match index {
            None => self.end(place, Stage::Done(kept)),
            Some(index) => self.settle(place, index, Ok(kept)),
        }
    }

    /// A call has failed, or could not be made.
    pub(super) fn fail(&mut self, place: usize, index: Option<usize>, failure: Failure) {
        self.freshness = Freshness::NONE;
        let is_optional = self
            .plan
            .parts
            .get(place)
            .is_some_and(|part| part.is_optional);
        match index {
            Some(index) if is_optional => self.settle(place, index, Err(failure)),
            // One element of a required part is enough.
            _ => self.end(place, Stage::Failed(failure)),
        }
    }

    fn settle(&mut self, place: usize, index: usize, result: Result<Kept, Failure>) {
        if let Some(State {
            stage: Stage::Each(elements),
            ..
        }) = self.states.get_mut(place)
        {
            elements.running = elements.running.saturating_sub(1);
            if let Some(known) = elements.results.get_mut(index) {
                *known = Some(result);
            }
        }
    }

    /// Fails whatever is not done.
    pub(super) fn fail_rest(&mut self, code: FailureCode) {
        self.freshness = Freshness::NONE;
        for place in 0..self.states.len() {
            let Some(state) = self.states.get_mut(place) else {
                continue;
            };
            match &mut state.stage {
                Stage::Waiting | Stage::Asked => self.end(place, Stage::Failed(code.into())),
                Stage::Each(elements) => {
                    let results = std::mem::take(&mut elements.results).into_iter();
                    let late = || Err(Failure::from(code));
                    let results: Vec<_> =
                        results.map(|result| result.unwrap_or_else(late)).collect();
                    let is_optional = self
                        .plan
                        .parts
                        .get(place)
                        .is_some_and(|part| part.is_optional);
                    let end = if is_optional {
                        Stage::DoneEach(results)
                    } else {
                        Stage::Failed(code.into())
                    };
                    self.end(place, end);
                }
                Stage::Done(_) | Stage::DoneEach(_) | Stage::Failed(_) => {}
            }
        }
    }

    fn begin(&mut self, place: usize, stage: Stage) {
        if let Some(state) = self.states.get_mut(place) {
            state.begun = Some(Instant::now());
            state.stage = stage;
        }
    }

    fn end(&mut self, place: usize, stage: Stage) {
        if let Some(state) = self.states.get_mut(place) {
            state.seconds = state
                .begun
                .map_or(0.0, |begun| begun.elapsed().as_secs_f64());
            state.stage = stage;
        }
    }

    /// A required part that has failed.
    pub(super) fn fatal(&self) -> Option<(&'a Part, &Failure)> {
        let parts = self.plan.parts.iter().zip(&self.states);
        let mut failed = parts.filter_map(|(part, state)| match &state.stage {
            Stage::Failed(failure) if !part.is_optional => Some((part, failure)),
            _ => None,
        });
        // What failed only because of another part says less than that one does.
        let all: Vec<_> = failed.by_ref().collect();
        let cause = all
            .iter()
            .find(|(_, failure)| failure.code != FailureCode::Dependency);
        cause.or(all.first()).copied()
    }

    /// What a failure began with: the part itself, or the one that it needs and that has failed.
    pub(super) fn root<'s>(
        &'s self,
        mut part: &'s Part,
        mut failure: &'s Failure,
    ) -> (&'s Part, &'s Failure) {
        while failure.code == FailureCode::Dependency {
            let needed = part.needs.iter().find_map(|need| {
                let stage = &self.states.get(*need)?.stage;
                let Stage::Failed(failure) = stage else {
                    return None;
                };
                Some((self.plan.parts.get(*need)?, failure))
            });
            // There are no cycles.
            match needed {
                Some(deeper) => (part, failure) = deeper,
                None => break,
            }
        }
        (part, failure)
    }

    /// How long the whole answer may be kept.
    pub(super) const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The names of the parts in which something is missing, as `Sealgate-Partial` lists them.
    pub(super) fn partial(&self) -> String {
        let parts = self.plan.parts.iter().zip(&self.states);
        let names =
            parts.filter_map(|(part, state)| state.is_partial().then_some(part.name.as_str()));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Tells the metrics how each part went.
    pub(super) fn count(&self, frontend: &Frontend, route: &Route, metrics: &Metrics) {
        for (part, state) in self.plan.parts.iter().zip(&self.states) {
            let outcome = match &state.stage {
                Stage::Done(_) => "ok",
                Stage::DoneEach(results) => {
                    let failed = results.iter().find_map(|result| result.as_ref().err());
                    failed.map_or("ok", |failure| failure.code.as_str())
                }
                Stage::Failed(failure) => failure.code.as_str(),
                // The answer was given up before this part could end.
                Stage::Waiting | Stage::Asked | Stage::Each(_) => continue,
            };
            let seconds = state.begun.map(|_| state.seconds);
            metrics.part(&frontend.name, &route.name, &part.name, outcome, seconds);
        }
    }

    /// What became of each part, by name.
    pub(super) fn into_outcomes(self) -> Vec<(&'a str, Outcome)> {
        let parts = self.plan.parts.iter().zip(self.states);
        let outcome = |(part, state): (&'a Part, State)| {
            let outcome = match state.stage {
                Stage::Done(kept) => Outcome::Value(kept.value),
                Stage::DoneEach(results) => {
                    let value = |result: Result<Kept, Failure>| result.map(|kept| kept.value);
                    Outcome::Each(results.into_iter().map(value).collect())
                }
                Stage::Failed(failure) => Outcome::Failed(failure),
                Stage::Waiting | Stage::Asked | Stage::Each(_) => {
                    Outcome::Failed(FailureCode::Deadline.into())
                }
            };
            (part.name.as_str(), outcome)
        };
        parts.map(outcome).collect()
    }
}

impl State {
    fn is_partial(&self) -> bool {
        match &self.stage {
            Stage::Done(_) => false,
            Stage::DoneEach(results) => results.iter().any(Result::is_err),
            _ => true,
        }
    }
}
