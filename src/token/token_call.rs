//! The token call of a refresh: one request, and what its answer means for the session.
//!
//! # Invariants
//! - One call presents the refresh token once, whatever happens to its answer. A nonce that the provider wants in a proof
//!   (RFC 9449 §8) does not count: nothing else was looked at.
//! - An answer whose ID token is about another login is never adopted.
//! - A session of an issuer that the configuration has dropped ends, instead of being refreshed.
//! - Lifetimes count from before the call, so a slow answer never makes a token look younger than it is.
//!
//! # Spec
//! RFC 6749 §5.2, §6; RFC 9700 §4.14.2; OpenID Connect Core §12.2.

use std::sync::Arc;

use openidconnect::RefreshToken;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::frontend::{Frontend, UseUserInfo};
use crate::ledger::{Outcome, Renewal};
use crate::oidc::{self, IdpClient, OidcError, Original, TokenResponse};
use crate::session::{Session, TokenSet};

/// Spends the refresh token.
pub(super) async fn call(
    frontend: &Frontend,
    idp: &IdpClient,
    session: &Session,
    refresh_token: &RefreshToken,
    clock: &Clock,
) -> Outcome {
    if !frontend.provider.settings().is_issuer(&session.issuer) {
        let why = "oidc.tenants and oidc.issuer do not name its issuer any more";
        return Outcome::Mismatch(why.into());
    }
    let asked_at = clock.now();
    let mut response = match frontend.provider.refresh(idp, refresh_token).await {
        Ok(response) => response,
        Err(error) => return outcome_of(&error, frontend.provider.may_repeat_refresh()),
    };
    let id_token = response.id_token.take();
    let mut claims = None;
    if let Some(id_token) = &id_token {
        let original = Original {
            issuer: &session.issuer,
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
                let why = format!("the refreshed ID token does not belong to it: {error}");
                return Outcome::Mismatch(why.into());
            }
        }
    }
    let userinfo = userinfo(frontend, idp, &response, &session.subject).await;
    Outcome::Refreshed(Arc::new(Renewal {
        userinfo,
        session_ends_by: response.session_ends_by(asked_at, claims.as_ref()),
        tokens: TokenSet::next(&session.tokens, response, asked_at),
        id_token,
    }))
}

/// What `UserInfo` says now, where it is always asked. If it cannot be had, the claims at hand stay.
async fn userinfo(
    frontend: &Frontend,
    idp: &IdpClient,
    tokens: &TokenResponse,
    subject: &str,
) -> Option<Map<String, Value>> {
    if frontend.claims.userinfo != UseUserInfo::Always {
        return None;
    }
    match frontend.provider.userinfo(idp, tokens, subject).await {
        Ok(said) => said,
        Err(error) => {
            log::warn!("a refresh does without UserInfo: {error}");
            None
        }
    }
}

/// What a failure means for the refresh token. `may_repeat`: whether a token that may be spent can be presented again.
fn outcome_of(error: &OidcError, may_repeat: bool) -> Outcome {
    let why = error.to_string().into();
    match error {
        // Waiting cures none of these. `refresh` knows whether another replica may have spent the token.
        OidcError::Rejected(code) if !oidc::hits_every_session(code) => Outcome::Refused(why),
        // The token is spent, and the next answer would be as unusable.
        OidcError::Unusable(_) => Outcome::Refused(why),
        // The token may be spent. If we present it again, it looks stolen, and the provider revokes all that came of it.
        OidcError::Lost(_) if !may_repeat => Outcome::Contested(why),
        _ => Outcome::Unavailable(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_became_of_the_refresh_token() {
        // G8, V1, V10
        let rejected = |code: &str| OidcError::Rejected(code.to_owned());
        let why = String::new;
        for (error, once, again) in [
            (rejected("invalid_grant"), "Refused", "Refused"),
            (rejected("invalid_request"), "Refused", "Refused"),
            (rejected("other"), "Refused", "Refused"),
            (rejected("invalid_client"), "Unavailable", "Unavailable"),
            (rejected("invalid_scope"), "Unavailable", "Unavailable"),
            (rejected("use_dpop_nonce"), "Unavailable", "Unavailable"),
            (rejected("invalid_dpop_proof"), "Unavailable", "Unavailable"),
            (OidcError::Unusable(why()), "Refused", "Refused"),
            (OidcError::Lost(why()), "Contested", "Unavailable"),
            (OidcError::Unavailable(why()), "Unavailable", "Unavailable"),
            (OidcError::Invalid(why()), "Unavailable", "Unavailable"),
        ] {
            let outcome = |may_repeat| {
                let all = format!("{:?}", outcome_of(&error, may_repeat));
                all.split('(').next().unwrap().to_owned()
            };
            assert_eq!(
                (&*outcome(false), &*outcome(true)),
                (once, again),
                "{error:?}"
            );
        }
    }
}
