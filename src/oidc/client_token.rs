//! The client's own access tokens, for routes that call their API in the client's name.
//!
//! # Invariants
//! - A token of the client is never in a cookie. Each process asks for its own.
//!
//! # Spec
//! RFC 6749 §4.4; RFC 8707 §2.2: `resources` of the configuration are sent as in every other token request.
//!
//! # Why the scope is the route's
//! Least authority: a token reaches no further than the routes that require exactly these scopes. So the cache has at most as
//! many entries as there are such routes.

use std::sync::Arc;

use super::{CachedToken, IdpClient, OidcError, Provider};

impl Provider {
    /// A live token of the client with this scope, which is a route's.
    pub async fn client_token(
        &self,
        http: &IdpClient,
        scope: &str,
    ) -> Result<Arc<CachedToken>, OidcError> {
        let ask = async |asked_at| {
            let answer = self.client_credentials(http, scope).await;
            answer.and_then(|response| CachedToken::new(response, asked_at, scope))
        };
        let slot = self.client_tokens.slot(&(), scope, self.now());
        let token = slot.get(self.clock(), &ask).await?;
        if self.prover().can_use(&token.authorization) {
            return Ok(token);
        }
        // The key that it is bound to has left the ring.
        slot.forget();
        slot.get(self.clock(), &ask).await
    }
}
