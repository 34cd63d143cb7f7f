//! Which calls to providers go through a proxy: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read as curl reads them.
//!
//! # Invariants
//! - A proxy's user and password are in its `Proxy-Authorization` only, never in a log or an error.
//! - Each name also counts in lower case, and that spelling has precedence. An empty value counts as none.
//!
//! # Why upper-case `HTTP_PROXY` counts
//! curl passes it over, because a CGI script finds a client's `Proxy` header under that name. No request sets our environment.
//!
//! # Why the matcher is ours
//! `hyper-util` has one, which knows no ports in `NO_PROXY`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use url::{Host, Url};
use zeroize::Zeroizing;

/// The proxies that an environment names, and what is called without them.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    http: Option<Way>,
    https: Option<Way>,
    direct: Arc<[Direct]>,
}

/// What a variable names: a proxy, or nothing that can be one; then the variable.
type Way = Result<Arc<HttpProxy>, Unusable>;

/// This variable is not the URL of an HTTP proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unusable(pub &'static str);

/// A proxy (RFC 9110 §3.7).
pub struct HttpProxy {
    /// Its address, without user and password.
    pub(super) url: Url,
    /// What it wants to see of us.
    pub(super) authorization: Option<HeaderValue>,
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

/// An item of `NO_PROXY`.
#[derive(Clone, Debug)]
struct Direct {
    /// Every port, if none.
    port: Option<u16>,
    what: Target,
}

#[derive(Clone, Debug)]
enum Target {
    Everything,
    /// A host, and all below it.
    Domain(String),
    Network(IpNet),
}

impl Egress {
    /// As these variables say.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let mut set = names.into_iter().filter_map(|name| {
                let text = Zeroizing::new(variable(name)?);
                (!text.trim().is_empty()).then_some((name, text))
            });
            set.next()
        };
        let proxy = |names| {
            let (name, text) = first(names)?;
            let proxy = HttpProxy::parse(text.trim());
            Some(proxy.map(Arc::new).ok_or(Unusable(name)))
        };
        let direct = first(["no_proxy", "NO_PROXY"]);
        let direct = direct.as_ref().map_or("", |(_, text)| text.as_str());
        let items = direct
            .split([',', ' ', '\t'])
            .filter(|item| !item.is_empty());
        let (http, https) = (
            proxy(["http_proxy", "HTTP_PROXY"]),
            proxy(["https_proxy", "HTTPS_PROXY"]),
        );
        Self {
            http,
            https,
            direct: items.map(Direct::parse).collect(),
        }
    }

    /// The proxy through which this is to be called. If the variable names none, nothing is called: without the proxy the call
    /// would go another way than the operator wants.
    pub fn proxy_for(&self, target: &Url) -> Result<Option<&HttpProxy>, Unusable> {
        let proxy = match target.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let Some(proxy) = proxy else {
            return Ok(None);
        };
        if self.direct.iter().any(|item| item.covers(target)) {
            return Ok(None);
        }
        match proxy {
            Ok(proxy) => Ok(Some(proxy)),
            Err(unusable) => Err(*unusable),
        }
    }
}

impl HttpProxy {
    fn parse(text: &str) -> Option<Self> {
        let with_scheme = Zeroizing::new(if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        });
        let mut url = Url::parse(&with_scheme).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let mut authorization = None;
        if !url.username().is_empty() || url.password().is_some() {
            let decoded =
                |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
            let (user, password) = (
                decoded(url.username()),
                decoded(url.password().unwrap_or_default()),
            );
            // RFC 7617 §2
            let pair = Zeroizing::new([user.as_slice(), b":", password.as_slice()].concat());
            let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            authorization = Some(value);
            url.set_username("").ok()?;
            url.set_password(None).ok()?;
        }
        Some(Self { url, authorization })
    }
}

