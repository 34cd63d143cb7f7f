//! What an API says with a 401: reads `WWW-Authenticate`, and finds the wish for a stronger login.
//!
//! # Invariants
//! - Whatever stands in the header, only `acr_values` and `max_age` get into an address, in bounds and percent-encoded.
//! - A login that could change nothing is not asked for.
//!
//! # Spec
//! RFC 9110 §11.6.1 (the grammar), RFC 9470 §3 (step-up).
//!
//! # Why the session knows its `acr` only after a step-up
//! Then `endpoint::callback` has checked it against what was asked for, and keeps it. If the API is still not content,
//! the provider has done what it can, and one more login would be a loop. Sessions that were never asked for more carry
//! nothing for it.

use std::time::Duration;

use url::form_urlencoded::Serializer;

use crate::clock::UnixTime;
use crate::frontend::Frontend;
use crate::problem::Problem;
use crate::session::Session;

/// Longest line that is read, in bytes, and how many of them.
const MAX_LINE: usize = 4096;
const MAX_LINES: usize = 8;
/// Longest `acr_values`: what the login endpoint takes.
const MAX_ACR_VALUES: usize = 512;
/// A login as young as this is as fresh as one can be.
const FRESH: Duration = Duration::from_mins(1);

/// What the way back from a login takes: a demand for a fresher one than that could never be met.
const ROUND_TRIP: Duration = Duration::from_secs(10);

/// `error="insufficient_user_authentication"`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct StepUp {
    acr_values: Option<String>,
    max_age: Option<u64>,
}

/// The wish cannot be passed on.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unusable;

impl StepUp {
    /// The wish for a stronger login, if the lines hold one.
    pub(super) fn find<'c>(
        lines: impl Iterator<Item = &'c [u8]>,
    ) -> Option<Result<Self, Unusable>> {
        lines
            .take(MAX_LINES)
            .filter(|line| line.len() <= MAX_LINE)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .flat_map(challenges)
            .find(|challenge| {
                challenge.scheme.eq_ignore_ascii_case("bearer")
                    && challenge.param("error") == Some("insufficient_user_authentication")
            })
            .map(|challenge| Self::read(&challenge))
    }

    fn read(challenge: &Challenge<'_>) -> Result<Self, Unusable> {
        let acr_values = challenge.param("acr_values").map(|text| {
            let fits = (1..=MAX_ACR_VALUES).contains(&text.len())
                && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
            fits.then(|| text.to_owned()).ok_or(Unusable)
        });
        let max_age = challenge.param("max_age").map(|text| {
            let fits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let seconds = text.parse().ok().filter(|_| fits);
            seconds.ok_or(Unusable)
        });
        Ok(Self {
            acr_values: acr_values.transpose()?,
            max_age: max_age.transpose()?,
        })
    }

    /// Asks for the login, unless this session is the best that one can give.
    pub(super) fn problem(&self, frontend: &Frontend, session: &Session, now: UnixTime) -> Problem {
        if self.is_met(session, now) {
            return Problem::Forbidden(
                "the API asks for a stronger login than the identity provider gives".to_owned(),
            );
        }
        let mut query = Serializer::new(String::new());
        if let Some(acr_values) = &self.acr_values {
            query.append_pair("acr_values", acr_values);
        }
        if let Some(max_age) = self.max_age {
            query.append_pair("max_age", &max_age.to_string());
        }
        if *self == Self::default() {
            // Without it the provider would answer with the login that did not do.
            query.append_pair("prompt", "login");
        }
        // `+` means a space to some decoders only.
        let query = query.finish().replace('+', "%20");
        Problem::StepUpRequired {
            login_url: format!("{}/login?{query}", frontend.base_path),
        }
    }

    fn is_met(&self, session: &Session, now: UnixTime) -> bool {
        let acr = session.claims.get("acr").and_then(|acr| acr.as_str());
        let has_acr = self.acr_values.as_ref().is_none_or(|wanted| {
            acr.is_some_and(|acr| wanted.split(' ').any(|wanted| wanted == acr))
        });
        let is_fresh = self.max_age.is_none_or(|max_age| {
            let most = FRESH.min(Duration::from_secs(max_age).max(ROUND_TRIP));
            let at = session.auth_time;
            at.is_some_and(|at| now.since(at) <= most)
        });
        // A demand for nothing in particular is met by a login that has just been.
        let is_new = *self != Self::default()
            || now.since(session.auth_time.unwrap_or(session.started_at)) <= FRESH;
        is_new && has_acr && is_fresh
    }
}

