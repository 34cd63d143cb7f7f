//! The refresh: due before the access token ends, done once, shared by all who wait.
//!
//! # Invariants
//! - While the access token lives, a failed refresh costs nothing: the request goes on, no cookie is written (G6).
//! - Only an answer that changed the tokens writes the session cookie (G9).
//! - The token call outlives the request that began it: a client that hangs up loses no refresh token.
//!
//! # Spec
//! RFC 6749 §6, OpenID Connect Core §12.

use std::sync::Arc;

use openidconnect::RefreshToken;

use crate::bff::Ctx;
use crate::coordination::{Begin, Fingerprint, Flight, Landed, Outcome};
use crate::frontend::Frontend;
use crate::oidc::{Expectation, IdpClient, OidcError};
use crate::problem::Problem;
use crate::session::{Session, StoreError, TokenSet};
use crate::telemetry::metrics::RefreshResult;

/// Sees to it that the session's access token is good for a request now.
pub(super) async fn when_due(ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    let Some(session) = &ctx.session else {
        return Ok(());
    };
    let ahead = ctx.frontend.session.refresh_ahead;
    if !session.tokens.refresh_due(ctx.now, ahead) {
        return Ok(());
    }
    let has_ended = session.tokens.is_expired(ctx.now);
    let Some(refresh_token) = session.tokens.refresh_token.clone() else {
        // Nothing to refresh with. The person may still be signed in, but no API can be called for them.
        return if has_ended {
            Err(ctx.frontend.login_required())
        } else {
            Ok(())
        };
    };
    let fingerprint = Fingerprint::new(&session.id, &refresh_token, &session.tokens.access_token);
    if has_ended {
        ctx.bff.refreshes.forget_outage(fingerprint);
    }
    let (landed, result) = match ctx.bff.refreshes.begin(fingerprint, ctx.now) {
        Begin::Lead(flight) => (
            lead(flight, session, &refresh_token, ctx).await,
            RefreshResult::Ok,
        ),
        Begin::Join(join) => (join.landed().await, RefreshResult::Shared),
    };
    match landed.outcome {
        Outcome::Refreshed(tokens) => {
            ctx.bff.metrics.refreshed(result);
            adopt(ctx, &tokens, has_ended)
        }
        Outcome::Mismatch => {
            ctx.bff.metrics.refreshed(RefreshResult::Ended);
            ctx.end_session();
            Err(ctx.frontend.login_required())
        }
        Outcome::Refused | Outcome::Unavailable if !has_ended => {
            ctx.bff.metrics.refreshed(RefreshResult::Kept);
            Ok(())
        }
        // The frontend was told to try again, and this is the same spent cookie again.
        Outcome::Refused
            if landed
                .told_at
                .is_some_and(|told_at| ctx.arrived_at > told_at) =>
        {
            ctx.bff.metrics.refreshed(RefreshResult::Ended);
            log::info!(target: "sealgate::audit", frontend = ctx.frontend.name.as_str();
                "session ended: the identity provider refuses its refresh token");
            ctx.drop_session();
            Err(ctx.frontend.login_required())
        }
        // Another replica may have spent the token, and its cookies may be on their way to the browser: nothing is
        // deleted, neither for the first request nor for those that were sent beside it (G7).
        Outcome::Refused => {
            ctx.bff.refreshes.tell(fingerprint);
            ctx.bff.metrics.refreshed(RefreshResult::Conflict);
            Err(Problem::SessionRefreshConflict)
        }
        Outcome::Unavailable => {
            ctx.bff.metrics.refreshed(RefreshResult::Unavailable);
            Err(Problem::IdentityProviderUnavailable)
        }
    }
}

