//! The grant of a refresh token: new tokens from the provider, sealed anew.
//!
//! # Spec
//! RFC 6749 §6; RFC 9449 §5, §8.

use super::error::OAuthError;
use super::params::Params;
use crate::ledger::Fingerprint;
use crate::proof::Dpop;
use crate::request::Ctx;
use crate::session::Session;
use crate::token::{NotRenewed, renew_for_app};

pub(super) async fn renew(
    ctx: &mut Ctx<'_>,
    params: &Params,
    proof: Option<&Dpop>,
) -> Result<Session, OAuthError> {
    let token = params.required("refresh_token", "refresh_token is missing")?;
    let scope = params.optional("scope")?;
    let opened = ctx
        .look_up(|ctx| ctx.wallet.open_native_refresh(&token))
        .await;
    let (refresh, kid) =
        opened.map_err(|_| OAuthError::invalid_grant("this is not a refresh token of ours"))?;
    ctx.bff.metrics.opened_with(*kid.as_bytes());
    if refresh
        .key
        .is_some_and(|bound| Some(bound) != proof.map(|proof| proof.key))
    {
        return Err(OAuthError::invalid_grant(
            "the refresh token is bound to another key",
        ));
    }
    let session = &refresh.session;
    check_times(ctx, session)?;
    let has = |asked: &str| session.tokens.scope.split(' ').any(|had| had == asked);
    if scope.is_some_and(|scope| !scope.split(' ').all(has)) {
        return Err(OAuthError::invalid_scope());
    }
    if let Some(proof) = proof {
        ctx.spend_proof(proof).await?;
    }
    if ctx.bff.coordinator.is_none() {
        let tokens = || Fingerprint::of(session);
        let replicas = &ctx.bff.replicas;
        replicas.see_tokens(tokens, session.tokens.issued_at, ctx.now);
    }
    let renewed = renew_for_app(session, ctx).await;
    renewed.map_err(|why| match why {
        NotRenewed::Over => OAuthError::invalid_grant("the session is over"),
        NotRenewed::Unavailable => OAuthError::unavailable(),
    })
}

/// Whether the session may go on.
fn check_times(ctx: &Ctx<'_>, session: &Session) -> Result<(), OAuthError> {
    let over = Err(OAuthError::invalid_grant("the session is over"));
    let epoch = ctx.frontend.session.not_before;
    let native = ctx.frontend.native.as_ref();
    let is_idle = native.is_none_or(|native| session.is_idle(ctx.now, native.idle_timeout));
    let is_too_old = epoch.is_some_and(|epoch| session.started_at < epoch);
    if is_idle
        || is_too_old
        || ctx.now >= session.ends_at
        || ctx.bff.revocations.is_revoked(session)
    {
        return over;
    }
    let coordinator = ctx.bff.coordinator.as_ref();
    if coordinator.is_some_and(|coordinator| coordinator.revocations_are_stale()) {
        return Err(OAuthError::unknown());
    }
    Ok(())
}
