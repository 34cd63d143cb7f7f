//! The coordinator of a build without the feature `redis`: there is none, and `config` refuses the section.

use std::sync::Arc;
use std::time::Duration;

use super::CoordinationSettings;
use crate::clock::{Clock, UnixTime};
use crate::keyring::{KeyRing, SharedRing};
use crate::ledger::{Fingerprint, Outcome, Revocation, Revocations};
use crate::telemetry::coordination::CoordinationMetrics;

/// Nothing that could be there.
#[derive(Debug)]
pub enum Coordinator {}

/// No store is ever asked.
#[derive(Debug, thiserror::Error)]
#[error("there is no store")]
pub enum Unreachable {}

/// The feature is missing.
#[derive(Debug, thiserror::Error)]
#[error("coordination: built without the feature `redis`")]
pub struct BadUrl;

#[expect(
    clippy::missing_const_for_fn,
    clippy::unused_async,
    reason = "the face of the coordinator there is with the feature"
)]
impl Coordinator {
    /// Never succeeds.
    pub fn new(
        _settings: &CoordinationSettings,
        _longest_session: Duration,
        _metrics: CoordinationMetrics,
    ) -> Result<Self, BadUrl> {
        Err(BadUrl)
    }

    /// Never called.
    pub async fn run(
        &self,
        _keys: &SharedRing,
        _clock: &Clock,
        _revocations: &Revocations,
        _look_for_keys: &dyn Fn(),
    ) {
        match *self {}
    }

    /// Never called.
    pub async fn reach(&self) -> Result<(), String> {
        match *self {}
    }

    /// Never called.
    pub fn announce(&self, _revocation: &Revocation, _until: UnixTime) {
        match *self {}
    }

    /// Never called.
    pub async fn settled(&self) {
        match *self {}
    }

    /// Never called.
    pub fn is_in_the_dark(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub async fn darkness(&self) {
        match *self {}
    }

    /// Never called.
    pub fn feed_age(&self) -> Option<Duration> {
        match *self {}
    }

    /// Never called.
    pub fn longest_session(&self) -> Duration {
        match *self {}
    }

    /// Never called.
    pub async fn once(
        self: &Arc<Self>,
        _fingerprint: Fingerprint,
        _keys: Arc<KeyRing>,
        _clock: &Clock,
        _call: impl Future<Output = Outcome>,
    ) -> Outcome {
        match **self {}
    }

    /// Never called.
    pub async fn has_come(&self, _token: &str) -> Result<bool, Unreachable> {
        match *self {}
    }

    /// Never called.
    pub async fn log_out(
        &self,
        _revocations: &[Revocation],
        _token: &str,
        _valid_for: Duration,
        _keys: &KeyRing,
        _clock: &Clock,
    ) -> Result<(), Unreachable> {
        match *self {}
    }
}