/// Makes the one token call, in a task of its own, and waits for it.
async fn lead(
    flight: Flight,
    session: &Session,
    refresh_token: &RefreshToken,
    ctx: &Ctx<'_>,
) -> Landed {
    let frontend = Arc::clone(ctx.frontend);
    let idp = ctx.idp.clone();
    let clock = ctx.bff.clock.clone();
    let session = session.clone();
    let refresh_token = refresh_token.clone();
    let task = actix_web::rt::spawn(async move {
        let outcome = call(&frontend, &idp, &session, &refresh_token, || clock.now()).await;
        flight.land(outcome.clone(), clock.now());
        outcome
    });
    let outcome = task.await.unwrap_or(Outcome::Unavailable);
    Landed {
        outcome,
        told_at: None,
    }
}

async fn call(
    frontend: &Frontend,
    idp: &IdpClient,
    session: &Session,
    refresh_token: &RefreshToken,
    now: impl Fn() -> crate::clock::UnixTime,
) -> Outcome {
    // Lifetimes count from before the call, so that a slow answer never makes a token look younger.
    let asked_at = now();
    let response = match frontend.provider.refresh(idp, refresh_token).await {
        Ok(response) => response,
        Err(error) => {
            log::warn!(frontend = frontend.name.as_str(); "refresh failed: {error}");
            return match error {
                // RFC 6749 §5.2: the only code that speaks of the refresh token itself.
                OidcError::Rejected(code) if code == "invalid_grant" => Outcome::Refused,
                _ => Outcome::Unavailable,
            };
        }
    };
    if let Some(id_token) = &response.id_token {
        let expect = Expectation {
            nonce: None,
            access_token: &response.access_token,
            max_age: None,
            acr_values: None,
        };
        match frontend
            .provider
            .verify_id_token(idp, id_token, &expect)
            .await
        {
            Ok(claims)
                if claims.get("sub").and_then(|sub| sub.as_str())
                    == Some(session.subject.as_str()) => {}
            // The keys are out of reach. The token endpoint's TLS vouches for the answer (OpenID Connect Core
            // §3.1.3.7), nothing of this ID token is used, and without its tokens the session would be lost.
            Err(OidcError::Unavailable(cause)) => {
                log::warn!(frontend = frontend.name.as_str(); "refreshed ID token unverified: {cause}");
            }
            _ => {
                log::warn!(target: "sealgate::audit", frontend = frontend.name.as_str();
                    "session ended: the refreshed ID token is not this user's");
                return Outcome::Mismatch;
            }
        }
    }
    Outcome::Refreshed(Arc::new(TokenSet {
        access_token: response.access_token,
        // RFC 6749 §6: without a new one, the old one stays.
        refresh_token: response
            .refresh_token
            .or_else(|| Some(refresh_token.clone())),
        issued_at: asked_at,
        expires_at: asked_at.plus(response.expires_in),
        // RFC 6749 §6: unsaid, the scope is what it was.
        scope: response
            .scope
            .unwrap_or_else(|| session.tokens.scope.clone()),
    }))
}

/// The session goes on with new tokens, in this request and in the browser.
fn adopt(ctx: &mut Ctx<'_>, tokens: &TokenSet, has_ended: bool) -> Result<(), Problem> {
    let Some(session) = &ctx.session else {
        return Ok(());
    };
    let renewed = Session {
        // `store` says so in the cookie; said here too, no `-seen` is written beside it.
        last_seen: ctx.now,
        tokens: tokens.clone(),
        ..session.clone()
    };
    match ctx.store(&renewed) {
        Ok(()) => {
            ctx.session = Some(renewed);
            Ok(())
        }
        Err(StoreError::TooLarge(error)) => {
            log::error!(frontend = ctx.frontend.name.as_str(); "after a refresh, {error}");
            // The old cookie serves until its access token ends.
            if has_ended {
                Err(Problem::SessionTooLarge {
                    at_login: false,
                    detail: error.to_string(),
                })
            } else {
                Ok(())
            }
        }
        Err(StoreError::Seal(error)) => {
            log::error!(frontend = ctx.frontend.name.as_str(); "{error}");
            Err(Problem::Internal)
        }
    }
}
