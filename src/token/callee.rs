//! Who is called, and whether it has refused a session's new tokens like the old ones.

use crate::frontend::{Part, Route};
use crate::request::Ctx;

/// A route's API, or that of one of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    /// The route.
    pub route: &'a Route,
    /// The part, on a route that has parts.
    pub part: Option<&'a Part>,
}

impl<'a> From<&'a Route> for Callee<'a> {
    fn from(route: &'a Route) -> Self {
        Self { route, part: None }
    }
}

impl Callee<'_> {
    /// Notes that new tokens, or a new exchange, were refused like the old ones.
    pub fn note_refused_again(self, ctx: &Ctx<'_>) {
        if let Some(session) = ctx.caller.session() {
            let part = self.part.map(|part| &part.name);
            ctx.bff
                .failed_renewals
                .note(session.id, (&self.route.name, part), ctx.now);
        }
    }

    /// Whether that happened lately.
    pub fn is_refused_again(self, ctx: &Ctx<'_>) -> bool {
        let part = self.part.map(|part| &part.name);
        ctx.caller.session().is_some_and(|session| {
            ctx.bff
                .failed_renewals
                .is_noted(session.id, (&self.route.name, part), ctx.now)
        })
    }
}