impl Direct {
    fn parse(item: &str) -> Self {
        let network = |text: &str| {
            let text = text.trim_matches(['[', ']']);
            let address = text.parse::<IpAddr>().ok().map(IpNet::from);
            address.or_else(|| text.parse().ok())
        };
        // An IPv6 address has colons of its own.
        let (host, port) = match (network(item), item.rsplit_once(':')) {
            (None, Some((host, port))) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (item, None),
            },
            _ => (item, None),
        };
        let what = match network(host) {
            _ if host == "*" => Target::Everything,
            Some(network) => Target::Network(network),
            None => {
                let name = host.trim_start_matches("*.").trim_matches('.');
                Target::Domain(name.to_ascii_lowercase())
            }
        };
        Self { port, what }
    }

    fn covers(&self, target: &Url) -> bool {
        if self.port.is_some() && self.port != target.port_or_known_default() {
            return false;
        }
        match (&self.what, target.host()) {
            (Target::Everything, _) => true,
            (Target::Domain(name), Some(Host::Domain(host))) => {
                let host = host.trim_end_matches('.');
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Target::Network(network), Some(Host::Ipv4(address))) => {
                network.contains(&IpAddr::from(address))
            }
            (Target::Network(network), Some(Host::Ipv6(address))) => {
                network.contains(&IpAddr::from(address))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for an address, where these variables are set.
    fn way(set: &[(&str, &str)], target: &str) -> Option<String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let egress = Egress::read(variable);
        let proxy = egress.proxy_for(&Url::parse(target).unwrap());
        proxy.unwrap().map(|proxy| proxy.url.to_string())
    }

    #[test]
    fn each_scheme_has_a_proxy_of_its_own_and_lower_case_has_precedence() {
        let both = [
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:2"),
            ("HTTP_PROXY", "plain:3"),
            ("http_proxy", " "),
        ];
        for (target, expected) in [
            ("https://id.example.com/token", Some("http://lower:2/")),
            ("http://id.example.com/token", Some("http://plain:3/")),
        ] {
            assert_eq!(way(&both, target).as_deref(), expected, "{target}");
        }
        assert_eq!(way(&[], "https://id.example.com"), None);
        assert_eq!(way(&both[2..], "https://id.example.com"), None);
        for unusable in ["socks5://proxy:1080", "http://", "ftp://x", "::"] {
            let egress = Egress::read(|name| match name {
                "HTTPS_PROXY" => Some(unusable.to_owned()),
                "NO_PROXY" => Some("id.internal".to_owned()),
                _ => None,
            });
            for (target, is_refused) in [
                ("https://id.example.com", true),
                ("https://id.internal", false),
                ("http://id.example.com", false),
            ] {
                let refused = egress.proxy_for(&Url::parse(target).unwrap()).err();
                let expected = is_refused.then_some(Unusable("HTTPS_PROXY"));
                assert_eq!(refused, expected, "{unusable} {target}");
            }
        }
    }

    #[test]
    fn what_no_proxy_names_is_called_directly() {
        for (no_proxy, target, is_direct) in [
            ("*", "https://id.example.com", true),
            ("example.com", "https://id.example.com", true),
            ("example.com", "https://example.com", true),
            (".Example.com", "https://ID.example.com.", true),
            ("*.example.com", "https://id.example.com", true),
            ("example.com", "https://notexample.com", false),
            ("id.example.com", "https://example.com", false),
            ("a.test, example.com", "https://id.example.com", true),
            ("a.test b.test", "https://b.test", true),
            ("example.com:443", "https://id.example.com", true),
            ("example.com:8443", "https://id.example.com", false),
            ("example.com:8443", "https://id.example.com:8443", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.1.2.3", "https://10.1.2.3:8443", true),
            ("10.1.2.3:443", "https://10.1.2.3:8443", false),
            ("10.0.0.0/8:8443", "https://10.1.2.3:8443", true),
            ("fd00::/8", "https://[fd00::1]", true),
            ("[fd00::1]", "https://[fd00::1]", true),
            ("[fd00::1]:443", "https://[fd00::1]", true),
            ("fd00::1", "https://[fd00::1]", true),
            ("fd00::2", "https://[fd00::1]", false),
            ("10.0.0.0/8", "https://id.example.com", false),
            (",,", "https://id.example.com", false),
            ("", "https://id.example.com", false),
        ] {
            let set = [("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", no_proxy)];
            let found = way(&set, target);
            assert_eq!(found.is_none(), is_direct, "{no_proxy} {target}");
        }
    }

    #[test]
    fn a_password_is_decoded_and_shown_to_nobody() {
        // F14; RFC 7617 §2
        let set = |name: &str| {
            (name == "https_proxy").then(|| "http://us%40er:can%3aary@proxy:3128".to_owned())
        };
        let egress = Egress::read(set);
        let target = Url::parse("https://id.example.com").unwrap();
        let proxy = egress.proxy_for(&target).unwrap().unwrap();
        let header = proxy.authorization.as_ref().unwrap();
        assert_eq!(header, "Basic dXNAZXI6Y2FuOmFyeQ==");
        let shown = format!("{egress:?} {proxy:?} {header:?}");
        for secret in ["can", "us%40er", "dXNAZXI"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
