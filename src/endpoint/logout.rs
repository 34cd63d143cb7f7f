//! Logout: cookies gone, tokens revoked, the identity provider's session ended.
//!
//! There are two ways. A script's `POST` ends the session here at once, and the answer has an address to navigate to. The
//! navigation, a `GET` with the session's `sid`, does the provider's part. For that the hint cookie is enough.
//!
//! # Invariants
//! - The session ends here whether the provider helps or not. A failure of the provider is logged.
//! - A navigation logs out only with the session's own `sid`, and `guard` lets only the frontend's own navigation in.
//! - The hint cookie alone does not end a session: a sibling host can plant one (RFC 6265bis §8.6).
//!
//! # Spec
//! OpenID Connect RP-Initiated Logout 1.0, RFC 7009.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde_json::json;

use super::audit::audit;
use super::form::{query, single};
use super::undone::Undone;
use crate::frontend::Frontend;
use crate::ledger::{Fingerprint, Join, Outcome};
use crate::names::ReturnTo;
use crate::oidc::{IdpClient, Revoked};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{LogoutHint, Session, TokenSet};

/// How long a person waits for tokens to be revoked, at the most.
const REVOCATION_PATIENCE: Duration = Duration::from_secs(3);

/// Longest `returnUrl`, in bytes. It travels in a URL of the identity provider, beside an ID token.
const LONGEST_RETURN: usize = 1024;

/// What the log says before what a logout left undone.
const SIGNED_OUT: &str = "signed out here, but not wholly at the identity provider";

/// The address that logs this session out, for a navigation.
pub(super) fn url(frontend: &Frontend, session: &Session) -> String {
    format!("{}/logout?sid={}", frontend.base_path, session.logout_sid())
}

/// `POST /bff/logout`
pub(super) async fn by_script(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let logout_url = match (ctx.caller.session(), ctx.wallet.load_hint()) {
        (Some(session), _) => url(ctx.frontend, session),
        (None, Some(hint)) => {
            format!(
                "{}/logout?sid={}",
                ctx.frontend.base_path,
                hint.session.to_text()
            )
        }
        // Nobody is signed in. The address still leads home.
        (None, None) => format!("{}/logged-out", ctx.frontend.base_path),
    };
    let mut undone = Undone::default();
    let newer = end(ctx, &mut undone).await;
    undone.tell(SIGNED_OUT);
    if let Some(newer) = newer {
        ctx.store_hint(newer.session, newer.id_token);
    }
    let mut answer = HttpResponse::Ok().json(json!({"logout_url": logout_url}));
    clear_cache(ctx, &mut answer);
    Ok(answer)
}

/// `GET /bff/logout?sid=…`
pub(super) async fn by_navigation(ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let params = query(ctx);
    let sid = single(&params, "sid")?.ok_or(Problem::BadRequest("sid is missing"))?;
    let return_to = return_url(&params)?;
    let hint = ctx.wallet.load_hint();
    let session_id = match (ctx.caller.session(), &hint) {
        (Some(session), _) => session.id,
        (None, Some(hint)) => hint.session,
        (None, None) => {
            return Err(Problem::BadRequest(
                "this is not the sid of a session of this browser",
            ));
        }
    };
    if !session_id.matches(&sid) {
        return Err(Problem::BadRequest(
            "this is not the sid of a session of this browser",
        ));
    }
    let mut undone = Undone::default();
    // Without a session only the provider's part is left.
    let newer = if ctx.caller.is_nobody() {
        None
    } else {
        end(ctx, &mut undone).await
    };
    ctx.wallet.delete_hint();
    let id_token = newer
        .or(hint)
        .filter(|hint| hint.session == session_id && !hint.id_token.is_empty())
        .map(|hint| hint.id_token);
    let location = end_session_url(ctx, id_token.as_deref(), &return_to, &mut undone).await;
    undone.tell(SIGNED_OUT);
    let mut answer = match location {
        Some(url) => HttpResponse::Found()
            .insert_header((header::LOCATION, url))
            .finish(),
        None => HttpResponse::SeeOther()
            .insert_header((header::LOCATION, return_to.as_str()))
            .finish(),
    };
    clear_cache(ctx, &mut answer);
    Ok(answer)
}

/// Lets the browser forget what it has kept of the person's data, if the configuration wants that (W3C Clear Site Data).
fn clear_cache(ctx: &Ctx<'_>, answer: &mut HttpResponse) {
    if ctx.frontend.clear_cache_on_logout {
        let name = HeaderName::from_static("clear-site-data");
        let value = HeaderValue::from_static("\"cache\"");
        answer.headers_mut().insert(name, value);
    }
}

/// Where to go in the end. A `returnUrl` that is too long is cut to its page, and the log says so: the logout goes on.
fn return_url(params: &[(String, String)]) -> Result<ReturnTo, Problem> {
    let Some(text) = single(params, "returnUrl")? else {
        return Ok(ReturnTo::root());
    };
    let fits = |to: &ReturnTo| to.as_str().len() <= LONGEST_RETURN;
    let asked = ReturnTo::parse(&text);
    if asked.as_ref().is_some_and(fits) || (asked.is_none() && !ReturnTo::is_too_long(&text)) {
        return Ok(asked.unwrap_or_else(ReturnTo::root));
    }
    log::info!(bytes = text.len();
        "the returnUrl of a logout is too long: it goes to the page without its query");
    let page = asked.map(|to| to.page()).filter(fits);
    Ok(page.unwrap_or_else(ReturnTo::root))
}

