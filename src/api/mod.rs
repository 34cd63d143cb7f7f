//! The API routes: one file for each [`Action`](crate::frontend::Action) of a route, the whole flow readable in it.
//!
//! `endpoint` answers what is sealgate's own, this module what is an API's. `server::pipeline` has found the route, let the
//! request in and opened its session before it calls [`serve`].

mod compose;
mod forward;
mod fresh_device;
mod page;
mod same_session;

use crate::frontend::{Action, Matched};
use crate::guard::Admitted;
use crate::message::{Answer, Payload};
use crate::problem::Problem;
use crate::proxy::Upstreams;
use crate::request::Ctx;

pub use same_session::HEADER as SESSION_HEADER;

/// A request that was let in to an API route.
pub struct ApiCall<'a> {
    /// The route, and what the request says to it.
    pub matched: Matched<'a, 'a>,
    /// Proof that it was let in.
    pub admitted: Admitted,
    /// The body, of which nothing has been read.
    pub body: Payload,
    /// This worker's connections.
    pub upstreams: &'a Upstreams,
}

/// Answers one request to an API route.
pub async fn serve(call: ApiCall<'_>, ctx: &mut Ctx<'_>) -> Result<Answer, Problem> {
    same_session::check(ctx)?;
    if let Some(answer) = fresh_device::prove_first(call.matched, ctx)? {
        return Ok(answer);
    }
    // Boxed, but for what most requests ask: the largest of these futures is the size of all.
    match &call.matched.route.action {
        Action::Compose(plan) => Box::pin(compose::serve(plan, call, ctx)).await,
        Action::Forward(forward) => match forward.documents {
            Some(documents) => Box::pin(page::serve(documents, forward, call, ctx)).await,
            None => forward::serve(forward, call, ctx).await,
        },
    }
}
