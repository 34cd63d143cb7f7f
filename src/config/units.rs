//! How durations, sizes, numbers and switches are written.
//!
//! Numbers and switches may also be written as strings, because an environment variable has nothing else.
//!
//! # Why durations are parsed here
//! jiff's friendly format takes more spellings (`1 h`, `1.5 hours`, `-5s`, `PT1H`) and no days, and what is accepted once
//! must be accepted for good.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

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

/// Requests a second. The slowest is one in a quarter of an hour; more than a million is not a limit.
pub(super) const RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// `true` or `false`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Switch(pub(super) bool);

/// A point in time: `2026-11-21T00:00:00Z` (RFC 3339).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moment(pub(super) UnixTime);

/// Longer durations are mistakes, and sums of times would overflow with them.
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

/// What a layer says for one key: TOML has types, an environment variable has text alone.
enum Scalar<'a> {
    Text(&'a str),
    Whole(i128),
    Fraction(f64),
    Truth(bool),
}

/// A value that may be written as text, whatever else it may be written as.
trait Lenient: Sized {
    /// What it is.
    const NOUN: &'static str;
    /// Examples of it, for remedies.
    const SUCH_AS: &'static str;

    /// The value; `None` if this is not one.
    fn read(scalar: &Scalar<'_>) -> Option<Self>;
}

impl Lenient for Span {
    const NOUN: &'static str = "a duration";
    const SUCH_AS: &'static str = "such as \"90s\", \"30m\" or \"1h30m\" (units: ms, s, m, h, d)";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => parse_duration(text).map(Self),
            _ => None,
        }
    }
}

impl Lenient for Size {
    const NOUN: &'static str = "a size";
    const SUCH_AS: &'static str = "such as \"8KiB\", \"1MiB\" or 4096";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => text.parse().ok().map(|size: ByteSize| Self(size.as_u64())),
            Scalar::Whole(bytes) => (*bytes).try_into().ok().map(Self),
            _ => None,
        }
    }
}

impl Lenient for Count {
    const NOUN: &'static str = "a whole number of 0 or more";
    const SUCH_AS: &'static str = "such as 64";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => text.parse().ok().map(Self),
            Scalar::Whole(number) => (*number).try_into().ok().map(Self),
            _ => None,
        }
    }
}

impl Lenient for Rate {
    const NOUN: &'static str = "a number";
    const SUCH_AS: &'static str = "such as 20 or 0.5";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => text.parse().ok().map(Self),
            // A number that 32 bits do not hold is out of bounds anyway.
            Scalar::Whole(number) => Some(Self(
                i32::try_from(*number).map_or(f64::INFINITY, f64::from),
            )),
            Scalar::Fraction(number) => Some(Self(*number)),
            Scalar::Truth(_) => None,
        }
    }
}

impl Lenient for Switch {
    const NOUN: &'static str = "a switch";
    const SUCH_AS: &'static str = "of true or false";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => text.parse().ok().map(Self),
            Scalar::Truth(on) => Some(Self(*on)),
            _ => None,
        }
    }
}

impl Lenient for Moment {
    const NOUN: &'static str = "a point in time";
    const SUCH_AS: &'static str =
        "in quotes, with date, time and zone (RFC 3339), such as \"2026-11-21T00:00:00Z\"";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        let Scalar::Text(text) = scalar else {
            return None;
        };
        text.parse().ok().map(Self)
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<T: Lenient> LenientVisitor<T> {
    /// `extract` turns the errors into a mistake and a remedy.
    fn read<E: de::Error>(&self, scalar: &Scalar<'_>, found: Unexpected<'_>) -> Result<T, E> {
        T::read(scalar).ok_or_else(|| match scalar {
            Scalar::Text(text) => E::custom(format!(
                "{text:?} is not {}\nwrite {} {}",
                T::NOUN,
                T::NOUN,
                T::SUCH_AS
            )),
            _ => E::invalid_type(found, self),
        })
    }
}

impl<T: Lenient> Visitor<'_> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", T::NOUN, T::SUCH_AS)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.read(&Scalar::Text(text), Unexpected::Str(text))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.read(&Scalar::Whole(number.into()), Unexpected::Signed(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.read(&Scalar::Whole(number.into()), Unexpected::Unsigned(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.read(&Scalar::Fraction(number), Unexpected::Float(number))
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<T, E> {
        self.read(&Scalar::Truth(on), Unexpected::Bool(on))
    }
}

macro_rules! deserialize_leniently {
    ($($type:ident),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(LenientVisitor(PhantomData::<Self>))
            }
        }
    )+};
}
deserialize_leniently!(Span, Size, Count, Rate, Switch, Moment);

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
