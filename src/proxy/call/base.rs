//! Where the URLs of one upstream begin.

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

/// Scheme, authority and path prefix of an upstream. Callers add path and query, and cannot change anything before them.
pub(in crate::proxy) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    /// The authority without user and password: `Host`.
    pub(in crate::proxy) host: HeaderValue,
}

impl Base {
    /// Takes the upstream's URL apart. It is an error if HTTP cannot name it.
    pub(super) fn of(url: &Url) -> Result<Self, http::Error> {
        let authority = url.authority();
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        Ok(Self {
            scheme: url.scheme().parse()?,
            authority: authority.parse()?,
            path: url.path().trim_end_matches('/').to_owned(),
            host: HeaderValue::from_str(authority)?,
        })
    }

    /// Where its connections lead.
    pub(super) fn origin(&self) -> Result<Uri, http::Error> {
        self.uri("/", None)
    }

    /// The upstream's origin and prefix, then `path` and `query` as they are. `path` is empty or begins with a slash.
    pub(in crate::proxy) fn uri(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<Uri, http::Error> {
        let room = self.path.len() + path.len() + query.map_or(1, |query| query.len() + 2);
        let mut target = String::with_capacity(room);
        target.push_str(&self.path);
        target.push_str(path);
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_path_and_query_come_from_the_caller() {
        // A18, A19, D11, D12
        for (base, path, query, expect) in [
            ("http://o:1/v1", "/7", Some("x=1"), "http://o:1/v1/7?x=1"),
            ("http://o:1/v1", "", None, "http://o:1/v1"),
            ("http://o:1/v1/", "/", None, "http://o:1/v1/"),
            ("http://o:1", "", None, "http://o:1/"),
            ("http://o:1", "", Some(""), "http://o:1/?"),
            ("https://o", "/@evil.test", None, "https://o/@evil.test"),
            ("https://u:p@o", "/a", None, "https://o/a"),
            (
                "http://[::1]:8",
                "//evil.test/a",
                None,
                "http://[::1]:8//evil.test/a",
            ),
        ] {
            let base = Base::of(&Url::parse(base).unwrap()).unwrap();
            let uri = base.uri(path, query).unwrap();
            assert_eq!(uri.to_string(), expect);
            assert_eq!(uri.authority().unwrap().as_str(), base.host);
        }
    }
}
