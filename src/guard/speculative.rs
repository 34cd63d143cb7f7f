//! Loads that nobody has asked for yet: prefetch, prerender, preview.
//!
//! A browser may throw their answer away, or ask long before the person wants it. So they change nothing: they do not begin
//! or end a login, end a session, spend a refresh token, or count as activity. `guard` refuses them at endpoints that could
//! do nothing else; `token`, `request`, `endpoint` and `server::response` ask [`is_speculative`].
//!
//! # Spec
//! Prefetch and Prerendering (WICG) §"The Sec-Purpose header"; its forerunners of Chromium, Firefox and Safari.

use http::header::{HeaderMap, HeaderName};

/// Any value but an empty one counts: an ordinary load does not send this header.
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// Older headers, and the word that each has for a speculative load.
static SIGNS: [(HeaderName, &[u8]); 3] = [
    (HeaderName::from_static("purpose"), b"prefetch"),
    (HeaderName::from_static("x-moz"), b"prefetch"),
    (HeaderName::from_static("x-purpose"), b"preview"),
];

/// Whether a request says that it runs ahead of what the person does.
pub fn is_speculative(headers: &HeaderMap) -> bool {
    let mut purposes = headers.get_all(SEC_PURPOSE).iter();
    purposes.any(|value| !value.as_bytes().trim_ascii().is_empty())
        || SIGNS.iter().any(|(name, word)| {
            let mut values = headers.get_all(name).iter();
            values.any(|value| names(value.as_bytes(), word))
        })
}

/// A list of tokens, each with parameters (RFC 9651): `prefetch;prerender` is two words of one.
fn names(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|b| matches!(b, b',' | b';'))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    #[test]
    fn what_says_that_a_load_is_speculative() {
        for (name, value, expect) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("sec-purpose", "prefetch; anonymous-client-ip", true),
            ("sec-purpose", "Prerender", true),
            ("sec-purpose", "other, prefetch", true),
            ("purpose", "prefetch", true),
            ("x-moz", "prefetch", true),
            ("x-purpose", "preview", true),
            ("sec-purpose", "", false),
            ("sec-purpose", "what comes next", true),
            ("purpose", "other, prefetch;q", true),
            ("purpose", "prefetched", false),
            ("purpose", "payment", false),
            ("x-purpose", "prefetch", false),
            ("x-other", "prefetch", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            assert_eq!(is_speculative(&headers), expect, "{name}: {value}");
        }
    }
}
