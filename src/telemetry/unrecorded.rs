//! What stands in the place of `otlp` in a build without that feature: nothing can be recorded.

use super::TraceContext;
use super::attribute::Value;

/// The variables that ask for traces.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// There is none.
#[derive(Clone, Copy, Debug)]
pub enum Recorder {}

/// There is no mistake either: the variables are not read.
#[derive(Debug, thiserror::Error)]
pub enum BadEnvironment {}

/// A request that has begun.
pub(super) struct Begun {
    pub(super) trace: TraceContext,
    pub(super) open: Option<Open>,
    pub(super) recording: Option<Recording>,
}

/// There is none.
pub(super) enum Open {}

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum Recording {}

impl Recorder {
    /// Never one. Whoever asks for traces by the environment is told that this build has none.
    pub fn from_environment() -> Result<Option<Self>, BadEnvironment> {
        for warning in Self::check()? {
            log::warn!("{warning}");
        }
        Ok(None)
    }

    /// What the environment asks for in vain.
    pub fn check() -> Result<Vec<String>, BadEnvironment> {
        let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|text| !text.is_empty());
        let told = ENDPOINTS.iter().find(is_set).map(|name| {
            format!("{name}: this build of sealgate has no traces\n    → unset it, or build with the feature otlp")
        });
        Ok(told.into_iter().collect())
    }

    pub(super) fn begin_request(self, _: TraceContext) -> Begun {
        match self {}
    }

    /// Nothing is to be sent.
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub async fn stop(self, _: std::time::Duration) {
        match self {}
    }
}

impl Recording {
    pub(super) fn begin(&self, _: &'static str, _: bool, _: Option<[u8; 8]>) -> Open {
        match *self {}
    }
}

impl Open {
    pub(super) fn id(&self) -> [u8; 8] {
        match *self {}
    }

    pub(super) fn set(&mut self, _: &'static str, _: Value) {
        match *self {}
    }

    pub(super) fn fail(&mut self) {
        match *self {}
    }
}
