//! An API wants a stronger or a fresher login: whether to pass the wish on, and as which login.
//!
//! `refused` asks here about each 401.
//!
//! # Invariants
//! - Of a challenge, only `acr_values` and `max_age` get into an address. Both are bounded and percent-encoded.
//! - A login that could change nothing is not asked for.
//!
//! # Spec
//! RFC 9470 §3, §4.
//!
//! # Why the session knows its `acr` only after a step-up
//! `endpoint::redeem` keeps the `acr` after it has checked it against the wish. If the API is still not content, the provider
//! has done what it can, and one more login would be a loop. No other session needs it.

use std::time::Duration;

use http::HeaderValue;
use url::form_urlencoded::Serializer;

use crate::clock::UnixTime;
use crate::frontend::Frontend;
use crate::oidc::{Challenge, challenges_of};
use crate::problem::Problem;
use crate::session::Session;

/// Longest `acr_values`: what the login endpoint takes.
const MAX_ACR_VALUES: usize = 512;

/// A login as young as this is as fresh as a login can be.
const FRESH: Duration = Duration::from_mins(1);

/// How long the way back from a login takes. A demand for a fresher login than that could never be met.
const ROUND_TRIP: Duration = Duration::from_secs(10);

/// What the API asks for with `error="insufficient_user_authentication"`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct StepUp {
    acr_values: Option<String>,
    max_age: Option<u64>,
}

/// The wish cannot be passed on.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unusable;

impl StepUp {
    /// The wish for a stronger login, if the lines of `WWW-Authenticate` hold one.
    pub(super) fn find(lines: &[HeaderValue]) -> Option<Result<Self, Unusable>> {
        challenges_of(lines)
            .find(|challenge| {
                // RFC 9470 §3: the scheme is that of the token.
                (challenge.is_for("bearer") || challenge.is_for("dpop"))
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

    /// Asks for the login, unless this session is already the best that a login can give.
    pub(super) fn problem(&self, frontend: &Frontend, session: &Session, now: UnixTime) -> Problem {
        if self.is_met(session, now) {
            return Problem::Forbidden(
                "the API asks for a stronger login than the identity provider gives".to_owned(),
            );
        }
        Problem::StepUpRequired {
            login_url: format!("{}/login?{}", frontend.base_path, self.query()),
        }
    }

    fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(acr_values) = &self.acr_values {
            query.append_pair("acr_values", acr_values);
        }
        if let Some(max_age) = self.max_age {
            query.append_pair("max_age", &max_age.to_string());
        }
        if *self == Self::default() {
            // Without it, the provider would answer from the login that did not suffice.
            query.append_pair("prompt", "login");
        }
        // Only some decoders read `+` as a space.
        query.finish().replace('+', "%20")
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
        // A login of this minute meets a demand that names nothing.
        let is_new = *self != Self::default()
            || now.since(session.auth_time.unwrap_or(session.started_at)) <= FRESH;
        is_new && has_acr && is_fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples;

    const ERROR: &str = "error=\"insufficient_user_authentication\"";

    fn find(lines: &[&str]) -> Option<Result<StepUp, Unusable>> {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap())
            .collect();
        StepUp::find(&lines)
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
            (
                vec![&*format!("DPoP {ERROR}, max_age=60")],
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
            let line = format!("Bearer {ERROR}, {param}");
            assert_eq!(find(&[&line]), Some(Err(Unusable)), "{param}");
        }
    }

    #[test]
    fn the_login_is_asked_for_what_the_api_wants() {
        for (step_up, query) in [
            (wish(None, None), "prompt=login"),
            (wish(Some("gold silver"), None), "acr_values=gold%20silver"),
            (wish(Some("a&b"), Some(5)), "acr_values=a%26b&max_age=5"),
        ] {
            assert_eq!(step_up.query(), query);
        }
    }

    #[test]
    fn a_login_that_could_change_nothing_is_not_asked_for() {
        let now = samples::now();
        let ago = |secs| now.minus(Duration::from_secs(secs));
        for (step_up, acr, signed_in, is_met) in [
            // Nothing in particular: any login of the last minute.
            (wish(None, None), None, 60, true),
            (wish(None, None), None, 61, false),
            (wish(Some("gold silver"), None), Some("silver"), 900, true),
            (wish(Some("gold silver"), None), Some("bronze"), 1, false),
            (wish(Some("gold"), None), None, 1, false),
            // A login takes some seconds, and a minute is as fresh as it gets.
            (wish(None, Some(0)), None, 10, true),
            (wish(None, Some(0)), None, 11, false),
            (wish(None, Some(30)), None, 30, true),
            (wish(None, Some(30)), None, 31, false),
            (wish(None, Some(900)), None, 60, true),
            (wish(None, Some(900)), None, 61, false),
            (wish(Some("gold"), Some(30)), Some("gold"), 31, false),
        ] {
            let mut session = samples::session(ago(3_600));
            session.auth_time = Some(ago(signed_in));
            if let Some(acr) = acr {
                session.claims.insert("acr".to_owned(), acr.into());
            }
            assert_eq!(
                step_up.is_met(&session, now),
                is_met,
                "{step_up:?} {acr:?} {signed_in}"
            );
        }
    }
}
