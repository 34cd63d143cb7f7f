//! A page of a route with `documents = true`: where it needs a user and nobody is signed in, a login begins right here.
//!
//! # Invariants
//! - Only a navigation by `GET` that wants the page at once begins a login. A script gets the problem, and so do a form, a
//!   prefetch and a frame of another origin.
//! - There is no loop. A page looks again only for a navigation that another site caused, and what it goes on to is a navigation
//!   of our own. No login follows by itself upon a session that was over as soon as it was used.
//!
//! # Spec
//! RFC 6265bis §5.2 (`SameSite`), Fetch Metadata Request Headers (W3C).

use std::time::Duration;

use actix_web::http::StatusCode;
use http::Method;

use super::{ApiCall, forward};
use crate::clock::UnixTime;
use crate::frontend::{AnonymousPage, Documents, Forward};
use crate::guard;
use crate::login::{self, Wish};
use crate::message::{self, Answer};
use crate::names::ReturnTo;
use crate::oidc::LoginParams;
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::{Manner, OpenResult, SameSite};

/// A session that ends sooner after its login would only end again.
const TOO_YOUNG: Duration = Duration::from_mins(1);

pub(super) async fn serve(
    documents: Documents,
    forward: &Forward,
    call: ApiCall<'_>,
    ctx: &mut Ctx<'_>,
) -> Result<Answer, Problem> {
    let session = ctx.caller.session();
    let started_at = session.map(|session| session.started_at);
    match forward::serve(forward, call, ctx).await {
        Ok(answer) => Ok(answer),
        Err(problem) => instead(documents, problem, started_at, ctx).await,
    }
}

/// What a person gets instead of the page.
async fn instead(
    documents: Documents,
    problem: Problem,
    started_at: Option<UnixTime>,
    ctx: &mut Ctx<'_>,
) -> Result<Answer, Problem> {
    let headers = ctx.request.headers();
    let is_visit = *ctx.request.method() == Method::GET
        && guard::is_navigation(headers)
        && !guard::is_speculative(headers);
    let Some(page) = address(ctx).filter(|_| is_visit) else {
        return Err(problem);
    };
    ctx.leads_to(&page);
    match problem {
        Problem::LoginRequired { .. } if shows_no_session(ctx) => {
            Ok(message::answer(login::onward(&page)))
        }
        Problem::LoginRequired { .. }
            if documents.login == AnonymousPage::BeginsLogin
                && !is_in_foreign_frame(ctx)
                && started_at.is_none_or(|at| ctx.now.since(at) >= TOO_YOUNG) =>
        {
            guard::spend_login(ctx.frontend, ctx.client)?;
            let begun = login::begin(ctx, at(page), StatusCode::SEE_OTHER).await;
            begun.map(message::answer)
        }
        // The cookies of another answer may be on their way. A browser is told this once.
        Problem::SessionRefreshConflict => {
            ctx.look_again = Some(page.as_str().to_owned());
            Err(problem)
        }
        _ => Err(problem),
    }
}

/// The address of the page, or without its query if that is too long to come back to.
fn address(ctx: &Ctx<'_>) -> Option<ReturnTo> {
    let uri = ctx.request.uri();
    let whole = uri.path_and_query()?;
    ReturnTo::parse(whole.as_str()).or_else(|| ReturnTo::parse(uri.path()))
}

/// Whether another site caused this navigation, so that the browser keeps a session to itself that it may have.
fn shows_no_session(ctx: &Ctx<'_>) -> bool {
    let headers = ctx.request.headers();
    ctx.found == OpenResult::Anonymous
        && ctx.frontend.session.same_site == SameSite::Strict
        && guard::site(headers) == Some(b"cross-site")
        && !guard::is_framed(headers)
}

fn is_in_foreign_frame(ctx: &Ctx<'_>) -> bool {
    let headers = ctx.request.headers();
    guard::is_framed(headers) && guard::site(headers) != Some(b"same-origin")
}

/// A login that ends at the page.
fn at(page: ReturnTo) -> Wish {
    Wish {
        asked: LoginParams::default(),
        return_to: page,
        manner: Manner::Asking,
        replaces: None,
        is_second: false,
    }
}
