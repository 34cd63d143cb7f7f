//! With whose token each part is called, and what follows when a token is not taken.
//!
//! # Invariants
//! - A call is repeated once at the most, whatever did not take the token: the API, or the provider in exchange. It is repeated
//!   with another token only.
//! - The user's token is renewed at most once for all parts, and each exchange at most once more.
//! - The route's `require_scopes` are about the token that goes along with a part, exchanged or not.

use std::sync::Arc;

use super::{Setback, failure};
use crate::compose::{Failure, FailureCode};
use crate::frontend::{Composition, Part, Route, TokenRequirement};
use crate::oidc::TokenExchange;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::token::{self, Bearer, Callee, Exchanging, NotExchanged, Permit, Refused};

/// The permits of one request.
pub(super) struct Permits<'a> {
    /// By whose token a part wants.
    all: Vec<(TokenRequirement, Result<Permit, Failure>)>,
    /// The session whose tokens these are.
    exchanging: Option<Exchanging<'a>>,
    /// How often the user's token was renewed for this request.
    generation: u8,
    /// The exchanges whose token an API has refused.
    forgotten: Vec<Arc<TokenExchange>>,
}

/// What one call needs to go out.
pub(super) struct Leave<'a> {
    permit: Permit,
    exchanging: Option<Exchanging<'a>>,
    /// Which of the user's tokens it has.
    pub(super) generation: u8,
}

/// What follows when a token was not taken.
pub(super) enum Again<'a> {
    With(Leave<'a>),
    Not(Failure),
    /// The deadline came before that was clear.
    Late,
}

/// A try that did not succeed.
#[derive(Clone, Copy)]
pub(super) struct Tried {
    pub(super) is_second: bool,
    pub(super) generation: u8,
}

impl Leave<'_> {
    /// The permit for a part, with the token that comes in exchange if it has an `exchange`.
    pub(super) async fn permit(
        self,
        part: &Part,
        route: &Route,
        is_second: bool,
    ) -> Result<Permit, Setback> {
        let Some(exchanging) = self.exchanging.filter(|_| self.permit.bearer().is_users()) else {
            return Ok(self.permit);
        };
        let failed = |problem: Problem| Setback::Failed(failure(&problem));
        let Some(wanted) = &part.exchange else {
            let scope = &exchanging.session.tokens.scope;
            route.policy.check_scopes(scope).map_err(failed)?;
            return Ok(self.permit);
        };
        let bearer = if is_second {
            Bearer::RenewedUser
        } else {
            self.permit.bearer()
        };
        let exchanged = exchanging.permit(wanted, &route.policy, bearer).await;
        exchanged.map_err(|why| match why {
            NotExchanged::Subject => Setback::NotExchanged,
            NotExchanged::Problem(problem) => failed(problem),
        })
    }
}

impl<'a> Permits<'a> {
    /// Those of all parts. The user's token is refreshed for it if that is due.
    ///
    /// What the route's own token comes to is about the whole answer. Another token that cannot be had is a matter of the parts
    /// that want it.
    pub(super) async fn get(
        plan: &Composition,
        route: &Route,
        ctx: &mut Ctx<'a>,
    ) -> Result<Self, Problem> {
        let mut all: Vec<(_, Result<Permit, Failure>)> = Vec::new();
        let own = plan.parts.iter().filter(|part| part.token == route.token);
        let others = plan.parts.iter().filter(|part| part.token != route.token);
        for part in own.chain(others) {
            if all.iter().any(|(known, _)| *known == part.token) {
                continue;
            }
            let permit = match token::permit_as(part.token, route, ctx).await {
                Ok(permit) => Ok(permit),
                Err(problem) if part.token == route.token => return Err(problem),
                Err(problem) => Err(failure(&problem)),
            };
            all.push((part.token, permit));
        }
        let exchanging = (!ctx.caller.is_nobody()).then(|| token::exchanging(ctx));
        Ok(Self {
            all,
            exchanging: exchanging.transpose()?,
            generation: 0,
            forgotten: Vec::new(),
        })
    }

