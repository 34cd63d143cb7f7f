//! One frontend: an origin, its OpenID Connect client, its cookies, its routes.
//!
//! `config::resolve` makes them, `server::pipeline` selects one for each request by `Host`.
//!
//! # Invariants
//! - Only `Host` selects the frontend. Nothing that a client can add (`X-Forwarded-Host`, absolute-form) takes part.

mod app;
mod assets;
mod by_host;
mod claims;
mod composition;
mod device;
mod documents;
mod endpoint;
mod invitation;
mod native;
mod path;
mod policy;
mod rate_limit;
mod route;
mod route_table;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod samples;
mod target;
mod token_requirement;
mod upstream;

pub use app::{Frontend, Hsts};
pub use assets::AssetsSettings;
pub use by_host::Frontends;
pub use claims::{ClaimFrom, ClaimRules, ClaimSource, Said, UseUserInfo};
pub use composition::{Composition, Each, Part, PartValue};
pub use documents::{AnonymousPage, Documents};
pub use endpoint::{Ahead, Endpoint, Limit, Proof, Reader, Rules, SessionUse};
pub use invitation::Invitations;
pub use native::{Dpop, NativeSettings, RedirectUri};
pub use path::{InvalidRoutePath, RoutePath};
pub use policy::{Policy, RequiredClaim, claim_text};
pub use rate_limit::{CountedBy, RateLimit, Spender};
pub use route::{Action, Forward, Route};
pub use route_table::RouteTable;
pub use target::{Matched, Target, WebSocket};
pub use token_requirement::TokenRequirement;
pub use upstream::UpstreamSettings;
