//! `POST /bff/backchannel`: the identity provider says that sessions are over.
//!
//! # Invariants
//! - It exists with `[coordination]` only. One replica alone could not end a session everywhere.
//! - The answer is 200 only if the store has the revocation. After a failure here it is 400, and the provider may try again
//!   with the same token (Back-Channel Logout 1.0 §2.8).
//! - Cookies and the CSRF header play no part. The token's signature counts.
//! - A rate limit never refuses a token that verifies.
//! - A token that cannot be verified because keys are missing is not counted as junk.
//!
//! # Spec
//! OpenID Connect Back-Channel Logout 1.0 §2.5–2.8.
//!
//! # Why only junk is limited
//! A provider has one address, may log out thousands of users at once, and need not repeat a token that was refused. So an
//! address is limited by the tokens that the provider did not sign for us. Over the limit a good token is still taken:
//! nobody can hold back a logout by sending junk from the same network. A flood of junk costs little. It is not logged
//! beyond the limit, also while there are no keys to tell it by; it does not reach the store; and it does not make us fetch
//! keys more often.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::HttpResponse;
use serde_json::json;

use super::form::{self, single};
use crate::coordination::Coordinator;
use crate::frontend::Spender;
use crate::guard::Admitted;
use crate::ledger::Revocation;
use crate::message::Payload;
use crate::oidc::{LogoutToken, LogoutTokenError, OidcError};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::telemetry::coordination::BackchannelResult;

/// Why no session was ended.
enum Refusal {
    /// The provider did not sign it for this client as a logout token. Says what is wrong, and which rule it breaks.
    Junk(&'static str, Option<String>),
    /// The token was taken before.
    Repeated,
    /// There are no keys to tell whether it is good.
    Unverified(OidcError),
    /// It is good, and something here failed.
    Failed(&'static str),
}

pub(super) async fn serve(
    admitted: &Admitted,
    ctx: &mut Ctx<'_>,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let Some(coordinator) = &ctx.bff.coordinator else {
        return Err(Problem::NotFound);
    };
    let metrics = &ctx.bff.metrics.coordination;
    // RFC 6749 §5.2 codes, as §2.8 allows.
    let from = match admitted.spender() {
        Spender::Address(address) => address,
        // Nobody is signed in here.
        Spender::Session(_) => Ipv4Addr::UNSPECIFIED.into(),
    };
    let (code, description) = match log_out(ctx, coordinator, from, body).await {
        Ok(()) => {
            metrics.logged_out(BackchannelResult::Ok);
            log::info!(target: "sealgate::audit", "back-channel logout");
            return Ok(HttpResponse::Ok().finish());
        }
        Err(Refusal::Junk(why, rule)) => {
            metrics.logged_out(BackchannelResult::Refused);
            ctx.bff.bad_logout_tokens.spend(admitted.spender())?;
            let detail = rule.map_or(String::new(), |rule| format!(": {rule}"));
            log::warn!(target: "sealgate::audit", "back-channel logout refused: {why}{detail}");
            ("invalid_request", why)
        }
        Err(Refusal::Repeated) => {
            metrics.logged_out(BackchannelResult::Refused);
            let why = "the logout token came before";
            log::warn!(target: "sealgate::audit", "back-channel logout refused: {why}");
            ("invalid_request", why)
        }
        Err(Refusal::Unverified(error)) => {
            metrics.logged_out(BackchannelResult::Failed);
            let why = "there are no keys to verify the logout token with";
            // The limit holds for the log line only: the next token may be the provider's.
            if ctx.bff.bad_logout_tokens.spend(admitted.spender()).is_ok() {
                log::warn!(target: "sealgate::audit", "back-channel logout failed: {why}: {error}");
            }
            ("temporarily_unavailable", why)
        }
        Err(Refusal::Failed(why)) => {
            metrics.logged_out(BackchannelResult::Failed);
            log::warn!(target: "sealgate::audit", "back-channel logout failed: {why}");
            ("temporarily_unavailable", why)
        }
    };
    Ok(HttpResponse::BadRequest().json(json!({"error": code, "error_description": description})))
}

async fn log_out(
    ctx: &Ctx<'_>,
    coordinator: &Coordinator,
    from: IpAddr,
    body: Payload,
) -> Result<(), Refusal> {
    const STORE: Refusal = Refusal::Failed("the store for coordination does not answer");
    let raw = logout_token(ctx, body).await?;
    let provider = &ctx.frontend.provider;
    let verified = provider.verify_logout_token(ctx.idp, &raw, from).await;
    let token = verified.map_err(|error| match error {
        LogoutTokenError::NoKeys(error) => Refusal::Unverified(error),
        error => Refusal::Junk("the logout token breaks a rule", Some(error.to_string())),
    })?;
    let settings = provider.settings();
    let id = format!("{} {} {}", token.issuer, settings.client_id, token.id);
    if coordinator.has_come(&id).await.map_err(|_| STORE)? {
        return Err(Refusal::Repeated);
    }
    let now = ctx.bff.clock.now();
    // For as long as any replica's clock would let the token pass.
    let left = token.expires_at.since(now);
    let valid_for = left.saturating_add(settings.clock_skew * 2);
    let revocations = revocations(ctx, token);
    // The revocation counts here at once, and elsewhere when the feed brings it.
    let until = now.plus(coordinator.longest_session());
    let keys = ctx.wallet.keys();
    coordinator
        .log_out(&revocations, &id, valid_for, keys, &ctx.bff.clock)
        .await
        .map_err(|_| STORE)?;
    for revocation in &revocations {
        ctx.bff.revocations.revoke(revocation, until, now);
    }
    Ok(())
}

/// The sessions that end. `sid` names one session; `sub` without `sid` names all of a user's (Back-Channel Logout 1.0 §2.4).
///
/// With both, a session of this user whose ID token had no `sid` ends too: it may be the one that is meant. A session with
/// another `sid` goes on.
fn revocations(ctx: &Ctx<'_>, token: LogoutToken) -> Vec<Revocation> {
    let issuer = token.issuer;
    // Sessions that began in this second end, too.
    let not_before = ctx.now.plus(Duration::from_secs(1));
    match (token.sid, token.subject) {
        (Some(sid), None) => vec![Revocation::ProviderSession {
            issuer,
            sid,
            not_before,
        }],
        (Some(sid), Some(subject)) => vec![
            Revocation::ProviderSession {
                issuer: issuer.clone(),
                sid,
                not_before,
            },
            Revocation::WithoutSid {
                issuer,
                subject,
                not_before,
            },
        ],
        (None, subject) => vec![Revocation::Subject {
            issuer,
            subject: subject.unwrap_or_default(),
            not_before,
        }],
    }
}

async fn logout_token(ctx: &Ctx<'_>, body: Payload) -> Result<String, Refusal> {
    if !form::is_form(ctx.request.headers()) {
        return Err(junk("the body is not a form"));
    }
    let form = form::read(body).await;
    let form = form.map_err(|error| junk(error.sentence()))?;
    single(&form, "logout_token")
        .ok()
        .flatten()
        .ok_or(junk("there is not exactly one logout_token"))
}

const fn junk(why: &'static str) -> Refusal {
    Refusal::Junk(why, None)
}
