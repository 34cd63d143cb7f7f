//! What a path means: a management endpoint, an API route, or a file of the app.

use std::sync::Arc;
use std::time::Duration;

use super::{AssetsSettings, Composition, Endpoint, Frontend, Policy, RateLimit, RoutePath};
use crate::names::{RequestPath, RouteName, UpstreamName};
use crate::oidc::TokenExchange;
use crate::problem::Problem;

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
#[derive(Clone, Copy, Debug)]
pub enum Target<'f, 'r> {
    /// A path of the app itself: public, so no cookie is opened for it.
    Assets(&'f AssetsSettings),
    /// Answered by sealgate itself.
    Endpoint(Endpoint),
    /// Answered by an API.
    Route(Matched<'f, 'r>),
}

/// A route that a request has matched, and what the route has to know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'f, 'r> {
    /// The route.
    pub route: &'f Route,
    /// The request's whole path.
    pub path: RequestPath<'r>,
    /// What follows the route's path in it: empty, or beginning with `/`.
    pub rest: &'r str,
    /// What the request says about WebSocket.
    pub websocket: WebSocket,
}

/// What a request says about WebSocket. It is read once, at the door.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebSocket {
    /// Nothing.
    NotAsked,
    /// It is a `GET` that upgrades to `websocket` and to nothing else (RFC 6455 §4.1).
    Handshake,
    /// It names `websocket` in another way. It is never answered as a handshake, but another server between the client and
    /// us may take it for one.
    Unclear,
}

impl WebSocket {
    /// Whether the connection ends after the request is refused.
    ///
    /// A client may send its first frames before it knows the answer, or another server may believe that the protocol was
    /// switched. What follows is then not a request, whatever it looks like.
    pub fn must_close(self) -> bool {
        self != Self::NotAsked
    }
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
    const fn takes_paths_below(&self) -> bool {
        match self {
            Self::Compose(_) => false,
            Self::Forward(_) => true,
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

    fn allows(&self, method: &str) -> bool {
        match self {
            Self::Compose(_) => matches!(method, "GET" | "HEAD"),
            Self::Forward(forward) if forward.methods.is_empty() => {
                !matches!(method, "CONNECT" | "TRACE")
            }
            Self::Forward(forward) => forward.methods.iter().any(|allowed| allowed == method),
        }
    }

    /// The value of `Allow` where it does not.
    fn allow(&self) -> String {
        match self {
            Self::Compose(_) => "GET, HEAD".to_owned(),
            Self::Forward(forward) => forward.methods.join(", "),
        }
    }
}

impl<'p> Matched<'p, 'p> {
    /// The path to ask an upstream for, before its own prefix: empty, or beginning with `/`.
    pub const fn upstream_path(&self, strip_prefix: bool) -> &'p str {
        if strip_prefix {
            self.rest
        } else {
            self.path.as_str()
        }
    }

    /// The part of the request's path that is the route's. For redirects back to where the route is.
    pub fn mount(&self) -> &'p str {
        let path = &self.route.path;
        let own = self.path.as_str().strip_suffix(self.rest);
        own.filter(|_| path.has_claims())
            .unwrap_or(path.as_str().trim_end_matches('/'))
    }
}

pub(super) fn resolve<'f, 'r>(
    frontend: &'f Frontend,
    method: &str,
    raw_path: &'r str,
    websocket: WebSocket,
) -> Result<Target<'f, 'r>, Problem> {
    let path = RequestPath::parse(raw_path)
        .map_err(|_| Problem::BadRequest("the path is not in its plainest form"))?;
    if let Some(rest) = path.strip_prefix(&frontend.base_path) {
        let name = rest.strip_prefix('/').unwrap_or_default();
        return Endpoint::find(name, method).map(Target::Endpoint);
    }
    if let Some((route, rest)) = frontend.routes.find(path) {
        // No wider route answers instead: what lies below is the composed route's, and nothing is there.
        if !route.action.takes_paths_below() && !rest.is_empty() {
            return Err(Problem::NotFound);
        }
        return if route.action.allows(method) {
            Ok(Target::Route(Matched {
                route,
                path,
                rest,
                websocket,
            }))
        } else {
            Err(Problem::MethodNotAllowed {
                allow: route.action.allow(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::{RouteTable, samples};

    #[test]
    fn a_route_is_mounted_where_the_request_found_it() {
        for (route, asked, mount, rest) in [
            ("/u/{sub}", "/u/al%20ice/7", "/u/al%20ice", "/7"),
            ("/u/{sub}", "/u/alice", "/u/alice", ""),
            ("/", "/x", "", "/x"),
            ("/u", "/u/x", "/u", "/x"),
        ] {
            let table = RouteTable::new(vec![samples::route(route)]);
            let path = RequestPath::parse(asked).unwrap();
            let (route, rest_of_path) = table.find(path).unwrap();
            let matched = Matched {
                route,
                path,
                rest: rest_of_path,
                websocket: WebSocket::NotAsked,
            };
            assert_eq!(matched.mount(), mount, "{asked}");
            assert_eq!(matched.upstream_path(true), rest, "{asked}");
            assert_eq!(matched.upstream_path(false), asked);
        }
    }
}
