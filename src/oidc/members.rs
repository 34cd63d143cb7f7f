//! A JSON object that a provider sent. A member is judged only when it is used.
//!
//! # Invariants
//! - A member that is not used is never an error, whatever it holds.
//! - An error names the member, and never its value: the value may be a token.
//! - `null` and the empty text mean that the member is not there: providers write both for what they do not have.
//!
//! # Spec
//! RFC 6749 §5.1: "The client MUST ignore unrecognized value names"; OpenID Connect Discovery §4.3 says the same of
//! metadata. RFC 8259 §8.1 lets a reader pass over a byte order mark.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

/// Longer lifetimes mean "for ever"; sums of times stay far from their limits.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// The members of one object.
pub(super) struct Members(Map<String, Value>);

/// Why the members cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    /// The text ends before the object does.
    CutOff,
    /// It is not a JSON object.
    NoObject,
}

/// A member whose value has another form than it must have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotUnderstood(pub(super) &'static str);

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not understood", self.0)
    }
}

impl Members {
    /// Reads an object.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        // SECURITY: serde's message may quote a token, so it is dropped.
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Eof => Unreadable::CutOff,
                _ => Unreadable::NoObject,
            })
    }

    /// Whether there is such a member, whatever it holds.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, NotUnderstood> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// The members of an object in it.
    pub(super) fn object(&self, name: &'static str) -> Result<Option<Self>, NotUnderstood> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// A list, whatever is in it.
    pub(super) fn list(&self, name: &'static str) -> Result<Option<&[Value]>, NotUnderstood> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// A truth value, which some providers write as a text; not there, it is false.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, NotUnderstood> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text.is_empty() || text == "false" => Ok(false),
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// A text, taken out.
    pub(super) fn take_text(
        &mut self,
        name: &'static str,
    ) -> Result<Option<String>, NotUnderstood> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// Words: separated by spaces in one text, as RFC 6749 §3.3 writes a scope, or each a text of its own in a list.
    pub(super) fn words(&self, name: &'static str) -> Result<Option<String>, NotUnderstood> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(Value::Array(list)) => {
                let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                words
                    .map(|words| Some(words.join(" ")))
                    .ok_or(NotUnderstood(name))
            }
            Some(_) => Err(NotUnderstood(name)),
        }
    }

    /// A number of seconds, which some providers write as a text. What is below zero counts as zero.
    pub(super) fn lifetime(&self, name: &'static str) -> Result<Option<Duration>, NotUnderstood> {
        let secs = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let secs = secs.filter(|secs| secs.is_finite());
        let secs = secs.ok_or(NotUnderstood(name))?.max(0.0).trunc();
        let lifetime = Duration::try_from_secs_f64(secs).unwrap_or(LONGEST);
        Ok(Some(lifetime.min(LONGEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members(value: &Value) -> Members {
        Members::parse(value.to_string().as_bytes()).ok().unwrap()
    }

    #[test]
    fn what_is_not_there_can_be_written_in_three_ways() {
        for value in [json!({}), json!({"a": null}), json!({"a": ""})] {
            let mut members = members(&value);
            assert_eq!(members.words("a"), Ok(None));
            assert_eq!(members.lifetime("a"), Ok(None));
            assert_eq!(members.take_text("a"), Ok(None));
        }
    }

    #[test]
    fn a_member_of_another_form_is_named_and_its_value_is_not() {
        let mut members = members(&json!({"a": {"canary": 1}, "b": [1], "c": "canary"}));
        let not_understood = members.lifetime("c").unwrap_err().to_string();
        assert_eq!(not_understood, "c is not understood");
        assert_eq!(members.words("b"), Err(NotUnderstood("b")));
        assert_eq!(members.take_text("a"), Err(NotUnderstood("a")));
    }

    #[test]
    fn a_lifetime_is_never_negative_and_never_endless() {
        for (written, secs) in [
            (json!(59.9), 59),
            (json!("3599"), 3599),
            (json!(0), 0),
            (json!(-1), 0),
            (json!("-1"), 0),
            (json!(1e300), LONGEST.as_secs()),
            (json!(u64::MAX), LONGEST.as_secs()),
        ] {
            let read = members(&json!({ "a": written })).lifetime("a");
            assert_eq!(read, Ok(Some(Duration::from_secs(secs))), "{written}");
        }
        for written in ["soon", "inf", "NaN"] {
            let read = members(&json!({ "a": written })).lifetime("a");
            assert_eq!(read, Err(NotUnderstood("a")), "{written}");
        }
    }

    #[test]
    fn a_text_that_ends_too_early_is_told_from_one_of_another_kind() {
        let parse = |text: &[u8]| Members::parse(text).map(drop);
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\":1}"), Ok(()));
        for text in ["", "{", "{\"a\":\"b", "{\"a\":1,"] {
            assert_eq!(parse(text.as_bytes()), Err(Unreadable::CutOff), "{text}");
        }
        for text in ["[]", "7", "<html>", "a=b", "{\"a\":1}{", "{'a':1}"] {
            assert_eq!(parse(text.as_bytes()), Err(Unreadable::NoObject), "{text}");
        }
    }
}
