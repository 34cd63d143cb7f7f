//! `POST /bff/native/revoke`: the app signs its user out.
//!
//! # Invariants
//! - Either token ends the whole session: here, with `[coordination]` on every replica, and at the provider.
//! - A token that we do not know is revoked already (RFC 7009 §2.2).
//! - If the provider cannot be reached, the answer says so, and the app may try again.
//!
//! # Why no proof is asked for
//! Who has the token may end it. An app that has lost its key must be able to sign out.
//!
//! # Spec
//! RFC 7009.

use std::time::Duration;

use actix_web::{HttpResponse, web};

use super::error::OAuthError;
use super::params::Params;
use crate::ledger::{Fingerprint, Outcome};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{NativeRefresh, Session};

/// How long an app waits for the provider, at the most.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn serve(ctx: &mut Ctx<'_>, body: web::Payload) -> Result<HttpResponse, Problem> {
    if ctx.frontend.native.is_none() {
        return Err(Problem::NotFound);
    }
    Ok(match revoke(ctx, body).await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => error.response(),
    })
}

async fn revoke(ctx: &mut Ctx<'_>, body: web::Payload) -> Result<(), OAuthError> {
    let params = Params::read(ctx, body).await?;
    params.check_client(ctx)?;
    let token = params.required("token", "token is missing")?;
    let refresh = ctx
        .look_up(|ctx| ctx.wallet.open_native_refresh(&token))
        .await;
    let (session, tokens) = if let Ok((refresh, _)) = refresh {
        let tokens = of_refresh(ctx, &refresh).await;
        (refresh.session, tokens)
    } else {
        let access = ctx
            .look_up(|ctx| ctx.wallet.open_native_access(&token))
            .await;
        let Ok((access, _)) = access else {
            return Ok(());
        };
        let token = access.session.tokens.access_token.secret().clone();
        (access.session, vec![(token, "access_token")])
    };
    end(ctx, &session, &tokens).await
}

/// The refresh token, and that of a refresh whose answer the app does not have yet.
async fn of_refresh(ctx: &Ctx<'_>, refresh: &NativeRefresh) -> Vec<(String, &'static str)> {
    let mut tokens = Vec::new();
    let mut add = |session: &crate::session::TokenSet| {
        if let Some(token) = &session.refresh_token {
            tokens.push((token.secret().clone(), "refresh_token"));
        }
    };
    add(&refresh.session.tokens);
    if let Some(fingerprint) = Fingerprint::of(&refresh.session)
        && let Some(join) = ctx.bff.refreshes.join(fingerprint, ctx.now)
        && let Outcome::Refreshed(newer) = join.landed().await.outcome
    {
        add(&newer.tokens);
    }
    tokens
}

async fn end(
    ctx: &Ctx<'_>,
    session: &Session,
    tokens: &[(String, &'static str)],
) -> Result<(), OAuthError> {
    ctx.revoke(session.id);
    log::info!(target: "sealgate::audit", session = session.id.fingerprint(); "an app signed out");
    let at_provider = async {
        let mut is_done = true;
        for (token, hint) in tokens {
            if let Err(error) = ctx.frontend.provider.revoke(ctx.idp, token, hint).await {
                log::warn!(token = *hint; "not revoked: {error}");
                is_done = false;
            }
        }
        is_done
    };
    let at_provider = tokio::time::timeout(PATIENCE, at_provider);
    let announced = async {
        if let Some(coordinator) = &ctx.bff.coordinator {
            coordinator.settled().await;
        }
    };
    let (is_done, ()) = tokio::join!(at_provider, announced);
    if is_done.unwrap_or(false) {
        Ok(())
    } else {
        Err(OAuthError::unavailable())
    }
}
