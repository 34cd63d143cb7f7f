//! The feed of revocations: a stream in the store that every replica writes to and follows.
//!
//! # Invariants
//! - A request does not ask the store whether its session was ended. The feed fills [`Revocations`], and requests ask that.
//! - A replica reads the stream from its beginning when it connects for the first time. After that it goes on where it was,
//!   as long as the store still has the entry that it read last. So it misses nothing that still counts, and it reaches the
//!   end even over a line that breaks again and again.
//! - Entries that are not ours take no memory, however many there are: long values do not pass the connection, and one read
//!   asks for few entries. An answer may take as long as bytes keep coming.
//! - Entries are trimmed by age, once every session that they end would be over anyway.
//! - A key directory that does not answer holds up the feed for a moment, and only once.
//!
//! # Why a stream
//! A replica that starts, or whose connection breaks, would miss a message that is only published at that moment.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::coordinator::Coordinator;
use super::entries::{self, FIELD};
use super::narrow::Limits;
use super::reach::Connection;
use super::sealed::Fact;
use super::store::{PATIENCE, RETRY, Unreachable};
use super::unopened::Unopened;
use crate::clock::Clock;
use crate::keyring::{KeyRing, OpenError, SharedRing};
use crate::ledger::{Revocation, Revocations, digest_text};
use crate::telemetry::coordination::{FeedEntry, StoreCall};

/// How long a read waits for news. It is also the longest silence of a feed that works.
const BLOCK: Duration = Duration::from_secs(1);

/// The shortest wait. A read with 0 would wait without end.
const GLANCE: Duration = Duration::from_millis(1);

/// Entries of one read.
const PAGE: usize = 32;

/// An entry of ours has one field, with a value as long as a sealed fact. Ids and the name of the stream are longer.
const LIMITS: Limits = Limits {
    bytes: 1024,
    items: 64,
};

/// Before the first entry of a stream.
const BEGINNING: &str = "0-0";

/// How far the clocks of the replicas and of the store may be apart.
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

    /// Ends sessions on all replicas for a logout token, and remembers the token for as long as it is valid. It does all or
    /// nothing: a provider that tries again after a failure must not hear that its token came before.
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

    /// Sends the revocations that were announced, in order, and keeps those that the store does not take.
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
            if queue.is_empty() {
                self.drained.notify_waiters();
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
    pub(super) async fn follow(&self, keys: &SharedRing, clock: &Clock, revocations: &Revocations) {
        let mut last = String::new();
        let mut place = Place {
            cursor: BEGINNING.to_owned(),
            ring: keys.current(),
            unopened: Unopened::default(),
        };
        loop {
            let read = self.read(&mut place, keys, clock, revocations);
            let Err(error) = read.await;
            self.note_failed();
            // It is tried again and again, and not each failure is worth a line. A store that is gone has a line of its own.
            if error != last && self.store.answers().await {
                log::warn!("the revocations of other replicas do not arrive: {error}");
                last = error;
            }
            sleep(RETRY).await;
        }
    }

    async fn read(
        &self,
        place: &mut Place,
        keys: &SharedRing,
        clock: &Clock,
        revocations: &Revocations,
    ) -> Result<Infallible, String> {
        let stream = self.stream();
        let mut connection = self.store.connect(LIMITS).await?;
        place.resume(&stream, &mut connection).await?;
        // The first read must not wait for news: without any, it says that the feed is complete.
        let mut is_complete = false;
        loop {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(PAGE);
            // New keys are tried at once on the entries that could not be opened.
            let has_new_keys = !Arc::ptr_eq(&place.ring, &keys.current());
            let is_waiting = is_complete && !has_new_keys;
            let block = if is_waiting { BLOCK } else { GLANCE };
            command.arg("BLOCK").arg(block.as_millis().to_string());
            command.arg("STREAMS").arg(&stream).arg(&place.cursor);
            let reply = ask(&mut connection, &command).await?;
            let current = keys.current();
            if !Arc::ptr_eq(&place.ring, &current) {
                place.ring = Arc::clone(&current);
                let retry = |entry| self.apply(entry, &stream, &current, clock, revocations);
                place.unopened.retry(retry);
            }
            let entries = entries::read(reply).map_err(|error| error.to_string())?;
            let is_last = entries.len() < PAGE;
            for entry in entries {
                match entry.sealed.filter(|sealed| sealed.len() == Fact::SEALED) {
                    Some(sealed) => {
                        let back = self.apply(sealed, &stream, &current, clock, revocations);
                        if let Some(sealed) = back {
                            place.unopened.keep(sealed, clock.monotonic());
                        }
                    }
                    None => self.metrics.fed(FeedEntry::Rejected),
                }
                place.cursor = entry.id;
            }
            if is_last {
                is_complete = true;
                self.note_heard();
            }
            if place.unopened.wants_keys(clock.monotonic()) {
                keys.look(clock.now()).await;
            }
        }
    }

    /// Applies an entry. It gives back an entry whose key is unknown.
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
            // It comes from a replica that has read newer keys. We will read them too.
            Err(OpenError::UnknownKey) => {
                self.metrics.fed(FeedEntry::UnknownKey);
                return Some(entry);
            }
            Err(OpenError::Rejected) => self.metrics.fed(FeedEntry::Rejected),
        }
        None
    }
}

/// How far the stream was read, over all connections.
struct Place {
    cursor: String,
    ring: Arc<KeyRing>,
    unopened: Unopened,
}

impl Place {
    /// Goes back to the beginning, unless the store still has the entry that was read last. If it has, the entries before it
    /// are the same, too.
    async fn resume(&mut self, stream: &str, connection: &mut Connection) -> Result<(), String> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg(&self.cursor).arg(&self.cursor);
        let reply = ask(connection, &command).await?;
        if !matches!(reply, redis::Value::Array(entries) if !entries.is_empty()) {
            BEGINNING.clone_into(&mut self.cursor);
        }
        Ok(())
    }
}

/// Waits for an answer as long as bytes keep coming.
async fn ask(connection: &mut Connection, command: &redis::Cmd) -> Result<redis::Value, String> {
    let heard = Arc::clone(&connection.heard);
    let heard = || heard.load(Ordering::Relaxed);
    let mut before = heard();
    let mut reply = pin!(command.query_async(&mut connection.commands));
    loop {
        match timeout(BLOCK + PATIENCE, reply.as_mut()).await {
            Ok(reply) => return reply.map_err(|error: redis::RedisError| error.to_string()),
            Err(_) if heard() == before => return Err("no answer in time".to_owned()),
            Err(_) => before = heard(),
        }
    }
}
