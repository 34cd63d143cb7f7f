//! The feed of revocations: a stream in the store that every replica writes to and follows.
//!
//! # Invariants
//! - No request asks the store whether its session was ended: the feed fills [`Revocations`], requests ask that.
//! - Whoever connects, for the first time or again, reads the stream from its beginning: nothing that still counts is missed.
//! - Entries are trimmed by age, once no session can be alive that they end.
//!
//! # Why a stream
//! A message that is only published is lost on a replica that starts, or whose connection broke, at that moment.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::coordinator::Coordinator;
use super::digest::digest_text;
use super::entries::{self, FIELD};
use super::sealed::Fact;
use super::store::{PATIENCE, RETRY, Unreachable};
use super::unopened::Unopened;
use super::{Revocation, Revocations};
use crate::clock::Clock;
use crate::keyring::{KeyRing, OpenError, SharedRing};
use crate::telemetry::coordination::{FeedEntry, StoreCall};

/// How long a read waits for news; also the longest silence of a feed that works.
const BLOCK: Duration = Duration::from_secs(1);

/// The shortest read that does not wait without end.
const GLANCE: Duration = Duration::from_millis(1);

/// Entries of one read.
const PAGE: usize = 1000;

/// How far replicas' clocks, and the store's, may be apart.
const SKEW: Duration = Duration::from_mins(2);

impl Coordinator {
    fn stream(&self) -> String {
        self.store.name("revocations")
    }

    /// Whether a logout token came before.
    pub async fn has_come(&self, token: &str) -> Result<bool, Unreachable> {
        let mut commands = redis::pipe();
        commands.cmd("EXISTS").arg(self.logout_token_name(token));
        let (exists,): (bool,) = self.store.run(StoreCall::LogoutToken, &commands).await?;
        Ok(exists)
    }

    /// Ends sessions on all replicas on behalf of a logout token, which is remembered for as long as it is valid. All, or
    /// nothing: a provider that tries again after a failure must not be told that it did so already.
    pub async fn log_out(
        &self,
        revocations: &[Revocation],
        token: &str,
        valid_for: Duration,
        keys: &KeyRing,
        clock: &Clock,
    ) -> Result<(), Unreachable> {
        let now = clock.now();
        let until = now.plus(self.longest_session());
        let mut commands = redis::pipe();
        commands.atomic();
        for revocation in revocations {
            self.add(&mut commands, &Fact::new(revocation, until), keys, clock)?;
        }
        commands
            .cmd("SET")
            .arg(self.logout_token_name(token))
            .arg(1)
            .arg("EX")
            .arg(valid_for.as_secs().max(1))
            .ignore();
        self.store.run(StoreCall::Revocation, &commands).await
    }

    fn logout_token_name(&self, token: &str) -> String {
        let digest = digest_text("logout token", &[token.as_bytes()]);
        self.store.name(&format!("jti:{digest}"))
    }

    /// Sends what was announced, in order, and keeps what the store does not take.
    pub(super) async fn send_queued(&self, keys: &SharedRing, clock: &Clock) {
        loop {
            let first = self.queue().front().copied();
            let Some(fact) = first else {
                self.queued.notified().await;
                continue;
            };
            let mut commands = redis::pipe();
            commands.atomic();
            let added = self.add(&mut commands, &fact, &keys.current(), clock);
            let sent = match added {
                Ok(()) => self.store.run::<()>(StoreCall::Revocation, &commands).await,
                Err(unreachable) => Err(unreachable),
            };
            if sent.is_err() {
                sleep(RETRY).await;
                continue;
            }
            let mut queue = self.queue();
            // A full queue may have dropped it meanwhile.
            if queue.front() == Some(&fact) {
                queue.pop_front();
            }
        }
    }

