//! The path of a route: fixed, or with segments such as `{sub}` that are the session's own value of that claim.
//!
//! [`RouteTable`](super::RouteTable) matches by shape alone, before any cookie is opened; whether a segment is the
//! session's own is [`Policy`](super::Policy)'s question. So a foreign object is refused by the route it belongs to, and
//! never falls through to a wider route.
//!
//! # Invariants
//! - The segment is decoded once and compared byte by byte. It is part of the one path that is also routed and forwarded.
//! - A segment is never empty and holds no `/`, `;`, control character, dot segment, or `%` in front of two hexadecimal
//!   digits, in any spelling ([`RequestPath`]). A claim whose value has one of these does not match any path.

use std::cmp::Reverse;

use crate::names::{InvalidPath, RequestPath, decode_alike};

/// A route's path.
#[derive(Clone, Debug)]
pub struct RoutePath {
    text: String,
    /// Empty unless one of them is a claim: most paths are compared as a whole.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Claim(String),
    Fixed(String),
    /// Any one segment; parts of a composed answer know it by this name.
    Named(String),
}

/// Why a configured path cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRoutePath {
    /// A brace that does not enclose a whole segment.
    #[error(
        "braces enclose a whole segment, and name a claim or the segment: {{sub}}, {{path:id}}"
    )]
    Braces,
    /// Two segments of one name.
    #[error("two segments have one name: each {{path:…}} names another")]
    Repeated,
    /// Not a path in its plainest form.
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

