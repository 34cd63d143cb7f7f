//! What the process knows of one provider: fetched when it is first needed, and kept in use while it cannot be fetched anew.
//!
//! # Invariants
//! - Workers share data only, never a client, a future or a lock across an `await`.
//! - A provider that is down costs a live session nothing: what was good last stays in use.
//! - One fetch at a time, however many callers wait, and for some seconds after a failure none.
//! - Tokens with unknown keys, or with algorithms that are not listed, cause few fetches ([`Refetch`]).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::HttpResponse;
use url::Url;

use super::algorithm::SigningAlgorithm;
use super::dpop::Prover;
use super::drift::Drift;
use super::gaps::Gap;
use super::gate::{Gate, Turn};
use super::http::{IdpClient, is_outage};
use super::id_token;
use super::jwt::{Claims, Jwt, Refusal};
use super::logout_token::{self, LogoutToken, LogoutTokenError};
use super::metadata::{Known, Metadata};
use super::refetch::{Asker, Refetch};
use super::token_cache::TokenCache;
use super::token_exchange::ExchangeKey;
use super::{ClientSettings, Expectation, OidcError, RepeatRefresh};
use crate::clock::{Clock, UnixTime};
use crate::telemetry::Seldom;

/// How long metadata and keys are used without asking again.
const FRESH: Duration = Duration::from_hours(1);

/// Scopes for which the client's own tokens are kept. Each is that of a route.
const MAX_CLIENT_TOKENS: usize = 10_000;

/// Exchanged tokens that are kept, of all sessions.
const MAX_EXCHANGED_TOKENS: usize = 20_000;

/// One OpenID Provider as one client sees it: the settings, and metadata and keys as they were last fetched. `Send + Sync`.
#[derive(Debug)]
pub struct Provider {
    settings: ClientSettings,
    /// What [`origins`](Self::origins) says before the provider is known.
    issuer_origins: Arc<[String]>,
    clock: Clock,
    known: Arc<ArcSwapOption<Known>>,
    discovery: Arc<Gate>,
    rotation: Arc<Gate>,
    refetch: Arc<Refetch>,
    /// What signed the last ID token that was believed.
    signed_by: Arc<Mutex<Option<SigningAlgorithm>>>,
    has_rotated: Arc<AtomicBool>,
    is_failing: Arc<AtomicBool>,
    drift: Arc<Drift>,
    prover: Arc<Prover>,
    /// When the log last spoke of what a login at this provider lacks.
    pub reminders: Arc<Reminders>,
    /// By scope.
    pub(super) client_tokens: Arc<TokenCache<(), String>>,
    /// By session, and then by its token and what was wanted for it.
    pub(super) exchanged: Arc<TokenCache<[u8; 16], ExchangeKey>>,
}

/// What the log says once an hour.
#[derive(Debug, Default)]
pub struct Reminders {
    /// An ID token is too large for the cookie of the logout hint.
    pub large_hint: Seldom,
    /// A login brought no claim that a route requires.
    pub missing_claim: Seldom,
    /// A login brought no refresh token.
    pub no_refresh_token: Seldom,
}

/// The origins of the issuer, if that is a URL, and of an endpoint.
fn origins(issuer: &str, endpoint: Option<&Url>) -> Arc<[String]> {
    let issuer = Url::parse(issuer).ok();
    let urls = issuer.iter().chain(endpoint);
    let mut origins: Vec<_> = urls.map(|url| url.origin().ascii_serialization()).collect();
    origins.dedup();
    origins.into()
}

impl Provider {
    /// Nothing is fetched until it is needed.
    pub fn new(settings: ClientSettings, clock: Clock) -> Self {
        Self {
            prover: Arc::new(Prover::new(settings.issuer.clone(), clock.clone())),
            issuer_origins: origins(&settings.issuer, None),
            settings,
            clock,
            known: Arc::default(),
            discovery: Arc::default(),
            rotation: Arc::default(),
            refetch: Arc::default(),
            signed_by: Arc::default(),
            has_rotated: Arc::default(),
            is_failing: Arc::default(),
            drift: Arc::default(),
            reminders: Arc::default(),
            client_tokens: Arc::new(TokenCache::new(MAX_CLIENT_TOKENS)),
            exchanged: Arc::new(TokenCache::new(MAX_EXCHANGED_TOKENS)),
        }
    }

