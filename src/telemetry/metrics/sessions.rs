//! How sessions begin, are found, are renewed, and how large they are.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Known, Metrics};
use crate::names::FrontendName;
use crate::telemetry::Label;
use crate::telemetry::label::{Outcome, words};

/// How a refresh ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RefreshResult {
    /// Another process had spent the refresh token.
    Conflict,
    /// The provider refused, and the session is over.
    Ended,
    /// A refresh was due, but there is no refresh token.
    Impossible,
    /// It failed, but the access token is still valid.
    Kept,
    /// It brought new tokens.
    Ok,
    /// It took the new tokens of another request.
    Shared,
    /// It failed, and the access token is no longer valid.
    Unavailable,
}

/// How far a login came that did not fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoginResult {
    /// A person is signed in.
    Ok,
    /// The browser was sent to the provider.
    Started,
}

/// Why a login failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoginFailed {
    /// The person, or the provider for them, declined.
    Denied,
    /// The provider answered with another error, or not at all.
    Provider,
    /// The address sends too many.
    Rate,
    /// The session is too large for its cookies.
    Size,
    /// No login attempt of this browser fits.
    State,
    /// What the provider answered did not pass a check.
    Verification,
}

words!(RefreshResult {
    Conflict => "conflict", Ended => "ended", Impossible => "impossible", Kept => "kept", Ok => "ok",
    Shared => "shared", Unavailable => "unavailable"
});
words!(LoginResult { Ok => "ok", Started => "started" });
words!(LoginFailed {
    Denied => "denied", Provider => "provider", Rate => "rate", Size => "size", State => "state",
    Verification => "verification"
});

/// What takes room in a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SessionPart {
    /// The access token.
    AccessToken,
    /// The kept claims.
    Claims,
    /// The refresh token.
    RefreshToken,
    /// All cookies together.
    Total,
}

words!(SessionPart {
    AccessToken => "access_token", Claims => "claims", RefreshToken => "refresh_token", Total => "total"
});

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Login {
    frontend: Label,
    result: &'static str,
    /// Failed logins have one.
    reason: Option<&'static str>,
}

impl Login {
    fn failed(frontend: &FrontendName, reason: LoginFailed) -> Self {
        Self {
            frontend: frontend.into(),
            result: "failed",
            reason: Some(reason.as_str()),
        }
    }

    fn went_on(frontend: &FrontendName, result: LoginResult) -> Self {
        Self {
            frontend: frontend.into(),
            result: result.as_str(),
            reason: None,
        }
    }
}

impl EncodeLabelSet for Login {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("frontend", self.frontend.as_str()).encode(encoder.encode_label())?;
        ("result", self.result).encode(encoder.encode_label())?;
        match self.reason {
            Some(reason) => ("reason", reason).encode(encoder.encode_label()),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Part {
    frontend: Label,
    part: &'static str,
}

/// As `session::OpenResult::Ok` says it. If that said something else, each count would cost a look-up, and be right.
const IN_ORDER: &str = "ok";

#[derive(Debug)]
pub(super) struct Sessions {
    open: Family<Outcome, Counter>,
    /// Those that were found to be in order, which is nearly all: one look-up less for each request.
    in_order: Counter,
    bytes: Family<Part, Histogram>,
    refresh: Family<Outcome, Counter>,
    logins: Family<Login, Counter>,
}

impl Default for Sessions {
    fn default() -> Self {
        let refresh = Family::<Outcome, Counter>::default();
        for result in RefreshResult::ALL {
            let result = result.as_str();
            let _ = refresh.get_or_create(&Outcome { result });
        }
        let open = Family::<Outcome, Counter>::default();
        let in_order = open.get_or_create(&Outcome { result: IN_ORDER }).clone();
        Self {
            open,
            in_order,
            bytes: Family::new_with_constructor(bytes),
            refresh,
            logins: Family::default(),
        }
    }
}

impl Sessions {
    pub(super) fn begin(&self, known: &Known<'_>) {
        for frontend in known.frontends {
            for result in LoginResult::ALL {
                let _ = self
                    .logins
                    .get_or_create(&Login::went_on(frontend, *result));
            }
            for reason in LoginFailed::ALL {
                let _ = self.logins.get_or_create(&Login::failed(frontend, *reason));
            }
            for part in SessionPart::ALL {
                let (frontend, part) = ((*frontend).into(), part.as_str());
                drop(self.bytes.get_or_create(&Part { frontend, part }));
            }
        }
        for result in known.sessions {
            let _ = self.open.get_or_create(&Outcome { result });
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "session_open",
            "Session cookies by what was found in them",
            self.open.clone(),
        );
        r.register(
            "session_bytes",
            "Bytes of a session by part, when it is stored or refused for its size",
            self.bytes.clone(),
        );
        r.register("refresh", "Refreshes by result", self.refresh.clone());
        r.register("logins", "Logins by result", self.logins.clone());
    }
}

impl Metrics {
    /// How the cookies of a request were found.
    pub fn session_opened(&self, result: &'static str) {
        let Sessions { open, in_order, .. } = &self.sessions;
        if result == IN_ORDER {
            in_order.inc();
        } else {
            open.get_or_create(&Outcome { result }).inc();
        }
    }

    /// The size of one part of a session that was to be stored, or of the whole.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a session has fewer than 2^53 bytes"
    )]
    pub fn session_stored(&self, frontend: &FrontendName, part: SessionPart, bytes: usize) {
        let (frontend, part) = (frontend.into(), part.as_str());
        let sizes = &self.sessions.bytes;
        let part = Part { frontend, part };
        sizes.get_or_create(&part).observe(bytes as f64);
    }

    /// How a refresh ended.
    pub fn refreshed(&self, result: RefreshResult) {
        let result = result.as_str();
        let refreshes = &self.sessions.refresh;
        refreshes.get_or_create(&Outcome { result }).inc();
    }

    /// How far a login came.
    pub fn login(&self, frontend: &FrontendName, result: LoginResult) {
        let login = Login::went_on(frontend, result);
        self.sessions.logins.get_or_create(&login).inc();
    }

    /// A login failed.
    pub fn login_failed(&self, frontend: &FrontendName, reason: LoginFailed) {
        let login = Login::failed(frontend, reason);
        self.sessions.logins.get_or_create(&login).inc();
    }
}

/// The steps are small near the size of a cookie and below the default of `session.max_bytes`.
fn bytes() -> Histogram {
    Histogram::new([
        64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 3072.0, 4096.0, 5120.0, 6144.0, 7168.0, 8192.0,
        16_384.0, 32_768.0, 65_536.0,
    ])
}
