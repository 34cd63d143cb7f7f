//! With whose token each part is called, and what follows when a token is not taken.
//!
//! # Invariants
//! - A call is repeated once at the most, whatever did not take the token: the API, or the provider in exchange.
//! - The user's token is refreshed at most once for all parts.

use std::sync::Arc;

use super::{Setback, failure};
use crate::compose::{Failure, FailureCode};
use crate::frontend::{Composition, Part, Policy, Route, TokenRequirement};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::token::{self, Bearer, Exchanging, NotExchanged, Permit, Refused};

/// The permits of one request.
pub(super) struct Permits<'a> {
    /// By whose token a part wants.
    all: Vec<(TokenRequirement, Result<Permit, Failure>)>,
    /// For the parts whose token is exchanged.
    exchanging: Option<Exchanging<'a>>,
    /// Whether the user's token was renewed because the provider did not take it.
    is_renewed: bool,
}

/// What one call needs to go out.
pub(super) struct Leave<'a> {
    permit: Permit,
    exchanging: Option<Exchanging<'a>>,
}

/// What follows when a token was not taken.
pub(super) enum Again<'a> {
    With(Leave<'a>),
    Not(Failure),
    /// The deadline came before that was clear.
    Late,
}

impl Leave<'_> {
    /// The permit for a part, with the token that comes in exchange if it has an `exchange`.
    pub(super) async fn permit(
        self,
        part: &Part,
        route: &Route,
        is_second: bool,
    ) -> Result<Permit, Setback> {
        let (Some(wanted), Some(exchanging)) = (&part.exchange, &self.exchanging) else {
            return Ok(self.permit);
        };
        if !self.permit.bearer().is_users() {
            return Ok(self.permit);
        }
        // The route's scopes are about the token that the route itself asks for.
        let is_routes = route
            .exchange
            .as_ref()
            .is_some_and(|of_route| Arc::ptr_eq(of_route, wanted));
        let none = Policy::default();
        let policy = if is_routes { &route.policy } else { &none };
        let bearer = if is_second {
            Bearer::RenewedUser
        } else {
            self.permit.bearer()
        };
        let exchanged = exchanging.permit(wanted, policy, bearer).await;
        exchanged.map_err(|why| match why {
            NotExchanged::Subject => Setback::NotExchanged,
            NotExchanged::Problem(problem) => Setback::Failed(failure(&problem)),
        })
    }
}

impl<'a> Permits<'a> {
    /// Those of all parts. The user's token is refreshed for it if that is due.
    pub(super) async fn get(
        plan: &Composition,
        route: &Route,
        ctx: &mut Ctx<'a>,
    ) -> Result<Self, Problem> {
        let mut all: Vec<(_, Result<Permit, Failure>)> = Vec::new();
        // The route's own comes first: what it says is about the whole answer.
        let own = plan.parts.iter().filter(|part| part.token == route.token);
        let others = plan.parts.iter().filter(|part| part.token != route.token);
        for part in own.chain(others) {
            if all.iter().any(|(known, _)| *known == part.token) {
                continue;
            }
            let permit = match token::permit_as(part.token, route, ctx).await {
                Ok(permit) => Ok(permit),
                Err(problem) if part.token == route.token || ends_all(&problem) => {
                    return Err(problem);
                }
                Err(problem) => Err(failure(&problem)),
            };
            all.push((part.token, permit));
        }
        let is_exchanged = plan.parts.iter().any(|part| part.exchange.is_some());
        let exchanging = (is_exchanged && ctx.session.is_some()).then(|| token::exchanging(ctx));
        Ok(Self {
            all,
            exchanging: exchanging.transpose()?,
            is_renewed: false,
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
        })
    }

    /// Looks after a token that was not taken. An error is about the session, so about the whole answer.
    pub(super) async fn renew(
        &mut self,
        setback: Setback,
        part: &Part,
        is_second: bool,
        route: &Route,
        ctx: &mut Ctx<'a>,
    ) -> Result<Again<'a>, Problem> {
        match setback {
            Setback::Failed(failure) => Ok(Again::Not(failure)),
            _ if is_second && part.exchange.is_some() => Ok(Again::Not(Failure::status(401))),
            Setback::NotExchanged => {
                if !self.is_renewed {
                    token::renew_subject(ctx).await?;
                    self.is_renewed = true;
                    self.take_up(ctx)?;
                }
                Ok(self.again(part))
            }
            Setback::Unauthorized(challenge) => {
                let renewed = self
                    .after_401(&challenge.0, part, is_second, route, ctx)
                    .await;
                match renewed {
                    Ok(Some(())) => Ok(self.again(part)),
                    Ok(None) => Ok(Again::Not(Failure::status(401))),
                    Err(problem) if ends_all(&problem) => Err(problem),
                    Err(problem) => Ok(Again::Not(failure(&problem))),
                }
            }
        }
    }

    /// Whether there is another token to try.
    async fn after_401(
        &mut self,
        challenge: &[http::HeaderValue],
        part: &Part,
        is_second: bool,
        route: &Route,
        ctx: &mut Ctx<'a>,
    ) -> Result<Option<()>, Problem> {
        let Ok(Leave { permit, .. }) = self.of(part) else {
            return Ok(None);
        };
        if let Some((wanted, exchanging)) = part.exchange.as_ref().zip(self.exchanging.as_ref()) {
            token::step_up(challenge, route, ctx)?;
            exchanging.forget(wanted);
            return Ok(Some(()));
        }
        if permit.bearer() == Bearer::RenewedUser && !is_second {
            // Another part's 401 has renewed it meanwhile, and this part has not been tried with it.
            token::step_up(challenge, route, ctx)?;
            return Ok(Some(()));
        }
        let refused = Refused {
            bearer: permit.bearer(),
            challenge,
            is_replayable: true,
        };
        if token::renew(refused, route, ctx).await?.is_none() {
            return Ok(None);
        }
        self.take_up(ctx)?;
        Ok(Some(()))
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
        if self.exchanging.is_some() {
            self.exchanging = Some(token::exchanging(ctx)?);
        }
        Ok(())
    }

    fn again(&self, part: &Part) -> Again<'a> {
        self.of(part).map_or_else(Again::Not, Again::With)
    }
}

/// Whether a problem is the session's, so that no part can do without what it is about.
const fn ends_all(problem: &Problem) -> bool {
    !matches!(
        problem,
        Problem::StepUpRequired { .. } | Problem::Forbidden(_) | Problem::InsufficientScope { .. }
    )
}