/// One challenge of a line: `Bearer realm="x", error="invalid_token"`.
#[derive(Debug, Default)]
struct Challenge<'l> {
    scheme: &'l str,
    params: Vec<(&'l str, String)>,
}

impl Challenge<'_> {
    /// A parameter that is there exactly once.
    fn param(&self, name: &str) -> Option<&str> {
        let mut found = self
            .params
            .iter()
            .filter(|param| param.0.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// The challenges of a line, up to the first thing that is none.
fn challenges(line: &str) -> Vec<Challenge<'_>> {
    let mut all: Vec<Challenge<'_>> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if name.is_empty() {
            return all;
        }
        rest = after.trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            all.push(Challenge {
                scheme: name,
                params: Vec::new(),
            });
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            let Some(read) = unquoted(quoted) else {
                return all;
            };
            read
        } else {
            let (text, after) = token(value);
            // The padding of a token68.
            (text.to_owned(), after.trim_start_matches('='))
        };
        if let Some(challenge) = all.last_mut() {
            challenge.params.push((name, value));
        }
        rest = after;
    }
}

/// The token (RFC 9110 §5.6.2) at the beginning, and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// What a quoted string holds, behind its first quote, and what follows its last.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(lines: &[&str]) -> Option<Result<StepUp, Unusable>> {
        StepUp::find(lines.iter().map(|line| line.as_bytes()))
    }

    fn wish(acr_values: Option<&str>, max_age: Option<u64>) -> StepUp {
        StepUp {
            acr_values: acr_values.map(str::to_owned),
            max_age,
        }
    }

    #[test]
    fn the_wish_is_found_among_other_challenges() {
        // B56
        const ERROR: &str = "error=\"insufficient_user_authentication\"";
        for (lines, expect) in [
            (vec![], None),
            (vec!["Bearer error=\"invalid_token\""], None),
            (vec!["Bearer"], None),
            (vec![&*format!("Bearer {ERROR}")], Some(wish(None, None))),
            (
                vec![&*format!("bearer {ERROR}, acr_values=\"a b\", max_age=5")],
                Some(wish(Some("a b"), Some(5))),
            ),
            (
                vec![&*format!(
                    "Bearer realm=\"x, y=\\\"z\", {ERROR},max_age = \"0\""
                )],
                Some(wish(None, Some(0))),
            ),
            (
                vec![&*format!("Basic realm=x, Bearer {ERROR}, ACR_VALUES=a")],
                Some(wish(Some("a"), None)),
            ),
            (
                vec!["Negotiate YII=", &*format!("Bearer {ERROR}, max_age=60")],
                Some(wish(None, Some(60))),
            ),
            (vec![&*format!("Basic {ERROR}, max_age=60")], None),
            (vec![ERROR], None),
            (vec![&*format!("Bearer {ERROR}, {ERROR}")], None),
            (
                vec!["Bearer error=\"insufficient_user_authentication"],
                None,
            ),
            (
                vec![&*format!("Bearer x=\"{}\", {ERROR}", "x".repeat(5_000))],
                None,
            ),
        ] {
            assert_eq!(find(&lines), expect.map(Ok), "{lines:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_to_its_end(line in "(Bearer|[a-z]{0,3}| |,|=|\"|\\\\|/|error=|ü){0,40}") {
            let challenges = challenges(&line);
            let read: usize = challenges.iter().map(|challenge| challenge.scheme.len()).sum();
            proptest::prop_assert!(read <= line.len());
        }
    }

    #[test]
    fn a_wish_out_of_bounds_is_not_passed_on() {
        for param in [
            "max_age=-1",
            "max_age=\"1 \"",
            "max_age=9999999999",
            "max_age=\"\"",
            "acr_values=\"\"",
            "acr_values=\"\u{fc}\"",
            &format!("acr_values=\"{}\"", "a".repeat(513)),
        ] {
            let line = format!("Bearer error=\"insufficient_user_authentication\", {param}");
            assert_eq!(find(&[&line]), Some(Err(Unusable)), "{param}");
        }
    }
}
