//! What an app gets of a session: a sealed access token, and a sealed refresh token if there is one to seal.
//!
//! # Spec
//! RFC 6749 §5.1; RFC 9449 §5.

use actix_web::HttpResponse;
use serde_json::{Map, json};

use super::error::OAuthError;
use crate::guard::Scheme;
use crate::ledger::Fingerprint;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{Digest, NativeAccess, NativeRefresh, Session, StoreError};

pub(super) fn tokens(
    ctx: &Ctx<'_>,
    mut session: Session,
    key: Option<Digest>,
) -> Result<HttpResponse, OAuthError> {
    session.last_seen = ctx.now;
    let access = NativeAccess::of(&session, key);
    let access_token = ctx
        .wallet
        .seal_native_access(&access)
        .map_err(|error| not_sealed(&error))?;
    let refresh = NativeRefresh::of(&session, key);
    let refresh_token = refresh
        .as_ref()
        .map(|refresh| ctx.wallet.seal_native_refresh(refresh));
    let refresh_token = refresh_token
        .transpose()
        .map_err(|error| not_sealed(&error))?;
    if let Some(tokens) = refresh
        .as_ref()
        .and_then(|refresh| Fingerprint::of(&refresh.session))
        && ctx.bff.coordinator.is_none()
    {
        ctx.bff.replicas.got(tokens);
    }
    let ends = session.tokens.expires_at.min(session.ends_at);
    let scheme = key.map_or(Scheme::Bearer, |_| Scheme::Dpop);
    let mut answer = Map::new();
    answer.insert("access_token".to_owned(), json!(access_token));
    answer.insert("token_type".to_owned(), json!(scheme.as_str()));
    let left = ends.since(ctx.bff.clock.now()).as_secs();
    answer.insert("expires_in".to_owned(), json!(left));
    if let Some(refresh_token) = refresh_token {
        answer.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    if !session.tokens.scope.is_empty() {
        answer.insert("scope".to_owned(), json!(session.tokens.scope));
    }
    Ok(HttpResponse::Ok().json(answer))
}

fn not_sealed(error: &StoreError) -> OAuthError {
    let level = match error {
        StoreError::TooLarge(_) => log::Level::Warn,
        StoreError::Seal(_) => log::Level::Error,
    };
    log::log!(level, code = Problem::Internal.code(); "no tokens for an app: {error}");
    OAuthError::server()
}
