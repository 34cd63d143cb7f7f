//! The access log: what is said of a request once its answer has been sent.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use log::kv::{ToValue as _, Value};
use log::{Level, Record};
use sha2::{Digest as _, Sha256};

use super::RequestScope;

/// The target of its lines. Each of them is written, however many are alike.
pub(super) const TARGET: &str = "sealgate::access";

/// `[telemetry]`, as far as lines about a request depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// Whether each request gets a line.
    pub access_log: bool,
    /// What lines say of who is signed in.
    pub subject: Subject,
}

/// How the log names who is signed in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subject {
    /// By a hash: lines of one person can be found, and the person cannot be read.
    Hash,
    /// Not at all.
    #[default]
    None,
    /// As the identity provider does.
    Plain,
}

impl Subject {
    /// What a line says of this `sub`.
    pub fn told(self, subject: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::Plain => Some(subject.to_owned()),
            Self::Hash => {
                let hash = Sha256::new()
                    .chain_update(b"sealgate subject\0")
                    .chain_update(subject)
                    .finalize();
                let mut text = URL_SAFE_NO_PAD.encode(hash);
                text.truncate(12);
                Some(text)
            }
        }
    }
}

/// A line of the access log, as far as it is known when the head of the answer leaves.
#[derive(Debug)]
pub struct AccessLine {
    /// The request's id, trace, frontend and route.
    pub scope: RequestScope,
    /// When it came.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// The path without query. A segment that is a claim stands under the claim's name.
    pub path: String,
    /// The status.
    pub status: u16,
    /// As in `sealgate_requests_total`.
    pub outcome: &'static str,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
    /// Tells sessions apart.
    pub session: Option<String>,
    /// Who is signed in, if lines say so.
    pub subject: Option<String>,
}

impl AccessLine {
    /// Writes it. `bytes` of the body were handed to the connection.
    pub fn write(self, bytes: u64) {
        let duration = milliseconds(self.at.elapsed());
        let upstream = self.scope.slowest_upstream().map(milliseconds);
        let client = self.client.to_string();
        let mut fields: Vec<(&str, Value<'_>)> = vec![
            ("method", self.method.to_value()),
            ("path", self.path.to_value()),
            ("status", self.status.to_value()),
            ("outcome", self.outcome.to_value()),
            ("duration_ms", duration.to_value()),
        ];
        if let Some(upstream) = &upstream {
            fields.push(("upstream_ms", upstream.to_value()));
        }
        fields.push(("bytes", bytes.to_value()));
        fields.push(("client", client.to_value()));
        if let Some(session) = &self.session {
            fields.push(("session", session.to_value()));
        }
        if let Some(subject) = &self.subject {
            fields.push(("subject", subject.to_value()));
        }
        self.scope.during(|| {
            log::logger().log(
                &Record::builder()
                    .level(Level::Info)
                    .target(TARGET)
                    .key_values(&fields)
                    .args(format_args!("request"))
                    .build(),
            );
        });
    }
}

/// In milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_told_as_configured() {
        assert_eq!(Subject::None.told("alice"), None);
        assert_eq!(Subject::Plain.told("alice").unwrap(), "alice");
        let hash = Subject::Hash.told("alice").unwrap();
        assert_eq!(hash.len(), 12);
        assert_eq!(Subject::Hash.told("alice").unwrap(), hash);
        assert_ne!(Subject::Hash.told("alicf").unwrap(), hash);
    }

    #[test]
    fn a_time_is_in_milliseconds() {
        for (micros, expect) in [(0, 0.0), (1, 0.001), (1_500, 1.5), (60_000_000, 60_000.0)] {
            let found = milliseconds(Duration::from_micros(micros));
            assert!((found - expect).abs() < 1e-9, "{found}");
        }
    }
}
