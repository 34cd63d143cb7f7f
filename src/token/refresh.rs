//! Keeps the access token of a session fresh: one token call, shared by all requests that wait for it.
//!
//! [`decision`](super::decision) says what to do, [`token_call`](super::token_call) asks the provider, and this file does the
//! rest: cookies, metrics, and what other requests must know.
//!
//! # Invariants
//! - Only new tokens write the session cookie.
//! - The token call outlives the request that began it: a browser that hangs up loses no refresh token.
//! - A failure has its line in the log and is counted, also if the request that began the call has hung up.
//!
//! # Spec
//! RFC 6749 §6, OpenID Connect Core §12.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::RefreshToken;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::decision::{self, Ended, Next, Situation, Start};
use super::token_call;
use crate::bff::Bff;
use crate::clock::UnixTime;
use crate::frontend::{Frontend, Said};
use crate::guard::is_speculative;
use crate::ledger::{Begin, Fingerprint, Flight, Landed, Outcome, Renewal, Why};
use crate::oidc;
use crate::problem::{Problem, TokenRefusal};
use crate::request::{App, Caller, Ctx};
use crate::session::{Session, StoreError};
use crate::telemetry::metrics::{Metrics, RefreshResult};
use crate::telemetry::{Span, SpanName, Unheard, attribute, take_along};

/// How long the answer "try again" waits. A frontend that repeats its request at once must not overtake the cookies of the
/// replica that has the new tokens.
const CONFLICT_PAUSE: Duration = Duration::from_millis(300);

/// Whether the request has other tokens now than it came with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    /// The tokens that it came with.
    Kept,
    /// New ones.
    Renewed,
}

/// Makes sure that the session's access token is good for this request.
pub(super) async fn when_due(ctx: &mut Ctx<'_>) -> Result<Freshness, Problem> {
    let ahead = ctx.frontend.session.refresh_ahead;
    match &ctx.caller {
        Caller::Browser(session)
            if session.refresh_due(ctx.now, ahead) || !can_prove(ctx, session) =>
        {
            at_once(ctx).await
        }
        Caller::App(app) => keep_for_app(ctx, app),
        Caller::Browser(_) | Caller::Nobody => Ok(Freshness::Kept),
    }
}

