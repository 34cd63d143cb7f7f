//! An authorization code becomes a session: once, however often the browser brings it.
//!
//! The code is redeemed, then the ID token is verified; only then are the tokens used. A task of its own does this, so a
//! browser that hangs up does not lose the tokens: it gets them when it sends the same answer again
//! ([`Redemptions`](crate::ledger::Redemptions)).
//!
//! # Invariants
//! - Tokens that do not become a session are revoked.
//! - A failure has its line in the log and is counted, also if the request that brought the code has hung up.
//!
//! # Spec
//! RFC 6749 §4.1.3, RFC 7636, OpenID Connect Core §3.1.3.7.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AccessToken, PkceCodeVerifier};
use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};

use super::audit::audit;
use super::failure::{self, failed, level, unavailable};
use super::logout;
use crate::bff::Bff;
use crate::clock::UnixTime;
use crate::frontend::{Frontend, Said};
use crate::keyring::Kid;
use crate::ledger::{Landing, REDEMPTION_MEMORY, Redeemed, Redemption};
use crate::oidc::{self, Claims, Expectation, IdpClient, OidcError, TokenResponse};
use crate::problem::{Caused, LoginFailure, Problem};
use crate::request::{Caller, Ctx};
use crate::session::{LoginAttempt, SESSION_STATE, Session, SessionId, StoreError, TokenSet};
use crate::telemetry::metrics::LoginResult;
use crate::telemetry::{Unheard, take_along};

/// Begins a session for the code, or takes over the one that the same attempt has begun.
pub(super) async fn redeem(
    ctx: &mut Ctx<'_>,
    code: &str,
    session_state: Option<&str>,
    attempt: &LoginAttempt,
) -> Result<(), Caused> {
    let name = &ctx.frontend.name;
    let (redemption, ticket) = ctx.bff.redemptions.begin(name, &attempt.state, ctx.now);
    let landing = match redemption {
        Redemption::Lead(followers) => {
            let (leader, landing) = oneshot::channel();
            let lasts = ctx.frontend.session.absolute_timeout;
            let session_state = session_state.map(str::to_owned);
            let exchange = Exchange {
                session_state,
                ..Exchange::new(ctx, code, attempt, lasts)
            };
            actix_web::rt::spawn(take_along(exchange.land(leader, followers)));
            let landing = landing.await.ok().and_then(Unheard::take);
            landing.unwrap_or_else(|| Err(given_up()))
        }
        Redemption::Follow(mut result) => {
            let landed = result.wait_for(Option::is_some).await.ok();
            let landing = landed.and_then(|landing| landing.clone());
            landing.unwrap_or_else(|| Err(given_up()))
        }
    };
    // A failure is forgotten as well: the next try asks the provider again.
    ctx.bff.redemptions.forget(ticket);
    let redeemed = landing?;
    if is_over(ctx, &redeemed.session, attempt) {
        // The person has signed out since. A copy of the attempt does not bring the session back.
        return Err(failed(LoginFailure::NoLoginAttempt).into());
    }
    deliver(ctx, &redeemed)?;
    if let (Some(replaced), Some(session)) = (attempt.replaces, ctx.caller.session()) {
        ctx.bff.news.replaced(replaced, session);
        ctx.wallet.mark_replaced(replaced, session);
        // Copies of its cookies, and its open streams, end with it.
        ctx.revoke(replaced);
    }
    Ok(())
}

/// Whether a session has ended before it came to its browser or app.
pub(super) fn is_over(ctx: &Ctx<'_>, session: &Session, attempt: &LoginAttempt) -> bool {
    let ends = &ctx.bff.revocations;
    ends.is_revoked(session) || ends.has_ended_since(attempt.started_at, session)
}

