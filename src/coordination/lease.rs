//! One refresh for all replicas: the replica that calls the provider holds a lease, and leaves the result for the others.
//!
//! # Invariants
//! - The provider's answer always wins: the caller gets it, whatever happens to the store meanwhile.
//! - While another replica holds the lease, this one does not call. Its wait ends with the result, with the lease, or with
//!   [`Outcome::Unavailable`].
//! - The lease is renewed while the call runs. If its holder dies, it lapses.
//! - A refusal never replaces new tokens in the store.
//!
//! # Why SET before GET
//! Both go in one round trip. A holder leaves the result before it gives up the lease. So a replica that gets the lease and
//! then sees no result knows that there is none.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::coordinator::Coordinator;
use super::sealed;
use super::store::{RETRY, Unreachable};
use crate::clock::{Clock, UnixTime};
use crate::keyring::{KeyRing, OpenError};
use crate::ledger::{Fingerprint, Outcome};
use crate::telemetry::coordination::{SharedRefresh, StoreCall};
use crate::telemetry::take_along;

/// How long a lease lasts unless it is renewed, and so how long others wait for a replica that died.
const LEASE: Duration = Duration::from_secs(3);

/// Between two renewals.
const RENEWAL: Duration = Duration::from_secs(1);

/// The most renewals. Together they last longer than any call to a provider.
const MAX_RENEWALS: usize = 60;

/// How often a result is offered to the store.
const PUBLICATIONS: usize = 5;

/// The first and the longest pause between two looks for the result of another replica.
const FIRST_LOOK: Duration = Duration::from_millis(15);
const LONGEST_PAUSE: Duration = Duration::from_millis(120);

/// How long a request waits for another replica.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The two names of a refresh in the store. The braces keep them on one node of a cluster.
#[derive(Clone)]
struct Names {
    digest: String,
    lease: String,
    result: String,
}

impl Names {
    /// The commands that leave an outcome for the others, and give up the lease.
    fn publication(&self, outcome: &Outcome, keys: &KeyRing, now: UnixTime) -> redis::Pipeline {
        let mut commands = redis::pipe();
        if let Some((bytes, kept)) = sealed::seal_outcome(outcome, &self.digest, keys, now) {
            let set = commands
                .cmd("SET")
                .arg(&self.result)
                .arg(bytes)
                .arg("PX")
                .arg(millis(kept));
            if !matches!(outcome, Outcome::Refreshed(_)) {
                // Another replica that was alone, too, may have left new tokens here. They are worth more.
                set.arg("NX");
            }
            set.ignore();
        }
        commands.cmd("DEL").arg(&self.lease).ignore();
        commands
    }
}

enum Found {
    Result(Vec<u8>),
    Mine,
    Theirs,
}

/// What another replica did, or that this one must call.
enum Turn {
    Done(Outcome),
    Alone,
    Leading,
}

impl Coordinator {
    /// The outcome of a refresh that another replica made or makes, or else of `call`.
    pub async fn once(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        keys: Arc<KeyRing>,
        clock: &Clock,
        call: impl Future<Output = Outcome>,
    ) -> Outcome {
        let digest = sealed::refresh_name(&fingerprint);
        let names = Names {
            lease: self.store.name(&format!("lease:{{{digest}}}")),
            result: self.store.name(&format!("result:{{{digest}}}")),
            digest,
        };
        match self.turn(&names, &keys).await {
            Turn::Done(outcome) => outcome,
            // No lease: the store may be back by then, and the others would wait in vain for a lease that it took late.
            Turn::Alone => {
                let outcome = match call.await {
                    // Another replica that was alone, too, may have spent the token.
                    Outcome::Refused(why) => Outcome::Contested(why),
                    outcome => outcome,
                };
                self.publish(names, keys, clock.clone(), outcome.clone());
                outcome
            }
            Turn::Leading => {
                let renewing = Renewing::begin(self, &names);
                let outcome = call.await;
                drop(renewing);
                self.publish(names, keys, clock.clone(), outcome.clone());
                outcome
            }
        }
    }

