//! Where a browser may be sent after login or logout.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use url::Url;

/// A path, with query and fragment, on the frontend's own origin.
///
/// Only [`ReturnTo::parse`] makes one, so a redirect that takes a `ReturnTo` is no open redirect (RFC 9700 §4.11).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTo(String);

/// Longest one, percent-encoded: what a login can carry in a cookie and in `state` (`session::login`).
const MAX_LEN: usize = 4096;

impl ReturnTo {
    /// Accepts a local path; `None` is anything that could leave the origin or confuse a reader of `Location`.
    ///
    /// As people and scripts write it: what stands in no URL as it is (spaces, ü) is percent-encoded.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LEN || text.contains(is_unsafe) {
            return None;
        }
        Self::parse_encoded(&encode(text)).filter(|path| path.0.len() <= MAX_LEN)
    }

    /// Whether it would be accepted if it were shorter. Whoever asked for it should hear of that.
    pub fn is_too_long(text: &str) -> bool {
        !text.contains(is_unsafe)
            && Self::parse_encoded(&encode(text)).is_some_and(|path| path.0.len() > MAX_LEN)
    }

    fn parse_encoded(text: &str) -> Option<Self> {
        if !text.starts_with('/') || text.starts_with("//") {
            return None;
        }
        // The parser a browser uses has the last word, on the text and once more on its decoded start:
        // some servers in front decode `/%2f` or `/%5c` before they answer.
        let base = Url::parse("https://return-to.invalid").ok()?;
        let joined = base.join(text).ok()?;
        let decoded_start = text.get(1..4).unwrap_or_default().to_ascii_lowercase();
        if joined.origin() != base.origin()
            || joined.path().starts_with("//")
            || matches!(
                decoded_start.as_str(),
                "%2f" | "%5c" | "%09" | "%0a" | "%0d" | "%00"
            )
        {
            return None;
        }
        // Serialised again, so that what is sent is what was checked (dot segments are gone).
        let mut clean = joined.path().to_owned();
        if let Some(query) = joined.query() {
            clean.push('?');
            clean.push_str(query);
        }
        if let Some(fragment) = joined.fragment() {
            clean.push('#');
            clean.push_str(fragment);
        }
        // A second reading of what was written must find nothing new to object to.
        if clean == text {
            Some(Self(clean))
        } else {
            Self::parse_encoded(&clean)
        }
    }

    /// The frontend's first page.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The same without query and fragment.
    #[must_use]
    pub fn page(&self) -> Self {
        let path = self.0.split(['?', '#']).next().unwrap_or_default();
        Self::parse(path).unwrap_or_else(Self::root)
    }

    /// The path as it goes into `Location`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Browsers read '\' as '/', and drop tab, CR and LF before they parse (WHATWG URL §4.4).
fn is_unsafe(c: char) -> bool {
    c.is_control() || c == '\\'
}

/// Spaces and what is not ASCII in UTF-8, as browsers write them (WHATWG URL §1.3). The URL parser encodes the rest.
fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.into();
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded.into()
}

impl TryFrom<String> for ReturnTo {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a local path")
    }
}

impl From<ReturnTo> for String {
    fn from(path: ReturnTo) -> Self {
        path.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_accepted() {
        // B6
        for bad in [
            "",
            "x",
            "//e",
            "///e",
            "/\\e",
            "\\\\e",
            "/%5ce",
            "/%2fe",
            "/%2Fe",
            "https:e",
            "https://e/",
            "/%09/e",
            "/\t/e",
            "/\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "@e",
            " /",
            "ü/",
            "/\u{85}x",
            "/\u{7f}x",
            "/ü/..//e",
            "/..//e",
            "/.//e",
            "/a/..//e",
            "/%2e%2e//e",
            "/./%2fe",
            "/a/../%5ce",
        ] {
            assert_eq!(ReturnTo::parse(bad), None, "{bad:?}");
        }
        for (good, clean) in [
            ("/", "/"),
            ("/orders/7?x=1&y=%20#top", "/orders/7?x=1&y=%20#top"),
            ("/a/../b", "/b"),
            ("/@e", "/@e"),
            ("/redirect?to=https://e", "/redirect?to=https://e"),
            // P13, vouch-proxy#348, next-auth#12499
            ("/ü", "/%C3%BC"),
            ("/ x", "/%20x"),
            ("/x ", "/x%20"),
            (
                "/a b?q=grün & blau#ü",
                "/a%20b?q=gr%C3%BCn%20&%20blau#%C3%BC",
            ),
            ("/\u{202e}\u{feff}\u{3000}", "/%E2%80%AE%EF%BB%BF%E3%80%80"),
            (
                "/100%25?x=%zz&y={\"a\":'b'}",
                "/100%25?x=%zz&y={%22a%22:%27b%27}",
            ),
            ("/ /../ü", "/%C3%BC"),
        ] {
            assert_eq!(
                ReturnTo::parse(good).as_ref().map(ReturnTo::as_str),
                Some(clean),
                "{good:?}"
            );
        }
        for (text, fits) in [
            (format!("/{}", "x".repeat(4095)), true),
            (format!("/{}", "x".repeat(4096)), false),
            (format!("/{}", "ü".repeat(682)), true),
            (format!("/{}", "ü".repeat(683)), false),
            (format!("/?{}", "'".repeat(2000)), false),
            (format!("/?{}", "'".repeat(1000)), true),
        ] {
            assert_eq!(ReturnTo::parse(&text).is_some(), fits, "{text}");
            assert_eq!(ReturnTo::is_too_long(&text), !fits, "{text}");
        }
        let page = |text| ReturnTo::parse(text).unwrap().page().to_string();
        assert_eq!(
            [page("/a/b?c#d"), page("/a#b?c"), page("/?a")],
            ["/a/b", "/a", "/"]
        );
        assert!(!ReturnTo::is_too_long(&format!("//{}", "x".repeat(5000))));
    }
}