    /// Takes over from an earlier configuration what still applies, and learns on together with requests that began under it.
    ///
    /// What the provider is stays known if its addresses are the same. Tokens stay if all settings are: others might bring
    /// others, and a refusal of the old secret says nothing about the new one.
    pub fn take_over(&mut self, old: &Self) {
        self.reminders = Arc::clone(&old.reminders);
        if !self.settings.has_same_provider(&old.settings) {
            return;
        }
        self.known = Arc::clone(&old.known);
        self.discovery = Arc::clone(&old.discovery);
        self.rotation = Arc::clone(&old.rotation);
        self.refetch = Arc::clone(&old.refetch);
        self.signed_by = Arc::clone(&old.signed_by);
        self.has_rotated = Arc::clone(&old.has_rotated);
        self.is_failing = Arc::clone(&old.is_failing);
        self.drift = Arc::clone(&old.drift);
        self.prover = Arc::clone(&old.prover);
        if self.settings == old.settings {
            self.client_tokens = Arc::clone(&old.client_tokens);
            self.exchanged = Arc::clone(&old.exchanged);
        }
    }

    /// The settings.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Where its pages are: the origin of the issuer, and that of the authorization endpoint as soon as it is known.
    pub fn origins(&self) -> Arc<[String]> {
        let known = self.known.load();
        let origins = known.as_ref().map(|known| &known.origins);
        Arc::clone(origins.unwrap_or(&self.issuer_origins))
    }

    /// What proves that we hold the keys that its tokens are bound to.
    pub const fn prover(&self) -> &Arc<Prover> {
        &self.prover
    }

    /// This provider's clock.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Now, by this provider's clock.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Whether metadata has been fetched at some time (readiness).
    pub fn is_known(&self) -> bool {
        self.known.load().is_some()
    }

    /// Whether it gave no answer when it was last asked, however long ago (readiness).
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Notes whether the provider answers, and by which clock.
    pub(super) fn heard(&self, answer: &Result<HttpResponse, OidcError>) {
        let is_failing = match answer {
            Ok(answer) => is_outage(answer.status().as_u16()),
            Err(_) => true,
        };
        self.is_failing.store(is_failing, Ordering::Relaxed);
        if let Ok(answer) = answer {
            self.drift.note(answer, &self.settings, self.now());
        }
    }

    /// How far the provider's clock was from ours in its last answer, if that is more than logins bear.
    pub(super) fn clock_apart(&self) -> Option<String> {
        self.drift.too_far(&self.settings)
    }

    /// What the provider lacks or insists on, as far as its metadata is known.
    pub fn gaps(&self) -> Vec<Gap> {
        let known = self.known.load();
        let known = known.as_ref();
        known.map_or_else(Vec::new, |known| known.metadata.gaps.clone())
    }

    /// Fetches metadata if there is none, or none recent (readiness, `--check --online`).
    pub async fn discover(&self, http: &IdpClient) -> Result<(), OidcError> {
        self.known(http).await.map(drop)
    }

    /// Checks an ID token (OpenID Connect Core §3.1.3.7) and gives its claims.
    pub async fn verify_id_token(
        &self,
        http: &IdpClient,
        raw: &str,
        expect: &Expectation<'_>,
    ) -> Result<Claims, OidcError> {
        let verdict = self.judge_id_token(http, raw, expect).await?;
        verdict.map_err(OidcError::from)
    }

    /// What the keys say of an ID token; the outer error is that they cannot be had.
    pub(super) async fn judge_id_token(
        &self,
        http: &IdpClient,
        raw: &str,
        expect: &Expectation<'_>,
    ) -> Result<Result<Claims, Refusal>, OidcError> {
        let known = self.known(http).await?;
        let verify = |known: &Known| {
            let verdict = id_token::verify(&self.settings, known, self.now(), raw, expect);
            verdict.map(|(claims, algorithm)| {
                *self.signed_by() = Some(algorithm);
                claims
            })
        };
        let refusal = match verify(&known) {
            Err(refusal) => refusal,
            verdict => return Ok(verdict),
        };
        let Some(outdated) = Outdated::may_explain(&refusal) else {
            return Ok(Err(refusal));
        };
        match self.newer(http, known, outdated, Asker::IdToken).await {
            Ok(newer) => Ok(verify(&newer)),
            Err(OidcError::Unavailable(why)) => Err(OidcError::Unavailable(why)),
            // The window is closed, or there is no key in what came: what is at hand must do.
            Err(why) => Ok(Err(refusal.without_newer(&why))),
        }
    }

