//! Keeps one user's answers out of shared caches.
//!
//! # Why
//! An API relies on RFC 9111 §3.5: shared caches do not store answers to requests with `Authorization`. Between browser
//! and sealgate there is a cookie instead, and caches have no such rule for cookies.

use http::HeaderValue;

/// The `Cache-Control` of an answer for one user, made from the upstream's lines.
pub(super) fn for_one_user<'h>(lines: impl Iterator<Item = &'h [u8]>) -> HeaderValue {
    let made = narrowed(lines).and_then(|made| HeaderValue::try_from(made).ok());
    made.unwrap_or(HeaderValue::from_static("no-store"))
}

/// The upstream's directives for one user; `None` if there are none, or if they may say anything.
fn narrowed<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Option<String> {
    let mut kept = Vec::new();
    let mut is_private = false;
    for line in lines {
        let line = std::str::from_utf8(line).ok()?;
        for directive in directives(line) {
            let name = directive.split('=').next().unwrap_or_default().trim();
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("public") || is("s-maxage") || is("proxy-revalidate") {
                kept.push(None);
                continue;
            }
            // `private="field"` withholds that field only, not the answer (RFC 9111 §5.2.2.7).
            is_private |= is("no-store") || (is("private") && !directive.contains('='));
            kept.push(Some(directive));
        }
    }
    if kept.is_empty() {
        return None;
    }
    let own = (!is_private).then_some("private");
    let kept = kept.into_iter().flatten().chain(own);
    Some(kept.collect::<Vec<_>>().join(", "))
}

/// Splits at commas that are not in a quoted string (RFC 9110 §5.6.4).
fn directives(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |c| {
        if escaped {
            escaped = false;
        } else if c == '"' {
            quoted = !quoted;
        } else if quoted && c == '\\' {
            escaped = true;
        } else {
            return c == ',' && !quoted;
        }
        false
    })
    .map(str::trim)
    .filter(|directive| !directive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_for_one_user_is_private_or_not_stored() {
        // D28
        for (upstream, expect) in [
            (vec![], "no-store"),
            (vec![""], "no-store"),
            (vec!["no-store"], "no-store"),
            (vec!["private, max-age=60"], "private, max-age=60"),
            (vec!["max-age=60"], "max-age=60, private"),
            (vec!["public"], "private"),
            (vec!["Public, Max-Age=60"], "Max-Age=60, private"),
            (vec!["s-maxage=60,max-age=5"], "max-age=5, private"),
            (vec!["public", "private"], "private"),
            (
                vec!["private=\"set-cookie, public\""],
                "private=\"set-cookie, public\", private",
            ),
            (
                vec!["no-cache, must-revalidate"],
                "no-cache, must-revalidate, private",
            ),
            (
                vec!["x=\"\\\", public\", public"],
                "x=\"\\\", public\", private",
            ),
        ] {
            let made = for_one_user(upstream.iter().map(|line| line.as_bytes()));
            assert_eq!(made, expect, "{upstream:?}");
        }
        assert_eq!(for_one_user(std::iter::once(&b"\xff"[..])), "no-store");
    }
}