/// The same for all requests before `until`, if they are to wait for this one.
pub async fn before(until: UnixTime, ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    let ahead = ctx.frontend.session.refresh_ahead;
    match ctx.caller.session() {
        Some(session) if session.refresh_due(until, ahead) || !can_prove(ctx, session) => {
            at_once(ctx).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Takes over the tokens of a refresh that other requests have begun here.
pub async fn catch_up(ctx: &mut Ctx<'_>) -> Result<(), Problem> {
    let session = ctx.caller.session();
    let tokens = session.and_then(|session| Fingerprint::of(session));
    match tokens.and_then(|tokens| ctx.bff.refreshes.join(tokens, ctx.now)) {
        Some(_) => at_once(ctx).await.map(drop),
        None => Ok(()),
    }
}

/// Whether the access token is of any use: its key may have left the ring.
fn can_prove(ctx: &Ctx<'_>, session: &Session) -> bool {
    let prover = ctx.frontend.provider.prover();
    prover.can_prove(session.tokens.token_type)
}

/// Asks for new tokens, whether the access token is due or not.
///
/// The ledger knows a refresh by its access token too. So the tokens that it hands out came after those of the request.
pub(super) async fn at_once(ctx: &mut Ctx<'_>) -> Result<Freshness, Problem> {
    // An app refreshes its session itself.
    let Caller::Browser(session) = &ctx.caller else {
        return Ok(Freshness::Kept);
    };
    let is_speculative = is_speculative(ctx.request.headers());
    let has_ended = session.tokens.is_expired(ctx.now) || !can_prove(ctx, session);
    let start = decision::start(&session.tokens, has_ended, ctx.now, is_speculative);
    let refresh_token = match start {
        Start::Call(refresh_token) => refresh_token.clone(),
        Start::Keep => return Ok(Freshness::Kept),
        Start::SignIn => return Err(ctx.frontend.login_required()),
        Start::Speculative => return Err(Problem::Speculative),
    };
    let fingerprint = Fingerprint::new(&session.id, &refresh_token, &session.tokens.access_token);
    if has_ended {
        ctx.bff.refreshes.forget_outage(fingerprint);
    }
    let was_told = ctx.wallet.is_marked_refused(fingerprint.mark());
    if has_ended && was_told && ctx.bff.refreshes.join(fingerprint, ctx.now).is_none() {
        // Another replica has said "try again", and this one has nothing newer for the browser.
        let why = "another replica has said so, and nothing newer has come since";
        return end(ctx, Ended::Refused(why.into()));
    }
    let (landed, result) = share(fingerprint, session, &refresh_token, has_ended, ctx).await;
    let situation = Situation {
        // The wait may have outlasted the access token.
        has_ended: session.tokens.is_expired(ctx.bff.clock.now()) || !can_prove(ctx, session),
        is_revoked: ctx.bff.revocations.is_revoked(session),
        was_told,
        arrived_at: ctx.arrival.at,
    };
    match decision::decide(landed, &situation) {
        Next::Adopt(renewal) => {
            ctx.bff.metrics.refreshed(result);
            adopt(ctx, &renewal, situation.has_ended)
        }
        Next::Keep(why) => {
            // Requests that share the call, or come while it is remembered, go on as this one does: no failure of theirs.
            if result == RefreshResult::Ok {
                log::warn!("refresh failed, and the old access token still serves: {why}");
            }
            ctx.bff.metrics.refreshed(RefreshResult::Kept);
            Ok(Freshness::Kept)
        }
        Next::TryAgain(why) => {
            log::warn!(
                "refresh failed, and somebody else may have the new tokens (another replica, or a request beside this one): {why}"
            );
            Err(try_again(ctx, fingerprint).await)
        }
        Next::Unavailable(why) => {
            let problem = Problem::IdentityProviderUnavailable;
            log::warn!(code = problem.code(); "refresh failed: {why}");
            ctx.bff.metrics.refreshed(RefreshResult::Unavailable);
            Err(problem)
        }
        Next::End(why) => end(ctx, why),
    }
}

/// An app's request goes on with the token that it brings, or the app hears that it must refresh.
fn keep_for_app(ctx: &Ctx<'_>, app: &App) -> Result<Freshness, Problem> {
    if can_prove(ctx, &app.session) {
        return Ok(Freshness::Kept);
    }
    let why = "the key of the access token is gone: refresh it";
    Err(Problem::TokenRefused(TokenRefusal::token(app.scheme, why)))
}

/// Makes the token call, or waits for that of another request. Also gives how a success counts.
///
/// `has_ended`: the request cannot go on with the tokens that it has.
pub(super) async fn share(
    fingerprint: Fingerprint,
    session: &Session,
    refresh_token: &RefreshToken,
    has_ended: bool,
    ctx: &Ctx<'_>,
) -> (Landed, RefreshResult) {
    let mut span = Span::begin(SpanName::TokenRefresh);
    let (landed, result) = match ctx.bff.refreshes.begin(fingerprint, ctx.now) {
        Begin::Lead(flight) => {
            let leading = lead(flight, session, refresh_token, has_ended, ctx);
            (span.around(leading).await, RefreshResult::Ok)
        }
        Begin::Join(join) => (join.landed().await, RefreshResult::Shared),
    };
    tell(&mut span, &landed.outcome, result);
    (landed, result)
}

/// Says in the trace what came of it. The session may go on all the same, with the tokens that it has.
fn tell(span: &mut Span, outcome: &Outcome, result: RefreshResult) {
    let failure = match outcome {
        Outcome::Refreshed(_) => return span.set(attribute::OUTCOME, result.as_str()),
        Outcome::Refused(_) => "refused",
        Outcome::Contested(_) => "conflict",
        Outcome::Mismatch(_) => "mismatch",
        Outcome::Unavailable(_) => "unavailable",
    };
    span.set(attribute::OUTCOME, failure);
    span.failed(failure);
}

/// Makes the token call, in a task of its own, and waits for it.
async fn lead(
    flight: Flight,
    session: &Session,
    refresh_token: &RefreshToken,
    has_ended: bool,
    ctx: &Ctx<'_>,
) -> Landed {
    let frontend = Arc::clone(ctx.frontend);
    let idp = ctx.idp.clone();
    let clock = ctx.bff.clock.clone();
    let session = session.clone();
    let refresh_token = refresh_token.clone();
    let coordinator = ctx.bff.coordinator.clone();
    let (keys, fingerprint) = (Arc::clone(ctx.wallet.keys()), flight.fingerprint());
    let bff = Arc::clone(ctx.bff);
    let (leader, landing) = oneshot::channel();
    actix_web::rt::spawn(take_along(async move {
        let calling = token_call::call(&frontend, &idp, &session, &refresh_token, &clock);
        // The call may outlast the access token.
        let has_ended = || has_ended || session.tokens.is_expired(clock.now());
        let outcome = match coordinator {
            Some(coordinator) => coordinator.once(fingerprint, keys, &clock, calling).await,
            None => match calling.await {
                Outcome::Refused(why) => {
                    refused_without_store(why, &flight, has_ended(), &bff).await
                }
                outcome => outcome,
            },
        };
        flight.land(outcome.clone(), clock.now());
        // If the request has hung up, the outcome comes back, and says itself.
        let has_ended = has_ended();
        let _ = leader.send(Unheard::new(outcome, move |outcome| {
            note_unheard(outcome, has_ended, &bff.metrics);
        }));
    }));
    let outcome = landing.await.ok().and_then(Unheard::take);
    Landed {
        outcome: outcome.unwrap_or_else(Outcome::given_up),
        told_at: None,
    }
}

/// What a refusal means to a process that can ask no store whether another replica has spent the token.
///
/// A session that is ended here does not come back. So a process that seems alone waits a moment first: if there is another
/// replica after all, its cookies or more requests of the same page come in that time (G7).
async fn refused_without_store(why: Why, flight: &Flight, has_ended: bool, bff: &Bff) -> Outcome {
    let may_be_elsewhere = || {
        let spent_elsewhere = |now| bff.replicas.may_have_spent(flight.fingerprint(), now);
        flight.is_shared() || spent_elsewhere(bff.clock.now())
    };
    if has_ended && !may_be_elsewhere() {
        tokio::time::sleep(CONFLICT_PAUSE).await;
    }
    if may_be_elsewhere() {
        Outcome::Contested(why)
    } else {
        Outcome::Refused(why)
    }
}

/// Says why a refresh failed whose request has hung up, and counts it as that request would have. The next request of the session
/// finds the same outcome, and acts on it.
fn note_unheard(outcome: &Outcome, has_ended: bool, metrics: &Metrics) {
    let result = match outcome {
        Outcome::Refreshed(_) => return,
        Outcome::Mismatch(_) => RefreshResult::Ended,
        _ if !has_ended => RefreshResult::Kept,
        Outcome::Refused(_) => RefreshResult::Ended,
        Outcome::Contested(_) => RefreshResult::Conflict,
        Outcome::Unavailable(_) => RefreshResult::Unavailable,
    };
    metrics.refreshed(result);
    match outcome {
        Outcome::Refreshed(_) => {}
        Outcome::Mismatch(why) => {
            log::warn!(target: "sealgate::audit", "session ended: {why}; the client had hung up");
        }
        Outcome::Contested(why) | Outcome::Refused(why) | Outcome::Unavailable(why) => {
            log::warn!("refresh failed, and the client had hung up: {why}");
        }
    }
}

/// The session goes on with new tokens, in this request and in the browser.
fn adopt(ctx: &mut Ctx<'_>, renewal: &Renewal, has_ended: bool) -> Result<Freshness, Problem> {
    let Some(session) = ctx.caller.session() else {
        return Ok(Freshness::Kept);
    };
    let mut renewed = session.renewed(renewal.tokens.clone(), renewal.session_ends_by, ctx.now);
    renewed.claims = read_again(ctx.frontend, session, renewal);
    if renewed.is_expired(ctx.now) {
        // The provider has said with the new tokens that the session is over.
        ctx.bff.metrics.refreshed(RefreshResult::Ended);
        ctx.end_session();
        return Err(ctx.frontend.login_required());
    }
    if ctx.was_bound_meanwhile(session) {
        // The browser has the bound session now. This one, written later, would take its place.
        ctx.caller = Caller::browser(renewed);
        return Ok(Freshness::Renewed);
    }
    match ctx.store(&renewed) {
        Ok(()) => {
            ctx.bff.ends.bring_nearer(renewed.id, renewed.latest_end());
            let provider = &ctx.frontend.provider;
            provider.forget_exchanged_before(renewed.id.0, &renewed.tokens.access_token);
            if let Some(id_token) = &renewal.id_token {
                // Some providers take only the newest ID token as a hint. One that is too large leaves the last in place.
                ctx.store_hint(renewed.id, id_token.clone());
            }
            ctx.caller = Caller::browser(renewed);
            Ok(Freshness::Renewed)
        }
        Err(StoreError::TooLarge(error)) => {
            let problem = Problem::SessionTooLarge {
                at_login: false,
                detail: error.to_string(),
            };
            log::warn!(code = problem.code(); "after a refresh, {error} (session.max_bytes)");
            if has_ended {
                return Err(problem);
            }
            // The old cookie serves until its access token ends.
            Ok(Freshness::Kept)
        }
        Err(StoreError::Seal(error)) => {
            log::error!(code = Problem::Internal.code(); "after a refresh, {error}");
            Err(Problem::Internal)
        }
    }
}

/// The claims of the session as the provider has them now, so that a role that was taken away counts within a token's life.
pub(super) fn read_again(
    frontend: &Frontend,
    session: &Session,
    renewal: &Renewal,
) -> Map<String, Value> {
    // Whoever made the call has verified it, or knows at least that it came from the token endpoint (`oidc::refreshed`).
    let id_token = renewal.id_token.as_deref().and_then(oidc::unverified);
    let access_token = oidc::claims_of(&renewal.tokens.access_token);
    let said = Said {
        id_token: id_token.as_ref(),
        access_token: access_token.as_ref(),
        userinfo: renewal.userinfo.as_ref(),
    };
    frontend.claims.read_again(&session.claims, said)
}

/// Says "try again", after a pause. Nothing is deleted, neither for this request nor for those that were sent beside it: the
/// cookies of another replica may be on their way to the browser.
async fn try_again(ctx: &mut Ctx<'_>, fingerprint: Fingerprint) -> Problem {
    tokio::time::sleep(CONFLICT_PAUSE).await;
    ctx.bff.refreshes.tell(fingerprint);
    if ctx.bff.coordinator.is_none() {
        // The next try may reach a replica that knows nothing of this one.
        ctx.wallet.mark_refused(fingerprint.mark());
    }
    ctx.bff.metrics.refreshed(RefreshResult::Conflict);
    Problem::SessionRefreshConflict
}

/// The session is over.
fn end(ctx: &mut Ctx<'_>, why: Ended) -> Result<Freshness, Problem> {
    ctx.bff.metrics.refreshed(RefreshResult::Ended);
    match why {
        Ended::SignedOut => ctx.drop_session(),
        Ended::AnotherLogin(why) => {
            log::warn!(target: "sealgate::audit", "session ended: {why}");
            ctx.end_session();
        }
        Ended::Refused(why) => {
            log::info!(target: "sealgate::audit", "session ended at its refresh: {why}");
            ctx.drop_session();
        }
    }
    Err(ctx.frontend.login_required())
}
