//! Tests of the relying party against a provider on loopback that misbehaves on request.

mod authorize;
mod discovery;
mod hostile;
mod http;
mod id_token;
mod logout_token;
mod refreshed;
mod token;

use std::time::Duration;

use tokio::task::LocalSet;

use self::hostile::Hostile;
use super::{ClientSettings, IdpClient, OidcError, Provider, samples};
use crate::clock::{Clock, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Runs a test as a worker runs: one thread, with local tasks. Bounded.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = Duration::from_secs(30);
    let test = async { tokio::time::timeout(limit, test).await.unwrap() };
    LocalSet::new().block_on(&runtime, test);
}

fn client() -> IdpClient {
    IdpClient::new(&super::Egress::default(), Duration::from_secs(5))
}

fn settings(issuer: &str) -> ClientSettings {
    samples::settings(issuer, "shop", "canary-secret")
}

/// A provider as sealgate sees it, and the clock in its hand.
fn provider(idp: &Hostile) -> (Provider, Clock) {
    let clock = Clock::fixed(NOW);
    (Provider::new(settings(&idp.issuer), clock.clone()), clock)
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, OidcError>, what: &str) {
    match outcome {
        Err(OidcError::Unavailable(_)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(outcome: Result<T, OidcError>, what: &str) {
    match outcome {
        Err(OidcError::Invalid(_)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// Of a refresh that may have been processed (G8).
#[track_caller]
fn assert_lost<T: std::fmt::Debug>(outcome: Result<T, OidcError>, what: &str) {
    match outcome {
        Err(OidcError::Lost(_)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn the_provider_is_shared_by_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Provider>();
}
