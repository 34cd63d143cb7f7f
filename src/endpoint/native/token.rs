//! `POST /bff/native/token`: sealed tokens for a code, or for a refresh token.
//!
//! # Invariants
//! - A request that is wrong in itself costs the provider no call.
//! - A proof is checked before the grant is looked at, and tokens are bound to its key. It is spent after the grant is checked,
//!   and before the provider is called.
//!
//! # Spec
//! RFC 6749 §3.2, §4.1.3, §5, §6; RFC 9449 §5.

use actix_web::HttpResponse;

use super::error::OAuthError;
use super::params::Params;
use super::{code, issue, refresh};
use crate::frontend::Dpop as DpopRule;
use crate::message::Payload;
use crate::problem::Problem;
use crate::proof::Dpop;
use crate::request::Ctx;
use crate::session::{Digest, Session};

pub(super) async fn serve(ctx: &mut Ctx<'_>, body: Payload) -> Result<HttpResponse, Problem> {
    if ctx.frontend.native.is_none() {
        return Err(Problem::NotFound);
    }
    let answer = grant(ctx, body).await;
    let issued = answer.and_then(|(session, key)| issue::tokens(ctx, session, key));
    Ok(issued.unwrap_or_else(OAuthError::response))
}

/// The session that the grant stands for, and the key that its tokens are bound to.
async fn grant(ctx: &mut Ctx<'_>, body: Payload) -> Result<(Session, Option<Digest>), OAuthError> {
    let params = Params::read(ctx, body).await?;
    let client_id = params.check_client(ctx)?;
    match &*params.required("grant_type", "grant_type is missing")? {
        "authorization_code" => {
            if client_id.is_none() {
                return Err(OAuthError::invalid_request("client_id is missing"));
            }
            let proof = proof(ctx).await?;
            let session = code::redeem(ctx, &params, proof.as_ref()).await?;
            Ok((session, proof.map(|proof| proof.key)))
        }
        "refresh_token" => {
            let proof = proof(ctx).await?;
            let session = refresh::renew(ctx, &params, proof.as_ref()).await?;
            Ok((session, proof.map(|proof| proof.key)))
        }
        _ => Err(OAuthError::unsupported_grant_type()),
    }
}

/// The proof of the key that the request has.
async fn proof(ctx: &mut Ctx<'_>) -> Result<Option<Dpop>, OAuthError> {
    let rule = ctx.frontend.native.as_ref().map(|native| native.dpop);
    match ctx.proof_of_possession(None).await? {
        None if rule != Some(DpopRule::Optional) => Err(OAuthError::no_proof()),
        proof => Ok(proof.map(|(proof, _)| proof)),
    }
}
