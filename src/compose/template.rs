//! The path of a part: text, and placeholders that are filled with values.
//!
//! # Invariants
//! - A value changes nothing but the segment or the query value that it stands in: it is percent-encoded but for
//!   unreserved characters (RFC 3986 §2.3), so it adds no segment, parameter or fragment.
//! - No segment that is `.` or `..` once decoded leaves here, however it came together (RFC 3986 §5.2.4), and no empty one
//!   that a value was to fill.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::pointer::{InvalidPointer, Pointer};

/// Everything but unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest path and query that are sent.
const MAX_TARGET: usize = 16 * 1024;

/// What a placeholder is filled with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// `{sub}`: the session's claim.
    Claim(String),
    /// `{item:/sku}`: of the element that the call is for.
    Item(Pointer),
    /// `{me:/id}`: of another part's whole answer.
    Part(String, Pointer),
    /// `{path:id}`: the segment of the request's path that the route names so.
    Path(String),
    /// `{query:limit}`: the query parameter of the request.
    Query(String),
}

/// A part's path as it is configured. `S` is what fills a placeholder: a [`Source`] while the configuration is read, and
/// then where its value is found.
#[derive(Clone, Debug)]
pub struct Template<S> {
    /// Each without the slash in front.
    segments: Vec<Text<S>>,
    query: Vec<Pair<S>>,
}

#[derive(Clone, Debug)]
struct Pair<S> {
    /// As it is written.
    name: String,
    /// `None` without `=`.
    value: Option<Text<S>>,
}

#[derive(Clone, Debug)]
struct Text<S>(Vec<Piece<S>>);

#[derive(Clone, Debug)]
enum Piece<S> {
    Fixed(String),
    Filled(S),
}

/// Why a path is not a template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A brace without its partner, or with nothing inside.
    #[error("braces enclose a claim, or query:name, path:name, item:/pointer or part:/pointer")]
    Braces,
    /// Something that is not a path with a query.
    #[error("it must be a path in its plainest form, with or without a query")]
    Path,
    /// A placeholder in the name of a parameter.
    #[error("a placeholder cannot name a query parameter")]
    ParameterName,
    /// A pointer that is none.
    #[error(transparent)]
    Pointer(#[from] InvalidPointer),
}

/// Why no path came of a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfilled {
    /// A value is missing, empty where a path needs one, or makes a dot segment.
    BadValue,
    /// It became longer than any server takes.
    TooLong,
}

/// What a placeholder got.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Filling<'v> {
    /// There is none, which is an error.
    Missing,
    /// There is none, and in a query its parameter is left out.
    Omitted,
    /// This.
    Value(Cow<'v, str>),
}

impl Template<Source> {
    /// Reads a path such as `/orders?customer={me:/id}&limit={query:limit}`.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let (path, query) = split_query(text);
        let path = path.strip_prefix('/').ok_or(InvalidTemplate::Path)?;
        let segments = split_outside(path, '/')
            .map(Text::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let last = segments.len().saturating_sub(1);
        for (at, segment) in segments.iter().enumerate() {
            let is_plain = segment.is_plain_segment() && (at == last || !segment.0.is_empty());
            if !is_plain {
                return Err(InvalidTemplate::Path);
            }
        }
        let pairs = query
            .into_iter()
            .flat_map(|query| split_outside(query, '&'));
        let query = pairs.map(Pair::parse).collect::<Result<_, _>>()?;
        Ok(Self { segments, query })
    }

    /// The same with what fills each placeholder looked up.
    pub fn map<S, E>(
        self,
        mut look_up: impl FnMut(Source) -> Result<S, E>,
    ) -> Result<Template<S>, E> {
        let segments = self.segments.into_iter().map(|text| text.map(&mut look_up));
        let segments = segments.collect::<Result<_, E>>()?;
        let pair = |pair: Pair<Source>| {
            let value = pair.value.map(|text| text.map(&mut look_up)).transpose()?;
            Ok(Pair {
                name: pair.name,
                value,
            })
        };
        let query = self.query.into_iter().map(pair).collect::<Result<_, E>>()?;
        Ok(Template { segments, query })
    }
}

impl<S> Template<S> {
    /// What fills placeholders of the path, where a value must be.
    pub fn in_path(&self) -> impl Iterator<Item = &S> {
        self.segments.iter().flat_map(Text::sources)
    }

    /// What fills placeholders of the query.
    pub fn in_query(&self) -> impl Iterator<Item = &S> {
        self.query
            .iter()
            .filter_map(|pair| pair.value.as_ref())
            .flat_map(Text::sources)
    }

