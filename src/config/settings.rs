//! The configuration as it is written: every key, with its type.
//!
//! Names and addresses are still text here. `resolve` gives them meaning, so that it can report all mistakes at once.
//! A key that is not an `Option` has its default in `defaults.toml`. An `Option` is required or has no default; its comment
//! says which.
//!
//! # Invariants
//! - A key that is not in this file is an error. No key is accepted and then ignored.
//! - `README.md` and `defaults.toml` have exactly these keys (`tests/keys.rs`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::units::{Count, Moment, Rate, Size, Span, Switch};

/// All sections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Settings {
    /// The process and its listeners.
    pub(super) server: Server,
    /// The key ring.
    pub(super) keys: Keys,
    /// APIs, by name.
    #[serde(default)]
    pub(super) upstream: BTreeMap<String, Upstream>,
    /// Single-page apps, by name. The name becomes part of cookie names.
    #[serde(default)]
    pub(super) frontend: BTreeMap<String, Frontend>,
    /// What replicas share besides the key ring; nothing without it.
    pub(super) coordination: Option<Coordination>,
    /// Logs.
    pub(super) telemetry: Telemetry,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Server {
    /// Address and port of the public listener.
    pub(super) bind: String,
    /// Address and port for `/livez`, `/readyz` and `/metrics`.
    pub(super) admin_bind: String,
    /// Further names of that listener, beside `localhost` and addresses.
    pub(super) admin_hosts: Vec<String>,
    /// Threads that answer requests; by default one for each core.
    pub(super) workers: Count,
    /// Networks of proxies whose `Forwarded` and `X-Forwarded-*` headers count.
    pub(super) trusted_proxies: Vec<String>,
    /// How long readiness fails before the listeners close.
    pub(super) shutdown_delay: Span,
    /// How long requests in flight may take after that.
    pub(super) shutdown_grace: Span,
    /// How often sealgate looks whether files of the configuration have changed.
    pub(super) reload_interval: Span,
    /// Certificate and key, to speak HTTPS without a proxy in front.
    pub(super) tls: Option<Tls>,
}

/// `server.tls`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { cert = …, key = … }")]
pub(super) struct Tls {
    /// PEM file: the certificate, then its intermediates. Required.
    pub(super) cert: Option<String>,
    /// PEM file: the private key. Required.
    pub(super) key: Option<String>,
}

/// `[keys]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Keys {
    /// The directory of the key ring.
    pub(super) dir: String,
    /// How long a new key only opens before it seals; every replica must read it meanwhile.
    pub(super) activation_delay: Span,
    /// How often sealgate reads the directory again.
    pub(super) reload_interval: Span,
    /// `--rotate-keys` drops keys whose successor has been active longer than this; by default the longest `absolute_timeout`.
    pub(super) retire_after: Option<Span>,
}

/// `[upstream.<name>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Upstream {
    /// Base URL; its path comes in front of the request's. Required.
    pub(super) url: Option<String>,
    /// Until response headers.
    pub(super) timeout: Span,
    /// Between bytes, in either direction.
    pub(super) idle_timeout: Span,
    /// The most connections that each worker may have.
    pub(super) max_connections: Count,
    /// PEM file: only certificates that these have signed are trusted.
    pub(super) ca: Option<String>,
}

/// `[frontend.<name>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Frontend {
    /// The public origin, `https://host[:port]`. Required.
    pub(super) origin: Option<String>,
    /// Where the management endpoints are.
    pub(super) base_path: String,
    /// The app's own files.
    pub(super) assets: Option<Assets>,
    /// The header whose presence proves that a request comes from the app's own script.
    pub(super) csrf_header: String,
    /// Further values of `Host` that select this frontend.
    pub(super) hosts: Vec<String>,
    /// The value of `Strict-Transport-Security`; empty for none.
    pub(super) hsts: String,
    /// Origins whose links may begin a login, or `*`.
    pub(super) logins_from: Vec<String>,
    /// Whether anybody may begin a login who names the provider.
    pub(super) initiate_login: Switch,
    /// Whether a logout empties the browser's cache of this origin.
    pub(super) clear_cache_on_logout: Switch,
    /// A local path; failed logins redirect there with `?code=…`.
    pub(super) error_page: Option<String>,
    /// Limit on login starts and callbacks of one client address; none by default.
    pub(super) login_rate_limit: Option<LoginRateLimit>,
    /// The OpenID Connect client.
    pub(super) oidc: Oidc,
    /// Lifetimes and sizes.
    pub(super) session: Session,
    /// What apps without a cookie jar may do; none by default.
    pub(super) native: Option<Native>,
    /// Claims under names of the frontend's own, by name.
    #[serde(default)]
    pub(super) claim: BTreeMap<String, Claim>,
    /// Paths that lead to upstreams, by name.
    #[serde(default)]
    pub(super) route: BTreeMap<String, Route>,
}

