//! What one process shares, and what one request carries through the steps of the pipeline.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use tokio::sync::watch;

use crate::clock::{Clock, UnixTime};
use crate::coordination::Coordinator;
use crate::frontend::{Frontend, Frontends, RateLimit};
use crate::keyring::{KeyRing, ReloadOutcome, SharedRing};
use crate::ledger::{
    Ends, FailedRenewals, Fingerprint, Redemptions, Refreshes, Replicas, Revocation, Revocations,
};
use crate::names::ReturnTo;
use crate::oidc::IdpClient;
use crate::problem::Problem;
use crate::session::{
    LogoutHint, OpenResult, OpenSession, Received, Session, SessionId, SetCookies, StoreError,
};
use crate::telemetry::Seldom;
use crate::telemetry::metrics::{Metrics, ReloadResult};

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
    /// The cookies of ours that came with it.
    pub received: &'r Received<'r>,
    /// The opened session, if there is one.
    pub session: Option<Rc<OpenSession>>,
    /// How its cookies were found.
    pub found: OpenResult,
    /// The key ring, the same for the whole request.
    pub keys: Arc<KeyRing>,
    /// When the request came, for what happened before it and what after.
    pub arrived_at: Instant,
    /// The time, the same for the whole request.
    pub now: UnixTime,
    /// What the answer will set, whatever becomes of the request.
    pub cookies: &'r mut SetCookies,
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
            let look = actix_web::rt::task::spawn_blocking(move || bff.look_for_keys(now));
            if let Err(error) = look.await {
                log::error!("the key directory was not read: {error}");
            }
        }
        let current = self.bff.keys.current();
        let has_changed = !Arc::ptr_eq(&current, &self.keys);
        self.keys = current;
        has_changed
    }

    /// Writes a session into the answer's cookies, and counts its size, whether it fits or not.
    pub fn store(&mut self, session: &Session) -> Result<(), StoreError> {
        let jar = &self.frontend.jar;
        let stored = jar.store(session, self.received, &self.keys, self.now, self.cookies);
        match &stored {
            Ok(total) => self.measure(session, *total),
            Err(StoreError::TooLarge(error)) => self.measure(session, error.needed),
            Err(StoreError::Seal(_)) => {}
        }
        if stored.is_ok()
            && self.bff.coordinator.is_none()
            && let Some(tokens) = Fingerprint::of(session)
        {
            self.bff.replicas.got(tokens);
        }
        stored.map(drop)
    }

    /// Keeps the ID token for logout, in a cookie that only logout gets (C24). One that does not fit is done without:
    /// the provider then asks the person, instead of taking the hint. Whether it fits.
    pub fn store_hint(&mut self, session: SessionId, id_token: String) -> bool {
        let bytes = id_token.len();
        let hint = LogoutHint { session, id_token };
        let jar = &self.frontend.jar;
        let stored = jar.store_hint(&hint, &self.keys, self.now, self.cookies);
        let name = self.frontend.name.as_str();
        match &stored {
            Ok(false) if self.frontend.provider.reminders.large_hint.is_due(self.now) => {
                log::warn!(frontend = name, bytes = bytes;
                    "the ID token is too large for its cookie; logout will go without id_token_hint, or with an older one");
            }
            Ok(_) => {}
            Err(error) => log::error!(frontend = name; "no logout hint: {error}"),
        }
        matches!(stored, Ok(true))
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

    /// Parts by the size they came in, the whole by what it makes of a `Cookie` header, or of a session that was refused
    /// by what it would have needed.
    fn measure(&self, session: &Session, total: usize) {
        let tokens = &session.tokens;
        let refresh_token = tokens.refresh_token.as_ref();
        // Writing to a vector cannot fail.
        let claims = serde_json::to_vec(&session.claims).unwrap_or_default();
        for (part, bytes) in [
            ("total", total),
            ("access_token", tokens.access_token.secret().len()),
            (
                "refresh_token",
                refresh_token.map_or(0, |token| token.secret().len()),
            ),
            ("claims", claims.len()),
        ] {
            let name = &self.frontend.name;
            self.bff.metrics.session_stored(name, part, bytes);
        }
    }

    /// Notes that the session was used, at most every tenth of its idle timeout.
    pub fn touch(&mut self) {
        if let Some(session) = &self.session {
            self.frontend
                .jar
                .touch(session, &self.keys, self.now, self.cookies);
        }
    }

    /// Deletes the session's cookies, and leaves no mark: should another replica's answer with good cookies still be
    /// under way, it wins.
    pub fn drop_session(&mut self) {
        self.session = None;
        self.end_session();
    }

    /// Lets no cookie of this session, nor a copy of one, open any longer.
    ///
    /// For as long as any of them could: an older cookie may name a later end than the newest.
    pub fn revoke(&self, session: SessionId) {
        let revocation = Revocation::Session(session);
        let until = self.now.plus(self.frontend.session.absolute_timeout);
        self.bff.revocations.revoke(&revocation, until, self.now);
        if let Some(coordinator) = &self.bff.coordinator {
            coordinator.announce(&revocation, until);
        }
    }

    /// Ends the session for good: in this browser a mark keeps late answers from bringing it back, and in this process,
    /// or in all with `[coordination]`, neither a copied cookie nor a refresh under way serves it any longer (F5, G10).
    pub fn end_session(&mut self) {
        let session = self.session.take();
        if let Some(session) = &session {
            self.revoke(session.id);
        }
        self.frontend.jar.end(
            session.as_deref().map(|session| &**session),
            self.received,
            &self.keys,
            self.now,
            self.cookies,
        );
    }
}