    /// The path and query with every placeholder filled.
    pub fn fill<'v>(&self, mut value: impl FnMut(&S) -> Filling<'v>) -> Result<String, Unfilled> {
        let mut out = String::new();
        for segment in &self.segments {
            out.push('/');
            let begin = out.len();
            // An empty value would make another path of it.
            let mut value = |source: &S| match value(source) {
                Filling::Value(value) if value.is_empty() => Filling::Missing,
                filling => filling,
            };
            if !segment.fill(&mut out, &mut value)? {
                return Err(Unfilled::BadValue);
            }
            if is_ambiguous(out.get(begin..).unwrap_or_default()) {
                return Err(Unfilled::BadValue);
            }
        }
        let mut separator = '?';
        for pair in &self.query {
            let before = out.len();
            out.push(separator);
            out.push_str(&pair.name);
            if let Some(text) = &pair.value {
                out.push('=');
                if !text.fill(&mut out, &mut value)? {
                    out.truncate(before);
                    continue;
                }
            }
            separator = '&';
        }
        if out.len() > MAX_TARGET {
            Err(Unfilled::TooLong)
        } else {
            Ok(out)
        }
    }
}

impl Pair<Source> {
    fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.contains(['{', '}']) {
            return Err(InvalidTemplate::ParameterName);
        }
        if name.is_empty() || !is_plain(name) {
            return Err(InvalidTemplate::Path);
        }
        let value = value.map(Text::parse).transpose()?;
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl Text<Source> {
    fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (fixed, tail) = rest
                .split_once('{')
                .map_or((rest, None), |(fixed, tail)| (fixed, Some(tail)));
            if fixed.contains('}') {
                return Err(InvalidTemplate::Braces);
            }
            if !is_plain(fixed) {
                return Err(InvalidTemplate::Path);
            }
            if !fixed.is_empty() {
                pieces.push(Piece::Fixed(fixed.to_owned()));
            }
            let Some(tail) = tail else { break };
            let (inside, tail) = tail.split_once('}').ok_or(InvalidTemplate::Braces)?;
            pieces.push(Piece::Filled(Source::parse(inside)?));
            rest = tail;
        }
        Ok(Self(pieces))
    }

    fn map<S, E>(self, mut look_up: impl FnMut(Source) -> Result<S, E>) -> Result<Text<S>, E> {
        let pieces = self.0.into_iter().map(|piece| match piece {
            Piece::Fixed(text) => Ok(Piece::Fixed(text)),
            Piece::Filled(source) => look_up(source).map(Piece::Filled),
        });
        pieces.collect::<Result<_, E>>().map(Text)
    }

    /// Whether the text that is fixed can stand in a segment, whatever fills the rest.
    fn is_plain_segment(&self) -> bool {
        match self.0.as_slice() {
            [Piece::Fixed(text)] => !is_dot_segment(text),
            _ => true,
        }
    }
}

impl<S> Text<S> {
    fn sources(&self) -> impl Iterator<Item = &S> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Filled(source) => Some(source),
            Piece::Fixed(_) => None,
        })
    }

    /// Writes it; `false` if a value is to be left out.
    fn fill<'v>(
        &self,
        out: &mut String,
        value: &mut impl FnMut(&S) -> Filling<'v>,
    ) -> Result<bool, Unfilled> {
        for piece in &self.0 {
            match piece {
                Piece::Fixed(text) => out.push_str(text),
                Piece::Filled(source) => match value(source) {
                    Filling::Missing => return Err(Unfilled::BadValue),
                    Filling::Omitted => return Ok(false),
                    Filling::Value(value) => {
                        if out.len() + value.len() > MAX_TARGET {
                            return Err(Unfilled::TooLong);
                        }
                        out.extend(utf8_percent_encode(&value, RESERVED));
                    }
                },
            }
        }
        Ok(true)
    }
}

impl Source {
    fn parse(inside: &str) -> Result<Self, InvalidTemplate> {
        let Some((kind, rest)) = inside.split_once(':') else {
            return if inside.is_empty() {
                Err(InvalidTemplate::Braces)
            } else {
                Ok(Self::Claim(inside.to_owned()))
            };
        };
        let is_named = !kind.is_empty() && !rest.is_empty();
        match kind {
            "query" if is_named => Ok(Self::Query(rest.to_owned())),
            "path" if is_named => Ok(Self::Path(rest.to_owned())),
            "query" | "path" | "" => Err(InvalidTemplate::Braces),
            "item" => Ok(Self::Item(Pointer::parse(rest)?)),
            part => Ok(Self::Part(part.to_owned(), Pointer::parse(rest)?)),
        }
    }
}

