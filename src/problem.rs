//! Every answer that sealgate itself gives when something is wrong (RFC 9457).
//!
//! There is one table: code, status, title. A [`Problem`] holds nothing internal. The log says what an operator needs, where
//! it happened. `server::response` turns a problem into bytes.

/// What is wrong, and all that the client may know of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// The request cannot be understood. The text says which part.
    BadRequest(&'static str),
    /// The client stopped sending in the middle of its body.
    BodyStalled,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The request does not prove that it comes from the frontend's own origin. The text says which proof is missing.
    CrossSiteRequest(&'static str),
    /// The session is bound to a device that has not proved lately, or is not bound and must be.
    DeviceProofRequired {
        /// Path of the login endpoint: a device that has lost its key needs a new login.
        login_url: String,
    },
    /// `Expect` asks for something other than `100-continue`.
    ExpectationFailed,
    /// The session lacks a claim that the route requires. The text names the claim, never its value.
    Forbidden(String),
    /// The request's header section is longer than sealgate takes.
    HeadersTooLarge,
    /// The identity provider cannot be reached, and the request needs it.
    IdentityProviderUnavailable,
    /// The access token lacks scopes that the route requires.
    InsufficientScope {
        /// A sentence that names them.
        detail: String,
        /// The part of a composed answer whose token it is.
        part: Option<String>,
    },
    /// It is our fault. The log has the cause.
    Internal,
    /// A login failed. The reason is one of a fixed set.
    LoginFailed(LoginFailure),
    /// The request has no session. `login_url` begins a login.
    LoginRequired {
        /// Path of the login endpoint.
        login_url: String,
        /// Why the session ended, if that is worth a sentence.
        detail: Option<&'static str>,
    },
    /// The resource exists, the method does not.
    MethodNotAllowed {
        /// The value of `Allow` (RFC 9110 §10.2.1).
        allow: String,
    },
    /// There is no such route, endpoint or file.
    NotFound,
    /// A composed answer cannot do without this part, and it failed.
    PartFailed {
        /// The name of the part.
        part: String,
        /// A sentence that names it, and says why as `_errors` would.
        detail: String,
        /// The part's own status, if there is one.
        part_status: Option<u16>,
        /// The status of the whole answer.
        status: u16,
    },
    /// A session or address sends more requests than the route takes, or an address sends too many bad logout tokens.
    RateLimited {
        /// Seconds until the next request is taken.
        retry_after: u64,
    },
    /// The store does not say which sessions were ended, and the configuration wants none served unseen.
    RevocationsUnknown,
    /// The client knows another session than the one that the request comes with.
    SessionChanged,
    /// Another process had spent the refresh token. A request after the answer of that process may succeed.
    SessionRefreshConflict,
    /// The sealed session is over its budget, at a login (500) or after a refresh (401).
    SessionTooLarge {
        /// Whether it happened at a login.
        at_login: bool,
        /// Names and sizes of the biggest parts, the biggest first.
        detail: String,
    },
    /// A prefetch or prerender needs a refresh, which only a real load gets.
    Speculative,
    /// The API asks for a stronger or fresher login (RFC 9470).
    StepUpRequired {
        /// Path of the login endpoint, with what the API asks for.
        login_url: String,
    },
    /// An app's token or proof is not taken.
    TokenRefused(TokenRefusal),
    /// The session is sealed with a key that this process does not have. Another replica may have it.
    UnknownKey,
    /// No frontend has this `Host`.
    UnknownFrontend {
        /// A sentence with the host of the request, if it is safe to show.
        detail: Option<String>,
    },
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream cannot be reached or does not speak HTTP.
    UpstreamUnavailable,
    /// A WebSocket handshake has a version that sealgate does not speak.
    WebSocketVersion,
}

/// A problem on its way to where it is logged, with what only the log may know of it. So a failure has one line, which names the
/// cause and the consequence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caused {
    /// What the client hears.
    pub problem: Problem,
    /// What the log says, if that is more than the problem does.
    pub cause: Option<String>,
}

impl Caused {
    /// A problem with its cause. The cause must hold no secret.
    pub fn by(problem: Problem, cause: impl std::fmt::Display) -> Self {
        Self {
            problem,
            cause: Some(cause.to_string()),
        }
    }

