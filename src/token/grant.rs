//! The token call of a refresh: one request, and what its answer means for the session.
//!
//! # Invariants
//! - One request for each call, whatever happens to its answer (G8).
//! - No answer is adopted whose ID token is about another login (B35).
//! - Lifetimes count from before the call, so that a slow answer never makes a token look younger.
//!
//! # Spec
//! RFC 6749 §5.2, §6; RFC 9700 §4.14.2; OpenID Connect Core §12.2.

use std::sync::Arc;

use openidconnect::RefreshToken;

use crate::clock::Clock;
use crate::frontend::Frontend;
use crate::ledger::{Outcome, Renewal};
use crate::oidc::{self, IdpClient, OidcError, Original};
use crate::session::{Session, TokenSet};

/// Spends the refresh token.
pub(super) async fn call(
    frontend: &Frontend,
    idp: &IdpClient,
    session: &Session,
    refresh_token: &RefreshToken,
    clock: &Clock,
) -> Outcome {
    let asked_at = clock.now();
    let mut response = match frontend.provider.refresh(idp, refresh_token).await {
        Ok(response) => response,
        Err(error) => return failed(frontend, &error),
    };
    let id_token = response.id_token.take();
    let mut claims = None;
    if let Some(id_token) = &id_token {
        let original = Original {
            subject: &session.subject,
            auth_time: session.auth_time,
        };
        let verdict = frontend
            .provider
            .verify_refreshed(idp, id_token, &response.access_token, original)
            .await;
        match verdict {
            Ok(verified) => claims = Some(verified),
            Err(error) => {
                log::warn!(target: "sealgate::audit", frontend = frontend.name.as_str();
                    "session ended: the refreshed ID token does not belong to it: {error}");
                return Outcome::Mismatch;
            }
        }
    }
    Outcome::Refreshed(Arc::new(Renewal {
        session_ends_by: response.session_ends_by(asked_at, claims.as_ref()),
        tokens: TokenSet::next(&session.tokens, response, asked_at),
        id_token,
    }))
}

fn failed(frontend: &Frontend, error: &OidcError) -> Outcome {
    log::warn!(frontend = frontend.name.as_str(); "refresh failed: {error}");
    match error {
        // Whatever the code is, waiting cures nothing; `token::refresh` knows whether another replica may have spent it.
        OidcError::Rejected(code) if !oidc::hits_every_session(code) => Outcome::Refused,
        // It is spent, and for an answer that would be no better next time.
        OidcError::Unusable(_) => Outcome::Refused,
        // It may be spent. Presented again it would look stolen, and its family be revoked (G8).
        OidcError::Lost(_) if !frontend.provider.may_repeat_refresh() => Outcome::Contested,
        _ => Outcome::Unavailable,
    }
}
