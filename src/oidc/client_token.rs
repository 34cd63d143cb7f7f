//! The client's own access tokens: asked for when a route needs one, kept in memory until shortly before their end.
//!
//! `token` calls [`Provider::client_token`] for routes that call their API in the client's name, without any user.
//!
//! # Invariants
//! - One call at a time for each scope, however many requests wait, and none for some seconds after a failure.
//! - A token that lives is used although the provider is down.
//! - No token of a client is ever in a cookie; each process asks for its own.
//!
//! # Spec
//! RFC 6749 §4.4; RFC 8707 §2.2: `resources` of the configuration are sent as in every other token request.
//!
//! # Why the scope is the route's
//! Least authority: a token reaches no further than the routes that require the very same scopes. There are as many
//! entries here as such routes at the most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use openidconnect::AccessToken;

use super::gate::{Gate, Turn};
use super::{IdpClient, OidcError, Provider};
use crate::clock::UnixTime;

/// How long before its end a token is replaced; at most a fifth of its lifetime.
const AHEAD: Duration = Duration::from_mins(1);

/// A token of the client itself.
#[derive(Debug)]
pub struct ClientToken {
    access_token: AccessToken,
    /// The granted scope.
    pub scope: String,
    replace_from: UnixTime,
    expires_at: UnixTime,
}

impl ClientToken {
    /// The `Authorization` of this token (RFC 6750 §2.1), marked sensitive.
    pub fn authorization(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.access_token.secret()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The tokens of one client, by scope.
#[derive(Debug, Default)]
pub(super) struct ClientTokens(Mutex<HashMap<String, Arc<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    token: ArcSwapOption<ClientToken>,
    gate: Gate,
}

impl ClientTokens {
    fn slot(&self, scope: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(scope) {
            return Arc::clone(slot);
        }
        let slot = Arc::default();
        slots.insert(scope.to_owned(), Arc::clone(&slot));
        slot
    }
}

impl Provider {
    /// A live token of the client with this scope. `scope` is a route's, so that few are ever asked for.
    pub async fn client_token(
        &self,
        http: &IdpClient,
        scope: &str,
    ) -> Result<Arc<ClientToken>, OidcError> {
        let slot = self.client_tokens.slot(scope);
        loop {
            let now = self.now();
            let alive = slot
                .token
                .load_full()
                .filter(|token| now < token.expires_at);
            if let Some(token) = alive.as_ref().filter(|token| now < token.replace_from) {
                return Ok(Arc::clone(token));
            }
            let failed = match (slot.gate.enter(now), &alive) {
                (Turn::Taken(waiting), None) => {
                    waiting.done().await;
                    continue;
                }
                (Turn::Taken(_), Some(token)) => return Ok(Arc::clone(token)),
                (Turn::Closed(why), _) => why,
                (Turn::Mine(pass), _) => match self.ask_for_client_token(http, scope, now).await {
                    Ok(token) => {
                        slot.token.store(Some(Arc::clone(&token)));
                        pass.succeeded();
                        return Ok(token);
                    }
                    Err(error) => {
                        log::warn!("{:?}: no client token: {error}", self.settings().issuer);
                        pass.failed(self.now(), error.clone());
                        error
                    }
                },
            };
            return alive.ok_or(failed);
        }
    }

    async fn ask_for_client_token(
        &self,
        http: &IdpClient,
        scope: &str,
        asked_at: UnixTime,
    ) -> Result<Arc<ClientToken>, OidcError> {
        let response = self.client_credentials(http, scope).await?;
        let expires_at = asked_at.plus(response.expires_in);
        Ok(Arc::new(ClientToken {
            access_token: response.access_token,
            // RFC 6749 §5.1: unsaid, it is what was asked for.
            scope: response.scope.unwrap_or_else(|| scope.to_owned()),
            replace_from: expires_at.minus(AHEAD.min(response.expires_in / 5)),
            expires_at,
        }))
    }
}