/// Begins a session for an app's code. Another request with the same code gets none: the code is good once.
pub(super) async fn for_app(
    ctx: &Ctx<'_>,
    code: &str,
    attempt: &LoginAttempt,
) -> Result<Session, Problem> {
    let native = ctx.frontend.native.as_ref().ok_or(Problem::NotFound)?;
    let name = &ctx.frontend.name;
    let (redemption, ticket) = ctx.bff.redemptions.begin(name, &attempt.state, ctx.now);
    if matches!(redemption, Redemption::Follow(_)) {
        return Err(failed(LoginFailure::CodeRefused));
    }
    let (leader, landing) = oneshot::channel();
    let exchange = Exchange::new(ctx, code, attempt, native.absolute_timeout);
    actix_web::rt::spawn(take_along(exchange.land_at_app(leader)));
    let landing = landing.await.ok().and_then(Unheard::take);
    let landing = landing.unwrap_or_else(|| Err(given_up()));
    let problem = landing.as_ref().err().map(|caused| &caused.problem);
    if problem == Some(&Problem::IdentityProviderUnavailable) {
        // The provider has not seen it, or says nothing: the app may try again.
        ctx.bff.redemptions.forget(ticket);
    }
    let metrics = &ctx.bff.metrics;
    match &landing {
        Ok(_) => metrics.login(name, LoginResult::Ok),
        Err(caused) => {
            let problem = &caused.problem;
            metrics.login_failed(name, failure::reason(problem, None));
            log::log!(target: "sealgate::audit", level(problem), code = problem.code();
                "an app's login failed: {}", caused.why());
        }
    }
    let session = landing.map_err(|caused| caused.problem)?;
    ctx.frontend.remind_of_missing_claims(&session, ctx.now);
    if !session.is_refreshable() {
        ctx.frontend.remind_of_refresh_tokens(ctx.now);
    }
    log::info!(target: "sealgate::audit", session = session.id.fingerprint(); "login of an app");
    Ok(session)
}

/// The task that redeemed the code has ended without a word.
fn given_up() -> Caused {
    Caused::by(
        Problem::Internal,
        "the task that redeems the code was given up",
    )
}

/// Says why a login failed whose request has hung up, and counts it.
fn note_unheard(what: &str, caused: Option<&Caused>, frontend: &Frontend, bff: &Bff) {
    if let Some(caused) = caused {
        let problem = &caused.problem;
        let reason = failure::reason(problem, None);
        bff.metrics.login_failed(&frontend.name, reason);
        log::log!(target: "sealgate::audit", level(problem), code = problem.code();
            "{what}, and the client had hung up: {}", caused.why());
    }
}

/// What the token call takes, apart from the request.
struct Exchange {
    frontend: Arc<Frontend>,
    bff: Arc<Bff>,
    idp: IdpClient,
    code: String,
    verifier: PkceCodeVerifier,
    nonce: openidconnect::Nonce,
    max_age: Option<u64>,
    acr_values: Option<String>,
    /// What came with the code.
    session_state: Option<String>,
    absolute_timeout: Duration,
    /// The key that the authorization request named.
    proof_key: Option<Kid>,
    now: UnixTime,
    asked_at: UnixTime,
}

impl Exchange {
    fn new(ctx: &Ctx<'_>, code: &str, attempt: &LoginAttempt, absolute_timeout: Duration) -> Self {
        Self {
            frontend: Arc::clone(ctx.frontend),
            bff: Arc::clone(ctx.bff),
            idp: ctx.idp.clone(),
            code: code.to_owned(),
            verifier: PkceCodeVerifier::new(attempt.verifier.secret().clone()),
            nonce: attempt.nonce.clone(),
            max_age: attempt.max_age,
            acr_values: attempt.acr_values.clone(),
            session_state: None,
            absolute_timeout,
            proof_key: attempt.proof_key,
            now: ctx.now,
            asked_at: ctx.bff.clock.now(),
        }
    }

    /// Makes the call, tells all requests that wait, and revokes tokens that nobody takes.
    async fn land(
        self,
        leader: oneshot::Sender<Unheard<Landing>>,
        followers: watch::Sender<Option<Landing>>,
    ) {
        let (landing, mut spare) = self.run().await;
        followers.send_replace(Some(landing.clone()));
        let (frontend, bff) = (Arc::clone(&self.frontend), Arc::clone(&self.bff));
        let unheard = Unheard::new(landing.clone(), move |landing| {
            note_unheard("login failed", landing.as_ref().err(), &frontend, &bff);
        });
        let has_hung_up = leader.send(unheard).is_err();
        if let Ok(redeemed) = &landing
            && has_hung_up
        {
            // The browser may send the same answer again.
            tokio::time::sleep(REDEMPTION_MEMORY).await;
            spare = redeemed.deliver().then(|| redeemed.session.tokens.clone());
        }
        if let Some(tokens) = spare {
            logout::revoke_spare(&self.frontend, &self.idp, &tokens).await;
        }
    }

