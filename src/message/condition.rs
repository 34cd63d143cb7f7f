//! What a client says that it has already.
//!
//! # Spec
//! RFC 9110 §13.1.2 (`If-None-Match`), §8.8.3.2 (weak comparison).

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

/// Whether `If-None-Match` names this entity tag, quotes and all, by weak comparison. `None` if there is no such header.
///
/// Lines are split at every comma, those in a tag too. No part of a tag with a comma equals a tag that has its quotes.
pub fn names_tag(headers: &HeaderMap, tag: &str) -> Option<bool> {
    let lines = headers.get_all(IF_NONE_MATCH);
    let mut lines = lines.iter().peekable();
    lines.peek()?;
    let is_this = |known: &str| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag;
    let names = |line: &str| line.split(',').map(str::trim).any(is_this);
    Some(lines.any(|line| std::str::from_utf8(line.as_bytes()).is_ok_and(names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_wherever_it_stands() {
        for (lines, expect) in [
            (&[][..], None),
            (&["\"a\""], Some(true)),
            (&["W/\"a\""], Some(true)),
            (&["\"x\", \"a\""], Some(true)),
            (&["\"x\"", "\"y\",W/\"a\""], Some(true)),
            (&["*"], Some(true)),
            (&["\"x,a\", \"a,y\""], Some(false)),
            (&["\"A\""], Some(false)),
            (&["a"], Some(false)),
            (&[""], Some(false)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IF_NONE_MATCH, line.parse().unwrap());
            }
            assert_eq!(names_tag(&headers, "\"a\""), expect, "{lines:?}");
        }
    }
}
