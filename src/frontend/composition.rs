//! A route whose answer is put together from several calls: the plan that the configuration makes.
//!
//! `config::resolve` builds it, `api::compose` carries it out.
//!
//! # Invariants
//! - What a part needs is known before any request: there are no cycles, and no part, claim or path segment that is
//!   unknown.

use std::sync::Arc;
use std::time::Duration;

use super::token_requirement::TokenRequirement;
use crate::compose::{Shape, Slot, Template};
use crate::names::{PartName, UpstreamName};
use crate::oidc::TokenExchange;

/// The calls of a route, and how long they may take together.
#[derive(Clone, Debug)]
pub struct Composition {
    /// In the order of their names.
    pub parts: Vec<Part>,
    /// For the whole answer.
    pub deadline: Duration,
    /// Names of request cookies passed on to every part.
    pub cookies: Vec<String>,
    /// Whether the one part's value is the answer.
    pub is_inline: bool,
}

impl Composition {
    /// Whether a call goes out for the user, or is filled with the session's claims.
    pub fn uses_session(&self) -> bool {
        self.parts.iter().any(|part| part.token.is_users()) || !self.claims().is_empty()
    }

    /// The claims that calls are filled with, but for those that each session has.
    pub fn claims(&self) -> Vec<&str> {
        let parts = self.parts.iter();
        let values = parts.flat_map(|part| part.path.in_path().chain(part.path.in_query()));
        let claims = values.filter_map(|value| match value {
            PartValue::Claim(name) => Some(name.as_str()),
            _ => None,
        });
        claims.collect()
    }
}

/// One call, or one for each element of another part's array.
#[derive(Clone, Debug)]
pub struct Part {
    /// The member of the answer.
    pub name: PartName,
    /// Where the call goes.
    pub upstream: UpstreamName,
    /// Whose token, if any, goes along.
    pub token: TokenRequirement,
    /// What the user's token is exchanged for before it goes along.
    pub exchange: Option<Arc<TokenExchange>>,
    /// What is asked for.
    pub path: Template<PartValue>,
    /// What is kept of the answer.
    pub shape: Shape,
    /// Whether the answer does without it if it fails.
    pub is_optional: bool,
    /// Until the upstream's response headers; overrides the upstream's.
    pub timeout: Option<Duration>,
    /// Longest answer, in bytes.
    pub max_bytes: usize,
    /// The part whose elements it is called for.
    pub each: Option<Each>,
    /// The parts that are asked first, by their place in [`Composition::parts`].
    pub needs: Vec<usize>,
}

/// A call for each element of a part's array.
#[derive(Clone, Copy, Debug)]
pub struct Each {
    /// The place of that part in [`Composition::parts`].
    pub part: usize,
    /// How many calls at once.
    pub parallel: usize,
}

/// Where the value of a placeholder is found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PartValue {
    /// The session's claim of this name.
    Claim(String),
    /// A slot of the element that the call is for.
    Item(Slot),
    /// A slot of another part's whole answer.
    Part(usize, Slot),
    /// The segment of the request's path with this name.
    Path(String),
    /// The query parameter of this name.
    Query(String),
}
