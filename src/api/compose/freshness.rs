//! How long an answer may be kept: as long as the part that may be kept least.

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// For how many seconds a private cache may keep an answer; `None` if it must not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Freshness(Option<u64>);

impl Freshness {
    /// Without any limit yet.
    pub(super) const UNLIMITED: Self = Self(Some(u64::MAX));
    /// Not to be kept.
    pub(super) const NONE: Self = Self(None);

    /// What an API's answer says of it (RFC 9111 §5.2.2). To say nothing is to forbid.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut max_age = None;
        for line in headers.get_all(CACHE_CONTROL) {
            let Ok(line) = line.to_str() else {
                return Self::NONE;
            };
            for directive in line.split(',').map(str::trim) {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                match name.to_ascii_lowercase().as_str() {
                    "no-store" | "no-cache" => return Self::NONE,
                    "max-age" => {
                        let seconds = value.trim_matches('"').parse::<u64>().ok();
                        let Some(seconds) = seconds else {
                            return Self::NONE;
                        };
                        max_age = Some(max_age.map_or(seconds, |known: u64| known.min(seconds)));
                    }
                    _ => {}
                }
            }
        }
        let age = headers
            .get(AGE)
            .map_or(Some(0), |age| age.to_str().ok()?.parse().ok());
        Self(
            max_age
                .zip(age)
                .map(|(max_age, age): (u64, u64)| max_age.saturating_sub(age)),
        )
    }

    /// The shorter of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| one.min(other)))
    }

    /// `Cache-Control` of the whole answer, which is one user's.
    pub(super) fn cache_control(self) -> String {
        match self.0 {
            Some(seconds) if seconds < u64::MAX => format!("private, max-age={seconds}"),
            _ => "no-store".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Freshness::UNLIMITED
            .and(Freshness::of(&headers))
            .cache_control()
    }

    #[test]
    fn only_max_age_lets_an_answer_be_kept() {
        for (lines, expect) in [
            (&[][..], "no-store"),
            (&[("cache-control", "private")], "no-store"),
            (&[("cache-control", "max-age=5")], "private, max-age=5"),
            (
                &[("cache-control", "public, Max-Age=\"7\"")],
                "private, max-age=7",
            ),
            (
                &[("cache-control", "max-age=5, no-cache=\"set-cookie\"")],
                "no-store",
            ),
            (&[("cache-control", "max-age=-1")], "no-store"),
            (&[("cache-control", "s-maxage=9")], "no-store"),
            (
                &[
                    ("cache-control", "max-age=9"),
                    ("cache-control", "no-store"),
                ],
                "no-store",
            ),
            (
                &[
                    ("cache-control", "max-age=9"),
                    ("cache-control", "max-age=4"),
                ],
                "private, max-age=4",
            ),
            (
                &[("cache-control", "max-age=9"), ("age", "3")],
                "private, max-age=6",
            ),
            (
                &[("cache-control", "max-age=9"), ("age", "30")],
                "private, max-age=0",
            ),
            (&[("cache-control", "max-age=9"), ("age", "x")], "no-store"),
        ] {
            assert_eq!(of(lines), expect, "{lines:?}");
        }
        assert_eq!(Freshness::UNLIMITED.cache_control(), "no-store");
    }
}
