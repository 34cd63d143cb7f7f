//! What one process shares, and what one request carries through the steps of the pipeline.
//!
//! `cookies`: writes and ends the session of a request, and tells metrics and other requests.

mod cookies;

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use tokio::sync::watch;

use crate::clock::{Clock, UnixTime};
use crate::coordination::Coordinator;
use crate::frontend::{Frontend, Frontends, RateLimit};
use crate::keyring::{ReloadOutcome, SharedRing};
use crate::ledger::{Ends, FailedRenewals, Redemptions, Refreshes, Replicas, Revocations};
use crate::names::ReturnTo;
use crate::oidc::IdpClient;
use crate::problem::Problem;
use crate::session::{OpenResult, OpenSession, Wallet};
use crate::telemetry::metrics::{Metrics, ReloadResult};
use crate::telemetry::{Seldom, take_along_blocking};

/// The shared state of the process. What the configuration says never changes in it; the rest is what requests of
/// whatever worker must know of one another.
#[derive(Debug)]
pub struct Bff {
    /// Every frontend, selected by `Host`.
    pub frontends: Frontends,
    /// The key ring, reloaded while we run.
    pub keys: SharedRing,
    /// Codes of logins that are being redeemed, and the results.
    pub redemptions: Redemptions,
    /// Refreshes under way and their results.
    pub refreshes: Refreshes,
    /// Whether another replica may have spent a refresh token, without `[coordination]`.
    pub replicas: Replicas,
    /// Sessions that were ended before their time.
    pub revocations: Revocations,
    /// Ends of sessions that streams wait for.
    pub ends: Ends,
    /// What replicas share of refreshes and revocations, with `[coordination]`.
    pub coordinator: Option<Arc<Coordinator>>,
    /// Sessions whose new tokens an API refused like the old ones.
    pub failed_renewals: FailedRenewals,
    /// How many logout tokens that are none one address may send.
    pub bad_logout_tokens: RateLimit,
    /// Now.
    pub clock: Clock,
    /// Counters for `/metrics`.
    pub metrics: Metrics,
    /// Who may say `X-Forwarded-For`.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Names by which the operator's listener is called, beside `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// Hosts that nobody has here, and that the log has told of.
    pub unknown_hosts: Seldom,
    /// Set when shutdown begins: readiness fails before connections do.
    pub draining: Draining,
}

impl Bff {
    /// Reads the key directory again. A ring that does not load adds nothing (E21).
    pub fn reload_keys(&self) {
        self.note_reload(&self.keys.reload(self.clock.now()));
    }

    /// The same for want of a key, unless that was done in this second or another one's look does not end.
    pub fn look_for_keys(&self, now: UnixTime) {
        if let Some(outcome) = self.keys.reload_at_most_once_a_second(now) {
            self.note_reload(&outcome);
        }
    }

    /// Key files that others can change.
    pub fn warn_of_owners(&self) {
        for warning in self.keys.current().foreign() {
            log::warn!("{warning}");
        }
    }

    /// However it came to be read: log and metrics tell.
    fn note_reload(&self, outcome: &ReloadOutcome) {
        let result = match outcome {
            ReloadOutcome::Ok => {
                let ring = self.keys.current();
                log::info!(target: "sealgate::audit", keys = ring.len(),
                    fingerprint = ring.fingerprint(); "key ring reloaded");
                self.warn_of_owners();
                ReloadResult::Ok
            }
            ReloadOutcome::Unchanged => ReloadResult::Unchanged,
            ReloadOutcome::Rejected { why, gone } => {
                for kid in gone {
                    log::info!(target: "sealgate::audit", kid = kid.to_string();
                        "key deleted, it opens nothing any more");
                }
                let but = if gone.is_empty() {
                    ""
                } else {
                    " but for deleted keys"
                };
                log::error!("key ring not reloaded, the old one stays{but}: {why}");
                ReloadResult::Rejected
            }
        };
        self.metrics.keyring_reloaded(result);
    }
}

/// Whether the process is on its way out.
#[derive(Debug, Default)]
pub struct Draining {
    has_begun: AtomicBool,
    is_closing: watch::Sender<bool>,
    /// When the listeners cut off what is left.
    deadline: OnceLock<Instant>,
    in_flight: AtomicUsize,
    cut: AtomicUsize,
}

impl Draining {
    /// No new traffic, please.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Whether shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// How many requests have not got all of their answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// How many requests were cut off before they had all of their answer.
    pub fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// The listeners close now, and cut off after `grace` what is left.
    pub fn close(&self, grace: Duration) {
        self.begin();
        // Of two calls the first counts.
        let _ = self.deadline.set(Instant::now() + grace);
        self.is_closing.send_replace(true);
    }

