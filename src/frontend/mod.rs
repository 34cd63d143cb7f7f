//! One frontend: an origin, its OpenID Connect client, its cookies, its routes.
//!
//! `config::resolve` makes them, `server::pipeline` selects one for each request by `Host`.
//!
//! # Invariants
//! - Only `Host` selects the frontend. Nothing that a client can add (`X-Forwarded-Host`, absolute-form) takes part.

mod by_host;
mod composition;
mod endpoint;
mod path;
mod policy;
mod rate_limit;
mod route;
mod route_table;
#[cfg(test)]
pub(crate) mod samples;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::clock::UnixTime;
use crate::names::{FrontendName, Origin, ReturnTo};
use crate::oidc::Provider;
use crate::problem::Problem;
use crate::session::{Jar, Session, SessionSettings};

pub use by_host::Frontends;
pub use composition::{Composition, Each, Part, PartValue};
pub use endpoint::{Ahead, Endpoint, Limit, Proof, Reader, Rules, SessionUse};
pub use path::{InvalidRoutePath, RoutePath};
pub use policy::{Policy, RequiredClaim, claim_text};
pub use rate_limit::{CountedBy, RateLimit, Spender};
pub use route::{Action, Forward, Matched, Route, Target, TokenRequirement, WebSocket};
pub use route_table::RouteTable;

/// A single-page app and all that belongs to it.
#[derive(Debug)]
pub struct Frontend {
    /// As in `[frontend.<name>]`.
    pub name: FrontendName,
    /// The public origin: selects the frontend, anchors redirect URIs, and is the only `Origin` accepted.
    pub origin: Origin,
    /// Where the management endpoints are: `/bff`, without a trailing slash.
    pub base_path: String,
    /// Lower-case name of the anti-forgery header.
    pub csrf_header: String,
    /// Failed logins are redirected here, with `?code=…`.
    pub error_page: Option<ReturnTo>,
    /// Lifetimes, sizes and claims of its sessions.
    pub session: SessionSettings,
    /// Claims that routes require: sealed into sessions like those of `session.claims`, but shown to nobody.
    pub required_claims: Vec<String>,
    /// How many logins may be begun or ended from one address.
    pub login_rate_limit: Option<RateLimit>,
    /// Reads and writes its cookies.
    pub jar: Jar,
    /// Its identity provider, as this client sees it.
    pub provider: Provider,
    /// Its API routes.
    pub routes: RouteTable,
    /// The app's own files, if sealgate serves them.
    pub assets: Option<AssetsSettings>,
}

/// Where the single-page app's files are.
#[derive(Clone, Debug)]
pub struct AssetsSettings {
    /// The directory that is served.
    pub dir: PathBuf,
    /// The file, below `dir`, that answers paths of the app's own router.
    pub fallback: Option<String>,
}

impl Frontend {
    /// What a path and method mean here. A path that is neither endpoint nor route is the app's.
    pub fn resolve<'f, 'r>(
        &'f self,
        method: &str,
        path: &'r str,
        websocket: WebSocket,
    ) -> Result<Target<'f, 'r>, Problem> {
        route::resolve(self, method, path, websocket)
    }

    /// Whether a claim of the ID token is kept in the session.
    pub fn keeps_claim(&self, name: &str) -> bool {
        self.shows_claim(name) || self.required_claims.iter().any(|kept| kept == name)
    }

    /// Whether a claim of the session is for the app to see.
    pub fn shows_claim(&self, name: &str) -> bool {
        self.session.claims.iter().any(|shown| shown == name)
    }

    /// Warns of claims that a route requires and a new session does not have. If the provider does not put them into ID
    /// tokens, those routes answer 403 to everybody.
    pub fn remind_of_missing_claims(&self, session: &Session, now: UnixTime) {
        let routes = self.routes.iter();
        let missing = routes.flat_map(|route| route.policy.missing(&route.path, session));
        let missing: BTreeSet<&str> = missing.collect();
        if missing.is_empty() || !self.provider.reminders.missing_claim.is_due(now) {
            return;
        }
        let missing = Vec::from_iter(missing).join(", ");
        log::warn!(frontend = self.name.as_str(), claims = missing.as_str();
            "a login brought no claim {missing}, and routes that require it answer 403; \
             let the identity provider put it into the ID token, or ask for a scope that brings it (oidc.scopes)");
    }

    /// The problem where a session has ended with its access token, because no refresh could come. The log says so once an
    /// hour.
    pub fn not_refreshable(&self, now: UnixTime) -> Problem {
        self.remind_of_refresh_tokens(now);
        self.login_required_because(
            "the session has ended with its access token: the identity provider gave no refresh token",
        )
    }

    /// Tells the log how sessions could outlive their first access token.
    pub fn remind_of_refresh_tokens(&self, now: UnixTime) {
        if self.provider.reminders.no_refresh_token.is_due(now) {
            let mut asked = self.provider.settings().scopes.iter();
            let remedy = if asked.any(|scope| scope == "offline_access") {
                "allow refresh tokens for this client at the identity provider"
            } else {
                "add \"offline_access\" to oidc.scopes, or allow refresh tokens for this client at the identity provider"
            };
            log::warn!(frontend = self.name.as_str();
                "no refresh token came with a login: its session ends with its access token; {remedy}");
        }
    }

    /// The problem where somebody must be signed in, and nobody is.
    pub fn login_required(&self) -> Problem {
        self.login_is_required(None)
    }

    /// The same where somebody was signed in, with a sentence about the end of the session.
    pub fn login_required_because(&self, detail: &'static str) -> Problem {
        self.login_is_required(Some(detail))
    }

    fn login_is_required(&self, detail: Option<&'static str>) -> Problem {
        Problem::LoginRequired {
            login_url: format!("{}/login", self.base_path),
            detail,
        }
    }

    /// The redirect URI registered at the identity provider: a constant, never built from a request (RFC 9700 §2.1).
    pub fn redirect_uri(&self) -> String {
        format!("{}{}/callback", self.origin, self.base_path)
    }

    /// Where the identity provider sends the browser after logout.
    pub fn post_logout_redirect_uri(&self) -> String {
        format!("{}{}/logged-out", self.origin, self.base_path)
    }
}
