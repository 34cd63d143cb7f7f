//! What the configuration says of a client and its provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::ClientSecret;
use url::Url;

use super::{ClientKeys, SigningAlgorithm, Tenants};
use crate::tls::ClientCertificate;

/// `[frontend.<name>.oidc]`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// Exactly as configured; compared byte for byte (OpenID Connect Discovery §4.3).
    pub issuer: String,
    /// Whose users may sign in, if the issuer is a template.
    pub tenants: Tenants,
    /// The client.
    pub client_id: String,
    /// How it authenticates.
    pub client_auth: ClientAuth,
    /// The certificate that it shows to the provider (RFC 8705).
    pub certificate: Option<ClientCertificate>,
    /// Its own keys, which are published even while a secret still authenticates it.
    pub client_keys: Option<Arc<ClientKeys>>,
    /// Further values that may stand in an ID token's `aud`, beside the client.
    pub trusted_audiences: Vec<String>,
    /// Where the metadata is, if it is not behind the issuer. The issuer in it stays what is compared.
    pub discovery_url: Option<Url>,
    /// Addresses that count in place of those in the metadata.
    pub endpoints: Endpoints,
    /// Whether the provider's addresses may be plain HTTP, beyond loopback.
    pub allow_http: bool,
    /// Query parameters of the login endpoint that are passed on.
    pub login_params: Vec<String>,
    /// How the provider's session is ended.
    pub logout: ProviderLogout,
    /// Space-separated on the wire; contains `openid`.
    pub scopes: Vec<String>,
    /// Resource indicators (RFC 8707).
    pub resources: Vec<Url>,
    /// Further authorization parameters, with fixed values. None of them is one that we set ourselves.
    pub extra_params: BTreeMap<String, String>,
    /// Tolerance for `exp`, `iat`, `nbf`, `auth_time`.
    pub clock_skew: Duration,
    /// Lifetime of an access token if its answer does not say.
    pub expires_in: Duration,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// The rules that this client keeps beyond its settings.
    pub profile: Option<Profile>,
    /// How a login is asked for.
    pub authorization: AuthorizationSettings,
    /// The algorithm that signs ID tokens and logout tokens. Without it, any that discovery offers.
    pub id_token_signed_response_alg: Option<SigningAlgorithm>,
    /// Whether a logout token needs an `exp`.
    pub logout_token_without_exp: WithoutExp,
    /// Whether a refresh token that may be spent is presented again.
    pub repeat_refresh: RepeatRefresh,
    /// Whether tokens are bound to a key of ours.
    pub dpop: Dpop,
    /// Where the provider sends codes.
    pub redirect_uri: String,
}

impl ClientSettings {
    /// Whether something may be signed so.
    pub(super) fn accepts(&self, algorithm: SigningAlgorithm) -> bool {
        match self.profile {
            None => true,
            // FAPI 2.0 Security Profile §5.4.1
            Some(Profile::Fapi2) => matches!(
                algorithm,
                SigningAlgorithm::EdDsa | SigningAlgorithm::Es256 | SigningAlgorithm::Ps256
            ),
        }
    }

    /// The scope as requests carry it.
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// Whether metadata and keys that were fetched under the other settings count under these too.
    pub(super) fn has_same_provider(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.discovery_url == other.discovery_url
            && self.endpoints == other.endpoints
            && self.allow_http == other.allow_http
            // What is kept of the metadata depends on these.
            && self.certificate.is_some() == other.certificate.is_some()
            && self.profile == other.profile
            && self.authorization.par == other.authorization.par
            && self.authorization.response_mode == other.authorization.response_mode
            && self.id_token_signed_response_alg == other.id_token_signed_response_alg
    }
}

/// What a client keeps to because its provider's rules say so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// FAPI 2.0 Security Profile.
    Fapi2,
}

/// How authorization requests and their answers travel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizationSettings {
    /// Whether requests are pushed (RFC 9126).
    pub par: Par,
    /// How answers come.
    pub response_mode: ResponseMode,
    /// The keys that sign requests, if they are signed (RFC 9101).
    pub request_object: Option<Arc<ClientKeys>>,
}

/// How the provider sends its answer to an authorization request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseMode {
    /// The browser posts it, from the provider's page (OAuth 2.0 Form Post Response Mode).
    FormPost,
    /// Signed, in the query of the redirect URI (JARM).
    Jwt,
    /// In the query of the redirect URI.
    #[default]
    Query,
}

