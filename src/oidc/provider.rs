//! What the process knows of one provider: found when first needed, kept while it cannot be had
//! anew.
//!
//! # Invariants
//! - Workers share data only, never a client, a future or a lock across an `await`.
//! - A provider that is down costs a live session nothing: what was good last stays in use (B40).
//! - However many callers, one fetch at a time, and none for some seconds after a failure.
//! - Unknown `kid`s cause at most one fetch of the keys per [`KEYS_WINDOW`] (B28).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::core::CoreJsonWebKeySet;
use serde_json::{Map, Value};

use super::gate::{Gate, Turn};
use super::http::IdpClient;
use super::id_token::{self, Refusal};
use super::metadata::Metadata;
use super::{ClientSettings, Expectation, OidcError};
use crate::clock::{Clock, UnixTime};

/// How long metadata and keys are used without asking again.
const FRESH: Duration = Duration::from_hours(1);

/// The shortest time between two fetches of the keys for want of one.
const KEYS_WINDOW: Duration = Duration::from_secs(30);

/// One OpenID Provider as one client sees it: settings, and metadata and keys as they are found.
/// `Send + Sync`.
#[derive(Debug)]
pub struct Provider {
    settings: ClientSettings,
    clock: Clock,
    known: ArcSwapOption<Known>,
    discovery: Gate,
    rotation: Gate,
}

/// The outcome of a discovery.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) metadata: Metadata,
    pub(super) keys: CoreJsonWebKeySet,
    pub(super) since: UnixTime,
}

impl Provider {
    /// Nothing is fetched until it is needed.
    pub fn new(settings: ClientSettings, clock: Clock) -> Self {
        Self {
            settings,
            clock,
            known: ArcSwapOption::empty(),
            discovery: Gate::default(),
            rotation: Gate::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Now, by this provider's clock.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Whether metadata has been fetched at some time (readiness).
    pub fn is_known(&self) -> bool {
        self.known.load().is_some()
    }

    /// Fetches metadata if there is none, or none recent (readiness, `--check --online`).
    pub async fn discover(&self, http: &IdpClient) -> Result<(), OidcError> {
        self.known(http).await.map(drop)
    }

    /// Checks an ID token (OpenID Connect Core §3.1.3.7 and B25–B32) and gives its claims.
    pub async fn verify_id_token(
        &self,
        http: &IdpClient,
        raw: &str,
        expect: &Expectation<'_>,
    ) -> Result<Map<String, Value>, OidcError> {
        let known = self.known(http).await?;
        let verify =
            |known: &Known| id_token::verify(&self.settings, known, self.now(), raw, expect);
        match verify(&known) {
            // The provider may have changed its keys (OpenID Connect Core §10.1.1).
            Err(Refusal::Key) => verify(&*self.with_newer_keys(http, known).await?),
            outcome => outcome,
        }
        .map_err(OidcError::from)
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
                        self.known.store(Some(Arc::clone(&known)));
                        pass.succeeded();
                        return Ok(known);
                    }
                    Err(error) => {
                        log::warn!("{:?}: {error}", self.settings.issuer);
                        pass.failed(self.now(), error.clone());
                        error
                    }
                },
            };
            return last_good.ok_or(failed);
        }
    }

    async fn fetch(&self, http: &IdpClient, now: UnixTime) -> Result<Arc<Known>, OidcError> {
        let settings = &self.settings;
        let (metadata, keys) =
            Metadata::discover(&settings.issuer, settings.client_auth, http).await?;
        Ok(Arc::new(Known {
            metadata,
            keys,
            since: now,
        }))
    }

    /// What is known with keys fetched after those of `stale`, if the window allows.
    async fn with_newer_keys(
        &self,
        http: &IdpClient,
        stale: Arc<Known>,
    ) -> Result<Arc<Known>, OidcError> {
        loop {
            let current = self.known.load_full();
            if let Some(current) = current
                && !Arc::ptr_eq(&current, &stale)
            {
                return Ok(current);
            }
            let now = self.now();
            let pass = match self.rotation.enter(now) {
                Turn::Mine(pass) => pass,
                Turn::Taken(waiting) => {
                    waiting.done().await;
                    continue;
                }
                Turn::Closed(why) => return Err(why),
            };
            // Before the fetch: one that is given up counts as well.
            pass.close_for(now, KEYS_WINDOW, Refusal::Key.into());
            let keys = stale.metadata.fetch_keys(http).await.inspect_err(|error| {
                log::warn!(
                    "{:?}: {error}; the last keys stay in use",
                    self.settings.issuer
                );
                pass.close_for(now, KEYS_WINDOW, error.clone());
            })?;
            let newer = Arc::new(Known {
                metadata: stale.metadata.clone(),
                keys,
                since: stale.since,
            });
            self.known.store(Some(Arc::clone(&newer)));
            return Ok(newer);
        }
    }
}