    /// Makes the call for an app. If the app has hung up, nobody takes the tokens.
    async fn land_at_app(self, app: oneshot::Sender<Unheard<Result<Session, Caused>>>) {
        let (landing, mut spare) = self.run().await;
        let tokens = landing.as_ref().ok();
        let tokens = tokens.map(|redeemed| redeemed.session.tokens.clone());
        let landing = landing.map(|redeemed| redeemed.session.clone());
        let (frontend, bff) = (Arc::clone(&self.frontend), Arc::clone(&self.bff));
        let unheard = Unheard::new(landing, move |landing| {
            let caused = landing.as_ref().err();
            note_unheard("an app's login failed", caused, &frontend, &bff);
        });
        if app.send(unheard).is_err() {
            spare = tokens.or(spare);
        }
        if let Some(tokens) = spare {
            logout::revoke_spare(&self.frontend, &self.idp, &tokens).await;
        }
    }

    /// The result, and tokens that cannot become a session.
    async fn run(&self) -> (Landing, Option<TokenSet>) {
        let verifier = PkceCodeVerifier::new(self.verifier.secret().clone());
        let provider = &self.frontend.provider;
        let answer = provider
            .exchange_code(&self.idp, &self.code, verifier, self.proof_key)
            .await;
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => return (Err(Self::not_redeemed(&error)), None),
        };
        let id_token = response.id_token.take();
        let verdict = self.verify(id_token, &response.access_token).await;
        let claims = verdict.as_ref().ok().map(|(_, claims)| claims);
        let ends_by = response.session_ends_by(self.asked_at, claims);
        let kept = match claims {
            Some(claims) => self.gather(claims, &response).await,
            None => Ok(Map::new()),
        };
        let tokens = TokenSet::first(response, self.asked_at, &provider.settings().scope());
        let landing = verdict.and_then(|(id_token, claims)| {
            let session = self.session(tokens.clone(), claims, kept?, ends_by)?;
            Ok(Arc::new(Redeemed::new(session, id_token)))
        });
        let spare = landing.is_err().then_some(tokens);
        (landing, spare)
    }

    fn not_redeemed(error: &OidcError) -> Caused {
        let problem = match error {
            OidcError::Rejected(_) => failed(LoginFailure::CodeRefused),
            OidcError::Unavailable(_) | OidcError::Lost(_) => Problem::IdentityProviderUnavailable,
            OidcError::Invalid(_) | OidcError::Unusable(_) => failed(LoginFailure::InvalidIdToken),
        };
        Caused::by(problem, format_args!("code not redeemed: {error}"))
    }

    async fn verify(
        &self,
        id_token: Option<String>,
        access_token: &AccessToken,
    ) -> Result<(String, Claims), Caused> {
        let not_believed = |why| Caused::by(failed(LoginFailure::InvalidIdToken), why);
        let missing = "the token response has no ID token: see that oidc.scopes has openid";
        let id_token = id_token.ok_or_else(|| not_believed(missing.to_owned()))?;
        let expect = Expectation {
            nonce: Some(&self.nonce),
            access_token,
            max_age: self.max_age,
            acr_values: self.acr_values.as_deref(),
        };
        let provider = &self.frontend.provider;
        let claims = provider
            .verify_id_token(&self.idp, &id_token, &expect)
            .await;
        let claims = claims.map_err(|error| {
            if matches!(error, OidcError::Unavailable(_)) {
                return unavailable(&error);
            }
            not_believed(format!("ID token refused: {error}"))
        })?;
        Ok((id_token, claims))
    }

    /// The claims that the session keeps. `UserInfo` that cannot be had, or is another user's, fails a login only if a route needs
    /// a claim that is missing without it.
    async fn gather(
        &self,
        claims: &Claims,
        tokens: &TokenResponse,
    ) -> Result<Map<String, Value>, Caused> {
        let rules = &self.frontend.claims;
        let provider = &self.frontend.provider;
        let mut setback = None;
        let mut userinfo = None;
        if rules.need_userinfo(&claims.all) {
            match provider.userinfo(&self.idp, tokens, &claims.subject).await {
                Ok(said) => userinfo = said,
                Err(error) => setback = Some(error),
            }
        }
        let access_token = oidc::claims_of(&tokens.access_token);
        let kept = rules.gather(Said {
            id_token: Some(&claims.all),
            access_token: access_token.as_ref(),
            userinfo: userinfo.as_ref(),
        });
        let mut required = self.frontend.required_claims.iter();
        let Some(error) = setback else {
            return Ok(kept);
        };
        if required.all(|name| kept.contains_key(name)) {
            log::warn!("a login does without UserInfo: {error}");
            return Ok(kept);
        }
        let why = format!("UserInfo, which has a claim that a route requires: {error}");
        Err(Caused::by(
            match error {
                OidcError::Unavailable(_) | OidcError::Lost(_) => {
                    Problem::IdentityProviderUnavailable
                }
                _ => failed(LoginFailure::InvalidIdToken),
            },
            why,
        ))
    }

    /// A new session with a new id, whatever session there was before.
    fn session(
        &self,
        tokens: TokenSet,
        claims: Claims,
        mut kept: Map<String, Value>,
        ends_by: Option<UnixTime>,
    ) -> Result<Session, Caused> {
        let configured_end = self.now.plus(self.absolute_timeout);
        if let (Some(_), Some(acr)) = (&self.acr_values, claims.acr) {
            // `token::challenge` must know when the provider has given what the API asked for.
            kept.insert("acr".to_owned(), Value::String(acr));
        }
        if let Some(state) = &self.session_state {
            kept.insert(SESSION_STATE.to_owned(), Value::String(state.clone()));
        }
        let session = Session {
            id: SessionId::random().map_err(|error| Caused::by(Problem::Internal, error))?,
            issuer: claims.issuer,
            subject: claims.subject,
            idp_sid: claims.sid,
            started_at: self.now,
            auth_time: claims.auth_time,
            ends_at: ends_by.map_or(configured_end, |ends| ends.min(configured_end)),
            last_seen: self.now,
            tokens,
            claims: kept,
            device: None,
        };
        if session.is_expired(self.now) {
            return Err(Caused::by(
                failed(LoginFailure::InvalidIdToken),
                "by its times the session would be over already",
            ));
        }
        Ok(session)
    }
}

