//! A path has one reading, and leads to one route.

use std::sync::LazyLock;

use url::Url;

use crate::frontend::{RoutePath, RouteTable, samples};
use crate::names::{RequestPath, RouteName, UpstreamName};

/// Reads `data` as the path of a request. Whether it was accepted.
///
/// # Panics
/// If a program that decodes it or resolves dots reads another path, or finds another route.
pub fn route_path(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(path) = RequestPath::parse(&text) else {
        return false;
    };
    let raw = path.as_str();
    let decoded = percent_decode(raw.as_bytes());
    let segments: Vec<_> = raw
        .split('/')
        .map(|s| percent_decode(s.as_bytes()))
        .collect();
    // Whether it is decoded first or divided first, once or twice, the segments are the same.
    assert_eq!(decoded, segments.join(&b'/'));
    assert_eq!(percent_decode(&decoded), decoded, "a second layer");
    assert!(!has_wide_escape(&decoded), "a second layer of IIS");
    assert_eq!(carelessly(&decoded), decoded, "overlong UTF-8");
    let dots: [&[u8]; 2] = [b".", b".."];
    assert!(!segments.iter().any(|s| dots.contains(&s.as_slice())));
    let inner = segments.len().saturating_sub(1);
    assert!(segments.iter().take(inner).skip(1).all(|s| !s.is_empty()));
    assert!(
        !decoded
            .iter()
            .any(|byte| byte.is_ascii_control() || b"\\;".contains(byte))
    );
    // A URL parser reads the same path.
    let url = Url::parse("https://shop.example").and_then(|base| base.join(raw));
    let theirs = url.map(|url| percent_decode(url.path().as_bytes()));
    assert_eq!(theirs.ok().as_ref(), Some(&decoded));

    let names = |segments: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let named = segments.iter().filter(|s| !s.is_empty());
        named.cloned().collect()
    };
    let asked = names(&segments);
    let deepest = ROUTES
        .iter()
        .filter(|route| {
            let wanted = route.split('/').map(|s| percent_decode(s.as_bytes()));
            let wanted = names(&wanted.collect::<Vec<_>>());
            let mut pairs = wanted.iter().zip(&asked);
            wanted.len() <= asked.len() && pairs.all(|(w, a)| w == b"{sub}" || w == a)
        })
        .max_by_key(|route| route.split('/').filter(|s| !s.is_empty()).count());
    let found = TABLE.find(path);
    let text = found.map(|(route, _)| route.path.as_str());
    assert_eq!(text, deepest.copied(), "{raw}");
    // The segment that the policy compares is the one that was matched.
    for (name, segment) in found.iter().flat_map(|(route, _)| route.path.claims(path)) {
        assert_eq!(
            (name, Some(&percent_decode(segment.as_bytes()))),
            ("sub", asked.get(1))
        );
        let rest = found.map_or("", |(_, rest)| rest);
        assert_eq!(rest.split('/').count(), segments.len() - 3, "{raw}");
    }
    true
}

/// Routes that contain one another, some written with escapes.
const ROUTES: [&str; 10] = [
    "/",
    "/api",
    "/api/orders",
    "/api/@me",
    "/api/%40me/x",
    "/caf%C3%A9",
    "/a%20b",
    "/api/orders/7",
    "/api/{sub}/box",
    "/api/100%25",
];

static TABLE: LazyLock<RouteTable> = LazyLock::new(|| {
    let routes = ROUTES.iter().filter_map(|path| {
        Some(samples::plain(
            RouteName::parse("fuzz").ok()?,
            RoutePath::parse(path).ok()?,
            UpstreamName::parse("fuzz").ok()?,
        ))
    });
    RouteTable::new(routes.collect())
});

/// Whether the text has `%uXXXX` somewhere.
fn has_wide_escape(text: &[u8]) -> bool {
    let mut windows = text.windows(6);
    windows.any(|six| {
        let is_mark = matches!(six, [b'%', b'u' | b'U', ..]);
        is_mark && six.iter().skip(2).all(u8::is_ascii_hexdigit)
    })
}

/// Reads every overlong sequence of UTF-8 as the ASCII character it stands for, as careless decoders do.
fn carelessly(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    let six = |byte: u8| byte & 0x3F;
    while let [first, tail @ ..] = rest {
        let (character, len) = match rest {
            [a @ 0xC0..=0xC1, b @ 0x80..=0xBF, ..] => (Some((a & 1) << 6 | six(*b)), 2),
            [0xE0, b @ 0x80..=0x81, c @ 0x80..=0xBF, ..] => (Some((b & 1) << 6 | six(*c)), 3),
            [0xF0, 0x80, c @ 0x80..=0x81, d @ 0x80..=0xBF, ..] => (Some((c & 1) << 6 | six(*d)), 4),
            _ => (None, 1),
        };
        out.push(character.unwrap_or(*first));
        rest = if character.is_some() {
            rest.get(len..).unwrap_or_default()
        } else {
            tail
        };
    }
    out
}

/// A second, simple decoder, which shares no mistake with the one it checks.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).filter(|_| *first == b'%');
        let byte = escape
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            rest.get(3..).unwrap_or_default()
        } else {
            tail
        };
    }
    out
}