    /// Notes that a refresh token was replaced as it was used.
    pub(super) fn note_rotation(&self) {
        self.has_rotated.store(true, Ordering::Relaxed);
    }

    /// Whether a refresh token whose use was never answered may be presented again.
    pub fn may_repeat_refresh(&self) -> bool {
        match self.settings.repeat_refresh {
            RepeatRefresh::Auto => !self.has_rotated.load(Ordering::Relaxed),
            RepeatRefresh::Always => true,
            RepeatRefresh::Never => false,
        }
    }

    /// Checks a logout token (OpenID Connect Back-Channel Logout §2.6) and gives what it says.
    pub async fn verify_logout_token(
        &self,
        http: &IdpClient,
        raw: &str,
        from: IpAddr,
    ) -> Result<LogoutToken, LogoutTokenError> {
        let verify = |known: &Known| {
            let algorithms = self.logout_algorithms(known);
            logout_token::verify(&self.settings, known, &algorithms, self.now(), raw)
        };
        let verdict = self.judge_anybodys(http, raw, from, verify).await?;
        verdict.map_err(|refusal| LogoutTokenError::Refused(refusal.to_string()))
    }

    /// What the keys say of a token that anybody may have sent; the outer error is that they cannot be had.
    pub(super) async fn judge_anybodys<T>(
        &self,
        http: &IdpClient,
        raw: &str,
        from: IpAddr,
        verify: impl Fn(&Known) -> Result<T, Refusal>,
    ) -> Result<Result<T, Refusal>, OidcError> {
        let known = self.known(http).await?;
        let verdict = verify(&known);
        let outdated = verdict.as_ref().err().and_then(Outdated::may_explain);
        let Some(outdated) = outdated else {
            return Ok(verdict);
        };
        let token = Jwt::read(raw).ok();
        let kid = token.as_ref().and_then(Jwt::kid).unwrap_or_default();
        let asker = Asker::Anybody { kid, from };
        // If there is no fetch now, that says nothing about this token: forged ones may have used it up.
        let newer = self.newer(http, known, outdated, asker).await?;
        Ok(verify(&newer))
    }

    /// What may sign a logout token: what signs ID tokens (OpenID Connect Back-Channel Logout §2.6), as far as is known.
    fn logout_algorithms(&self, known: &Known) -> Vec<SigningAlgorithm> {
        let configured = self.settings.id_token_signed_response_alg;
        let one = configured.or_else(|| *self.signed_by());
        one.map_or_else(|| known.metadata.algorithms.clone(), |one| vec![one])
    }

    fn signed_by(&self) -> std::sync::MutexGuard<'_, Option<SigningAlgorithm>> {
        self.signed_by
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Metadata and keys: fresh ones if they can be had, else the last good ones.
    pub(super) async fn known(&self, http: &IdpClient) -> Result<Arc<Known>, OidcError> {
        loop {
            let now = self.now();
            let last_good = self.known.load_full();
            if let Some(known) = &last_good
                && now.since(known.since) < FRESH
            {
                return Ok(Arc::clone(known));
            }
            let failed = match (self.discovery.enter(now), &last_good) {
                (Turn::Taken(waiting), None) => {
                    waiting.done().await;
                    continue;
                }
                (Turn::Taken(_), Some(known)) => return Ok(Arc::clone(known)),
                (Turn::Closed(why), _) => why,
                (Turn::Mine(pass), _) => match self.fetch(http, now).await {
                    Ok(known) => {
                        let known = self.keep(known);
                        self.is_failing.store(false, Ordering::Relaxed);
                        pass.succeeded();
                        return Ok(known);
                    }
                    Err(error) => {
                        // Without anything to use, whoever asked fails, and says why.
                        if last_good.is_some() {
                            let issuer = &self.settings.issuer;
                            log::warn!("{issuer:?}: {error}; what was good last stays in use");
                        }
                        self.is_failing.store(true, Ordering::Relaxed);
                        pass.failed(self.now(), error.clone());
                        error
                    }
                },
            };
            return last_good.ok_or(failed);
        }
    }

