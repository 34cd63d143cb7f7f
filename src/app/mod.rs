//! The composition root: a loaded configuration becomes listeners, workers and the tasks beside them.
//!
//! # Life of the process
//! Before it binds a socket, `config` has checked everything and the key ring is loaded. Then it starts the admin listener,
//! the public listener, and tasks that read the key ring and the configuration again (`reload`). On SIGTERM, readiness fails
//! first; load balancers have `shutdown_delay` to notice, requests in flight have `shutdown_grace` to end, and the process
//! exits. Ctrl-C skips the delay.

mod fixed;
mod known;
mod reach;
mod reload;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::reach::{Reached, reach};
use self::reload::Reload;
use crate::bff::{Bff, Configured};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::coordination::{BadUrl, CoordinationSettings, Coordinator};
use crate::frontend::{Frontends, RateLimit};
use crate::keyring::{KeyRing, KeyRingError, SharedRing};
use crate::ledger::{Ends, FailedRenewals, News, Redemptions, Refreshes, Replicas, Revocations};
use crate::oidc::IdpClient;
use crate::server;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{BadEnvironment, Recorder, Seldom};

/// How often, and at which interval, a stop checks whether the workers have dropped the requests that they cut off.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// How long a stop waits for the collector of traces, within its grace. A collector that answers needs less than the least.
const LEAST_FLUSH: Duration = Duration::from_secs(1);
const MOST_FLUSH: Duration = Duration::from_secs(2);