/// A pointer may hold any character but `}`: a `?` inside braces begins no query.
fn split_query(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u8;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth = 1,
            '}' => depth = 0,
            '?' if depth == 0 => {
                let (path, query) = text.split_at_checked(at).unwrap_or((text, ""));
                return (path, query.get(1..));
            }
            _ => {}
        }
    }
    (text, None)
}

/// Splits where the separator stands outside of braces.
fn split_outside(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.split(move |c| {
        match c {
            '{' => is_inside = true,
            '}' => is_inside = false,
            _ => {}
        }
        c == separator && !is_inside
    })
}

/// Printable ASCII that begins no other part of a URL, and whose percent-encodings are complete.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => {
                let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                is_hex(bytes.next()) && is_hex(bytes.next())
            }
            b'#' | b'\\' | b'?' | b'"' | b'<' | b'>' | b'^' | b'`' | b'|' => false,
            0x21..=0x7e => true,
            _ => false,
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// Whether a server that decodes the segment before it takes the path apart could see other segments: dot segments behind an
/// encoded slash, or control characters (RFC 3986 §7.3).
fn is_ambiguous(segment: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(segment).collect();
    let mut pieces = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    pieces.any(|piece| matches!(piece, b"." | b"..")) || decoded.iter().any(u8::is_ascii_control)
}

