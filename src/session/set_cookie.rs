//! Writing `Set-Cookie`.
//!
//! # Invariants
//! - At most one line for each name; the later one replaces the earlier (C8, RFC 6265bis §4.1.1).
//! - Every line states `Path`, `HttpOnly` and `SameSite`, never `Domain`; deletions repeat the attributes, without which a
//!   browser would refuse them for a prefixed name (C7, C16).
//! - Values are base64url: nothing in a line comes from a request as it is.

use std::fmt;

use super::settings::SameSite;

/// The `Set-Cookie` lines of one answer: at most one for each name (RFC 6265 §4.1.1).
#[derive(Default)]
pub struct SetCookies(Vec<SetCookie>);

struct SetCookie {
    name: String,
    line: String,
    deletes: bool,
}

/// What all lines of a cookie state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a> {
    pub(super) path: &'a str,
    pub(super) secure: bool,
    pub(super) same_site: SameSite,
}

impl SetCookies {
    /// No cookies yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header values.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| cookie.line.as_str())
    }

    /// The names that are set or deleted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| cookie.name.as_str())
    }

    /// Whether this name is deleted.
    pub(super) fn deletes(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|cookie| cookie.deletes && cookie.name == name)
    }

    /// Sets a cookie; without `max_age`, for as long as the browser runs (C15).
    pub(super) fn set(
        &mut self,
        name: String,
        value: &str,
        attributes: Attributes<'_>,
        max_age: Option<u64>,
    ) {
        let mut line = begin(&name, value, attributes);
        if let Some(seconds) = max_age {
            line.push_str("; Max-Age=");
            line.push_str(&seconds.to_string());
        }
        self.put(name, line, false);
    }

    /// Deletes a cookie.
    pub(super) fn delete(&mut self, name: String, attributes: Attributes<'_>) {
        let mut line = begin(&name, "", attributes);
        line.push_str("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        self.put(name, line, true);
    }

    /// Name, octets of name and value, and attributes of each line: what may be told of a cookie.
    pub fn described(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.0.iter().map(|cookie| {
            let line = cookie.line.as_str();
            let (pair, attributes) = line.split_once("; ").unwrap_or((line, ""));
            (cookie.name.as_str(), pair.len(), attributes)
        })
    }

    fn put(&mut self, name: String, line: String, deletes: bool) {
        self.0.retain(|cookie| cookie.name != name);
        self.0.push(SetCookie {
            name,
            line,
            deletes,
        });
    }
}

impl fmt::Debug for SetCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn begin(name: &str, value: &str, attributes: Attributes<'_>) -> String {
    format!("{name}={value}; {attributes}")
}

impl fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.secure { "; Secure" } else { "" };
        let (path, same_site) = (self.path, self.same_site.as_str());
        write!(f, "Path={path}{secure}; HttpOnly; SameSite={same_site}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Attributes<'_> = Attributes {
        path: "/",
        secure: true,
        same_site: SameSite::Strict,
    };

    #[test]
    fn lines_state_their_attributes_and_deletions_repeat_them() {
        // C7, C15, C16
        let mut cookies = SetCookies::none();
        assert!(cookies.is_empty());
        let lax = Attributes {
            path: "/bff/logout",
            secure: false,
            same_site: SameSite::Lax,
        };
        cookies.set("a".to_owned(), "X", STRICT, None);
        cookies.set("b".to_owned(), "Y", lax, Some(600));
        cookies.delete("c".to_owned(), STRICT);
        let lines: Vec<&str> = cookies.lines().collect();
        assert_eq!(
            lines,
            [
                "a=X; Path=/; Secure; HttpOnly; SameSite=Strict",
                "b=Y; Path=/bff/logout; HttpOnly; SameSite=Lax; Max-Age=600",
                "c=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0; \
                 Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            ]
        );
    }

    #[test]
    fn a_description_has_no_value() {
        let mut cookies = SetCookies::none();
        cookies.set("a".to_owned(), "VALUE", STRICT, Some(600));
        let described: Vec<_> = cookies.described().collect();
        let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=600";
        assert_eq!(described, [("a", 7, attributes)]);
    }

    #[test]
    fn the_later_line_of_a_name_wins() {
        // C8
        let mut cookies = SetCookies::none();
        cookies.set("a".to_owned(), "1", STRICT, None);
        cookies.delete("a".to_owned(), STRICT);
        assert!(cookies.deletes("a"));
        cookies.set("a".to_owned(), "2", STRICT, None);
        assert!(!cookies.deletes("a"));
        assert_eq!(cookies.names().collect::<Vec<_>>(), ["a"]);
        assert!(cookies.lines().all(|line| line.starts_with("a=2; ")));
    }
}