impl ResponseMode {
    /// The value of `response_mode`, unless it is what the provider does anyway.
    pub const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::FormPost => Some("form_post"),
            Self::Jwt => Some("jwt"),
            Self::Query => None,
        }
    }
}

/// Whether the parameters of an authorization request go to the provider directly, so that the browser carries a reference
/// only (RFC 9126).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Par {
    /// Yes, and a provider that has no endpoint for them is unusable.
    Always,
    /// If the provider has an endpoint for them.
    #[default]
    Auto,
    /// No.
    Never,
}

/// Addresses of a provider that are configured. Each counts in place of the member of its metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// `authorization_endpoint`
    pub authorization: Option<Url>,
    /// `token_endpoint`
    pub token: Option<Url>,
    /// `jwks_uri`
    pub jwks: Option<Url>,
    /// `userinfo_endpoint`
    pub userinfo: Option<Url>,
    /// `pushed_authorization_request_endpoint`
    pub par: Option<Url>,
    /// `revocation_endpoint`
    pub revocation: Option<Url>,
    /// `end_session_endpoint`
    pub end_session: Option<Url>,
}

/// How a provider wants to be told of a logout, where it is not RP-initiated logout as specified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderLogout {
    /// In place of `end_session_endpoint`.
    pub url: Option<Url>,
    /// Parameters beside or in place of the specified ones. An empty value takes a parameter away.
    pub params: BTreeMap<String, String>,
    /// Whether the ID token goes along.
    pub id_token_hint: IdTokenHint,
}

/// Whether a logout request carries the ID token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IdTokenHint {
    /// Always, if there is one.
    Always,
    /// Unless the URL would be longer than many servers take.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// Client authentication at the token endpoint (OpenID Connect Core §9).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientAuth {
    /// RFC 6749 §2.3.1, in the header.
    ClientSecretBasic(ClientSecret),
    /// RFC 6749 §2.3.1, in the body.
    ClientSecretPost(ClientSecret),
    /// RFC 7523 §2.2: an assertion that the first of the client's keys has signed.
    PrivateKeyJwt(Arc<ClientKeys>),
    /// RFC 8705 §2.2: a certificate that is registered at the provider itself.
    SelfSignedTls,
    /// RFC 8705 §2.1: a certificate whose name is registered at the provider.
    Tls,
}

impl PartialEq for ClientAuth {
    /// Both are of this process's own configuration, so how long it takes tells nobody anything.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PrivateKeyJwt(ours), Self::PrivateKeyJwt(theirs)) => ours == theirs,
            (ours, theirs) => {
                let ours = (ours.as_str(), ours.secret().map(ClientSecret::secret));
                ours == (theirs.as_str(), theirs.secret().map(ClientSecret::secret))
            }
        }
    }
}

impl ClientAuth {
    /// The name in configuration and in provider metadata.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
            Self::SelfSignedTls => "self_signed_tls_client_auth",
            Self::Tls => "tls_client_auth",
        }
    }

    /// The secret, if it authenticates by one.
    pub const fn secret(&self) -> Option<&ClientSecret> {
        match self {
            Self::ClientSecretBasic(secret) | Self::ClientSecretPost(secret) => Some(secret),
            Self::PrivateKeyJwt(_) | Self::SelfSignedTls | Self::Tls => None,
        }
    }
}

/// Whether tokens are bound to a key of ours, so that nobody else can use them (RFC 9449).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dpop {
    /// Always. An answer with a bearer token is refused.
    Always,
    /// If the provider's metadata says that it can. Whether it does so is its affair.
    Auto,
    /// Never.
    Never,
}

/// Whether a later request may present a refresh token once more if its first use was never answered (RFC 9700 §4.14.2). To a
/// provider that rotates and has processed the first call, the second looks like theft.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RepeatRefresh {
    /// Not to a provider that has been seen to rotate refresh tokens.
    Auto,
    /// Yes: the provider does not rotate, or tolerates a repetition for some seconds.
    Always,
    /// No: the session ends instead.
    Never,
}

/// What becomes of a logout token that does not say how long it is good. OpenID Connect Back-Channel Logout §2.4 requires
/// `exp`. Its drafts did not, and some providers follow those.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WithoutExp {
    /// It is good for two minutes from its `iat`.
    ByIat,
    /// It is refused.
    Refuse,
}
