//! The user's token becomes one for the API that is called (RFC 8693).
//!
//! # Invariants
//! - The API never sees the user's own token where its route or part has an `exchange`.
//! - For one request there is one refresh at the most, whatever the provider says to the token.
//! - The exchange outlives the request that began it: what comes late serves the next one.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::refresh::{self, Freshness};
use super::{Bearer, Callee, Permit, credentials};
use crate::bff::Bff;
use crate::frontend::{Frontend, Policy, Route};
use crate::oidc::{CachedToken, IdpClient, IsOver, OidcError, Subject, TokenExchange};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{OpenSession, Session};
use crate::telemetry::metrics::ExchangeResult;
use crate::telemetry::{Span, SpanName, Unheard, attribute, take_along};

/// What an exchange needs, and nothing that a refresh could change meanwhile.
#[derive(Clone)]
pub struct Exchanging<'a> {
    /// The frontend of the session.
    pub frontend: &'a Arc<Frontend>,
    /// This worker's.
    pub idp: &'a IdpClient,
    /// Counters, and which sessions were ended.
    pub bff: &'a Arc<Bff>,
    /// Whose token it is.
    pub session: Rc<OpenSession>,
}

/// Why no token came in exchange.
#[derive(Debug)]
pub enum NotExchanged {
    /// The user's token is not taken. A new one may be.
    Subject,
    /// This is the answer.
    Problem(Problem),
}

impl Exchanging<'_> {
    /// A permit with the token that comes in exchange for the user's. `bearer` is [`Bearer::RenewedUser`] if it is not to be
    /// exchanged once more for this request.
    pub async fn permit(
        &self,
        wanted: &Arc<TokenExchange>,
        policy: &Policy,
        bearer: Bearer,
    ) -> Result<Permit, NotExchanged> {
        let exchanged = self.token(wanted).await;
        let token = exchanged.map_err(|error| self.not_exchanged(&error))?;
        policy
            .check_scopes(&token.scope)
            .map_err(NotExchanged::Problem)?;
        Ok(Permit {
            credential: credentials::credential(&token.authorization, &self.frontend.provider)
                .map_err(NotExchanged::Problem)?,
            bearer,
            is_private: true,
        })
    }

    /// The token at hand, or else what a task of its own brings.
    async fn token(&self, wanted: &Arc<TokenExchange>) -> Result<Arc<CachedToken>, OidcError> {
        let provider = &self.frontend.provider;
        if let Some(token) = provider.exchanged_at_hand(subject(&self.session), wanted) {
            let metrics = &self.bff.metrics;
            metrics.exchanged(&self.frontend.name, ExchangeResult::Cached);
            return Ok(token);
        }
        let (frontend, bff) = (Arc::clone(self.frontend), Arc::clone(self.bff));
        let (session, idp) = (Rc::clone(&self.session), self.idp.clone());
        let wanted = Arc::clone(wanted);
        let (asker, answer) = oneshot::channel();
        actix_web::rt::spawn(take_along(async move {
            let outcome = ask(&frontend, &idp, &bff, (&session, &wanted)).await;
            // If the request has hung up, the outcome comes back, and says itself.
            let _ = asker.send(Unheard::new(outcome, log_unheard));
        }));
        let given_up = || OidcError::Unavailable("the exchange was given up".to_owned());
        let outcome = answer.await.ok().and_then(Unheard::take);
        outcome.unwrap_or_else(|| Err(given_up()))
    }

    /// Forgets the token that the API has refused.
    pub fn forget(&self, wanted: &Arc<TokenExchange>) {
        self.frontend
            .provider
            .forget_exchanged(subject(&self.session), wanted);
    }

    fn not_exchanged(&self, error: &OidcError) -> NotExchanged {
        let code = match error {
            OidcError::Rejected(code) => code.as_str(),
            _ => "",
        };
        let problem = match code {
            // RFC 8693 §2.2.2 has `invalid_request` for a subject token that is not good any more.
            "invalid_grant" | "invalid_request" => {
                log::debug!("no token in exchange, for now: {error}");
                return NotExchanged::Subject;
            }
            "access_denied" | "invalid_scope" | "invalid_target" => Problem::InsufficientScope {
                detail: "The identity provider gives no token for this API.".to_owned(),
                part: None,
            },
            "interaction_required" | "login_required" | "consent_required" => {
                self.frontend.login_required()
            }
            _ => Problem::IdentityProviderUnavailable,
        };
        log::warn!(code = problem.code(); "no token in exchange: {error}");
        NotExchanged::Problem(problem)
    }
}

