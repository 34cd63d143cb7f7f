//! `POST /bff/native/revoke`: the app signs its user out.
//!
//! # Invariants
//! - Either token ends the whole session: here, with `[coordination]` on every replica, and at the provider.
//! - A token that we do not know is revoked already (RFC 7009 §2.2).
//! - If the provider cannot be reached, the answer says so, and the app may try again.
//! - The session ends here whatever the limit says. `login_rate_limit` bounds how often the provider is asked.
//!
//! # Why no proof is asked for
//! Who has the token may end it. An app that has lost its key must be able to sign out.
//!
//! # Spec
//! RFC 7009.

use std::time::Duration;

use actix_web::HttpResponse;

use super::error::OAuthError;
use super::params::Params;
use crate::endpoint::undone::Undone;
use crate::guard;
use crate::ledger::{Fingerprint, Outcome};
use crate::message::Payload;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::NativeRefresh;

/// How long an app waits for the provider, at the most.
const PATIENCE: Duration = Duration::from_secs(3);

/// The tokens to revoke at the provider, with their hints (RFC 7009 §2.1).
type Tokens = Vec<(String, &'static str)>;

pub(super) async fn serve(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    if ctx.frontend.native.is_none() {
        return Err(Problem::NotFound);
    }
    let tokens = match end(ctx, body).await {
        Ok(tokens) => tokens,
        Err(error) => return Ok(error.response()),
    };
    if !tokens.is_empty() {
        guard::spend_login(ctx.frontend, ctx.client)?;
    }
    Ok(if tell(ctx, &tokens).await {
        HttpResponse::Ok().finish()
    } else {
        OAuthError::unavailable().response()
    })
}

/// Ends the session of a token here. There is nothing to end if we do not know it.
async fn end(ctx: &mut Ctx<'_>, body: Payload) -> Result<Tokens, OAuthError> {
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
            return Ok(Tokens::new());
        };
        let token = access.session.tokens.access_token.secret().clone();
        (access.session, vec![(token, "access_token")])
    };
    ctx.revoke(session.id);
    log::info!(target: "sealgate::audit", session = session.id.fingerprint(); "an app signed out");
    Ok(tokens)
}

/// The refresh token, and that of a refresh whose answer the app does not have yet.
async fn of_refresh(ctx: &Ctx<'_>, refresh: &NativeRefresh) -> Tokens {
    let mut tokens = Tokens::new();
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

/// Tells the provider and the other replicas. Returns whether the provider has heard of each token.
async fn tell(ctx: &Ctx<'_>, tokens: &[(String, &'static str)]) -> bool {
    let mut undone = Undone::default();
    let at_provider = async {
        let mut is_done = true;
        for (token, hint) in tokens {
            if let Err(error) = ctx.frontend.provider.revoke(ctx.idp, token, hint).await {
                undone.add(hint, error);
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
    if is_done.is_err() {
        undone.add("tokens", "no answer in time");
    }
    undone.tell_cause(
        &Problem::IdentityProviderUnavailable,
        "an app signed out here, but its tokens were not revoked at the identity provider",
    );
    is_done.unwrap_or(false)
}
