//! One JSON answer, put together from parts.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Serialize;

/// Why a part has no value. The codes are public.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What happened.
    pub code: FailureCode,
    /// The HTTP status that says the same, where there is one.
    pub status: Option<u16>,
    /// Where a stronger login begins, if that would help.
    pub login_url: Option<String>,
}

/// What happened to a part.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FailureCode {
    /// A value that a placeholder or `items` needs is missing or of another kind.
    BadValue,
    /// The time for the whole answer is over.
    Deadline,
    /// A part that it needs has failed.
    Dependency,
    /// The token cannot be exchanged, or lacks a scope.
    InsufficientScope,
    /// The answer is not JSON, or has more than one meaning.
    NotJson,
    /// The API asks for a stronger login.
    StepUpRequired,
    /// The answer is longer than `max_bytes`.
    TooLarge,
    /// The API answered with another status than 2xx.
    UpstreamStatus,
    /// The API did not answer in time.
    UpstreamTimeout,
    /// The API cannot be reached.
    UpstreamUnavailable,
}

impl FailureCode {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::BadValue,
        Self::Deadline,
        Self::Dependency,
        Self::InsufficientScope,
        Self::NotJson,
        Self::StepUpRequired,
        Self::TooLarge,
        Self::UpstreamStatus,
        Self::UpstreamTimeout,
        Self::UpstreamUnavailable,
    ];

    /// The code as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadValue => "bad-value",
            Self::Deadline => "deadline",
            Self::Dependency => "dependency",
            Self::InsufficientScope => "insufficient-scope",
            Self::NotJson => "not-json",
            Self::StepUpRequired => "step-up-required",
            Self::TooLarge => "too-large",
            Self::UpstreamStatus => "upstream-status",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::UpstreamUnavailable => "upstream-unavailable",
        }
    }
}

impl From<FailureCode> for Failure {
    fn from(code: FailureCode) -> Self {
        let status = match code {
            FailureCode::Deadline | FailureCode::UpstreamTimeout => Some(504),
            FailureCode::UpstreamUnavailable => Some(502),
            FailureCode::InsufficientScope => Some(403),
            FailureCode::StepUpRequired => Some(401),
            _ => None,
        };
        Self {
            code,
            status,
            login_url: None,
        }
    }
}

impl Failure {
    /// The API answered, but not with 2xx.
    pub const fn status(status: u16) -> Self {
        Self {
            code: FailureCode::UpstreamStatus,
            status: Some(status),
            login_url: None,
        }
    }

    /// The status of the whole answer if the part is required.
    pub const fn status_of_answer(&self) -> u16 {
        match self.status {
            Some(status @ (401 | 403 | 404 | 409 | 410 | 429 | 504)) => status,
            _ => 502,
        }
    }

    fn entry(&self, index: Option<usize>) -> Entry<'_> {
        Entry {
            index,
            status: self.status,
            code: self.code.as_str(),
            login_url: self.login_url.as_deref(),
        }
    }
}

/// One failure in `_errors`. Its members are written in this order.
#[derive(Serialize)]
struct Entry<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'f str>,
}

/// What `_errors` says of a part.
#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'f> {
    OfPart(Entry<'f>),
    OfElements { failed: Vec<Entry<'f>> },
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of a part.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its value: JSON text.
    Value(Bytes),
    /// It is optional, and failed.
    Failed(Failure),
    /// One call for each element: the values, and `null` with a reason where one failed.
    Each(Vec<Result<Bytes, Failure>>),
}

impl Outcome {
    /// Whether something is missing in it.
    pub fn is_partial(&self) -> bool {
        match self {
            Self::Value(_) => false,
            Self::Failed(_) => true,
            Self::Each(values) => values.iter().any(Result::is_err),
        }
    }

    /// The value, written out.
    fn write(&self, out: &mut Pieces) {
        match self {
            Self::Value(value) => out.put(value),
            Self::Failed(_) => out.small.put_slice(b"null"),
            Self::Each(values) => {
                out.small.put_u8(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.small.put_u8(b',');
                    }
                    match value {
                        Ok(value) => out.put(value),
                        Err(_) => out.small.put_slice(b"null"),
                    }
                }
                out.small.put_u8(b']');
            }
        }
    }

    fn errors(&self) -> Option<Errors<'_>> {
        match self {
            Self::Value(_) => None,
            Self::Failed(failure) => Some(Errors::OfPart(failure.entry(None))),
            Self::Each(values) => {
                let entries = values.iter().enumerate();
                let failed = entries
                    .filter_map(|(index, value)| Some(value.as_ref().err()?.entry(Some(index))));
                let failed: Vec<_> = failed.collect();
                (!failed.is_empty()).then_some(Errors::OfElements { failed })
            }
        }
    }

    /// The whole answer of a route with this one inline part, in pieces.
    pub fn inline(&self) -> Vec<Bytes> {
        let mut out = Pieces::default();
        self.write(&mut out);
        out.finish()
    }
}

