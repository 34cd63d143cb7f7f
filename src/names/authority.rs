//! The value of a `Host` header, taken apart.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name of the domain name system (RFC 1035 §2.3.4), in text.
const LONGEST_NAME: usize = 253;

/// `host[:port]` (RFC 9110 §7.2) in letters that are safe to show and to log: a name of letters, digits, `-`, `.` and `_`, or
/// an address. Bounded, whatever a client sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Authority<'t> {
    text: &'t str,
    host: &'t str,
}

impl<'t> Authority<'t> {
    /// `None` for whatever else a `Host` may be.
    pub fn parse(text: &'t str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                let host = text.get(..address.len().checked_add(2)?)?;
                (
                    host,
                    rest.strip_prefix(':')
                        .or_else(|| rest.is_empty().then_some(""))?,
                )
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let is_port = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let is_host = (1..=LONGEST_NAME).contains(&host.len())
            && (host.starts_with('[') || host.bytes().all(is_name));
        (is_port && is_host).then_some(Self { text, host })
    }

    /// As it was sent.
    pub const fn as_str(self) -> &'t str {
        self.text
    }

    /// Without the port.
    pub const fn host(self) -> &'t str {
        self.host
    }

    /// Whether it is an address and no name: nobody's name server can make one lead elsewhere.
    pub fn is_address(self) -> bool {
        self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (text, host, is_address) in [
            ("shop.test", "shop.test", false),
            ("Shop.Test:8080", "Shop.Test", false),
            ("a_b-c:", "a_b-c", false),
            ("127.0.0.1:9090", "127.0.0.1", true),
            ("[::1]", "[::1]", true),
            ("[fd00::7]:9090", "[fd00::7]", true),
            ("127.1", "127.1", false),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.as_str(), authority.host()), (text, host));
            assert_eq!(authority.is_address(), is_address, "{text}");
        }
        let long = "a".repeat(254);
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "<b>",
            "user@host",
            "a:b",
            "a:123456",
            "::1",
            "[::1",
            "[::1]x",
            "[x]",
            "ü",
            "a:1:2",
            "[fe80::1%eth0]",
            &long,
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        assert!(Authority::parse(&long[1..]).is_some());
    }
}