/// Stores the session in the browser.
fn deliver(ctx: &mut Ctx<'_>, redeemed: &Redeemed) -> Result<(), Caused> {
    let Redeemed {
        session, id_token, ..
    } = redeemed;
    if let Err(error) = ctx.store(session) {
        if redeemed.deliver() {
            let (frontend, idp) = (Arc::clone(ctx.frontend), ctx.idp.clone());
            let tokens = session.tokens.clone();
            actix_web::rt::spawn(take_along(async move {
                logout::revoke_spare(&frontend, &idp, &tokens).await;
            }));
        }
        return Err(match error {
            StoreError::TooLarge(error) => Caused::by(
                Problem::SessionTooLarge {
                    at_login: true,
                    detail: error.to_string(),
                },
                format_args!("{error} (session.max_bytes)"),
            ),
            StoreError::Seal(error) => Caused::by(Problem::Internal, error),
        });
    }
    // If the ID token does not fit, the session's id is enough for a logout here.
    if !ctx.store_hint(session.id, id_token.clone()) {
        ctx.store_hint(session.id, String::new());
    }
    if redeemed.deliver() {
        if session.latest_end() < session.ends_at {
            ctx.frontend.remind_of_refresh_tokens(ctx.now);
        }
        ctx.frontend.remind_of_missing_claims(session, ctx.now);
        ctx.bff.metrics.login(&ctx.frontend.name, LoginResult::Ok);
        audit(ctx, session, "login");
    }
    ctx.caller = Caller::browser(session.clone());
    Ok(())
}