/// Values over this stay where they are; shorter ones are copied together.
const COPIED: usize = 4096;

/// The object of all parts, by name, in this order; `_errors` comes last, and only if there are any. What comes out are
/// pieces that belong one behind the other, so that large values are not copied.
pub fn merged(parts: &[(&str, Outcome)]) -> Vec<Bytes> {
    let mut out = Pieces::default();
    let mut separator = b'{';
    for (name, outcome) in parts {
        out.small.put_u8(separator);
        separator = b',';
        out.small
            .put_slice(serde_json::Value::from(*name).to_string().as_bytes());
        out.small.put_u8(b':');
        outcome.write(&mut out);
    }
    let errors = parts
        .iter()
        .filter_map(|(name, outcome)| Some((*name, outcome.errors()?)));
    let errors: BTreeMap<_, _> = errors.collect();
    if !errors.is_empty() {
        out.small.put_slice(b",\"_errors\":");
        // Names, words and numbers: writing them cannot fail.
        let errors = serde_json::to_vec(&errors).unwrap_or_default();
        out.small.put_slice(&errors);
    }
    out.small.put_u8(b'}');
    out.finish()
}

#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    small: BytesMut,
}

impl Pieces {
    fn put(&mut self, value: &Bytes) {
        if value.len() <= COPIED {
            self.small.put_slice(value);
        } else {
            self.flush();
            self.done.push(value.clone());
        }
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            self.done.push(self.small.split().freeze());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(pieces: &[Bytes]) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn parts_stand_side_by_side_as_they_are() {
        let parts = [
            ("a\"", Outcome::Value(Bytes::from_static(b"1.0"))),
            ("b", Outcome::Value(Bytes::from_static(b"[ ]"))),
        ];
        assert_eq!(text(&merged(&parts)), r#"{"a\"":1.0,"b":[ ]}"#);
    }

    #[test]
    fn what_failed_is_null_and_says_why() {
        let mut step_up = Failure::from(FailureCode::StepUpRequired);
        step_up.login_url = Some("/bff/login?max_age=5".to_owned());
        let each = vec![
            Ok(Bytes::from_static(b"7")),
            Err(Failure::status(404)),
            Err(FailureCode::BadValue.into()),
        ];
        let parts = [
            ("me", Outcome::Value(Bytes::from_static(b"{}"))),
            (
                "orders",
                Outcome::Failed(FailureCode::UpstreamTimeout.into()),
            ),
            ("prices", Outcome::Each(each)),
            ("vault", Outcome::Failed(step_up)),
        ];
        let merged = merged(&parts);
        assert!(text(&merged).starts_with(
            r#"{"me":{},"orders":null,"prices":[7,null,null],"vault":null,"_errors":{"#
        ));
        let read: serde_json::Value = serde_json::from_str(&text(&merged)).unwrap();
        assert_eq!(
            read["_errors"],
            json!({
                "orders": {"status": 504, "code": "upstream-timeout"},
                "prices": {"failed": [
                    {"index": 1, "status": 404, "code": "upstream-status"},
                    {"index": 2, "code": "bad-value"},
                ]},
                "vault": {"status": 401, "code": "step-up-required", "login_url": "/bff/login?max_age=5"},
            })
        );
        let first = r#""failed":[{"index":1,"status":404,"code":"upstream-status"}"#;
        assert!(
            text(&merged).contains(first),
            "in the order of the contract"
        );
    }

    #[test]
    fn a_large_value_is_not_copied() {
        let large = Bytes::from(vec![b'7'; COPIED + 1]);
        let pieces = merged(&[
            ("a", Outcome::Value(large.clone())),
            ("b", Outcome::Value(large.slice(..9))),
        ]);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert!(text(&pieces).ends_with("7,\"b\":777777777}"));
    }

    #[test]
    fn an_inline_part_is_the_answer() {
        assert_eq!(
            text(&Outcome::Value(Bytes::from_static(b"[1]")).inline()),
            "[1]"
        );
        assert_eq!(
            text(&Outcome::Failed(FailureCode::NotJson.into()).inline()),
            "null"
        );
        let each = Outcome::Each(vec![
            Ok(Bytes::from_static(b"1")),
            Err(Failure::status(500)),
        ]);
        assert_eq!(text(&each.inline()), "[1,null]");
    }

    #[test]
    fn a_required_part_lends_its_status_where_that_says_something() {
        for (failure, status) in [
            (Failure::status(404), 404),
            (Failure::status(401), 401),
            (Failure::status(500), 502),
            (Failure::status(400), 502),
            (Failure::status(302), 502),
            (FailureCode::Deadline.into(), 504),
            (FailureCode::UpstreamTimeout.into(), 504),
            (FailureCode::TooLarge.into(), 502),
        ] {
            assert_eq!(failure.status_of_answer(), status, "{failure:?}");
        }
    }
}
