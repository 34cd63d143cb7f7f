//! Routes for tests and fuzz targets.

use super::path::RoutePath;
use super::policy::Policy;
use super::route::{Action, Forward, Route};
use super::token_requirement::TokenRequirement;
use crate::names::{RouteName, UpstreamName};

/// A route to the upstream `orders`, for signed-in users.
#[cfg(test)]
pub(crate) fn route(path: &str) -> Route {
    plain(
        RouteName::parse("orders").unwrap(),
        RoutePath::parse(path).unwrap(),
        UpstreamName::parse("orders").unwrap(),
    )
}

/// A route for signed-in users, with nothing that it need not have.
pub(crate) fn plain(name: RouteName, path: RoutePath, upstream: UpstreamName) -> Route {
    Route {
        name,
        path,
        token: TokenRequirement::User,
        exchange: None,
        policy: Policy::default(),
        rate_limit: None,
        require_fresh_device: false,
        action: Action::Forward(Forward {
            upstream,
            strip_prefix: true,
            methods: Vec::new(),
            body_limit: 1 << 20,
            timeout: None,
            documents: None,
            websocket: false,
            cookies: Vec::new(),
            set_cookies: Vec::new(),
            strip_headers: Vec::new(),
        }),
    }
}