    /// What a part needs to go out.
    pub(super) fn of(&self, part: &Part) -> Result<Leave<'a>, Failure> {
        let found = self.all.iter().find(|(known, _)| *known == part.token);
        let unavailable = || Err(FailureCode::UpstreamUnavailable.into());
        let permit = found.map_or_else(unavailable, |(_, permit)| permit.clone())?;
        Ok(Leave {
            permit,
            exchanging: self.exchanging.clone(),
            generation: self.generation,
        })
    }

    /// Looks after a token that was not taken. An error is about the session, so about the whole answer.
    pub(super) async fn renew(
        &mut self,
        setback: Setback,
        part: &Part,
        tried: Tried,
        route: &Route,
        ctx: &mut Ctx<'a>,
    ) -> Result<Again<'a>, Problem> {
        let callee = Callee {
            route,
            part: Some(part),
        };
        let of_provider = matches!(setback, Setback::NotExchanged);
        let is_renewed = match &setback {
            Setback::Failed(failure) => return Ok(Again::Not(failure.clone())),
            Setback::NotExchanged => self.after_refused_exchange(tried, callee, ctx).await,
            Setback::Unauthorized(challenge) => {
                let challenge = &challenge.0;
                match &part.exchange {
                    Some(wanted) => {
                        self.after_401_of_exchanged(challenge, wanted, tried, callee, ctx)
                    }
                    None => self.after_401(challenge, part, tried, callee, ctx).await,
                }
            }
        };
        match is_renewed {
            Ok(true) => Ok(self.of(part).map_or_else(Again::Not, Again::With)),
            // The API was not asked. Only a login brings a token that the provider takes.
            Ok(false) if of_provider => Ok(Again::Not(failure(&token::refused_for_good(ctx)))),
            Ok(false) => Ok(Again::Not(Failure::status(401))),
            Err(problem) if ends_session(&problem) => Err(problem),
            Err(problem) => Ok(Again::Not(failure(&problem))),
        }
    }

    /// The provider does not take the user's token in exchange: whether there is a newer one now.
    async fn after_refused_exchange(
        &mut self,
        tried: Tried,
        callee: Callee<'_>,
        ctx: &mut Ctx<'a>,
    ) -> Result<bool, Problem> {
        if tried.is_second {
            callee.note_refused_again(ctx);
            return Ok(false);
        }
        if tried.generation < self.generation {
            return Ok(true);
        }
        // A token that was renewed for this request is not renewed again.
        if self.generation > 0 || !token::renew_subject(callee, ctx).await? {
            return Ok(false);
        }
        self.take_up(ctx)?;
        Ok(true)
    }

    /// An API does not take a token that was got for it: whether another one may be got.
    fn after_401_of_exchanged(
        &mut self,
        challenge: &[http::HeaderValue],
        wanted: &Arc<TokenExchange>,
        tried: Tried,
        callee: Callee<'_>,
        ctx: &Ctx<'a>,
    ) -> Result<bool, Problem> {
        token::step_up(challenge, callee.route, ctx)?;
        if tried.is_second {
            callee.note_refused_again(ctx);
            return Ok(false);
        }
        if callee.is_refused_again(ctx) {
            return Ok(false);
        }
        // Of several calls with one token the first refusal counts: what came since is another token.
        if !self.forgotten.iter().any(|known| known == wanted) {
            self.forgotten.push(Arc::clone(wanted));
            if let Some(exchanging) = &self.exchanging {
                exchanging.forget(wanted);
            }
        }
        Ok(true)
    }

    /// An API does not take the user's token: whether there is a newer one now.
    async fn after_401(
        &mut self,
        challenge: &[http::HeaderValue],
        part: &Part,
        tried: Tried,
        callee: Callee<'_>,
        ctx: &mut Ctx<'a>,
    ) -> Result<bool, Problem> {
        let Ok(Leave { permit, .. }) = self.of(part) else {
            return Ok(false);
        };
        if tried.generation < self.generation {
            // Another part's 401 has renewed it meanwhile, and this part has not been tried with it.
            token::step_up(challenge, callee.route, ctx)?;
            return Ok(!tried.is_second);
        }
        let refused = Refused {
            bearer: permit.bearer(),
            challenge,
            is_replayable: true,
        };
        if token::renew(refused, callee, ctx).await?.is_none() {
            return Ok(false);
        }
        self.take_up(ctx)?;
        Ok(true)
    }

    /// Goes on with the tokens that the session has now.
    fn take_up(&mut self, ctx: &Ctx<'a>) -> Result<(), Problem> {
        for (_, permit) in &mut self.all {
            if permit
                .as_ref()
                .is_ok_and(|permit| permit.bearer().is_users())
            {
                *permit = Ok(token::renewed(ctx)?);
            }
        }
        self.exchanging = Some(token::exchanging(ctx)?);
        self.generation = self.generation.saturating_add(1);
        Ok(())
    }
}

/// Whether a problem is the end of the session, or of its use for now, so that no part can go on.
const fn ends_session(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::LoginRequired { .. }
            | Problem::SessionRefreshConflict
            | Problem::SessionTooLarge { .. }
            | Problem::Speculative
            | Problem::Internal
    )
}
