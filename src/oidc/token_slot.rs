//! The place of one access token that belongs to no cookie, and how it comes there.
//!
//! # Invariants
//! - One call at a time, however many wait. All who waited for a call that failed hear of its failure.
//! - A token that lives is used although the provider is down.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::gate::{Gate, Turn};
use super::{CachedToken, OidcError};
use crate::clock::{Clock, UnixTime};

/// The place.
#[derive(Debug, Default)]
pub(super) struct Slot {
    token: ArcSwapOption<CachedToken>,
    gate: Gate,
}

impl Slot {
    /// The token that can be used without a call.
    pub(super) fn at_hand(&self, now: UnixTime) -> Option<Arc<CachedToken>> {
        self.alive(now).filter(|token| now < token.replace_from())
    }

    /// A live token: the one at hand, or else the one that `ask` brings. `ask` is told when it is sent.
    ///
    /// An error is that of the last call, which may have been another request's.
    pub(super) async fn get(
        &self,
        clock: &Clock,
        ask: impl AsyncFn(UnixTime) -> Result<CachedToken, OidcError>,
    ) -> Result<Arc<CachedToken>, OidcError> {
        self.get_or(clock, ask, |_| None).await
    }

    /// The same, where `refused_for` says how long an error is told again without a call. `None`: longer after each failure.
    pub(super) async fn get_or(
        &self,
        clock: &Clock,
        ask: impl AsyncFn(UnixTime) -> Result<CachedToken, OidcError>,
        refused_for: impl Fn(&OidcError) -> Option<Duration>,
    ) -> Result<Arc<CachedToken>, OidcError> {
        loop {
            let now = clock.now();
            let alive = self.alive(now);
            if let Some(token) = alive.as_ref().filter(|token| now < token.replace_from()) {
                return Ok(Arc::clone(token));
            }
            let failed = match (self.gate.enter(now), &alive) {
                (Turn::Taken(waiting), None) => match waiting.done().await {
                    Some(why) => return Err(why),
                    None => continue,
                },
                (Turn::Taken(_), Some(token)) => return Ok(Arc::clone(token)),
                (Turn::Closed(why), _) => why,
                (Turn::Mine(pass), _) => match ask(now).await {
                    Ok(token) => {
                        let token = Arc::new(token);
                        self.token.store(Some(Arc::clone(&token)));
                        pass.succeeded();
                        return Ok(token);
                    }
                    Err(error) => {
                        // Without a token, whoever asked fails, and says why.
                        if alive.is_some() {
                            log::warn!("no newer token, and the one at hand stays in use: {error}");
                        }
                        match refused_for(&error) {
                            Some(wait) => pass.close_for(clock.now(), wait, error.clone()),
                            None => pass.failed(clock.now(), error.clone()),
                        }
                        error
                    }
                },
            };
            return alive.ok_or(failed);
        }
    }

    /// Forgets the token: it is of no use any more.
    pub(super) fn forget(&self) {
        self.token.store(None);
    }

    fn alive(&self, now: UnixTime) -> Option<Arc<CachedToken>> {
        let token = self.token.load_full();
        token.filter(|token| now < token.ends_at())
    }

    /// When the slot has nothing to say any more, if it has anything to say now.
    pub(super) fn ends_at(&self, now: UnixTime) -> Option<UnixTime> {
        let alive = self.alive(now).map(|token| token.ends_at());
        alive.max(self.gate.closed_until(now))
    }
}