/// `[frontend.<name>.native]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { redirect_uris = […] }")]
pub(super) struct Native {
    /// Where users of apps come back to. Required.
    pub(super) redirect_uris: Option<Vec<String>>,
    /// `required` or `optional`: whether tokens are bound to a key.
    pub(super) dpop: String,
    /// How long an app's session lasts at the most.
    pub(super) absolute_timeout: Span,
    /// How long it lasts without a refresh.
    pub(super) idle_timeout: Span,
}

/// `[frontend.<name>.claim.<name>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { from = …, path = … }")]
pub(super) struct Claim {
    /// `id_token`, `userinfo` or `access_token`.
    pub(super) from: String,
    /// JSON pointer to its value; by default that of its name.
    pub(super) path: Option<String>,
}

/// `frontend.<name>.assets`
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { dir = …, fallback = …, headers = … }"
)]
pub(super) struct Assets {
    /// The directory that is served. Required.
    pub(super) dir: Option<String>,
    /// The file below it that answers paths of the app's own router.
    pub(super) fallback: Option<String>,
    /// Headers in place of the default ones.
    pub(super) headers: Option<BTreeMap<String, String>>,
}

/// `[frontend.<name>.oidc]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Oidc {
    /// The identity provider, exactly as it spells its issuer. Required.
    pub(super) issuer: Option<String>,
    /// The tenants whose users may sign in, if the issuer has `{tenantid}` in it.
    pub(super) tenants: Vec<String>,
    /// The client registered there. Required.
    pub(super) client_id: Option<String>,
    /// Where its secret is. Required, unless it authenticates by a key.
    pub(super) client_secret: Option<SecretReference>,
    /// `client_secret_basic`, `client_secret_post`, `private_key_jwt`, `tls_client_auth` or `self_signed_tls_client_auth`.
    pub(super) client_auth: String,
    /// Where its private keys are.
    pub(super) client_key: Option<SecretReference>,
    /// The certificate that it shows to the provider.
    pub(super) client_cert: Option<ClientCert>,
    /// `never`, `missing` or `always`: when the `UserInfo` endpoint is asked.
    pub(super) userinfo: String,
    /// Further values that may stand in the ID token's `aud`.
    pub(super) trusted_audiences: Vec<String>,
    /// Where the metadata is; by default behind the issuer.
    pub(super) discovery_url: Option<String>,
    /// Addresses in place of those in the metadata.
    #[serde(default)]
    pub(super) endpoints: Endpoints,
    /// Whether the provider's addresses may be plain HTTP.
    pub(super) allow_http: Switch,
    /// Query parameters of the login endpoint that are passed on to the provider.
    pub(super) login_params: Vec<String>,
    /// How the provider's session is ended.
    pub(super) logout: ProviderLogout,
    /// `fapi2`: what FAPI 2.0 Security Profile asks of a client.
    pub(super) profile: Option<String>,
    /// `auto`, `always` or `never`: whether authorization requests are pushed (RFC 9126).
    pub(super) par: String,
    /// Whether authorization requests are signed (RFC 9101).
    pub(super) request_object: Switch,
    /// `query`, `form_post` or `jwt`: how the provider's answers come.
    pub(super) response_mode: String,
    /// The scopes to ask for; `openid` among them.
    pub(super) scopes: Vec<String>,
    /// Resource indicators (RFC 8707).
    pub(super) resources: Vec<String>,
    /// Fixed parameters of every authorization request.
    pub(super) extra_params: BTreeMap<String, String>,
    /// How far the provider's clock may be off.
    pub(super) clock_skew: Span,
    /// Lifetime of an access token where the provider does not state it.
    pub(super) expires_in: Span,
    /// How long a login may take.
    pub(super) login_timeout: Span,
    /// The algorithm that signs ID tokens and logout tokens; by default those that discovery offers.
    pub(super) id_token_signed_response_alg: Option<String>,
    /// `refuse` or `by-iat`: what to do with a logout token without `exp`.
    pub(super) logout_token_without_exp: String,
    /// `never`, `auto` or `always`: whether tokens are bound to a key of ours.
    pub(super) dpop: String,
    /// `auto`, `always` or `never`: whether to present a refresh token again that may be spent.
    pub(super) repeat_refresh: String,
}