    /// Whether the listeners close.
    pub fn is_closing(&self) -> bool {
        *self.is_closing.borrow()
    }

    /// Waits for [`close`](Self::close).
    pub fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut is_closing = self.is_closing.subscribe();
        async move {
            // Without a sender there is no process left to wait for.
            let _ = is_closing.wait_for(|closing| *closing).await;
        }
    }
}

/// A request that has not got all of its answer.
#[derive(Debug)]
pub struct InFlight {
    bff: Arc<Bff>,
    is_done: bool,
}

impl InFlight {
    /// It has come.
    pub fn begin(bff: &Arc<Bff>) -> Self {
        bff.draining.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            bff: Arc::clone(bff),
            is_done: false,
        }
    }

    /// All of the answer is with the connection.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let draining = &self.bff.draining;
        // Before the grace is over it is the client who left.
        let is_over = |deadline: &Instant| Instant::now() >= *deadline;
        if !self.is_done && draining.deadline.get().is_some_and(is_over) {
            draining.cut.fetch_add(1, Ordering::Relaxed);
        }
        draining.in_flight.fetch_sub(1, Ordering::Release);
    }
}

/// One request on its way: what was found out so far, and the cookies its answer will set.
pub struct Ctx<'r> {
    /// The shared state.
    pub bff: &'r Arc<Bff>,
    /// The selected frontend.
    pub frontend: &'r Arc<Frontend>,
    /// This worker's client for identity providers.
    pub idp: &'r IdpClient,
    /// The request as it came.
    pub request: &'r HttpRequest,
    /// The cookies of ours that came with it, and those that its answer sets, whatever becomes of the request.
    pub wallet: Wallet<'r>,
    /// The opened session, if there is one.
    pub session: Option<Rc<OpenSession>>,
    /// How its cookies were found.
    pub found: OpenResult,
    /// When the request came, for what happened before it and what after.
    pub arrived_at: Instant,
    /// The time, the same for the whole request.
    pub now: UnixTime,
    /// Where the person wants to be in the end, as far as it is known: a page about a problem leads back there.
    pub back: &'r mut Option<ReturnTo>,
    /// An address of ours that the page about a problem goes on to by itself.
    pub look_again: &'r mut Option<String>,
}

impl Ctx<'_> {
    /// Notes where the login ends that the request belongs to. The first page needs no mention.
    pub fn leads_to(&mut self, return_to: &ReturnTo) {
        *self.back = Some(return_to.clone()).filter(|to| *to != ReturnTo::root());
    }

    /// A cookie may be sealed with a key that this process has not read yet: one look at the directory, unless it
    /// was read in this second, or another request's look does not end. Whether the request has other keys now.
    pub async fn look_for_keys(&mut self) -> bool {
        if self.bff.keys.is_worth_a_look(self.now) {
            let (bff, now) = (Arc::clone(self.bff), self.now);
            // Other requests of this worker do not wait for the disk.
            let look = actix_web::rt::task::spawn_blocking(take_along_blocking(move || {
                bff.look_for_keys(now);
            }));
            if let Err(error) = look.await {
                log::error!("the key directory was not read: {error}");
            }
        }
        let current = self.bff.keys.current();
        let has_changed = !Arc::ptr_eq(&current, self.wallet.keys());
        self.wallet.use_keys(current);
        has_changed
    }

    /// What is told where a session has ended with its access token, because no refresh could come. The log says so once
    /// an hour.
    pub fn not_refreshable(&self) -> Problem {
        self.remind_of_refresh_tokens();
        self.frontend.login_required_because(
            "the session has ended with its access token: the identity provider gave no refresh token",
        )
    }

    /// Says how sessions could outlive their first access token.
    pub fn remind_of_refresh_tokens(&self) {
        let provider = &self.frontend.provider;
        if provider.reminders.no_refresh_token.is_due(self.now) {
            let asked = provider.settings().scopes.iter();
            let remedy = if asked.clone().any(|scope| scope == "offline_access") {
                "allow refresh tokens for this client at the identity provider"
            } else {
                "add \"offline_access\" to oidc.scopes, or allow refresh tokens for this client at the identity provider"
            };
            log::warn!(frontend = self.frontend.name.as_str();
                "no refresh token came with a login: its session ends with its access token; {remedy}");
        }
    }
}