/// Says why there is no token for a request that has hung up.
fn log_unheard(outcome: &Result<Arc<CachedToken>, OidcError>) {
    if let Err(error) = outcome {
        log::warn!("no token in exchange: {error}; the client had hung up");
    }
}

/// Asks the provider, or waits for another request's call.
async fn ask(
    frontend: &Frontend,
    idp: &IdpClient,
    bff: &Bff,
    (session, wanted): (&Session, &Arc<TokenExchange>),
) -> Result<Arc<CachedToken>, OidcError> {
    let provider = &frontend.provider;
    let is_over = || -> IsOver { Box::new(bff.revocations.asker(session)) };
    let mut span = Span::begin(SpanName::TokenExchange);
    let exchanging = provider.exchanged_token(idp, subject(session), wanted, is_over);
    let outcome = span.around(exchanging).await;
    if bff.revocations.is_revoked(session) {
        // It was ended meanwhile, perhaps before the cache knew of it.
        provider.forget_exchanged_of(session.id.0);
    }
    let result = match &outcome {
        Ok(exchanged) if exchanged.is_cached => ExchangeResult::Cached,
        Ok(_) => ExchangeResult::Ok,
        Err(OidcError::Rejected(code)) if is_refusal(code) => ExchangeResult::Refused,
        Err(_) => ExchangeResult::Unavailable,
    };
    bff.metrics.exchanged(&frontend.name, result);
    span.set(attribute::OUTCOME, result.as_str());
    if outcome.is_err() {
        span.failed(result.as_str());
    }
    outcome.map(|exchanged| exchanged.token)
}

/// Whether the provider refuses this user or this API. Other codes are about the client, so about everybody.
fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "access_denied"
            | "consent_required"
            | "interaction_required"
            | "invalid_grant"
            | "invalid_request"
            | "invalid_scope"
            | "invalid_target"
            | "login_required"
    )
}

/// A permit for a route with an `exchange`, after one refresh if the provider does not take the user's token.
pub(super) async fn of_user(
    wanted: &Arc<TokenExchange>,
    route: &Route,
    ctx: &mut Ctx<'_>,
    bearer: Bearer,
) -> Result<Permit, Problem> {
    let policy = &route.policy;
    match exchanging(ctx)?.permit(wanted, policy, bearer).await {
        Ok(permit) => return Ok(permit),
        Err(NotExchanged::Problem(problem)) => return Err(problem),
        Err(NotExchanged::Subject) if !renew_subject(route.into(), ctx).await? => {
            return Err(refused_for_good(ctx));
        }
        Err(NotExchanged::Subject) => {}
    }
    let second = exchanging(ctx)?
        .permit(wanted, policy, Bearer::RenewedUser)
        .await;
    second.map_err(|why| match why {
        NotExchanged::Problem(problem) => problem,
        NotExchanged::Subject => {
            Callee::from(route).note_refused_again(ctx);
            refused_for_good(ctx)
        }
    })
}

/// No newer token of this session changes the provider's mind.
pub fn refused_for_good(ctx: &Ctx<'_>) -> Problem {
    log::warn!("no token in exchange: the identity provider does not take the user's token");
    ctx.frontend.login_required()
}

/// Refreshes because the provider does not take the user's token in exchange. Nothing has been sent yet, so the request's method
/// does not matter. Whether there are new tokens.
///
/// A provider may never take this user's tokens for this API. So it is not tried again for a while after it was in vain.
pub async fn renew_subject(callee: Callee<'_>, ctx: &mut Ctx<'_>) -> Result<bool, Problem> {
    if callee.is_refused_again(ctx) {
        return Ok(false);
    }
    Ok(refresh::at_once(ctx).await? == Freshness::Renewed)
}

/// What an exchange for this request needs.
pub fn exchanging<'c>(ctx: &Ctx<'c>) -> Result<Exchanging<'c>, Problem> {
    Ok(Exchanging {
        frontend: ctx.frontend,
        idp: ctx.idp,
        bff: ctx.bff,
        session: Rc::clone(ctx.caller.session().ok_or(Problem::Internal)?),
    })
}

fn subject(session: &Session) -> Subject<'_> {
    Subject {
        session: session.id.0,
        token: &session.tokens.access_token,
        ends_at: session.tokens.expires_at.min(session.ends_at),
    }
}
