//! Where a browser may be sent after login or logout.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// A path, with query and fragment, on the frontend's own origin.
///
/// Only [`ReturnTo::parse`] makes one, so a redirect that takes a `ReturnTo` is no open redirect (RFC 9700 §4.11).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTo(String);

/// Longer ones would eat the login cookie's 4096 bytes.
const MAX_LEN: usize = 1024;

impl ReturnTo {
    /// Accepts a local path; `None` is anything that could leave the origin or confuse a reader of `Location`.
    pub fn parse(text: &str) -> Option<Self> {
        // Browsers read '\' as '/', and drop tab, CR and LF before they parse (WHATWG URL §4.4).
        let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if !printable || text.len() > MAX_LEN || !text.starts_with('/') || text.starts_with("//") {
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
            Self::parse(&clean)
        }
    }

    /// The frontend's first page.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as it goes into `Location`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
            "/ü",
            " /",
            "/ x",
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
        ] {
            assert_eq!(
                ReturnTo::parse(good).as_ref().map(ReturnTo::as_str),
                Some(clean),
                "{good:?}"
            );
        }
        assert_eq!(ReturnTo::parse(&format!("/{}", "x".repeat(2000))), None);
    }
}
