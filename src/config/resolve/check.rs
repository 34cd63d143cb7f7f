//! Checks on text that several sections share.

use url::Url;

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::names::RequestPath;

/// RFC 9110 §5.6.2: methods, header names and cookie names are tokens.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 6749 §3.3: one word of a scope.
pub(super) fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

impl Resolver<'_> {
    /// A local path in its plainest form, without a slash at its end. The root stays `/`.
    pub(super) fn local_path(&mut self, at: &KeyPath, text: &str) -> Option<String> {
        let trimmed = match text.strip_suffix('/') {
            Some("") | None => text,
            Some(trimmed) => trimmed,
        };
        let remedy = "write a path such as \"/api/orders\"";
        match RequestPath::parse(trimmed) {
            Ok(path) => Some(path.as_str().to_owned()),
            Err(error) => {
                self.wrong(at, format!("{text:?} is not usable: {error}"), remedy);
                None
            }
        }
    }

    /// An absolute http(s) URL without user, query and fragment. No mistake shows the text: it may hold a password.
    pub(super) fn bare_url(&mut self, at: &KeyPath, text: &str, example: &str) -> Option<Url> {
        let remedy = format!("write a URL such as \"{example}\"");
        // The parser drops tabs, newlines and outer spaces. The text itself is compared and sent, so it must not have any.
        let plain = text.bytes().all(|b| b.is_ascii_graphic());
        let url = Url::parse(text)
            .ok()
            .filter(|url| plain && matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            self.wrong(
                at,
                "this is not a URL that begins with https:// or http://",
                remedy,
            );
            return None;
        };
        let user = !url.username().is_empty() || url.password().is_some();
        let fine = self.ensure(
            !user,
            at,
            "the URL holds a user name or password",
            &format!("remove it, and {remedy}"),
        ) & self.ensure(url.query().is_none(), at, "the URL has a query", &remedy)
            & self.ensure(
                url.fragment().is_none(),
                at,
                "the URL has a fragment",
                &remedy,
            );
        fine.then_some(url)
    }
}
