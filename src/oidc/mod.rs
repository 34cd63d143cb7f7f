//! OpenID Connect and OAuth, as a confidential client of one provider per frontend.
//!
//! `endpoint` uses it to log in and out, `token` to refresh; neither sees HTTP. A [`Provider`] is
//! what the process knows of one provider and is shared by all workers; an [`IdpClient`] is one
//! worker's way to reach it. The path of a login: [`Provider::authorize`] → browser →
//! [`Provider::check_iss`] →
//! [`Provider::exchange_code`] → [`Provider::verify_id_token`].
//!
//! # Invariants
//! - Every endpoint comes from the metadata of the configured issuer, compared byte for byte.
//! - No call without client authentication to the token or revocation endpoint, and none is ever
//!   repeated.
//! - Only the authorization code flow, always with PKCE S256, `state` and `nonce`.
//! - No claim leaves this module before the signature of its ID token has been verified.
//! - No token, code, secret or text of the provider's choosing is in an [`OidcError`].
//!
//! # Spec
//! OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0; RFC 6749, 7009, 7636, 8707,
//! 9207, 9700.
//!
//! # Why
//! - Of a refreshed ID token everything is compared that the session knows of the first one; the nonce is not
//!   (`refreshed`).
//! - The `UserInfo` endpoint is not called. Claims come from the ID token, which is signed and
//!   bound to this login; `UserInfo` would be one more request per login, and providers refuse it
//!   tokens for other resources.
//! - Token and revocation requests are written by hand: `openidconnect` offers no `resource` on a
//!   refresh, insists on https for revocation, and parses ID tokens inside token answers before we
//!   could choose the keys. Metadata and ID tokens are read by hand too: it refuses them for members that nobody here
//!   uses. PKCE, nonces, keys and signatures are `openidconnect`'s.

mod algorithm;
mod authorize;
mod client_token;
mod drift;
mod gate;
mod http;
mod id_token;
mod jwt;
mod keys;
mod logout_token;
mod members;
mod metadata;
pub(crate) mod probe;
mod provider;
mod refetch;
mod refreshed;
mod refusal;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use openidconnect::{AccessToken, ClientSecret, Nonce, PkceCodeVerifier, RefreshToken};
use url::Url;

use crate::clock::UnixTime;

pub use self::algorithm::SigningAlgorithm;
pub use self::client_token::ClientToken;
pub use self::http::IdpClient;
pub use self::jwt::Claims;
pub use self::logout_token::{LogoutToken, LogoutTokenError};
pub use self::provider::{Provider, Reminders};
pub use self::refreshed::Original;
pub use self::refusal::{OTHER, hits_every_session, known_code, quotable};
pub use self::token::Revoked;

/// `[frontend.<name>.oidc]`, resolved.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Exactly as configured; compared byte for byte (OpenID Connect Discovery §4.3).
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: ClientSecret,
    /// How it authenticates.
    pub client_auth: ClientAuth,
    /// Space-separated on the wire; contains `openid`.
    pub scopes: Vec<String>,
    /// Resource indicators (RFC 8707).
    pub resources: Vec<Url>,
    /// Fixed authorization parameters (none that we set ourselves).
    pub extra_params: BTreeMap<String, String>,
    /// Tolerance for `exp`, `iat`, `nbf`, `auth_time`.
    pub clock_skew: Duration,
    /// Lifetime of an access token where its answer says nothing.
    pub expires_in: Duration,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// What signs ID tokens and logout tokens; by default what discovery offers.
    pub id_token_signed_response_alg: Option<SigningAlgorithm>,
    /// Whether a logout token needs an `exp`.
    pub logout_token_without_exp: WithoutExp,
    /// Whether a refresh token that may be spent is presented again.
    pub repeat_refresh: RepeatRefresh,
    /// Where codes are sent.
    pub redirect_uri: String,
}

impl ClientSettings {
    /// The scope as requests carry it.
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }
}

/// Client authentication at the token endpoint (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// RFC 6749 §2.3.1, in the header.
    ClientSecretBasic,
    /// RFC 6749 §2.3.1, in the body.
    ClientSecretPost,
}

impl ClientAuth {
    /// The name in configuration and in provider metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}

/// Whether a refresh token whose use was never answered may be presented once more, by a later request (RFC 9700
/// §4.14.2). If the provider rotates and had processed the first call, the second looks like theft to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RepeatRefresh {
    /// Not to a provider that has been seen to rotate refresh tokens.
    Auto,
    /// Yes: the provider does not rotate, or tolerates a repetition for some seconds.
    Always,
    /// No: the session ends instead.
    Never,
}