/// `frontend.<name>.oidc.client_cert`
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { cert = …, key = … } or { file = … }"
)]
pub(super) struct ClientCert {
    /// PEM file: the certificate, then its intermediates.
    pub(super) cert: Option<String>,
    /// PEM file: its private key.
    pub(super) key: Option<String>,
    /// PEM file: both. Without a key in it, `client_key` is the key.
    pub(super) file: Option<String>,
}

/// `frontend.<name>.oidc.endpoints`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { token = …, … }")]
pub(super) struct Endpoints {
    /// Where the browser signs in.
    pub(super) authorization: Option<String>,
    /// Where codes become tokens.
    pub(super) token: Option<String>,
    /// Where the keys are.
    pub(super) jwks: Option<String>,
    /// Where further claims are.
    pub(super) userinfo: Option<String>,
    /// Where authorization requests are pushed to.
    pub(super) par: Option<String>,
    /// Where tokens are revoked.
    pub(super) revocation: Option<String>,
    /// Where the browser signs out.
    pub(super) end_session: Option<String>,
}

/// `frontend.<name>.oidc.logout`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table { url = …, params = … }")]
pub(super) struct ProviderLogout {
    /// In place of the metadata's address.
    pub(super) url: Option<String>,
    /// Parameters beside or in place of the specified ones.
    pub(super) params: BTreeMap<String, String>,
    /// `auto`, `always` or `never`: whether the ID token goes along.
    pub(super) id_token_hint: String,
}

/// `[frontend.<name>.session]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Session {
    /// How long a session lasts at the most.
    pub(super) absolute_timeout: Span,
    /// How long a session lasts without a request.
    pub(super) idle_timeout: Span,
    /// Whether its cookies outlive the browser.
    pub(super) persistent: Switch,
    /// `strict` or `lax`.
    pub(super) same_site: String,
    /// Bytes of all cookies that sealgate asks the browser to send to an API route.
    pub(super) max_bytes: Size,
    /// Claims of the ID token that the user endpoint shows.
    pub(super) claims: Vec<String>,
    /// How long before its end to refresh an access token; at most a fifth of its lifetime.
    pub(super) refresh_ahead: Span,
    /// Plaintexts are padded to a multiple of this many bytes, to hide the lengths of claims.
    pub(super) pad_to: Count,
    /// `zstd` or `none`.
    pub(super) compression: String,
    /// `off`, `preferred` or `required`: whether sessions are bound to the browser's device.
    pub(super) device_binding: String,
    /// Ends the sessions that began earlier.
    pub(super) not_before: Option<Moment>,
}

/// `[frontend.<name>.route.<name>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Route {
    /// This path and all below it; the longest match wins. In place of a segment `{sub}` the session's own value of that
    /// claim must stand. Required.
    pub(super) path: Option<String>,
    /// The name of an upstream. Required, unless the route has parts.
    pub(super) upstream: Option<String>,
    /// The calls of an answer that is put together from several, by name.
    #[serde(default)]
    pub(super) part: BTreeMap<String, Part>,
    /// How long all parts together may take.
    pub(super) deadline: Span,
    /// Whether to remove `path` before the upstream's own path comes in front.
    pub(super) strip_prefix: Switch,
    /// `none`, `user`, `client`, `user_or_client` or `user_or_none`: whose access token to send.
    pub(super) token: String,
    /// Short for an `exchange` that says no more than its `audience`.
    pub(super) audience: Option<String>,
    /// What the user's token is exchanged for before it goes along.
    pub(super) exchange: Option<Exchange>,
    /// Scopes that this token must have, all of them.
    pub(super) require_scopes: Vec<String>,
    /// Claims that the session must have, each with one of its values.
    pub(super) require_claims: BTreeMap<String, Vec<String>>,
    /// Limit on the requests of one session or client address; none by default.
    pub(super) rate_limit: Option<RateLimit>,
    /// Whether to ask for a proof of the session's device of the last minute.
    pub(super) require_fresh_device: Switch,
    /// The allowed methods; by default all but `CONNECT` and `TRACE`.
    pub(super) methods: Option<Vec<String>>,
    /// Longest request body.
    pub(super) body_limit: Size,
    /// Until the upstream's response headers; by default the upstream's.
    pub(super) timeout: Option<Span>,
    /// Whether it answers pages, which links and the address bar lead to.
    pub(super) documents: Switch,
    /// `problem` or `redirect`: what becomes of a navigation to a page where a user is needed and nobody is signed in.
    pub(super) login: String,
    /// Whether to accept WebSocket handshakes.
    pub(super) websocket: Switch,
    /// Names of request cookies to pass on.
    pub(super) cookies: Vec<String>,
    /// Names of the upstream's `Set-Cookie`s to pass back.
    pub(super) set_cookies: Vec<String>,
    /// Names of request headers not to pass on, beside those that never pass; `x-acme-*` is all that begin so.
    pub(super) strip_headers: Vec<String>,
}

