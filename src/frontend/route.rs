//! What a path means: a management endpoint, an API route, or a file of the app.

use std::time::Duration;

use super::{AssetsSettings, Endpoint, Frontend, Policy, RateLimit, RoutePath};
use crate::names::{RequestPath, RouteName, UpstreamName};
use crate::problem::Problem;

/// A path of the frontend that leads to an upstream.
#[derive(Clone, Debug)]
pub struct Route {
    /// As in `[frontend.shop.route.<name>]`.
    pub name: RouteName,
    /// This path and all below it.
    pub path: RoutePath,
    /// Where requests go.
    pub upstream: UpstreamName,
    /// Whether `path` is taken off before the upstream's own prefix is put in front.
    pub strip_prefix: bool,
    /// Whose token, if any, goes along.
    pub token: TokenRequirement,
    /// What it requires of the session.
    pub policy: Policy,
    /// How many requests it takes of one session or address.
    pub rate_limit: Option<RateLimit>,
    /// Upper-case methods; empty allows all but `CONNECT` and `TRACE`.
    pub methods: Vec<String>,
    /// Longest request body, in bytes.
    pub body_limit: u64,
    /// Until the upstream's response headers; overrides the upstream's.
    pub timeout: Option<Duration>,
    /// Whether WebSocket handshakes are taken.
    pub websocket: bool,
    /// Names of request cookies passed on.
    pub cookies: Vec<String>,
    /// Names of upstream `Set-Cookie`s passed back.
    pub set_cookies: Vec<String>,
    /// Names of request headers that are not passed on, in lower case; one that ends in `*` stands for all that begin so.
    pub strip_headers: Vec<String>,
}

/// Which access token a route needs; the words are Duende's token types.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenRequirement {
    /// Sends the client's own; nobody needs to be signed in.
    Client,
    /// Never sends one.
    None,
    /// Refuses requests without a session.
    User,
    /// Sends the user's if there is a session, else the client's own.
    UserOrClient,
    /// Sends the user's if there is a session.
    UserOrNone,
}

impl TokenRequirement {
    /// Whether the user's token goes along, if there is a session.
    pub const fn is_users(self) -> bool {
        matches!(self, Self::User | Self::UserOrClient | Self::UserOrNone)
    }
}

/// What was found at a path.
#[derive(Debug)]
pub enum Target<'f> {
    /// A path of the app itself.
    Assets(&'f AssetsSettings),
    /// Something that looks at the session.
    Private(Api<'f>),
}

/// A target for which cookies are opened.
#[derive(Clone, Copy, Debug)]
pub enum Api<'f> {
    /// Answered here.
    Endpoint(Endpoint),
    /// Answered by the route's upstream.
    Route(&'f Route),
}

/// Routes, longest path first; of two of one length, the fixed one before the one that names a claim.
#[derive(Debug, Default)]
pub struct RouteTable(Vec<Route>);

impl RouteTable {
    /// Takes routes in any order; `config` has made sure that no two share a path.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_cached_key(|route| route.path.precedence());
        Self(routes)
    }

    /// The route with the longest matching path.
    pub fn find(&self, path: RequestPath<'_>) -> Option<&Route> {
        self.0.iter().find(|route| route.path.rest(path).is_some())
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

impl Route {
    /// The path to ask the upstream for, before its own prefix: empty, or beginning with `/`.
    pub fn upstream_path<'r>(&self, path: RequestPath<'r>) -> &'r str {
        if self.strip_prefix {
            self.path.rest(path).unwrap_or(path.as_str())
        } else {
            path.as_str()
        }
    }

    /// Whether cookies are opened for it at all.
    pub fn opens_session(&self) -> bool {
        self.token.is_users() || self.requires_claims()
    }

    /// Whether anonymous requests are refused. A token that nobody has fulfils no scope.
    pub fn requires_user(&self) -> bool {
        match self.token {
            TokenRequirement::User => true,
            TokenRequirement::UserOrNone if !self.policy.scopes.is_empty() => true,
            _ => self.requires_claims(),
        }
    }

    /// Whether the session's claims decide, whatever token goes along.
    pub fn requires_claims(&self) -> bool {
        self.path.has_claims() || !self.policy.claims.is_empty()
    }

    fn allows(&self, method: &str) -> bool {
        if self.methods.is_empty() {
            !matches!(method, "CONNECT" | "TRACE")
        } else {
            self.methods.iter().any(|allowed| allowed == method)
        }
    }
}

pub(super) fn resolve<'f>(
    frontend: &'f Frontend,
    method: &str,
    raw_path: &str,
) -> Result<Target<'f>, Problem> {
    let path = RequestPath::parse(raw_path)
        .map_err(|_| Problem::BadRequest("the path is not in its plainest form"))?;
    if let Some(rest) = path.strip_prefix(&frontend.base_path) {
        let name = rest.strip_prefix('/').unwrap_or_default();
        let endpoint = Endpoint::find(name, method)?;
        return Ok(Target::Private(Api::Endpoint(endpoint)));
    }
    if let Some(route) = frontend.routes.find(path) {
        return if route.allows(method) {
            Ok(Target::Private(Api::Route(route)))
        } else {
            Err(Problem::MethodNotAllowed {
                allow: route.methods.join(", "),
            })
        };
    }
    match (&frontend.assets, method) {
        (None, _) => Err(Problem::NotFound),
        (Some(assets), "GET" | "HEAD") => Ok(Target::Assets(assets)),
        (Some(_), _) => Err(Problem::MethodNotAllowed {
            allow: "GET, HEAD".to_owned(),
        }),
    }
}
