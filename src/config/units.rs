//! How durations, sizes, numbers and switches are written.
//!
//! Numbers and switches may also be written as strings, because that is all an environment variable can say.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::clock::UnixTime;

/// A duration: `90s`, `30m`, `8h`, `1h30m`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes: `8KiB`, `1MiB`, `4096`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Size(pub(super) u64);

/// A whole number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Count(pub(super) usize);

/// A number of times in a second: `20`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(pub(super) f64);

/// Requests a second. One in a quarter of an hour is the slowest; beyond a million there is no limit to speak of.
pub(super) const RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// `true` or `false`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Switch(pub(super) bool);

/// A point in time: `2026-11-21T00:00:00Z` (RFC 3339).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moment(pub(super) UnixTime);

/// Longer spans are mistakes, and would make sums of times overflow.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Parses `90s`, `30m`, `8h`, `400d`, `250ms`, and sums of them such as `1h30m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(60 * 60).map(Duration::from_secs),
            "d" => number.checked_mul(24 * 60 * 60).map(Duration::from_secs),
            _ => None,
        }?;
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A custom serde error that `extract` takes apart again into what is wrong and a remedy.
fn complaint<E: de::Error>(what: &str, remedy: &str) -> E {
    E::custom(format!("{what}\n{remedy}"))
}

struct SpanVisitor;
struct SizeVisitor;
struct CountVisitor;
struct RateVisitor;
struct SwitchVisitor;
struct MomentVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"90s\", \"30m\" or \"8h\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        parse_duration(text).map(Span).ok_or_else(|| {
            complaint(
                &format!("{text:?} is no duration"),
                "write numbers with units ms, s, m, h or d, such as \"90s\", \"30m\" or \"1h30m\"",
            )
        })
    }
}

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"8KiB\" or \"1MiB\"")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
        u64::try_from(bytes)
            .map(Size)
            .map_err(|_| complaint("a size cannot be negative", "write one such as \"8KiB\""))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse::<ByteSize>()
            .map(|size| Size(size.as_u64()))
            .map_err(|_| {
                complaint(
                    &format!("{text:?} is no size"),
                    "write a number with its unit, such as \"8KiB\" or \"1MiB\"",
                )
            })
    }
}

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
        usize::try_from(number)
            .map(Count)
            .map_err(|_| complaint("the number is too large", "write a smaller one"))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
        usize::try_from(number)
            .map(Count)
            .map_err(|_| complaint("the number is negative", "write a positive one"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
        text.parse().map(Count).map_err(|_| {
            complaint(
                &format!("{text:?} is no whole number"),
                "write digits only, such as 64",
            )
        })
    }
}

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number such as 20 or 0.5")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Rate, E> {
        // What 32 bits do not hold is out of bounds anyway.
        Ok(Rate(u32::try_from(number).map_or(f64::INFINITY, f64::from)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Rate, E> {
        Ok(Rate(i32::try_from(number).map_or(f64::INFINITY, f64::from)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Rate, E> {
        Ok(Rate(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
        text.parse().map(Rate).map_err(|_| {
            complaint(
                &format!("{text:?} is no number"),
                "write digits, such as 20 or 0.5",
            )
        })
    }
}

impl Visitor<'_> for SwitchVisitor {
    type Value = Switch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Switch, E> {
        Ok(Switch(on))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Switch, E> {
        text.parse().map(Switch).map_err(|_| {
            complaint(
                &format!("{text:?} is neither true nor false"),
                "write true or false",
            )
        })
    }
}

impl Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point in time in quotes, such as \"2026-11-21T00:00:00Z\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        let instant = text.parse::<jiff::Timestamp>().ok();
        let secs = instant.and_then(|instant| u64::try_from(instant.as_second()).ok());
        secs.map(|secs| Moment(UnixTime::from_secs(secs)))
            .ok_or_else(|| {
                complaint(
                    &format!("{text:?} is no point in time"),
                    "write date, time and zone (RFC 3339), such as \"2026-11-21T00:00:00Z\"",
                )
            })
    }
}

macro_rules! deserialize_with_visitor {
    ($($type:ident: $visitor:ident),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }
    )+};
}
deserialize_with_visitor!(
    Span: SpanVisitor, Size: SizeVisitor, Count: CountVisitor, Rate: RateVisitor,
    Switch: SwitchVisitor, Moment: MomentVisitor
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("8h", Some(28_800)),
            ("400d", Some(34_560_000)),
            ("1h30m", Some(5400)),
            ("0s", Some(0)),
            ("1500ms", Some(1)),
            ("", None),
            ("15", None),
            ("s", None),
            ("1 h", None),
            ("-5s", None),
            ("1.5h", None),
            ("8hours", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
            ("18446744073709551615s", None),
            ("５s", None),
        ] {
            let parsed = parse_duration(text).map(|span| span.as_secs());
            assert_eq!(parsed, seconds, "{text:?}");
        }
    }

    #[test]
    fn a_point_in_time_has_a_zone() {
        let parse = |text: &str| {
            let moment: Option<Moment> = serde_json::from_value(text.into()).ok();
            moment.map(|moment| moment.0.as_secs())
        };
        assert_eq!(parse("2026-11-21T00:00:00Z"), Some(1_795_219_200));
        assert_eq!(parse("2026-11-21T01:00:00+01:00"), Some(1_795_219_200));
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T00:00:00",
            "now",
            "1960-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_switches_may_be_strings_for_the_environments_sake() {
        let parse = |json: &str| {
            (
                serde_json::from_str::<Count>(json).ok().map(|v| v.0),
                serde_json::from_str::<Switch>(json).ok().map(|v| v.0),
                serde_json::from_str::<Size>(json).ok().map(|v| v.0),
            )
        };
        assert_eq!(parse("64"), (Some(64), None, Some(64)));
        assert_eq!(parse("\"64\""), (Some(64), None, Some(64)));
        assert_eq!(parse("\"true\""), (None, Some(true), None));
        assert_eq!(parse("false"), (None, Some(false), None));
        assert_eq!(parse("\"8KiB\""), (None, None, Some(8192)));
        assert_eq!(parse("-1"), (None, None, None));
        assert_eq!(parse("\"8 bananas\""), (None, None, None));
    }
}
