//! `X-Sealgate-Session`: a page learns from each answer which session it talks with, and may say so in its next request.
//!
//! # Why
//! Tabs of one browser share its cookies. If somebody else signs in in another tab, a page goes on showing the first person's
//! data, and what it sends would be done in the name of the second.

use http::HeaderName;

use crate::problem::Problem;
use crate::request::Ctx;

/// Its name.
pub const HEADER: HeaderName = HeaderName::from_static("x-sealgate-session");

/// Refuses a request that means another session. Where nobody is signed in, the route says what becomes of it.
pub(super) fn check(ctx: &Ctx<'_>) -> Result<(), Problem> {
    // An empty value names none: the page has learnt of none.
    let meant = ctx.request.headers().get(&HEADER);
    let Some(meant) = meant.filter(|meant| !meant.is_empty()) else {
        return Ok(());
    };
    match ctx.caller.session() {
        Some(session) if session.fingerprint().as_bytes() != meant.as_bytes() => {
            Err(Problem::SessionChanged)
        }
        _ => Ok(()),
    }
}
