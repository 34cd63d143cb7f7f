//! The connection to Valkey or Redis, and the breaker that keeps requests from waiting for it.
//!
//! # Invariants
//! - A call waits [`PATIENCE`] at most. After a call has failed, no call goes to the store until a probe succeeds. So there
//!   is no storm of timeouts, whatever the load.
//! - Each change between reached and not reached is one log line, however many calls there were.
//!
//! # Why a probe that writes
//! A store that has become read-only or is full answers PING, but is of no use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Pipeline, RedisError};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::narrow::Limits;
use super::reach::{Connection, reach};
use super::{CoordinationSettings, OnFailure};
use crate::telemetry::coordination::{CoordinationMetrics, StoreCall, StoreResult};

/// How long a call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long connecting may take, with TLS and authentication.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The pause between two attempts to reach a store that is gone.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// The pause between two probes of a store that answers. Mostly a probe finds out that the store is gone, not a request.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The limits for answers. The longest is the result of a refresh, with its tokens.
const LIMITS: Limits = Limits {
    bytes: 256 * 1024,
    items: 64,
};

/// The store does not answer, or answers with an error.
#[derive(Debug, thiserror::Error)]
#[error("the store for coordination does not answer")]
pub struct Unreachable;

pub(super) struct Store {
    client: Client,
    prefix: String,
    /// `None` means that the breaker is open.
    connection: ArcSwapOption<Connection>,
    lost: Notify,
    said: AtomicU8,
    /// What it means that the store is gone.
    consequence: &'static str,
    metrics: CoordinationMetrics,
}

const SAID_NOTHING: u8 = 0;
const SAID_DOWN: u8 = 1;
const SAID_UP: u8 = 2;

impl Store {
    /// Does not connect yet.
    pub(super) fn new(
        settings: &CoordinationSettings,
        metrics: CoordinationMetrics,
    ) -> Result<Self, RedisError> {
        // TLS to the store uses the default cryptography of the process. An error means that it is already set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            client: Client::open(settings.url.as_str())?,
            prefix: settings.prefix.clone(),
            connection: ArcSwapOption::empty(),
            lost: Notify::new(),
            said: AtomicU8::new(SAID_NOTHING),
            consequence: match settings.on_failure {
                OnFailure::Closed => "no session is served until it is (coordination.on_failure)",
                OnFailure::Open => "replicas work on their own until it is",
            },
            metrics,
        })
    }

    /// The full name of an entry in the store.
    pub(super) fn name(&self, rest: &str) -> String {
        format!("{}:{rest}", self.prefix)
    }

    /// Sends commands, and takes their answers.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: StoreCall,
        commands: &Pipeline,
    ) -> Result<T, Unreachable> {
        let Some(connection) = self.connection.load_full() else {
            self.metrics.called(call, StoreResult::Skipped);
            return Err(Unreachable);
        };
        let mut shared = MultiplexedConnection::clone(&connection.commands);
        let why = match timeout(PATIENCE, commands.query_async(&mut shared)).await {
            Ok(Ok(answer)) => {
                self.metrics.called(call, StoreResult::Ok);
                return Ok(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.metrics.called(call, StoreResult::Failed);
        self.give_up(&connection, &why);
        Err(Unreachable)
    }

    /// Opens the breaker, unless another connection has replaced this one.
    fn give_up(&self, failed: &Arc<Connection>, why: &str) {
        let previous = self.connection.compare_and_swap(failed, None);
        if previous
            .as_ref()
            .is_some_and(|previous| Arc::ptr_eq(previous, failed))
        {
            self.say_down(why);
            self.lost.notify_one();
        }
    }

    fn say_down(&self, why: &str) {
        self.metrics.reached(false);
        if self.said.swap(SAID_DOWN, Ordering::AcqRel) != SAID_DOWN {
            log::warn!(
                "the store for coordination is not reached, {}: {why}: see that coordination.url is right and the store runs",
                self.consequence
            );
        }
    }

    /// Whether the store takes a command now, though something else of it has failed. If not, the log has heard so, or does now.
    pub(super) async fn answers(&self) -> bool {
        self.connection.load().is_some()
            && self
                .run::<()>(StoreCall::Probe, &self.probe())
                .await
                .is_ok()
    }

    fn say_up(&self) {
        self.metrics.reached(true);
        if self.said.swap(SAID_UP, Ordering::AcqRel) != SAID_UP {
            log::info!("the store for coordination is reached");
        }
    }

    /// Connects, watches the connection, and connects again, for as long as it is polled.
    pub(super) async fn keep_connected(&self) {
        loop {
            match self.try_once().await {
                Ok(connection) => {
                    self.connection.store(Some(Arc::new(connection)));
                    self.say_up();
                    self.watch().await;
                }
                Err(why) => self.say_down(&why),
            }
            sleep(RETRY).await;
        }
    }

    /// Returns when the connection is given up.
    async fn watch(&self) {
        while self.connection.load().is_some() {
            tokio::select! {
                () = self.lost.notified() => {}
                () = sleep(PROBE_INTERVAL) => {
                    let _ = self.run::<()>(StoreCall::Probe, &self.probe()).await;
                }
            }
        }
    }

    /// A new connection that has taken a write.
    pub(super) async fn try_once(&self) -> Result<Connection, String> {
        let mut connection = self.connect(LIMITS).await?;
        let probe = self.probe();
        let answer = timeout(PATIENCE, probe.query_async::<()>(&mut connection.commands)).await;
        match answer {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// A new connection. Each caller limits the time of its own calls.
    pub(super) async fn connect(&self, limits: Limits) -> Result<Connection, String> {
        let connecting = reach(self.client.get_connection_info(), limits);
        match timeout(CONNECT_PATIENCE, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err("no connection in time".to_owned()),
        }
    }

    fn probe(&self) -> Pipeline {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.name("probe"))
            .arg(1)
            .arg("PX")
            .arg(1000)
            .ignore();
        commands
    }
}