/// `frontend.<name>.route.<name>.exchange`, and that of a part
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { audience = …, scopes = […] }"
)]
pub(super) struct Exchange {
    /// `token-exchange` (RFC 8693) or `on-behalf-of`.
    pub(super) grant: String,
    /// The logical name of the API.
    pub(super) audience: Option<String>,
    /// The address of the API.
    pub(super) resource: Option<String>,
    /// The scope of the new token.
    pub(super) scopes: Vec<String>,
}

impl Exchange {
    /// What `route.audience` stands for.
    pub(super) fn for_audience(audience: &str) -> Self {
        Self {
            grant: "token-exchange".to_owned(),
            audience: Some(audience.to_owned()),
            resource: None,
            scopes: Vec::new(),
        }
    }
}

/// `[frontend.<name>.route.<name>.part.<name>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Part {
    /// The name of an upstream. Required.
    pub(super) upstream: Option<String>,
    /// Path and query to ask it for, with placeholders. Required.
    pub(super) path: Option<String>,
    /// Whose access token goes along; by default the route's.
    pub(super) token: Option<String>,
    /// What the user's token is exchanged for; by default what the route says.
    pub(super) exchange: Option<Exchange>,
    /// The members of its value: new names, with JSON pointers into the answer; by default all of the answer.
    pub(super) pick: Option<BTreeMap<String, String>>,
    /// A JSON pointer to an array, whose elements `pick` and `max_items` are about.
    pub(super) items: Option<String>,
    /// How many elements are kept; by default all.
    pub(super) max_items: Option<Count>,
    /// Whether the answer does without it if it fails.
    pub(super) optional: Switch,
    /// Until the upstream's response headers; by default the upstream's.
    pub(super) timeout: Option<Span>,
    /// Longest answer.
    pub(super) max_bytes: Size,
    /// The part for each of whose elements a call is made.
    pub(super) each: Option<String>,
    /// How many of those calls at once.
    pub(super) parallel: Count,
    /// Whether its value is the whole answer.
    pub(super) inline: Switch,
}

/// `[coordination]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Coordination {
    /// Where the URL of Valkey or Redis is, which may hold a password. Required.
    pub(super) url: Option<SecretReference>,
    /// `open` or `closed`: whether to serve sessions while revocations cannot be known.
    pub(super) on_failure: String,
    /// Begins all names in the store.
    pub(super) prefix: String,
}

/// `frontend.<name>.route.<name>.rate_limit`
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { per_second = …, burst = … }"
)]
pub(super) struct RateLimit {
    /// Requests a second in the long run. Required.
    pub(super) per_second: Option<Rate>,
    /// Requests at once; by default as many as `per_second` allows in one second.
    pub(super) burst: Option<Count>,
    /// `session` or `address`.
    pub(super) by: String,
}

/// `frontend.<name>.login_rate_limit`
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { per_second = …, burst = … }"
)]
pub(super) struct LoginRateLimit {
    /// Requests a second in the long run. Required.
    pub(super) per_second: Option<Rate>,
    /// Requests at once; by default as many as `per_second` allows in one second.
    pub(super) burst: Option<Count>,
}

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Telemetry {
    /// `text` or `json`.
    pub(super) log_format: String,
    /// Whether each request gets a line.
    pub(super) access_log: Switch,
    /// `none`, `hash` or `plain`.
    pub(super) log_subject: String,
}

/// Where a secret is: exactly one of the two.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "{ file = \"…\" } or { env = \"…\" } (never the secret itself)"
)]
pub(super) struct SecretReference {
    /// A file; a newline at its end does not belong to the secret.
    pub(super) file: Option<String>,
    /// The name of an environment variable.
    pub(super) env: Option<String>,
}