    /// Why, in words for the log.
    pub fn why(&self) -> &str {
        let of_problem = || {
            self.problem
                .detail()
                .unwrap_or_else(|| self.problem.title())
        };
        self.cause.as_deref().unwrap_or_else(of_problem)
    }
}

impl From<Problem> for Caused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            cause: None,
        }
    }
}

/// Why an app's token or proof is not taken (RFC 6750 §3.1, RFC 9449 §7.1). The words are safe to show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenRefusal {
    /// The scheme that the challenge names.
    pub scheme: &'static str,
    /// The OAuth error code.
    pub error: &'static str,
    /// What is wrong, in words.
    pub detail: &'static str,
}

impl TokenRefusal {
    /// The token is not good, or not for whoever sends it.
    pub const fn token(scheme: &'static str, detail: &'static str) -> Self {
        Self {
            scheme,
            error: "invalid_token",
            detail,
        }
    }

    /// The proof is not good.
    pub const fn proof(detail: &'static str) -> Self {
        Self {
            scheme: "DPoP",
            error: "invalid_dpop_proof",
            detail,
        }
    }

    /// The proof needs a nonce, which the answer has.
    pub const fn nonce() -> Self {
        Self {
            scheme: "DPoP",
            error: "use_dpop_nonce",
            detail: "the DPoP proof needs a fresh nonce",
        }
    }
}

/// Why a login failed. The words are safe to show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The identity provider answered with an error.
    ErrorFromProvider,
    /// The token response or the ID token failed a check of OpenID Connect Core §3.1.3.7.
    InvalidIdToken,
    /// Parameters are missing, repeated or contradictory.
    InvalidResponse,
    /// `iss` is missing or names another provider (RFC 9207).
    IssuerMismatch,
    /// No login attempt of this browser fits: it is too old, already used, or was never begun here.
    NoLoginAttempt,
    /// The provider refused the authorization code.
    CodeRefused,
}

impl LoginFailure {
    /// A sentence for the person in front of the browser.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::CodeRefused => "The identity provider did not accept the authorization code.",
            Self::ErrorFromProvider => "The identity provider refused the login.",
            Self::InvalidIdToken => "The identity provider's answer did not pass verification.",
            Self::InvalidResponse => {
                "The identity provider's answer is not a valid authorization response."
            }
            Self::IssuerMismatch => {
                "The answer came from another identity provider than the one that was asked."
            }
            Self::NoLoginAttempt => {
                "This login was not begun in this browser, took too long, or is already done."
            }
        }
    }
}

