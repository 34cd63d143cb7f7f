//! Which part of a file a client asks for.
//!
//! # Spec
//! RFC 9110 §14.2 (`Range`), §13.1.5 (`If-Range`). A server may ignore a `Range`: so are several of them at once, and units that
//! are not bytes.

use std::time::SystemTime;

use http::Method;
use http::header::{HeaderValue, IF_RANGE, RANGE};

use super::file::Entry;
use crate::message::Request;

/// A part of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From one byte to another, both of them too.
    Range { first: u64, last: u64 },
    /// The file ends before.
    Unsatisfiable,
}

/// What the request asks for.
pub(super) fn wanted(request: &Request, entry: &Entry) -> Part {
    // A range is defined for `GET` alone.
    if *request.method() != Method::GET {
        return Part::Whole;
    }
    let mut lines = request.headers().get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Part::Whole;
    };
    let Some(asked) = line.to_str().ok().and_then(Asked::parse) else {
        return Part::Whole;
    };
    if request
        .headers()
        .get(IF_RANGE)
        .is_none_or(|known| is_of(known, entry))
    {
        asked.of(entry.bare.len)
    } else {
        Part::Whole
    }
}

/// Whether `If-Range` means the file as it is: the same strong tag, or an equal date and no later one. What cannot be read means
/// another file.
fn is_of(known: &HeaderValue, entry: &Entry) -> bool {
    *known == entry.tag(None) || date(known).is_some_and(|date| entry.modified_at == Some(date))
}

/// A date in any of its forms (RFC 9110 §5.6.7).
pub(super) fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// One range, as it is written (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// From the first of these bytes to the last, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Asked {
    /// `None` for what a server ignores: another unit, several ranges, one that is not valid.
    fn parse(text: &str) -> Option<Self> {
        let (unit, ranges) = text.split_once('=')?;
        // Names of units are case-insensitive (§14.1).
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let ranges = ranges
            .split(',')
            .map(|range| range.trim_matches([' ', '\t']));
        let mut ranges = ranges.filter(|range| !range.is_empty());
        let (Some(range), None) = (ranges.next(), ranges.next()) else {
            return None;
        };
        let (first, last) = range.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// What it is of a file with so many bytes.
    fn of(self, len: u64) -> Part {
        let first = match self {
            Self::From(first, _) => first,
            Self::Last(0) => return Part::Unsatisfiable,
            Self::Last(count) => len.saturating_sub(count),
        };
        let end = len.saturating_sub(1);
        let last = match self {
            Self::From(_, Some(last)) => last.min(end),
            Self::From(_, None) | Self::Last(_) => end,
        };
        if first < len {
            Part::Range { first, last }
        } else {
            Part::Unsatisfiable
        }
    }
}

/// Digits. A number that is too large for us is larger than any file (RFC 9110 §14.1.2 asks to expect it).
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten(text: &str) -> Part {
        Asked::parse(text).map_or(Part::Whole, |asked| asked.of(10))
    }

    #[test]
    fn a_range_is_a_part_of_what_is_there() {
        const HUGE: &str = "99999999999999999999";
        for (text, first, last) in [
            ("bytes=0-3", 0, 3),
            ("bytes=4-", 4, 9),
            ("bytes=-3", 7, 9),
            ("bytes=-100", 0, 9),
            ("bytes=5-100", 5, 9),
            ("BYTES=0-0", 0, 0),
            ("bytes=, 0-1 ,", 0, 1),
            (&format!("bytes=2-{HUGE}"), 2, 9),
            (&format!("bytes=-{HUGE}"), 0, 9),
        ] {
            assert_eq!(of_ten(text), Part::Range { first, last }, "{text}");
        }
        for text in ["bytes=10-", "bytes=-0", &format!("bytes={HUGE}-")] {
            assert_eq!(of_ten(text), Part::Unsatisfiable, "{text}");
        }
        for text in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=3-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes =0-1",
            "",
        ] {
            assert_eq!(of_ten(text), Part::Whole, "{text}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        for text in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            let part = Asked::parse(text).unwrap().of(0);
            assert_eq!(part, Part::Unsatisfiable, "{text}");
        }
    }
}
