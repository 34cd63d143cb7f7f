//! An API route: whom it lets in, and what it does.

use std::sync::Arc;
use std::time::Duration;

use super::composition::Composition;
use super::documents::{AnonymousPage, Documents};
use super::path::RoutePath;
use super::policy::Policy;
use super::rate_limit::RateLimit;
use super::token_requirement::TokenRequirement;
use crate::names::{RouteName, UpstreamName};
use crate::oidc::TokenExchange;

/// A path of the frontend that is an API's.
#[derive(Clone, Debug)]
pub struct Route {
    /// As in `[frontend.shop.route.<name>]`.
    pub name: RouteName,
    /// This path and all below it.
    pub path: RoutePath,
    /// Whose token, if any, goes along.
    pub token: TokenRequirement,
    /// What the user's token is exchanged for before it goes along.
    pub exchange: Option<Arc<TokenExchange>>,
    /// What it requires of the session.
    pub policy: Policy,
    /// How many requests it takes of one session or address.
    pub rate_limit: Option<RateLimit>,
    /// Whether it asks for a proof of the session's device of the last minute.
    pub require_fresh_device: bool,
    /// What it does with a request that it lets in.
    pub action: Action,
}

/// What a route does. `api` has a file for each.
#[derive(Clone, Debug)]
pub enum Action {
    /// Puts one answer together from several calls.
    Compose(Composition),
    /// Sends the request on to an upstream, and the answer back.
    Forward(Forward),
}

/// How a request goes to an upstream, and its answer comes back.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Where requests go.
    pub upstream: UpstreamName,
    /// Whether the route's path is taken off before the upstream's own prefix is put in front.
    pub strip_prefix: bool,
    /// Upper-case methods; empty allows all but `CONNECT` and `TRACE`.
    pub methods: Vec<String>,
    /// Longest request body, in bytes.
    pub body_limit: u64,
    /// Until the upstream's response headers; overrides the upstream's.
    pub timeout: Option<Duration>,
    /// Whether it answers pages, and what follows from that.
    pub documents: Option<Documents>,
    /// Whether WebSocket handshakes are taken.
    pub websocket: bool,
    /// Names of request cookies passed on.
    pub cookies: Vec<String>,
    /// Names of upstream `Set-Cookie`s passed back.
    pub set_cookies: Vec<String>,
    /// Names of request headers that are not passed on, in lower case. A name that ends in `*` stands for all that begin
    /// like it.
    pub strip_headers: Vec<String>,
}

impl Route {
    /// Whether cookies are opened for it at all.
    pub fn opens_session(&self) -> bool {
        self.token.is_users() || self.requires_claims() || self.action.uses_session()
    }

    /// Whether anonymous requests are refused. A token that nobody has fulfils no scope.
    pub fn requires_user(&self) -> bool {
        match self.token {
            TokenRequirement::User => true,
            TokenRequirement::UserOrNone if !self.policy.scopes.is_empty() => true,
            _ => self.requires_claims(),
        }
    }

    /// Whether it answers pages, and what follows from that.
    pub const fn documents(&self) -> Option<Documents> {
        match &self.action {
            Action::Compose(_) => None,
            Action::Forward(forward) => forward.documents,
        }
    }

    /// Whether a page of it begins a login by itself.
    pub fn begins_logins(&self) -> bool {
        let begins = |documents: Documents| documents.login == AnonymousPage::BeginsLogin;
        self.requires_user() && self.documents().is_some_and(begins)
    }

    /// Whether the session's claims decide, whatever token goes along.
    pub fn requires_claims(&self) -> bool {
        self.path.has_claims() || !self.policy.claims.is_empty()
    }
}

impl Action {
    /// Whether one of its calls goes out for the user, or is filled with the session's claims.
    fn uses_session(&self) -> bool {
        match self {
            Self::Compose(composition) => composition.uses_session(),
            Self::Forward(_) => false,
        }
    }

    /// Whether paths below the route's own are its too.
    pub(super) const fn takes_paths_below(&self) -> bool {
        match self {
            Self::Compose(_) => false,
            Self::Forward(_) => true,
        }
    }

    /// The claims that its calls are filled with.
    pub fn claims(&self) -> Vec<&str> {
        match self {
            Self::Compose(composition) => composition.claims(),
            Self::Forward(_) => Vec::new(),
        }
    }

    /// Longest request body that it takes, in bytes.
    pub const fn body_limit(&self) -> u64 {
        match self {
            Self::Compose(_) => 0,
            Self::Forward(forward) => forward.body_limit,
        }
    }

    /// Whether it takes WebSocket handshakes.
    pub const fn takes_websocket(&self) -> bool {
        match self {
            Self::Compose(_) => false,
            Self::Forward(forward) => forward.websocket,
        }
    }

    pub(super) fn allows(&self, method: &str) -> bool {
        match self {
            Self::Compose(_) => matches!(method, "GET" | "HEAD"),
            Self::Forward(forward) if forward.methods.is_empty() => {
                !matches!(method, "CONNECT" | "TRACE")
            }
            Self::Forward(forward) => forward.methods.iter().any(|allowed| allowed == method),
        }
    }

    /// The value of `Allow` where it does not.
    pub(super) fn allow(&self) -> String {
        match self {
            Self::Compose(_) => "GET, HEAD".to_owned(),
            Self::Forward(forward) => forward.methods.join(", "),
        }
    }
}