    async fn turn(&self, names: &Names, keys: &KeyRing) -> Turn {
        let begun = Instant::now();
        let mut pause = FIRST_LOOK;
        let mut has_waited = false;
        let note = |what| self.metrics.refreshed(what);
        loop {
            match self.look(names).await {
                Ok(Found::Result(bytes)) => {
                    return match sealed::open_outcome(&bytes, &names.digest, keys) {
                        Ok(outcome) => {
                            note(SharedRefresh::Adopted);
                            Turn::Done(outcome)
                        }
                        // Another replica, which has the key, has spent the token.
                        Err(OpenError::UnknownKey) => {
                            note(SharedRefresh::Failed);
                            Turn::Done(Outcome::Unavailable(
                                "another replica has the result, sealed with a key that is not here yet".into(),
                            ))
                        }
                        // None of our replicas wrote it.
                        Err(OpenError::Rejected) => {
                            note(SharedRefresh::Alone);
                            Turn::Alone
                        }
                    };
                }
                Ok(Found::Mine) => {
                    note(SharedRefresh::Led);
                    return Turn::Leading;
                }
                Ok(Found::Theirs) if begun.elapsed() < LONGEST_WAIT => {
                    has_waited = true;
                    sleep(pause).await;
                    pause = (pause * 3 / 2).min(LONGEST_PAUSE);
                }
                Err(Unreachable) if !has_waited => {
                    note(SharedRefresh::Alone);
                    return Turn::Alone;
                }
                // Another replica spends the token, and we cannot know whether it is done.
                Ok(Found::Theirs) | Err(Unreachable) => {
                    note(SharedRefresh::Failed);
                    return Turn::Done(Outcome::Unavailable(
                        "another replica makes the call, and its result did not come".into(),
                    ));
                }
            }
        }
    }

    async fn look(&self, names: &Names) -> Result<Found, Unreachable> {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(&names.lease)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(millis(LEASE))
            .cmd("GET")
            .arg(&names.result);
        let (taken, result): (Option<String>, Option<Vec<u8>>) =
            self.store.run(StoreCall::Lease, &commands).await?;
        if taken.is_some() && result.is_some() {
            // The lease was free, but there is a result. Others must not wait for the lease once the result is gone.
            let mut commands = redis::pipe();
            commands.cmd("DEL").arg(&names.lease).ignore();
            self.store.run::<()>(StoreCall::Lease, &commands).await?;
        }
        Ok(match (taken, result) {
            (_, Some(result)) => Found::Result(result),
            (Some(_), None) => Found::Mine,
            (None, None) => Found::Theirs,
        })
    }

    /// Leaves the result, then gives up the lease. The request does not wait for that.
    fn publish(self: &Arc<Self>, names: Names, keys: Arc<KeyRing>, clock: Clock, outcome: Outcome) {
        let coordinator = Arc::clone(self);
        tokio::spawn(take_along(async move {
            let commands = names.publication(&outcome, &keys, clock.now());
            let store = &coordinator.store;
            for _ in 0..PUBLICATIONS {
                if store.run::<()>(StoreCall::Result, &commands).await.is_ok() {
                    break;
                }
                sleep(RETRY).await;
            }
        }));
    }
}

/// Renews a lease for as long as this lives.
struct Renewing(tokio::task::AbortHandle);

impl Renewing {
    fn begin(coordinator: &Arc<Coordinator>, names: &Names) -> Self {
        let coordinator = Arc::clone(coordinator);
        let lease = names.lease.clone();
        let task = tokio::spawn(take_along(async move {
            let mut commands = redis::pipe();
            commands
                .cmd("PEXPIRE")
                .arg(&lease)
                .arg(millis(LEASE))
                .ignore();
            for _ in 0..MAX_RENEWALS {
                sleep(RENEWAL).await;
                let store = &coordinator.store;
                let _ = store.run::<()>(StoreCall::Lease, &commands).await;
            }
        }));
        Self(task.abort_handle())
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples;

    #[test]
    fn new_tokens_replace_a_refusal_and_a_refusal_replaces_nothing() {
        let names = Names {
            digest: "d".to_owned(),
            lease: "lease".to_owned(),
            result: "result".to_owned(),
        };
        let (keys, now) = (samples::ring(), samples::now());
        let renewal = crate::ledger::Renewal {
            userinfo: None,
            tokens: samples::session(now).tokens,
            id_token: None,
            session_ends_by: None,
        };
        for (outcome, expected) in [
            (Outcome::Refreshed(Arc::new(renewal)), false),
            (Outcome::Refused("why".into()), true),
            (Outcome::Contested("why".into()), true),
            (Outcome::Mismatch("why".into()), true),
            (Outcome::Unavailable("why".into()), true),
        ] {
            let commands = names.publication(&outcome, &keys, now);
            let has_nx = commands
                .get_packed_pipeline()
                .windows(8)
                .any(|bytes| bytes == b"$2\r\nNX\r\n");
            assert_eq!(has_nx, expected, "{outcome:?}");
        }
    }
}