    pub(super) fn queue(&self) -> std::sync::MutexGuard<'_, std::collections::VecDeque<Fact>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The commands that put a fact into the stream and trim it.
    fn add(
        &self,
        commands: &mut redis::Pipeline,
        fact: &Fact,
        keys: &KeyRing,
        clock: &Clock,
    ) -> Result<(), Unreachable> {
        let (stream, now) = (self.stream(), clock.now());
        let sealed = fact.seal(&stream, keys, now).ok_or(Unreachable)?;
        let kept = self.longest_session() + SKEW;
        // The ids of a stream are times in milliseconds.
        let oldest = now.minus(kept).as_secs().saturating_mul(1000);
        commands
            .cmd("XADD")
            .arg(&stream)
            .arg("MINID")
            .arg("~")
            .arg(oldest)
            .arg("*")
            .arg(FIELD)
            .arg(sealed)
            .ignore();
        commands
            .cmd("EXPIRE")
            .arg(&stream)
            .arg(kept.as_secs())
            .ignore();
        Ok(())
    }

    /// Fills the table from the stream, as long as it is polled.
    pub(super) async fn follow(
        &self,
        keys: &SharedRing,
        clock: &Clock,
        revocations: &Revocations,
        look_for_keys: &dyn Fn(),
    ) {
        let mut last = String::new();
        loop {
            let Err(error) = self.read(keys, clock, revocations, look_for_keys).await;
            // Not each time: it is tried once a second.
            if error != last {
                log::warn!("revocations of other replicas are not heard of: {error}");
                last = error;
            }
            sleep(RETRY).await;
        }
    }

    async fn read(
        &self,
        keys: &SharedRing,
        clock: &Clock,
        revocations: &Revocations,
        look_for_keys: &dyn Fn(),
    ) -> Result<Infallible, String> {
        let stream = self.stream();
        let mut connection = self.store.connect().await?;
        let mut cursor = "0-0".to_owned();
        let mut ring = keys.current();
        let mut unopened = Unopened::default();
        loop {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(PAGE);
            // Keys that have just been found are tried at once on what could not be opened.
            let has_new_keys = !Arc::ptr_eq(&ring, &keys.current());
            let block = if has_new_keys { GLANCE } else { BLOCK };
            command.arg("BLOCK").arg(block.as_millis().to_string());
            command.arg("STREAMS").arg(&stream).arg(&cursor);
            let reply = timeout(BLOCK + PATIENCE, command.query_async(&mut connection));
            let reply: redis::Value = reply
                .await
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|error| error.to_string())?;
            let current = keys.current();
            if !Arc::ptr_eq(&ring, &current) {
                ring = current;
                unopened.retry(|entry| self.apply(entry, &stream, &ring, clock, revocations));
            }
            let entries = entries::read(reply).map_err(|error| error.to_string())?;
            let is_last = entries.len() < PAGE;
            for entry in entries {
                match entry.sealed {
                    Some(sealed) => {
                        let back = self.apply(sealed, &stream, &ring, clock, revocations);
                        if let Some(sealed) = back {
                            unopened.keep(sealed, clock.monotonic());
                        }
                    }
                    None => self.metrics.fed(FeedEntry::Rejected),
                }
                cursor = entry.id;
            }
            if is_last {
                self.note_heard();
            }
            if unopened.wants_keys(clock.monotonic()) {
                look_for_keys();
            }
        }
    }

    /// Gives an entry back whose key is unknown.
    fn apply(
        &self,
        entry: Vec<u8>,
        stream: &str,
        keys: &KeyRing,
        clock: &Clock,
        revocations: &Revocations,
    ) -> Option<Vec<u8>> {
        match Fact::open(&entry, stream, keys) {
            Ok(fact) => {
                self.metrics.fed(FeedEntry::Ok);
                revocations.put(fact.key, fact.not_before, fact.until, clock.now());
            }
            // A replica whose keys are newer; ours will be.
            Err(OpenError::UnknownKey) => {
                self.metrics.fed(FeedEntry::UnknownKey);
                return Some(entry);
            }
            Err(OpenError::Rejected) => self.metrics.fed(FeedEntry::Rejected),
        }
        None
    }
}