/// What becomes of a logout token that does not say how long it is good. Back-Channel Logout §2.4 requires `exp`; its
/// drafts did not, and some providers follow those.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WithoutExp {
    /// It is good for two minutes from its `iat`.
    ByIat,
    /// It is refused.
    Refuse,
}

/// What one login may ask for beyond the configuration; only from an allow-list (B9).
#[derive(Clone, Debug, Default)]
pub struct LoginParams {
    /// `prompt`
    pub prompt: Option<String>,
    /// `acr_values`
    pub acr_values: Option<String>,
    /// `max_age`, seconds
    pub max_age: Option<u64>,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `ui_locales`
    pub ui_locales: Option<String>,
}

/// An authorization request, and what its answer must be checked against.
pub struct AuthorizationRequest {
    /// Where the browser goes.
    pub url: Url,
    /// `nonce`, 32 random bytes in base64url.
    pub nonce: Nonce,
    /// PKCE verifier, likewise (S256).
    pub verifier: PkceCodeVerifier,
}

impl fmt::Debug for AuthorizationRequest {
    // SECURITY: `state` (in the URL too) is what stops a forged answer (B23); it stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("endpoint", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// A token endpoint's answer.
pub struct TokenResponse {
    /// The access token; visible ASCII, so that it fits a header.
    pub access_token: AccessToken,
    /// A new refresh token, if one came.
    pub refresh_token: Option<RefreshToken>,
    /// The raw ID token, if one came. Not verified yet.
    pub id_token: Option<String>,
    /// Lifetime of the access token, five seconds at the least; the configuration's where the provider says nothing
    /// (B33).
    pub expires_in: Duration,
    /// Lifetime of the refresh token, if the provider tells: `refresh_expires_in`, `refresh_token_expires_in` or
    /// `refresh_token_timeout`, the smallest (A25). A refresh may begin it anew.
    pub refresh_expires_in: Option<Duration>,
    /// What is left of the authorization itself, which no refresh prolongs, if the provider tells (A25).
    pub authorization_expires_in: Option<Duration>,
    /// The granted scope, if the answer names it; else it is what was asked for (RFC 6749 §5.1), or what it was (§6).
    pub scope: Option<String>,
}

impl TokenResponse {
    /// When the provider wants the session to be over at the latest: by what is left of the authorization (A25), or by
    /// `session_expiry` among the ID token's claims (B69).
    pub fn session_ends_by(&self, asked_at: UnixTime, claims: Option<&Claims>) -> Option<UnixTime> {
        let authorization = self.authorization_expires_in;
        let authorization = authorization.map(|lifetime| asked_at.plus(lifetime));
        let session = claims.and_then(|claims| claims.session_expiry);
        authorization.into_iter().chain(session).min()
    }
}

impl fmt::Debug for TokenResponse {
    // SECURITY: the raw ID token is a plain `String`, so this cannot be derived.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("refresh_token", &self.refresh_token.is_some())
            .field("id_token", &self.id_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What the ID token must prove.
#[derive(Debug)]
pub struct Expectation<'a> {
    /// The login's nonce; `None` after a refresh.
    pub nonce: Option<&'a Nonce>,
    /// The access token that came along, for `at_hash`.
    pub access_token: &'a AccessToken,
    /// `max_age` as requested, in seconds: `auth_time` is then required.
    pub max_age: Option<u64>,
    /// `acr_values` as requested: `acr` must be one of them.
    pub acr_values: Option<&'a str>,
}

/// A failure at the identity provider, by whose fault it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// An OAuth error answer (RFC 6749 §5.2); the code, never its description.
    #[error("the identity provider refused: {0}")]
    Rejected(String),
    /// Not reachable, too slow, 5xx, 429.
    #[error("the identity provider is unavailable: {0}")]
    Unavailable(String),
    /// It was asked, and its answer was lost on the way: what was asked for may have been done. Of token requests only, where
    /// it matters.
    #[error("the identity provider's answer was lost: {0}")]
    Lost(String),
    /// It has done what was asked for, and its answer cannot be used. It would not be another one next time.
    #[error("the identity provider's answer cannot be used: {0}")]
    Unusable(String),
    /// It answered, but not what the specifications ask for.
    #[error("the identity provider's answer is invalid: {0}")]
    Invalid(String),
}