fn is_dot_segment(segment: &str) -> bool {
    // Six characters are the longest spelling: `%2e%2e`.
    segment.len() <= 6 && {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        matches!(decoded.as_slice(), b"." | b"..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn parse(text: &str) -> Result<Template<Source>, InvalidTemplate> {
        Template::parse(text)
    }

    fn fill<'v>(text: &str, value: impl FnMut(&Source) -> Filling<'v>) -> Result<String, Unfilled> {
        parse(text).unwrap().fill(value)
    }

    fn with(text: &str, value: &str) -> Result<String, Unfilled> {
        fill(text, |_| Filling::Value(Cow::Borrowed(value)))
    }

    #[test]
    fn the_kinds_of_placeholders_are_read() {
        let template =
            parse("/a/{sub}/x{path:id}?p={query:q}&i={item:/a~1b?}&m={me:/id}&w={item:}&flag")
                .unwrap();
        let path: Vec<_> = template.in_path().cloned().collect();
        assert_eq!(
            path,
            [
                Source::Claim("sub".to_owned()),
                Source::Path("id".to_owned())
            ]
        );
        let pointer = |text: &str| Pointer::parse(text).unwrap();
        let query: Vec<_> = template.in_query().cloned().collect();
        assert_eq!(
            query,
            [
                Source::Query("q".to_owned()),
                Source::Item(pointer("/a~1b?")),
                Source::Part("me".to_owned(), pointer("/id")),
                Source::Item(pointer("")),
            ]
        );
    }

    #[test]
    fn what_is_not_a_template_is_refused() {
        for (text, why) in [
            ("orders", InvalidTemplate::Path),
            ("", InvalidTemplate::Path),
            ("/a//b", InvalidTemplate::Path),
            ("/a/../b", InvalidTemplate::Path),
            ("/%2e%2E", InvalidTemplate::Path),
            ("/.", InvalidTemplate::Path),
            ("/a b", InvalidTemplate::Path),
            ("/a#b", InvalidTemplate::Path),
            ("/\u{fc}", InvalidTemplate::Path),
            ("/a%2", InvalidTemplate::Path),
            ("/a?x=1?y", InvalidTemplate::Path),
            ("/a?=1", InvalidTemplate::Path),
            ("/{", InvalidTemplate::Braces),
            ("/a}", InvalidTemplate::Braces),
            ("/{}", InvalidTemplate::Braces),
            ("/{query:}", InvalidTemplate::Braces),
            ("/{:x}", InvalidTemplate::Braces),
            ("/a?{sub}=1", InvalidTemplate::ParameterName),
            ("/{me:id}", InvalidTemplate::Pointer(InvalidPointer)),
        ] {
            assert_eq!(parse(text).err(), Some(why), "{text}");
        }
        for text in ["/", "/a/", "/a/%25b;c=1,d", "/@me", "/a?x&y=&z=/:@,"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        assert_eq!(
            with("/o/{sub}?q={sub}", "a/b?c&d=e#\u{fc} +%").unwrap(),
            "/o/a%2Fb%3Fc%26d%3De%23%C3%BC%20%2B%25?q=a%2Fb%3Fc%26d%3De%23%C3%BC%20%2B%25"
        );
        assert_eq!(
            with("/o/v-{sub}.json", "A-z_0.~").unwrap(),
            "/o/v-A-z_0.~.json"
        );
        assert_eq!(with("/o?a=1&b={sub}", "").unwrap(), "/o?a=1&b=");
    }

    #[test]
    fn no_value_makes_a_dot_segment_or_an_empty_one() {
        for (template, value) in [
            ("/{sub}", "."),
            ("/{sub}", ".."),
            ("/.{sub}", "."),
            ("/%2e{sub}/x", "."),
            ("/{sub}/x", ""),
            ("/{sub}", ""),
        ] {
            assert_eq!(
                with(template, value),
                Err(Unfilled::BadValue),
                "{template} {value:?}"
            );
        }
        assert_eq!(with("/{sub}", "...").unwrap(), "/...");
        assert_eq!(with("/a{sub}", ""), Err(Unfilled::BadValue));
        for value in ["../x", "a/..", "a\\..\\b", "a/./b", "a\nb", "\u{0}"] {
            assert_eq!(with("/{sub}", value), Err(Unfilled::BadValue), "{value:?}");
        }
        assert_eq!(with("/{sub}", "a/b").unwrap(), "/a%2Fb");
        assert_eq!(with("/x?q={sub}", "../x").unwrap(), "/x?q=..%2Fx");
        assert_eq!(with("/{sub}", "%2e").unwrap(), "/%252e");
    }

    #[test]
    fn a_parameter_without_a_value_is_left_out() {
        let omit = |source: &Source| match source {
            Source::Query(name) if name == "x" => Filling::Omitted,
            _ => Filling::Value(Cow::Borrowed("1")),
        };
        assert_eq!(
            fill("/a?x={query:x}&y={query:y}&z", omit).unwrap(),
            "/a?y=1&z"
        );
        assert_eq!(fill("/a?x=p{query:x}", omit).unwrap(), "/a");
        assert_eq!(fill("/a?y={query:y}&x={query:x}", omit).unwrap(), "/a?y=1");
        assert_eq!(
            fill("/a?x={me:/x}", |_| Filling::Missing),
            Err(Unfilled::BadValue)
        );
    }

    #[test]
    fn a_value_of_any_length_ends_at_the_limit() {
        assert_eq!(
            with("/{sub}", &"a".repeat(MAX_TARGET)),
            Err(Unfilled::TooLong)
        );
        assert_eq!(
            with("/{sub}", &"/".repeat(MAX_TARGET / 2)),
            Err(Unfilled::TooLong)
        );
    }

    proptest::proptest! {
        /// A URL library reads back exactly the values that went in, each at its own place.
        #[test]
        fn a_value_changes_its_own_place_alone(path in ".{1,12}", query in ".{0,12}", other in "[%?#&=;a\u{fc}+ ]{1,8}") {
            let filled = fill("/api/{sub}/v{path:p}/end?a={query:q}&b=2&c={me:/x}", |source| {
                Filling::Value(Cow::Owned(match source {
                    Source::Claim(_) => path.clone(),
                    Source::Path(_) | Source::Part(..) => other.clone(),
                    _ => query.clone(),
                }))
            });
            let mut pieces = path.split(['/', '\\']);
            let is_refused = pieces.any(|piece| matches!(piece, "." | "..")) || path.contains(|c: char| c.is_ascii_control());
            proptest::prop_assert_eq!(filled.is_err(), is_refused);
            if let Ok(filled) = filled {
                let url = Url::parse("http://api.test").unwrap().join(&filled).unwrap();
                let read: Vec<_> = url.path_segments().unwrap().map(|segment| {
                    percent_decode_str(segment).decode_utf8().unwrap().into_owned()
                }).collect();
                proptest::prop_assert_eq!(read, ["api".to_owned(), path, format!("v{other}"), "end".to_owned()]);
                let read: Vec<_> = url.query_pairs().into_owned().collect();
                let expect = [("a".to_owned(), query), ("b".to_owned(), "2".to_owned()), ("c".to_owned(), other)];
                proptest::prop_assert_eq!(read, expect);
                proptest::prop_assert_eq!(url.host_str(), Some("api.test"));
                proptest::prop_assert_eq!(url.fragment(), None);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[/{}a:?=&.%2e]{0,24}") {
            let _ = parse(&text);
        }
    }
}