/// The keys of the two listeners.
const BIND: &str = "server.bind";
const ADMIN_BIND: &str = "server.admin_bind";

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be bound, or a worker could not start.
    #[error("{key}: cannot listen on {address}: {why}{}", remedy(.why))]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        why: std::io::Error,
    },
    /// The key ring does not load.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The store's URL cannot be used.
    #[error(transparent)]
    Coordination(#[from] BadUrl),
    /// A variable that asks for traces cannot be used.
    #[error(transparent)]
    Traces(#[from] BadEnvironment),
    /// The operating system refuses a signal handler or a thread.
    #[error("cannot start: {0}")]
    System(#[source] std::io::Error),
}

/// The two listening sockets of the process.
#[derive(Debug)]
pub struct Listeners {
    /// For browsers.
    pub public: TcpListener,
    /// For the operator: the admin listener.
    pub operator: TcpListener,
}

impl Listeners {
    /// Binds the addresses of the configuration.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        Self::beside(bind(BIND, config.server.bind)?, config)
    }

    /// Binds the admin listener beside a public one that is bound already.
    pub fn beside(public: TcpListener, config: &Config) -> Result<Self, StartError> {
        let operator = bind(ADMIN_BIND, config.server.admin_bind)?;
        Ok(Self { public, operator })
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|why| StartError::Listen { key, address, why })
}

/// What to do about an address that cannot be had.
fn remedy(why: &std::io::Error) -> &'static str {
    match why.kind() {
        ErrorKind::AddrInUse => {
            "\n    → end what listens there, which may be another sealgate, or choose another address"
        }
        ErrorKind::AddrNotAvailable => {
            "\n    → choose an address of this machine, or 0.0.0.0 for all"
        }
        ErrorKind::PermissionDenied => {
            "\n    → choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}

/// A process that serves.
#[derive(Debug)]
pub struct Running {
    /// The shared state, for tests and the tasks beside the listeners.
    pub bff: Arc<Bff>,
    public: ServerHandle,
    operator: ServerHandle,
    shutdown_grace: Duration,
}

/// Loads the key ring and binds: from here on connections wait instead of being refused.
pub fn listen(config: &Config, clock: &Clock) -> Result<Listeners, StartError> {
    // The key ring first: without it the process must not bind a socket.
    KeyRing::load(&config.keys.dir, clock.now())?;
    Recorder::check()?;
    Listeners::bind(config)
}

/// Serves until a signal ends it. Reads `sources` again when they change.
pub async fn serve(
    config: Config,
    sources: Sources,
    clock: Clock,
    listeners: Listeners,
) -> Result<(), StartError> {
    // Operators send these signals to other servers, to reopen logs or to upgrade. Unhandled, they would end the process.
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        let signals = signal(kind).map_err(StartError::System)?;
        actix_web::rt::spawn(say_that_it_does_nothing(kind, signals));
    }
    let reload = Reload::of(&config, sources);
    let running = start(config, clock, listeners)?;
    actix_web::rt::spawn(reload.keep_fresh(Arc::clone(&running.bff)));
    running.until_signalled().await.map_err(StartError::System)
}

/// One line for each frontend, so that whoever starts a process sees which apps it serves, and who signs their users in.
fn say_what_is_served(bff: &Bff) {
    for frontend in bff.configured.load().frontends.iter() {
        log::info!(frontend = frontend.name.as_str(), origin = frontend.origin.as_str(),
            issuer = frontend.provider.settings().issuer.as_str(); "frontend");
    }
}

/// Starts listeners and tasks on the current actix system. Returns at once.
pub fn start(config: Config, clock: Clock, listeners: Listeners) -> Result<Running, StartError> {
    let now = clock.now();
    let metrics = Metrics::new(config.coordination.is_some());
    known::begin(&metrics, &config);
    let keys = SharedRing::load(&config.keys.dir, now, metrics.reloads.clone())?;
    let options = server::Options {
        workers: config.server.workers,
        shutdown_grace: config.server.shutdown_grace,
    };
    let coordinator = coordinator(config.coordination.as_ref(), &config.frontends, &metrics)?;
    let bff = Arc::new(Bff {
        configured: ArcSwap::from_pointee(configured(config, &keys)),
        keys,
        redemptions: Redemptions::default(),
        refreshes: Refreshes::default(),
        replicas: Replicas::new(now),
        revocations: Revocations::default(),
        coordinator: coordinator.map(Arc::new),
        failed_renewals: FailedRenewals::default(),
        ends: Ends::default(),
        news: News::default(),
        bad_logout_tokens: RateLimit::of_bad_logout_tokens(&clock),
        clock,
        metrics,
        unknown_hosts: Seldom::every(Duration::from_mins(1)),
        recorder: Recorder::from_environment()?,
        draining: Arc::default(),
    });
    let public_addr = listeners.public.local_addr().map_err(StartError::System)?;
    let operator_addr = listeners
        .operator
        .local_addr()
        .map_err(StartError::System)?;
    let operator =
        server::operator(&bff, listeners.operator).map_err(|why| StartError::Listen {
            key: ADMIN_BIND,
            address: operator_addr,
            why,
        })?;
    let public =
        server::public(&bff, listeners.public, options).map_err(|why| StartError::Listen {
            key: BIND,
            address: public_addr,
            why,
        })?;
    log::info!(address = public_addr.to_string(), admin = operator_addr.to_string(),
        keys = bff.keys.current().len(); "serving");
    say_what_is_served(&bff);
    bff.keys.current().warn_of_foreign_keys();
    let running = Running {
        public: public.handle(),
        operator: operator.handle(),
        shutdown_grace: options.shutdown_grace,
        bff: Arc::clone(&bff),
    };
    actix_web::rt::spawn(public);
    actix_web::rt::spawn(operator);
    actix_web::rt::spawn(keep_keys_fresh(Arc::clone(&bff)));
    actix_web::rt::spawn(coordinate(Arc::clone(&bff)));
    actix_web::rt::spawn(forget_exchanged_of_ended(Arc::clone(&bff)));
    actix_web::rt::spawn(discover(bff));
    Ok(running)
}

impl Running {
    /// Waits for SIGTERM or Ctrl-C, then drains.
    async fn until_signalled(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let delay = tokio::select! {
            _ = terminate.recv() => self.bff.configured.load().shutdown_delay,
            _ = interrupt.recv() => Duration::ZERO,
        };
        log::info!("shutting down");
        self.bff.draining.begin();
        // Without a delay there is nothing for a second Ctrl-C to cut short, and it must not get lost here.
        if !delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = interrupt.recv() => {}
            }
        }
        tokio::select! {
            () = self.stop() => {}
            // A second Ctrl-C ends the process now.
            _ = interrupt.recv() => {}
        }
        let draining = &self.bff.draining;
        let cut = draining.cut().saturating_add(draining.in_flight());
        if cut > 0 {
            log::warn!(cut = cut; "stopped: requests were cut off before they had all of their answer");
        } else {
            log::info!(cut = cut; "stopped");
        }
        Ok(())
    }

    /// Accepts no more connections, lets requests in flight end, and closes.
    pub async fn stop(&self) {
        let draining = &self.bff.draining;
        draining.close(self.shutdown_grace);
        self.public.stop(true).await;
        // Workers report their end just before they drop the remaining requests.
        for _ in 0..LOOKS {
            if draining.in_flight() == 0 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.operator.stop(false).await;
        if let Some(coordinator) = &self.bff.coordinator {
            coordinator.settled().await;
        }
        if let Some(recorder) = self.bff.recorder {
            let patience = draining.grace_left().clamp(LEAST_FLUSH, MOST_FLUSH);
            recorder.stop(patience).await;
        }
    }
}

async fn say_that_it_does_nothing(kind: SignalKind, mut signals: Signal) {
    while signals.recv().await.is_some() {
        log::info!(signal = kind.as_raw_value(); "this signal does nothing; SIGHUP reads keys and configuration again");
    }
}

/// What a request needs of the configuration.
fn configured(config: Config, keys: &SharedRing) -> Configured {
    config.frontends.use_ring(keys);
    let Config { server, keys, .. } = config;
    Configured {
        frontends: config.frontends,
        upstreams: config.upstreams,
        trusted_proxies: server.trusted_proxies,
        admin_hosts: server.admin_hosts,
        telling: config.telling,
        egress: config.egress,
        certificate: server.tls.map(|files| files.pair),
        shutdown_delay: server.shutdown_delay,
        reload_interval: server.reload_interval,
        keys_reload_interval: keys.reload_interval,
    }
}

/// Waits for SIGHUP; for ever if that cannot be noticed.
async fn hung_up(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => {
            let _ = signals.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Reloads the key ring at the configured interval and on SIGHUP. A key ring that does not load adds no key.
async fn keep_keys_fresh(bff: Arc<Bff>) {
    let mut signals = signal(SignalKind::hangup()).ok();
    loop {
        let interval = bff.configured.load().keys_reload_interval;
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = hung_up(&mut signals) => log::info!("SIGHUP: looking at the key directory"),
        }
        bff.keys.reload(bff.clock.now()).await;
    }
}

fn longest_session(frontends: &Frontends) -> Duration {
    let timeouts = frontends.iter().map(|frontend| frontend.longest_session);
    timeouts.max().unwrap_or_default()
}

fn coordinator(
    settings: Option<&CoordinationSettings>,
    frontends: &Frontends,
    metrics: &Metrics,
) -> Result<Option<Coordinator>, BadUrl> {
    let longest = longest_session(frontends);
    settings
        .map(|settings| Coordinator::new(settings, longest, metrics.coordination.clone()))
        .transpose()
}

/// With `[coordination]`, shares facts with the other replicas.
async fn coordinate(bff: Arc<Bff>) {
    if let Some(coordinator) = &bff.coordinator {
        coordinator
            .run(&bff.keys, &bff.clock, &bff.revocations)
            .await;
    }
}

/// Drops the exchanged tokens of sessions that were ended, by another replica or by the provider too.
///
/// A provider may end thousands of sessions in a row. So there is a pause after each look through the tokens.
async fn forget_exchanged_of_ended(bff: Arc<Bff>) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut changes = bff.revocations.changes();
    while changes.changed().await.is_ok() {
        for frontend in bff.configured.load().frontends.iter() {
            frontend.provider.forget_exchanged_of_ended();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Contacts each identity provider that is not known yet, so that the first login does not wait. A failure stops nothing.
async fn discover(bff: Arc<Bff>) {
    let configured = bff.configured.load_full();
    let idp = IdpClient::new(&configured.egress, Duration::from_secs(10));
    for frontend in configured.frontends.iter() {
        if frontend.provider.is_known() {
            continue;
        }
        let idp = idp.counted(bff.metrics.provider_calls(&frontend.name));
        if let Err(error) = frontend.provider.discover(&idp).await {
            let issuer = &frontend.provider.settings().issuer;
            log::warn!(frontend = frontend.name.as_str(), issuer = issuer.as_str();
                "identity provider not reached: {error}; no login succeeds until it is, and each tries again: \
                 sealgate --check --online says more");
        }
    }
}
