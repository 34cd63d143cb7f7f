//! What an authorization request may ask for (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).

use std::time::Duration;

/// One factor: the password was typed.
pub(super) const ACR_PASSWORD: &str = "urn:demo:password";
/// The password was typed for a request that asked for this.
pub(super) const ACR_STEP_UP: &str = "urn:demo:step-up";

/// How an authorization request may ask for its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ResponseMode {
    /// OAuth 2.0 Form Post Response Mode.
    FormPost,
    /// Signed, in the redirect URI's query (JARM).
    Jwt,
    /// In the redirect URI's query.
    Query,
}

/// A request that came from a known client and may be answered by redirect.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) response_mode: ResponseMode,
    pub(super) state: Option<String>,
    pub(super) login_hint: Option<String>,
    /// The class the request wants, if it is one that we know.
    pub(super) acr: Option<&'static str>,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) resources: Vec<String>,
    pub(super) code_challenge: String,
    /// The key that the code is to be bound to (RFC 9449 §10).
    pub(super) dpop_jkt: Option<String>,
    pub(super) prompt: Vec<String>,
    pub(super) max_age: Option<Duration>,
}
