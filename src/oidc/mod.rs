//! OpenID Connect and OAuth, as a confidential client of one provider per frontend.
//!
//! `endpoint` uses it to log in and out, `token` to refresh and to exchange; neither sees its HTTP. A [`Provider`] is what the process knows of one
//! provider, and all workers share it. An [`IdpClient`] is one worker's way to reach it. The path of a login:
//! [`Provider::authorize`] → browser → [`Provider::check_iss`] → [`Provider::exchange_code`] → [`Provider::verify_id_token`].
//!
//! - the protocol: `authorize`, `request_object`, `pushed`, `jarm` · `grants` · `revocation` · `logout_token` · `id_token`, `refreshed` · `userinfo` ·
//!   `client_token` · `token_exchange`
//! - its requests and answers: `client_auth`, `client_key` · `token_response` · `members` · `error_code` · `jwt`, `keys`,
//!   `algorithm`
//! - `dpop`: tokens that only the holder of a key can use · `challenge`: reads `WWW-Authenticate`
//! - the provider: `provider` · `metadata` · `gaps` (what it lacks) · `tenants` · `refetch` (how often) · `gate` (one at a
//!   time) · `drift` (its clock) · `http`, `transport`, `egress`
//! - access tokens that belong to no cookie: `cached_token` · `token_slot`, where one comes to · `token_cache`, all of them
//!
//! # Invariants
//! - Every endpoint comes from the metadata of the configured issuer, compared byte for byte.
//! - Every call to the token, revocation or PAR endpoint carries client authentication, and is never repeated, but for a nonce that
//!   the provider wants in a proof before it looks at anything else (`dpop`).
//! - Only the authorization code flow, always with PKCE S256, `state` and `nonce`.
//! - A claim of an ID token leaves this module only after its signature has been verified. The one exception is in `refreshed`.
//!   Claims of an access token and of an unsigned `UserInfo` came from the provider itself over TLS, and are verified no further.
//! - An [`OidcError`] holds no token, no code, no secret and no text of the provider's choosing.
//!
//! # Spec
//! OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0, Back-Channel Logout 1.0; RFC 6749, 7009, 7636, 8707, 9101,
//! 9126, 9207, 9449, 9700.
//!
//! # Why
//! - After a refresh, everything is compared that the session knows of its first ID token; the nonce is not (`refreshed`).
//! - `UserInfo` is asked only for claims that the ID token lacks, unless the configuration wants more: it is one more request
//!   for each login.
//! - Token and revocation requests are written by hand: `openidconnect` offers no `resource` on a refresh, insists on https for
//!   revocation, and parses the ID token inside a token answer before we could choose the keys. Metadata and ID tokens are read
//!   by hand too: it refuses them for members that are not used here. PKCE, nonces, keys and signatures are `openidconnect`'s.

mod algorithm;
mod authorize;
mod cached_token;
mod challenge;
mod client_auth;
mod client_key;
mod client_token;
mod dpop;
mod drift;
mod egress;
mod error;
mod error_code;
mod gaps;
mod gate;
mod grants;
mod http;
mod id_token;
mod jarm;
mod jwt;
mod keys;
mod logout_token;
mod members;
mod metadata;
#[cfg(feature = "fuzzing")]
pub(crate) mod probe;
mod provider;
mod published;
mod pushed;
mod refetch;
mod refreshed;
mod request_object;
mod revocation;
#[cfg(any(test, feature = "fuzzing"))]
mod samples;
mod settings;
mod tenants;
#[cfg(test)]
mod tests;
mod token_cache;
mod token_exchange;
mod token_response;
mod token_slot;
mod transport;
mod trial;
mod userinfo;

pub use self::algorithm::SigningAlgorithm;
pub use self::authorize::{AuthorizationRequest, LoginParams};
pub use self::cached_token::CachedToken;
pub use self::challenge::{Challenge, asks_for_nonce, challenges_of};
pub use self::client_key::{ClientKeyError, ClientKeys};
pub use self::dpop::{Authorization, Possession, Prover, TokenType};
pub use self::egress::{Egress, Unusable};
pub use self::error::OidcError;
pub use self::error_code::{OTHER, hits_every_session, known_code, quotable};
pub use self::gaps::Gap;
pub use self::http::IdpClient;
pub use self::id_token::Expectation;
pub use self::jwt::Claims;
pub use self::logout_token::{LogoutToken, LogoutTokenError};
pub use self::provider::{Provider, Reminders};
pub use self::refreshed::Original;
pub use self::revocation::Revoked;
pub use self::settings::{
    AuthorizationSettings, ClientAuth, ClientSettings, Dpop, Endpoints, IdTokenHint, Par, Profile,
    ProviderLogout, RepeatRefresh, ResponseMode, WithoutExp,
};
pub use self::tenants::{PLACEHOLDER, Tenants, is_tenant};
pub use self::token_cache::IsOver;
pub use self::token_exchange::{ExchangeGrant, Exchanged, Subject, TokenExchange};
pub use self::token_response::TokenResponse;
pub use self::userinfo::{claims_of, unverified};
