//! Routes for tests.

use super::path::RoutePath;
use super::policy::Policy;
use super::route::{Action, Forward, Route};
use super::token_requirement::TokenRequirement;
use crate::names::{RouteName, UpstreamName};

/// A route to the upstream `orders`, for signed-in users.
pub(crate) fn route(path: &str) -> Route {
    Route {
        name: RouteName::parse("orders").unwrap(),
        path: RoutePath::parse(path).unwrap(),
        token: TokenRequirement::User,
        exchange: None,
        policy: Policy::default(),
        rate_limit: None,
        require_fresh_device: false,
        action: Action::Forward(Forward {
            upstream: UpstreamName::parse("orders").unwrap(),
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
