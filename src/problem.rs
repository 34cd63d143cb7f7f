//! Every answer sealgate gives in its own name when something is wrong (RFC 9457).
//!
//! One table: code, status, title. Nothing internal goes into a [`Problem`]; what an operator needs is logged
//! where it happened. `server::response` turns a problem into bytes.

/// What is wrong, and all that the client may know of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// The request cannot be understood; says which part.
    BadRequest(&'static str),
    /// The client stopped sending in the middle of its body.
    BodyStalled,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// Not provably from the frontend's own origin; says which proof is missing.
    CrossSiteRequest(&'static str),
    /// `Expect` asks for something other than `100-continue`.
    ExpectationFailed,
    /// The session lacks what the route requires of it; says which claim, never which value.
    Forbidden(String),
    /// The request's header section is longer than sealgate takes.
    HeadersTooLarge,
    /// The identity provider cannot be reached, and nothing can be done without it.
    IdentityProviderUnavailable,
    /// The token that would go along lacks scopes that the route requires.
    InsufficientScope {
        /// A sentence that names them.
        detail: String,
        /// The part of a composed answer whose token it is.
        part: Option<String>,
    },
    /// Our fault; the log has the cause.
    Internal,
    /// A login ended badly; the reason is one of a fixed set.
    LoginFailed(LoginFailure),
    /// Nobody is signed in; `login_url` begins a login.
    LoginRequired {
        /// Path of the login endpoint.
        login_url: String,
        /// What the session ended for, if that is worth a sentence.
        detail: Option<&'static str>,
    },
    /// The resource exists, the method does not.
    MethodNotAllowed {
        /// Value of `Allow`, as RFC 9110 §10.2.1 wants it.
        allow: String,
    },
    /// No such route, endpoint or file.
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
    /// More requests than the route takes of one session or address, or more bad logout tokens than an address may send.
    RateLimited {
        /// Seconds until the next one is taken.
        retry_after: u64,
    },
    /// The refresh token had been spent elsewhere; a request that comes after the other answer may succeed.
    SessionRefreshConflict,
    /// The sealed session does not fit the budget: at login (500), or after a refresh (401).
    SessionTooLarge {
        /// Whether a login failed for it.
        at_login: bool,
        /// Names and sizes of the biggest parts, biggest first.
        detail: String,
    },
    /// A load that nobody asked for yet needs what only a real one is given (D44).
    Speculative,
    /// The API asks for a stronger or fresher login (RFC 9470).
    StepUpRequired {
        /// Path of the login endpoint, with what the API asks for.
        login_url: String,
    },
    /// No frontend has this `Host`.
    UnknownFrontend {
        /// A sentence with the host that was asked for, if it is one that can be shown.
        detail: Option<String>,
    },
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream cannot be reached or does not speak HTTP.
    UpstreamUnavailable,
    /// A WebSocket handshake of a version that nobody speaks.
    WebSocketVersion,
}

/// Why a login failed, in words that are safe to show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The identity provider answered with an error.
    ErrorFromProvider,
    /// The token response or ID token did not pass the checks of OpenID Connect Core §3.1.3.7.
    InvalidIdToken,
    /// Missing, repeated or contradictory parameters.
    InvalidResponse,
    /// `iss` is missing or another provider's (RFC 9207).
    IssuerMismatch,
    /// No login attempt of this browser fits: too old, already used, or never begun here.
    NoLoginAttempt,
    /// The authorization code was refused.
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

    /// The title, the same for every occurrence of the code.
    pub const fn title(&self) -> &'static str {
        self.row().2
    }

    /// What is special about this occurrence, if the client may know.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::BadRequest(detail) | Self::CrossSiteRequest(detail) => Some(detail),
            Self::Forbidden(detail)
            | Self::InsufficientScope { detail, .. }
            | Self::PartFailed { detail, .. }
            | Self::SessionTooLarge { detail, .. } => Some(detail),
            Self::LoginFailed(failure) => Some(failure.sentence()),
            Self::LoginRequired { detail, .. } => *detail,
            Self::UnknownFrontend { detail } => detail.as_deref(),
            _ => None,
        }
    }

    /// Where a browser can sign in, for the codes that are mended by it.
    pub fn login_url(&self) -> Option<&str> {
        match self {
            Self::LoginRequired { login_url, .. } | Self::StepUpRequired { login_url } => {
                Some(login_url)
            }
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

    /// Seconds for `Retry-After`, for the codes that pass by themselves.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::IdentityProviderUnavailable | Self::Speculative => Some(5),
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::SessionRefreshConflict => Some(0),
            _ => None,
        }
    }

    /// The table: code, status, title.
    const fn row(&self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest(_) => ("bad-request", 400, "The request is malformed"),
            // RFC 9110 §15.5.9 has a status of its own for it.
            Self::BodyStalled => ("bad-request", 408, "The request body stalled"),
            Self::BodyTooLarge => ("body-too-large", 413, "The request body is too large"),
            Self::CrossSiteRequest(_) => (
                "cross-site-request",
                403,
                "The request does not come from this application",
            ),
            // RFC 9110 §15.5.18 has a status of its own for it.
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
            // What it asks for can be had, but not now.
            Self::Speculative => ("bad-request", 503, "Loads ahead of time refresh nothing"),
            Self::StepUpRequired { .. } => {
                ("step-up-required", 401, "The API asks for a stronger login")
            }
            Self::UnknownFrontend { .. } => {
                ("unknown-frontend", 421, "No frontend has this host name")
            }
            Self::UpstreamTimeout => ("upstream-timeout", 504, "The API did not answer in time"),
            Self::UpstreamUnavailable => ("upstream-unavailable", 502, "The API is unavailable"),
            // RFC 6455 §4.4 has a status of its own for it.
            Self::WebSocketVersion => {
                ("bad-request", 426, "The WebSocket version is not supported")
            }
        }
    }
}
