//! The grant of a code: it is opened, and the provider's code in it redeemed.
//!
//! # Invariants
//! - Only the app that began the login gets past here: it has the verifier, and the key if the code is bound to one. Others
//!   do not spend the code.
//!
//! # Spec
//! RFC 6749 §4.1.3; RFC 7636 §4.6; RFC 9449 §10.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::OAuthError;
use super::params::Params;
use crate::endpoint::redeem;
use crate::proof::Dpop;
use crate::request::Ctx;
use crate::session::{Digest, LoginAttempt, Session};

/// How long a code is good.
const LIFE: Duration = Duration::from_secs(60);

pub(super) async fn redeem(
    ctx: &mut Ctx<'_>,
    params: &Params,
    proof: Option<&Dpop>,
) -> Result<Session, OAuthError> {
    let code = params.required("code", "code is missing")?;
    let redirect_uri = params.required("redirect_uri", "redirect_uri is missing")?;
    let verifier = params.required("code_verifier", "code_verifier is missing")?;
    let opened = ctx.look_up(|ctx| ctx.wallet.open_native_code(&code)).await;
    let (code, _) = opened.map_err(|_| OAuthError::invalid_grant("this is not a code of ours"))?;
    if ctx.now.since(code.issued_at) > LIFE {
        return Err(OAuthError::invalid_grant("the code is too old"));
    }
    if redirect_uri != code.login.redirect_uri {
        return Err(OAuthError::invalid_grant(
            "redirect_uri is not the one that the code was sent to",
        ));
    }
    if !fits(&verifier, &code.login.challenge) {
        return Err(OAuthError::invalid_grant(
            "code_verifier does not fit the challenge",
        ));
    }
    if code
        .login
        .key
        .is_some_and(|bound| Some(bound) != proof.map(|proof| proof.key))
    {
        return Err(OAuthError::invalid_grant(
            "the code is bound to another key",
        ));
    }
    if let Some(proof) = proof {
        ctx.spend_proof(proof).await?;
    }
    let attempt = LoginAttempt {
        state: code.random,
        nonce: code.nonce,
        verifier: code.verifier,
        issuer: ctx.frontend.provider.settings().issuer.clone(),
        rest: String::new(),
        started_at: code.login.begun_at,
        silent: false,
        max_age: code.max_age,
        acr_values: code.acr_values,
        replaces: None,
        proof_key: code.proof_key,
    };
    let session = redeem::for_app(ctx, &code.code, &attempt).await?;
    if redeem::is_over(ctx, &session, &attempt) {
        return Err(OAuthError::invalid_grant("the session is over"));
    }
    Ok(session)
}

/// Whether a verifier is the challenge's (RFC 7636 §4.1, §4.6).
fn fits(verifier: &str, challenge: &Digest) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_verifier = (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_plain);
    let digest: Digest = Sha256::digest(verifier).into();
    is_verifier && bool::from(digest.ct_eq(challenge))
}
