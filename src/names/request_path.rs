//! The one representation of a request's path.

use std::borrow::Cow;

/// The raw path of a request, in the only spelling sealgate accepts for it.
///
/// Routing, policy and forwarding all work on these bytes. Whatever an upstream might read differently
/// (dot segments, encoded slashes, encodings of letters, a second layer of encoding) is refused here,
/// so that the route that was matched is the route that is served. `src/proxy/README.md` says what is refused, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestPath<'r>(&'r str);

/// The path has more than one reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the path must be written in its plainest form: no dot segments, empty segments, backslashes, ';', control characters, encodings of '/', '\\', ';' and unreserved characters, or a second layer of encoding"
)]
pub struct InvalidPath;

impl<'r> RequestPath<'r> {
    /// Accepts a raw path (no query) that has exactly one reading.
    pub fn parse(raw: &'r str) -> Result<Self, InvalidPath> {
        let bytes = raw.as_bytes();
        if bytes.first() != Some(&b'/') {
            return Err(InvalidPath);
        }
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            rest = match first {
                b'%' => {
                    let [high, low, tail @ ..] = tail else {
                        return Err(InvalidPath);
                    };
                    let byte = octet(*high, *low).ok_or(InvalidPath)?;
                    if is_ambiguous_when_encoded(byte) || is_ambiguous_before(byte, tail) {
                        return Err(InvalidPath);
                    }
                    tail
                }
                b'\\' | b';' | b'#' | b'?' | 0..=0x20 | 0x7f.. => return Err(InvalidPath),
                _ => tail,
            };
        }
        let mut segments = raw.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            if matches!(segment, "." | "..") || (segment.is_empty() && !last) {
                return Err(InvalidPath);
            }
        }
        Ok(Self(raw))
    }

    /// The path, beginning with `/`.
    pub const fn as_str(self) -> &'r str {
        self.0
    }

    /// What follows `prefix` if this is that path or one below it: empty, or beginning with `/`.
    ///
    /// Compared is what both say once decoded: `%40`, which clients write for `@`, must not lead around a route that is
    /// configured with `@`.
    pub fn strip_prefix(self, prefix: &str) -> Option<&'r str> {
        let mut wanted = decoded(prefix.strip_suffix('/').unwrap_or(prefix));
        let mut path = decoded(self.0);
        let mut end = 0;
        for (byte, _) in wanted.by_ref() {
            let (found, after) = path.next()?;
            if found != byte {
                return None;
            }
            end = after;
        }
        let rest = self.0.get(end..)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

/// A segment's bytes, decoded once.
pub fn decode(segment: &str) -> Cow<'_, [u8]> {
    if segment.contains('%') {
        decoded(segment).map(|(byte, _)| byte).collect()
    } else {
        segment.as_bytes().into()
    }
}

/// Whether a segment, decoded once, is these bytes: neither case nor Unicode form is changed for the comparison.
pub fn decodes_to(segment: &str, bytes: impl Iterator<Item = u8>) -> bool {
    decoded(segment).map(|(byte, _)| byte).eq(bytes)
}

/// Whether two segments say the same once decoded.
pub fn decode_alike(one: &str, other: &str) -> bool {
    decodes_to(one, decoded(other).map(|(byte, _)| byte))
}

/// The bytes of a path, decoded once, each with where the text goes on after it.
fn decoded(path: &str) -> impl Iterator<Item = (u8, usize)> {
    let bytes = path.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let (byte, len) = match bytes.get(at..)? {
            [b'%', high, low, ..] => octet(*high, *low).map_or((b'%', 1), |byte| (byte, 3)),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        at += len;
        Some((byte, at))
    })
}

