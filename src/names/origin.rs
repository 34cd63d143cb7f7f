//! The public origin of a frontend.

use std::fmt;

use url::{Host, Url};

/// Scheme, host and port as a browser serialises them: `https://shop.example.com`, without a trailing slash.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    text: String,
    authority_at: usize,
    secure: bool,
}

/// Why a text is no usable origin.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOrigin {
    /// Plain HTTP to something other than this machine.
    #[error("http:// is for loopback names only (localhost, 127.0.0.1, [::1]); use https://")]
    Insecure,
    /// A star in the host.
    #[error("an origin is one host, and a star in it would stand for itself")]
    Star,
    /// Not `scheme://host[:port]`.
    #[error("an origin is written https://host or https://host:port, with nothing after it")]
    NotAnOrigin,
}

impl Origin {
    /// Accepts `https://host[:port]`, and `http://` for loopback names.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin::NotAnOrigin)?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let secure = url.scheme() == "https";
        if !bare || !(secure || url.scheme() == "http") {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let host = url.host().ok_or(InvalidOrigin::NotAnOrigin)?;
        if !secure && !is_loopback_host(&host) {
            return Err(InvalidOrigin::Insecure);
        }
        if matches!(host, Host::Domain(name) if name.contains('*')) {
            return Err(InvalidOrigin::Star);
        }
        let text = url.origin().ascii_serialization();
        Ok(Self {
            authority_at: url.scheme().len() + "://".len(),
            text,
            secure,
        })
    }

    /// `https://host[:port]`, exactly what a browser sends in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `host[:port]`, what a browser sends in `Host`; default ports are left out.
    pub fn authority(&self) -> &str {
        self.text.get(self.authority_at..).unwrap_or_default()
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => authority.get(..colon).unwrap_or(authority),
            _ => authority,
        }
    }

    /// Whether the origin is `https`, so that its cookies can be `Secure`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The values of `Host` that name this origin, in lower case.
    pub fn hosts(&self) -> Vec<String> {
        let authority = self.authority().to_ascii_lowercase();
        let has_port = self.host().len() < self.authority().len();
        values_of_host(authority, !has_port, self.secure)
    }
}

/// The values of `Host` that mean `host`. If it has no port these are, beside itself, that with the default port (RFC 9110
/// §4.2.3) and that with an empty port, which is the default one too (RFC 3986 §3.2.3). A dot at the end makes another host:
/// browsers keep its cookies and its origin apart.
pub fn values_of_host(host: String, is_without_port: bool, is_secure: bool) -> Vec<String> {
    if !is_without_port {
        return vec![host];
    }
    let default_port = if is_secure { 443 } else { 80 };
    vec![format!("{host}:{default_port}"), format!("{host}:"), host]
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a URL's host can only be this machine.
pub fn is_loopback_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_loopback_and_bare() {
        for (text, expect) in [
            ("https://shop.example.com", Some("https://shop.example.com")),
            (
                "https://shop.example.com/",
                Some("https://shop.example.com"),
            ),
            (
                "https://Shop.Example.com:443",
                Some("https://shop.example.com"),
            ),
            (
                "https://shop.example.com:8443",
                Some("https://shop.example.com:8443"),
            ),
            ("http://localhost:8080", Some("http://localhost:8080")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("http://shop.example.com", None),
            ("https://shop.example.com/app", None),
            ("https://shop.example.com?x", None),
            ("https://user@shop.example.com", None),
            ("ftp://shop.example.com", None),
            ("shop.example.com", None),
        ] {
            let parsed = Origin::parse(text).ok();
            assert_eq!(parsed.as_ref().map(Origin::as_str), expect, "{text}");
        }
    }

    #[test]
    fn an_origin_has_a_host_with_and_without_its_default_port() {
        let hosts = |origin: &str| Origin::parse(origin).unwrap().hosts();
        assert_eq!(
            hosts("https://Shop.example.com"),
            [
                "shop.example.com:443",
                "shop.example.com:",
                "shop.example.com"
            ]
        );
        assert_eq!(
            hosts("http://localhost"),
            ["localhost:80", "localhost:", "localhost"]
        );
        assert_eq!(hosts("http://[::1]:8080"), ["[::1]:8080"]);
        assert_eq!(Origin::parse("http://[::1]:8080").unwrap().host(), "[::1]");
        assert_eq!(
            Origin::parse("http://localhost:80").unwrap().host(),
            "localhost"
        );
    }
}
