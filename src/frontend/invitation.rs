//! Who beside the frontend's own pages may begin a login by a link.
//!
//! A login that somebody else begins is a login all the same: it has a state, a nonce and a verifier of its own, and ends at a path
//! of the frontend.

use url::Url;

/// Who may begin a login.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Invitations {
    /// The origins whose pages may link to the login.
    pub from: Vec<String>,
    /// Whether any page may.
    pub from_anywhere: bool,
    /// Whether anybody may who names the provider (OpenID Connect Core §4).
    pub initiated: bool,
}

impl Invitations {
    /// Whether a page with this `Referer` may link to the login.
    pub fn include(&self, referer: Option<&str>) -> bool {
        let is_listed = |referer: &str| {
            let origin = Url::parse(referer).map(|url| url.origin().ascii_serialization());
            origin.is_ok_and(|origin| self.from.contains(&origin))
        };
        self.from_anywhere || (!self.from.is_empty() && referer.is_some_and(is_listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_listed_or_not() {
        // P23
        let invitations = |from: &[&str], from_anywhere| Invitations {
            from: from.iter().map(|&origin| origin.to_owned()).collect(),
            from_anywhere,
            initiated: false,
        };
        let listed = invitations(&["https://www.example.com"], false);
        for (referer, included) in [
            ("https://www.example.com/", true),
            ("https://www.example.com/news?x=1", true),
            ("https://WWW.example.com:443", true),
            ("http://www.example.com/", false),
            ("https://www.example.com:8443/", false),
            ("https://www.example.com.evil.test/", false),
            ("https://evil.test/https://www.example.com/", false),
            ("https://www.example.com@evil.test/", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(listed.include(Some(referer)), included, "{referer}");
        }
        assert!(!listed.include(None));
        assert!(!Invitations::default().include(None));
        assert!(!invitations(&[], false).include(Some("null")));
        assert!(invitations(&[], true).include(None));
    }
}