/// What two hexadecimal digits say.
fn octet(high: u8, low: u8) -> Option<u8> {
    hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Encoded, these change meaning once somebody decodes: separators, controls, and unreserved characters, whose encoding is
/// equivalent to the bare letter (RFC 3986 §2.3).
const fn is_ambiguous_when_encoded(byte: u8) -> bool {
    byte.is_ascii_control()
        || byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'\\' | b';' | b'-' | b'.' | b'_' | b'~')
}

/// Whether an encoded byte means something else to some, for what follows it.
///
/// A `%` that would begin an escape to whoever decodes twice, as `%XX` or IIS's `%uXXXX`; letters and digits are never
/// encoded here, so looking at the bare ones is enough. And UTF-8 that is longer than it need be (RFC 3629 §3): some
/// decoders take `%C0%AF` for `/`.
fn is_ambiguous_before(byte: u8, tail: &[u8]) -> bool {
    let digits = |from: usize, len: usize| {
        tail.get(from..from + len)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let next = match tail {
        [b'%', high, low, ..] => octet(*high, *low),
        _ => None,
    };
    match byte {
        b'%' => digits(0, 2) || (matches!(tail.first(), Some(b'u' | b'U')) && digits(1, 4)),
        0xC0 | 0xC1 => matches!(next, Some(0x80..=0xBF)),
        0xE0 => matches!(next, Some(0x80..=0x9F)),
        0xF0 => matches!(next, Some(0x80..=0x8F)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading_or_is_refused() {
        // D11
        for bad in [
            "",
            "x",
            "//",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/.",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a;x=1",
            "/a%3bx",
            "/a%00",
            "/a%252e",
            "/%61dmin",
            "/a%2",
            "/a%zz",
            "/a b",
            "/ü",
            "/a\u{7f}",
            "/a%0d%0a",
            "/a#b",
            "/a%3Bx",
            // whoever decodes twice
            "/a%252F",
            "/a%2525",
            "/a%25aF",
            "/a%25u002f",
            // whoever reads overlong UTF-8
            "/a%c0%afb",
            "/a%C1%9Cb",
            "/a%E0%80%AFb",
            "/a%f0%80%80%af",
        ] {
            assert_eq!(RequestPath::parse(bad), Err(InvalidPath), "{bad:?}");
        }
        for good in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/a%20b",
            "/%C3%BC",
            "/a,b",
            "/a:b@c",
            "/...",
            "/.well-known/x",
            // P14: encodeURIComponent("100%") and its like have one reading
            "/100%25",
            "/100%25/x",
            "/%25%25",
            "/100%25%20off",
            "/100%25g0",
            "/100%25u",
            "/100%25user",
            "/what%3F%23",
            "/%C3%A0%E0%A4%B9",
            "/%ff%fe",
        ] {
            assert!(RequestPath::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_prefix_is_found_however_its_characters_are_written() {
        // D11: whoever decodes must not find a route that was not matched here.
        for (path, prefix, rest) in [
            ("/@me/x", "/@me", Some("/x")),
            ("/%40me/x", "/@me", Some("/x")),
            ("/@me/x", "/%40me", Some("/x")),
            ("/caf%c3%a9/%c3", "/caf%C3%A9", Some("/%c3")),
            ("/caf%C3%A9s", "/caf%C3%A9", None),
            ("/a%20b", "/a", None),
            ("/a", "/a%20b", None),
        ] {
            let parsed = RequestPath::parse(path).unwrap();
            assert_eq!(parsed.strip_prefix(prefix), rest, "{path} {prefix}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let path = RequestPath::parse("/api/orders/7").unwrap();
        assert_eq!(path.strip_prefix("/api/orders"), Some("/7"));
        assert_eq!(path.strip_prefix("/api/orders/7"), Some(""));
        assert_eq!(path.strip_prefix("/api/order"), None);
        assert_eq!(path.strip_prefix("/"), Some("/api/orders/7"));
        assert_eq!(
            RequestPath::parse("/api/orders/")
                .unwrap()
                .strip_prefix("/api/orders"),
            Some("/")
        );
    }
}