impl RoutePath {
    /// Takes a path as the configuration has it; a slash at its end means nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidRoutePath> {
        let text = match text.strip_suffix('/') {
            Some("") | None => text,
            Some(trimmed) => trimmed,
        };
        RequestPath::parse(text)?;
        let segments: Vec<_> = text
            .split('/')
            .skip(1)
            .map(Segment::parse)
            .collect::<Option<_>>()
            .ok_or(InvalidRoutePath::Braces)?;
        let names = || {
            segments.iter().filter_map(|segment| match segment {
                Segment::Named(name) => Some(name),
                Segment::Claim(_) | Segment::Fixed(_) => None,
            })
        };
        if names().count() != names().collect::<std::collections::BTreeSet<_>>().len() {
            return Err(InvalidRoutePath::Repeated);
        }
        let is_fixed = segments.iter().all(Segment::is_fixed);
        Ok(Self {
            text: text.to_owned(),
            segments: if is_fixed { Vec::new() } else { segments },
        })
    }

    /// As it was written, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path down to the first segment that is not fixed, without a slash at its end.
    pub fn fixed_front(&self) -> &str {
        let front = self
            .text
            .split_once("/{")
            .map_or(&*self.text, |(front, _)| front);
        if front.is_empty() { "/" } else { front }
    }

    /// What follows this path in that of a request: empty, or beginning with `/`. `None` if it is not below.
    pub fn rest<'r>(&self, path: RequestPath<'r>) -> Option<&'r str> {
        if self.segments.is_empty() {
            return path.strip_prefix(&self.text);
        }
        let mut rest = path.as_str();
        for wanted in &self.segments {
            let tail = rest.strip_prefix('/')?;
            let end = tail.find('/').unwrap_or(tail.len());
            let (segment, after) = tail.split_at_checked(end)?;
            let fits = match wanted {
                Segment::Claim(_) | Segment::Named(_) => !segment.is_empty(),
                Segment::Fixed(text) => decode_alike(segment, text),
            };
            if !fits {
                return None;
            }
            rest = after;
        }
        Some(rest)
    }

    /// The claims in the path, each with the segment of a request's path that must be the session's own value.
    pub fn claims<'p>(
        &'p self,
        path: RequestPath<'p>,
    ) -> impl Iterator<Item = (&'p str, &'p str)> + use<'p> {
        let segments = path.as_str().split('/').skip(1);
        self.segments
            .iter()
            .zip(segments)
            .filter_map(|(wanted, segment)| match wanted {
                Segment::Claim(name) => Some((name.as_str(), segment)),
                Segment::Fixed(_) | Segment::Named(_) => None,
            })
    }

    /// A request's path with each claim under its name instead of its value, for logs and traces.
    pub fn without_claims(&self, path: RequestPath<'_>) -> String {
        let mut wanted = self.segments.iter();
        let mut text = String::with_capacity(path.as_str().len());
        for segment in path.as_str().split('/').skip(1) {
            text.push('/');
            match wanted.next() {
                Some(Segment::Claim(name)) => text.extend(["{", name, "}"]),
                _ => text.push_str(segment),
            }
        }
        text
    }

    /// The names of the claims in the path.
    pub fn claim_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Claim(name) => Some(name.as_str()),
            Segment::Fixed(_) | Segment::Named(_) => None,
        })
    }

    /// The names of the segments that may be anything: `id` of `{path:id}`.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Named(name) => Some(name.as_str()),
            Segment::Claim(_) | Segment::Fixed(_) => None,
        })
    }

    /// The segment of a request's path that has this name here, as it was sent.
    pub fn segment<'r>(&self, name: &str, path: RequestPath<'r>) -> Option<&'r str> {
        let is_it = |segment: &Segment| matches!(segment, Segment::Named(known) if known == name);
        let place = self.segments.iter().position(is_it)?;
        path.as_str().split('/').nth(place + 1)
    }

    /// Whether the session decides who may have which path.
    pub fn has_claims(&self) -> bool {
        self.segments.iter().any(Segment::is_claim)
    }

    /// Whether a segment may be another one for each request.
    pub fn takes_any_segment(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Whether both match the same paths, claims aside.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.shape(), other.shape());
        ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|pair| match pair {
                (Some(one), Some(other)) => decode_alike(one, other),
                (one, other) => one.is_none() && other.is_none(),
            })
    }

    /// Orders paths so that the first match is the one that says most: more segments first, then the one that is
    /// fixed where the other takes anything.
    pub(super) fn precedence(&self) -> impl Ord + use<> {
        let shape = self.shape();
        let takes_anything: Vec<bool> = shape.iter().map(Option::is_none).collect();
        (Reverse(shape.len()), takes_anything, self.text.clone())
    }

    /// Each segment; `None` where a claim stands.
    pub(super) fn shape(&self) -> Vec<Option<&str>> {
        let segments = self.text.split('/').filter(|segment| !segment.is_empty());
        let is_fixed = |at: usize| self.segments.get(at).is_none_or(Segment::is_fixed);
        segments
            .enumerate()
            .map(|(at, segment)| is_fixed(at).then_some(segment))
            .collect()
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let is_plain = |text: &str| !text.contains(['{', '}']);
        let name = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        match name {
            // An escape would become part of the claim's name, which nobody means.
            Some(name) if !name.is_empty() && is_plain(name) && !name.contains('%') => {
                match name.strip_prefix("path:") {
                    Some("") => None,
                    Some(name) => Some(Self::Named(name.to_owned())),
                    None => Some(Self::Claim(name.to_owned())),
                }
            }
            None if is_plain(text) => Some(Self::Fixed(text.to_owned())),
            _ => None,
        }
    }

    const fn is_claim(&self) -> bool {
        matches!(self, Self::Claim(_))
    }

    const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RoutePath {
        RoutePath::parse(text).unwrap()
    }

    #[test]
    fn a_segment_in_braces_matches_one_segment_of_any_content() {
        // A19, D11
        for (route, asked, rest) in [
            ("/u/{sub}", "/u/alice", Some("")),
            ("/u/{sub}", "/u/alice/", Some("/")),
            ("/u/{sub}", "/u/alice/x/y", Some("/x/y")),
            ("/u/{sub}", "/u/%C3%BC", Some("")),
            ("/u/{sub}", "/u", None),
            ("/u/{sub}", "/u/", None),
            ("/u/{sub}/orders", "/u/alice/orders/7", Some("/7")),
            ("/u/{sub}/orders", "/u/alice/ordersx", None),
            ("/u/{sub}/orders", "/u/alice/x/orders", None),
            ("/u/{sub}/@me", "/u/alice/%40me", Some("")),
            ("/{t}/{sub}", "/a/b/c", Some("/c")),
        ] {
            let request = RequestPath::parse(asked).unwrap();
            assert_eq!(path(route).rest(request), rest, "{route} {asked}");
        }
        let request = RequestPath::parse("/u/al%20ice/7").unwrap();
        let route = path("/u/{sub}");
        assert_eq!(
            route.claims(request).collect::<Vec<_>>(),
            [("sub", "al%20ice")]
        );
    }

    #[test]
    fn braces_are_for_whole_segments() {
        for bad in [
            "/{}", "/a{sub}", "/{sub}b", "/{a}{b}", "/{", "/}", "/{a%20b}",
        ] {
            assert_eq!(
                RoutePath::parse(bad).unwrap_err(),
                InvalidRoutePath::Braces,
                "{bad}"
            );
        }
        assert!(matches!(
            RoutePath::parse("/a/../{sub}"),
            Err(InvalidRoutePath::Path(_))
        ));
    }

    #[test]
    fn more_segments_come_first_then_fixed_ones() {
        let mut paths: Vec<_> = ["/", "/u/{sub}", "/u", "/u/me", "/{a}/x/y", "/u/{sub}/y"]
            .map(path)
            .into();
        paths.sort_by_cached_key(RoutePath::precedence);
        let order: Vec<_> = paths.iter().map(RoutePath::as_str).collect();
        assert_eq!(
            order,
            ["/u/{sub}/y", "/{a}/x/y", "/u/me", "/u/{sub}", "/u", "/"]
        );
        assert!(path("/u/{a}/@").is_same_place(&path("/u/{b}/%40")));
        assert!(!path("/u/{a}").is_same_place(&path("/u/a")));
    }
}