    async fn fetch(&self, http: &IdpClient, now: UnixTime) -> Result<Known, OidcError> {
        let (metadata, keys) = Metadata::discover(&self.settings, http).await?;
        let endpoint = &metadata.authorization_endpoint;
        Ok(Known {
            origins: origins(&self.settings.issuer, Some(endpoint)),
            metadata: Arc::new(metadata),
            keys,
            since: now,
        })
    }

    /// Makes this what is known from now on.
    fn keep(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let is_listed = |one: &SigningAlgorithm| known.metadata.algorithms.contains(one);
        let mut signed_by = self.signed_by();
        // The provider signs with it no longer.
        *signed_by = signed_by.filter(is_listed);
        let before = self.known.swap(Some(Arc::clone(&known)));
        if before.is_none() && !known.metadata.gaps.is_empty() {
            let gaps = known.metadata.gaps.iter();
            let gaps: Vec<String> = gaps.map(Gap::to_string).collect();
            log::info!("{:?}: {}", self.settings.issuer, gaps.join("; "));
        }
        known
    }

    /// What is known, with that part fetched later than the part in `stale`, if a fetch is to be had.
    async fn newer(
        &self,
        http: &IdpClient,
        stale: Arc<Known>,
        part: Outdated,
        asker: Asker<'_>,
    ) -> Result<Arc<Known>, OidcError> {
        loop {
            let current = self.known.load_full();
            if let Some(current) = current
                && part.is_newer(&current, &stale)
            {
                return Ok(current);
            }
            let now = self.now();
            // Only one at a time: this gate is never closed.
            let _pass = match self.rotation.enter(now) {
                Turn::Mine(pass) => pass,
                Turn::Taken(waiting) => {
                    waiting.done().await;
                    continue;
                }
                Turn::Closed(why) => return Err(why),
            };
            // Before the fetch: one that is given up counts as well.
            self.refetch.spend(asker, now)?;
            let fetched = self.fetch_part(http, &stale, part, now).await;
            let newer = fetched.inspect_err(|error| self.refetch.failed(error))?;
            let missing = match asker {
                Asker::Anybody { kid, .. } if !newer.keys.has(kid) => Some(kid),
                _ => None,
            };
            self.refetch.came(missing, now);
            return Ok(self.keep(newer));
        }
    }

    async fn fetch_part(
        &self,
        http: &IdpClient,
        stale: &Known,
        part: Outdated,
        now: UnixTime,
    ) -> Result<Known, OidcError> {
        let fetched = match part {
            Outdated::Keys => Known {
                metadata: Arc::clone(&stale.metadata),
                keys: stale.metadata.fetch_keys(http).await?,
                origins: Arc::clone(&stale.origins),
                since: stale.since,
            },
            Outdated::Metadata => self.fetch(http, now).await?,
        };
        if fetched.keys.is_empty() {
            return Err(OidcError::Invalid(
                "key set: no usable key in it".to_owned(),
            ));
        }
        Ok(fetched)
    }
}

/// The part of what is known that may be older than a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outdated {
    /// The provider may have changed its keys (OpenID Connect Core §10.1.1), even under old names.
    Keys,
    /// The provider may have changed its algorithms, and its keys with them.
    Metadata,
}

impl Outdated {
    /// What may explain that a token is refused, though it is good.
    const fn may_explain(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Algorithm => Some(Self::Metadata),
            Refusal::Key | Refusal::Signature => Some(Self::Keys),
            Refusal::Audience(_)
            | Refusal::NotUnderstood(_)
            | Refusal::Rule(_)
            | Refusal::Time(_)
            | Refusal::WithoutNewer(..) => None,
        }
    }

    fn is_newer(self, current: &Arc<Known>, stale: &Arc<Known>) -> bool {
        match self {
            Self::Keys => !Arc::ptr_eq(current, stale),
            Self::Metadata => !Arc::ptr_eq(&current.metadata, &stale.metadata),
        }
    }
}
