//! What a request's path means: a management endpoint, an API route, or a file of the app.

use super::assets::AssetsSettings;
use super::endpoint::Endpoint;
use super::route::Route;
use crate::names::RequestPath;

/// What was found at a path.
#[derive(Clone, Copy, Debug)]
pub enum Target<'f, 'r> {
    /// A path of the app itself: public, so no cookie is opened for it.
    Assets(&'f AssetsSettings, RequestPath<'r>),
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
        own.filter(|_| path.takes_any_segment())
            .unwrap_or(path.as_str().trim_end_matches('/'))
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
