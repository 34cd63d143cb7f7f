//! Apps without a cookie jar: where their users come back to, and how long their sessions last.
//!
//! # Invariants
//! - A redirect URI is compared byte for byte. Only the port of a loopback address is the app's choice (RFC 8252 §7.3).
//! - A URI is `https`, on loopback `http`, or has a private-use scheme with a dot in it (RFC 8252 §7.1, §8.4).

use std::time::Duration;

use url::Url;

use crate::names::is_loopback_host;

/// `[frontend.<name>.native]`, resolved.
#[derive(Clone, Debug)]
pub struct NativeSettings {
    /// Where users come back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether tokens must be bound to a key.
    pub dpop: Dpop,
    /// An app's session lasts this long at the most.
    pub absolute_timeout: Duration,
    /// It ends this long after its last refresh.
    pub idle_timeout: Duration,
}

/// Whether an app must prove that it has the key of its tokens (RFC 9449).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dpop {
    /// An app may do without: its tokens are bearer tokens.
    Optional,
    /// It must.
    Required,
}

impl NativeSettings {
    /// Whether an app may be sent back to this address.
    pub fn allows(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|uri| uri.is(redirect_uri))
    }

    /// Whether the system can tie this address to one app (RFC 8252 §7.2). Any program can claim a private-use scheme, or wait
    /// on a loopback address.
    pub fn identifies_app(redirect_uri: &str) -> bool {
        Url::parse(redirect_uri).is_ok_and(|uri| uri.scheme() == "https")
    }
}

/// An address that users of an app may come back to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectUri {
    /// As it is written; of a loopback address what stands before the port.
    front: String,
    /// What stands behind the port of a loopback address.
    behind_any_port: Option<String>,
}

impl RedirectUri {
    /// Longest one: it travels in a `state`.
    pub const LONGEST: usize = 1024;

    /// Reads one. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "this is not an absolute URI")?;
        if text.len() > Self::LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "this is longer than 1,024 bytes, or has characters that a URI cannot have",
            );
        }
        if text.contains('#') {
            // RFC 6749 §3.1.2.
            return Err("a redirect URI has no fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a redirect URI names no user");
        }
        match url.scheme() {
            "https" => Ok(Self::exact(text)),
            "http" if url.host().is_some_and(|host| is_loopback_host(&host)) => {
                Self::on_loopback(text)
            }
            "http" => Err("http:// is for loopback addresses only"),
            // A name of the developer's own keeps other apps' schemes and those of the system out.
            scheme if scheme.contains('.') => Ok(Self::exact(text)),
            _ => Err("a private-use scheme is a domain name in reverse, with a dot in it"),
        }
    }

    fn exact(text: &str) -> Self {
        Self {
            front: text.to_owned(),
            behind_any_port: None,
        }
    }

    /// `http://`, the host as it is written, perhaps a port, and the rest.
    fn on_loopback(text: &str) -> Result<Self, &'static str> {
        let scheme = "http://";
        let rest = text
            .strip_prefix(scheme)
            .ok_or("write the scheme in lower case")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        Ok(Self {
            front: format!("{scheme}{host}"),
            behind_any_port: Some(behind.to_owned()),
        })
    }

    fn is(&self, asked: &str) -> bool {
        let Some(behind) = &self.behind_any_port else {
            return asked == self.front;
        };
        let Some(rest) = asked.strip_prefix(self.front.as_str()) else {
            return false;
        };
        let Some(with_port) = rest.strip_prefix(':') else {
            return rest == behind;
        };
        let digits = with_port.bytes().take_while(u8::is_ascii_digit).count();
        let Some((port, rest)) = with_port.split_at_checked(digits) else {
            return false;
        };
        port.parse::<u16>().is_ok() && rest == behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_lead_to_an_app_are_redirect_uris() {
        // RFC 8252 §7, §8.4
        for text in [
            "https://shop.example.com/app/cb",
            "https://shop.example.com:8443/cb?x=1",
            "com.example.shop:/cb",
            "com.example.shop://cb/x",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:8400/cb",
            "http://[::1]/cb",
            "http://localhost/",
        ] {
            assert!(RedirectUri::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/cb",
            "shop:/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "http://shop.example.com/cb",
            "http://127.0.0.1.example.com/cb",
            "https://user@shop.example.com/cb",
            "https://shop.example.com/cb#f",
            "https://shop.example.com/cb x",
            "https://shop.example.com/ü",
            "HTTP://127.0.0.1/cb",
        ] {
            assert!(RedirectUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_uri_is_exact_but_for_the_port_of_loopback() {
        // RFC 8252 §7.3, RFC 9700 §2.1
        let allows =
            |registered: &str, asked: &str| RedirectUri::parse(registered).unwrap().is(asked);
        for (registered, asked) in [
            ("https://shop.example.com/cb", "https://shop.example.com/cb"),
            ("com.example.shop:/cb", "com.example.shop:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
            ("http://[::1]/cb", "http://[::1]:51004/cb"),
            ("http://[::1]:7/cb", "http://[::1]/cb"),
            ("http://localhost/cb?x=1", "http://localhost:80/cb?x=1"),
        ] {
            assert!(allows(registered, asked), "{registered} {asked}");
        }
        for (registered, asked) in [
            (
                "https://shop.example.com/cb",
                "https://shop.example.com/cb/",
            ),
            (
                "https://shop.example.com/cb",
                "https://shop.example.com/cb?x",
            ),
            (
                "https://shop.example.com/cb",
                "https://shop.example.com:443/cb",
            ),
            ("https://shop.example.com/cb", "https://SHOP.example.com/cb"),
            ("https://shop.example.com/cb", "http://shop.example.com/cb"),
            ("com.example.shop:/cb", "com.example.shop:/cb2"),
            ("com.example.shop:/cb", "com.example.shop://cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.test/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.test/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/other"),
            ("http://127.0.0.1/cb", "http://localhost:1/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1", "http://127.0.0.1@evil.test"),
            ("http://127.0.0.1/cb", ""),
        ] {
            assert!(!allows(registered, asked), "{registered} {asked}");
        }
    }
}