/// `GET /bff/logged-out`: back from the provider. A `state` that we did not seal leads home, never elsewhere.
pub(super) fn landing(ctx: &Ctx<'_>) -> HttpResponse {
    let return_to = single(&query(ctx), "state")
        .ok()
        .flatten()
        .and_then(|state| ctx.wallet.open_logout_state(&state))
        .unwrap_or_else(ReturnTo::root);
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, return_to.as_str()))
        .finish()
}

/// Ends the session: cookies first, then tokens (RFC 7009 §2.1). Returns the hint that the browser does not have yet, if
/// there is one.
async fn end(ctx: &mut Ctx<'_>, undone: &mut Undone) -> Option<LogoutHint> {
    let session = ctx.caller.session().cloned();
    ctx.end_session();
    let session = session?;
    audit(ctx, &session, "logout");
    let mut tried = Undone::default();
    let revocation = tokio::time::timeout(REVOCATION_PATIENCE, revoke(ctx, &session, &mut tried));
    let announcement = async {
        if let Some(coordinator) = &ctx.bff.coordinator {
            coordinator.settled().await;
        }
    };
    let (revocation, ()) = tokio::join!(revocation, announcement);
    let is_revoked = revocation.unwrap_or_else(|_| {
        tried.add("tokens not revoked", "no answer in time");
        false
    });
    *undone = tried;
    if !is_revoked {
        // A late answer of another request could bring back a refresh token that works for hours.
        ctx.wallet.mark_unrevoked(&session);
    }
    newer_hint(ctx, &session)
}

/// The hint of a refresh whose answer the browser does not have yet. Some providers take only the newest ID token.
fn newer_hint(ctx: &Ctx<'_>, session: &Session) -> Option<LogoutHint> {
    match ctx.bff.refreshes.join(Fingerprint::of(session)?, ctx.now)? {
        Join::Landed(landed) => match landed.outcome {
            Outcome::Refreshed(renewal) => Some(LogoutHint {
                session: session.id,
                id_token: renewal.id_token.clone()?,
            }),
            _ => None,
        },
        Join::Follow(_) => None,
    }
}

/// Revokes the session's tokens, and those of a refresh whose answer the browser does not have yet. Returns whether none of
/// their refresh tokens works any longer.
async fn revoke(ctx: &Ctx<'_>, session: &Session, undone: &mut Undone) -> bool {
    let is_revoked = revoke_set(ctx.frontend, ctx.idp, &session.tokens, undone).await;
    if let Some(fingerprint) = Fingerprint::of(session)
        && let Some(join) = ctx.bff.refreshes.join(fingerprint, ctx.now)
        && let Outcome::Refreshed(newer) = join.landed().await.outcome
    {
        return revoke_set(ctx.frontend, ctx.idp, &newer.tokens, undone).await && is_revoked;
    }
    is_revoked
}

/// Revokes tokens that belong to no session. Nobody waits for it, and it ends in time.
pub(super) async fn revoke_spare(frontend: &Frontend, idp: &IdpClient, tokens: &TokenSet) {
    let mut undone = Undone::default();
    let revocation = revoke_set(frontend, idp, tokens, &mut undone);
    let ended = tokio::time::timeout(REVOCATION_PATIENCE, revocation).await;
    if ended.is_err() {
        undone.add("tokens not revoked", "no answer in time");
    }
    undone.tell("tokens that became no session live on");
}

/// Revokes the refresh token first, since it could live longest. If one fails, the other is still revoked.
async fn revoke_set(
    frontend: &Frontend,
    idp: &IdpClient,
    tokens: &TokenSet,
    undone: &mut Undone,
) -> bool {
    let mut revoke =
        async |token, hint, not_revoked| match frontend.provider.revoke(idp, token, hint).await {
            Ok(revoked) => revoked == Revoked::Done,
            Err(error) => {
                undone.add(not_revoked, error);
                false
            }
        };
    let is_revoked = match &tokens.refresh_token {
        Some(token) => revoke(token.secret(), "refresh_token", "refresh token not revoked").await,
        None => true,
    };
    let access_token = tokens.access_token.secret();
    revoke(access_token, "access_token", "access token not revoked").await;
    is_revoked
}

async fn end_session_url(
    ctx: &Ctx<'_>,
    id_token: Option<&str>,
    return_to: &ReturnTo,
    undone: &mut Undone,
) -> Option<String> {
    let state = match ctx.wallet.seal_logout_state(return_to) {
        Ok(state) => state,
        Err(error) => {
            log::error!("no logout state: {error}");
            return None;
        }
    };
    let landing = ctx.frontend.post_logout_redirect_uri();
    match ctx
        .frontend
        .provider
        .end_session_url(ctx.idp, id_token, &landing, &state)
        .await
    {
        Ok(url) => url.map(String::from),
        Err(error) => {
            undone.add("its session not ended", error);
            None
        }
    }
}