impl Problem {
    /// The stable machine-readable code; the problem type is `urn:sealgate:problem:<code>`.
    pub const fn code(&self) -> &'static str {
        self.row().0
    }

    /// The HTTP status code.
    pub const fn status(&self) -> u16 {
        match self {
            Self::PartFailed { status, .. } => *status,
            _ => self.row().1,
        }
    }

    /// The title. Every occurrence of the problem has the same one.
    pub const fn title(&self) -> &'static str {
        self.row().2
    }

    /// What is special about this occurrence, if the client may know it.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::BadRequest(detail) | Self::CrossSiteRequest(detail) => Some(detail),
            Self::Forbidden(detail)
            | Self::InsufficientScope { detail, .. }
            | Self::PartFailed { detail, .. }
            | Self::SessionTooLarge { detail, .. } => Some(detail),
            Self::LoginFailed(failure) => Some(failure.sentence()),
            Self::LoginRequired { detail, .. } => *detail,
            Self::RevocationsUnknown => Some(
                "The store for coordination does not answer, so nobody can say whether this session was ended.",
            ),
            Self::TokenRefused(refusal) => Some(refusal.detail),
            Self::UnknownKey => Some(
                "The session is sealed with a key that this process does not have. Another replica may have it.",
            ),
            Self::UnknownFrontend { detail } => detail.as_deref(),
            _ => None,
        }
    }

    /// Where a browser can sign in, for the problems that a login solves.
    pub fn login_url(&self) -> Option<&str> {
        match self {
            Self::DeviceProofRequired { login_url }
            | Self::LoginRequired { login_url, .. }
            | Self::StepUpRequired { login_url } => Some(login_url),
            _ => None,
        }
    }

    /// The part of a composed answer that it is about.
    pub fn part(&self) -> Option<&str> {
        match self {
            Self::PartFailed { part, .. } => Some(part),
            Self::InsufficientScope { part, .. } => part.as_deref(),
            _ => None,
        }
    }

    /// The status that this part had.
    pub const fn part_status(&self) -> Option<u16> {
        match self {
            Self::PartFailed { part_status, .. } => *part_status,
            _ => None,
        }
    }

    /// Seconds for `Retry-After`, for the problems that pass by themselves.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::IdentityProviderUnavailable
            | Self::RevocationsUnknown
            | Self::Speculative
            | Self::UnknownKey => Some(5),
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::SessionRefreshConflict => Some(0),
            _ => None,
        }
    }

    /// The table: code, status, title.
    const fn row(&self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest(_) => ("bad-request", 400, "The request is malformed"),
            // It has a status of its own: RFC 9110 §15.5.9.
            Self::BodyStalled => ("bad-request", 408, "The request body stalled"),
            Self::BodyTooLarge => ("body-too-large", 413, "The request body is too large"),
            Self::CrossSiteRequest(_) => (
                "cross-site-request",
                403,
                "The request does not come from this application",
            ),
            Self::DeviceProofRequired { .. } => (
                "device-proof-required",
                401,
                "The session needs a proof of its device",
            ),
            // It has a status of its own: RFC 9110 §15.5.18.
            Self::ExpectationFailed => ("bad-request", 417, "The expectation cannot be met"),
            Self::Forbidden(_) => ("forbidden", 403, "The session may not do this"),
            Self::HeadersTooLarge => ("headers-too-large", 431, "The request header is too large"),
            Self::IdentityProviderUnavailable => (
                "identity-provider-unavailable",
                503,
                "The identity provider is unavailable",
            ),
            Self::InsufficientScope { .. } => (
                "insufficient-scope",
                403,
                "The access token does not reach that far",
            ),
            Self::Internal => ("internal", 500, "Something went wrong here"),
            Self::LoginFailed(_) => ("login-failed", 400, "The login failed"),
            Self::LoginRequired { .. } => ("login-required", 401, "Nobody is signed in"),
            Self::MethodNotAllowed { .. } => {
                ("method-not-allowed", 405, "The method is not allowed here")
            }
            Self::NotFound => ("not-found", 404, "There is nothing here"),
            Self::PartFailed { .. } => ("part-failed", 502, "A part of the answer failed"),
            Self::RateLimited { .. } => ("rate-limited", 429, "Too many requests"),
            // The code says what the client does: it tries again, as when the provider is down.
            Self::RevocationsUnknown | Self::UnknownKey => (
                "identity-provider-unavailable",
                503,
                "The session cannot be checked at the moment",
            ),
            Self::SessionChanged => (
                "session-changed",
                409,
                "Another session has begun in this browser",
            ),
            Self::SessionRefreshConflict => (
                "session-refresh-conflict",
                401,
                "The session was refreshed elsewhere; try again",
            ),
            Self::SessionTooLarge { at_login: true, .. } => (
                "session-too-large",
                500,
                "The session is too large for its cookies",
            ),
            Self::SessionTooLarge {
                at_login: false, ..
            } => (
                "session-too-large",
                401,
                "The session is too large for its cookies",
            ),
            // A real load gets what it asks for.
            Self::Speculative => (
                "bad-request",
                503,
                "A prefetch or prerender cannot refresh the session",
            ),
            Self::StepUpRequired { .. } => {
                ("step-up-required", 401, "The API asks for a stronger login")
            }
            Self::TokenRefused(_) => ("invalid-token", 401, "The token is not accepted"),
            Self::UnknownFrontend { .. } => {
                ("unknown-frontend", 421, "No frontend has this host name")
            }
            Self::UpstreamTimeout => ("upstream-timeout", 504, "The API did not answer in time"),
            Self::UpstreamUnavailable => ("upstream-unavailable", 502, "The API is unavailable"),
            // It has a status of its own: RFC 6455 §4.4.
            Self::WebSocketVersion => {
                ("bad-request", 426, "The WebSocket version is not supported")
            }
        }
    }
}
