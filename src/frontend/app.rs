//! A frontend: one single-page app and all that belongs to it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::assets::AssetsSettings;
use super::claims::ClaimRules;
use super::endpoint::Endpoint;
use super::invitation::Invitations;
use super::native::NativeSettings;
use super::rate_limit::RateLimit;
use super::route_table::RouteTable;
use super::target::{Matched, Target, WebSocket};
use crate::clock::UnixTime;
use crate::names::{FrontendName, Origin, RequestPath, ReturnTo};
use crate::oidc::Provider;
use crate::problem::Problem;
use crate::session::{Jar, Session, SessionSettings};

/// A single-page app and all that belongs to it.
#[derive(Debug)]
pub struct Frontend {
    /// As in `[frontend.<name>]`.
    pub name: FrontendName,
    /// The public origin: selects the frontend, anchors redirect URIs, and is the only `Origin` accepted.
    pub origin: Origin,
    /// Further values of `Host` that select it, in lower case: what a proxy in front or a probe may write.
    pub hosts: Vec<String>,
    /// How long browsers are to use only TLS for this host (RFC 6797).
    pub hsts: Hsts,
    /// Who beside its own pages may begin a login by a link.
    pub invitations: Invitations,
    /// Where the management endpoints are: `/bff`, without a trailing slash.
    pub base_path: String,
    /// Lower-case name of the anti-forgery header.
    pub csrf_header: String,
    /// Whether a logout empties the browser's cache of this origin.
    pub clear_cache_on_logout: bool,
    /// Failed logins are redirected here, with `?code=…`.
    pub error_page: Option<ReturnTo>,
    /// Lifetimes, sizes and claims of its sessions.
    pub session: SessionSettings,
    /// The longest `absolute_timeout`, of browsers and apps, under which sessions may have begun that still live.
    pub longest_session: Duration,
    /// What apps without a cookie jar may do, if there are any.
    pub native: Option<NativeSettings>,
    /// Where the claims of its sessions come from.
    pub claims: ClaimRules,
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

/// The value of `Strict-Transport-Security`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hsts {
    /// A year, with all subdomains.
    Default,
    /// The header is not sent.
    None,
    /// As it was written.
    Own(String),
}

impl Frontend {
    /// Takes over from the frontend of this name in an earlier configuration what still applies.
    pub(super) fn take_over(&mut self, old: &Self) {
        self.provider.take_over(&old.provider);
        self.routes.take_over(&old.routes);
        if let (Some(limit), Some(spent)) = (&mut self.login_rate_limit, &old.login_rate_limit) {
            limit.take_over(spent);
        }
        self.longest_session = self.longest_session.max(old.longest_session);
    }

    /// What a path and method mean here. A path that is neither endpoint nor route is the app's.
    pub fn resolve<'f, 'r>(
        &'f self,
        method: &str,
        raw_path: &'r str,
        websocket: WebSocket,
    ) -> Result<Target<'f, 'r>, Problem> {
        let path = RequestPath::parse(raw_path)
            .map_err(|_| Problem::BadRequest("the path is not in its plainest form"))?;
        if self.is_native_metadata(raw_path) {
            return Endpoint::find_metadata(method).map(Target::Endpoint);
        }
        if let Some(rest) = path.strip_prefix(&self.base_path) {
            let name = rest.strip_prefix('/').unwrap_or_default();
            return Endpoint::find(name, method, self.native.is_some()).map(Target::Endpoint);
        }
        if let Some((route, rest)) = self.routes.find(path) {
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
        match (&self.assets, method) {
            (None, _) => Err(Problem::NotFound),
            (Some(assets), "GET" | "HEAD") => Ok(Target::Assets(assets, path)),
            (Some(_), _) => Err(Problem::MethodNotAllowed {
                allow: "GET, HEAD".to_owned(),
            }),
        }
    }

    /// Whether a path is that of the metadata of [`native_issuer`](Self::native_issuer) (RFC 8414 §3.1).
    fn is_native_metadata(&self, path: &str) -> bool {
        let of_issuer = path.strip_prefix("/.well-known/oauth-authorization-server");
        let below = of_issuer.and_then(|path| path.strip_prefix(self.base_path.as_str()));
        self.native.is_some() && below == Some("/native")
    }

    /// The issuer that apps know: the authorization server in miniature.
    pub fn native_issuer(&self) -> String {
        format!("{}{}/native", self.origin, self.base_path)
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

    /// The problem where a session is bound to a device that has not proved, or is not bound where it must be.
    pub fn device_proof_required(&self) -> Problem {
        Problem::DeviceProofRequired {
            login_url: format!("{}/login", self.base_path),
        }
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
