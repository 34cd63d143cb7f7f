//! The headers for the upstream: which of the client's pass, and which sealgate adds.
//!
//! The credential is not among them: [`Call`](crate::proxy::call) adds it last.

use std::net::IpAddr;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, COOKIE, DNT,
    FORWARDED, HOST, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, InvalidHeaderValue,
    ORIGIN, PRAGMA, RANGE, REFERER, USER_AGENT, VIA,
};
use http::{HeaderMap, Version};

use super::identity::is_claim;
use super::{ConnectionOptions, is_hop_by_hop, trace};
use crate::names::Origin;
use crate::problem::Problem;
use crate::session::Jar;

/// Our name in `Via` (RFC 9110 §7.6.3). A request that already carries it has been here.
const PSEUDONYM: &str = "sealgate";

const UNFIT: Problem = Problem::BadRequest("a header cannot be forwarded");

/// All that the headers for an upstream depend on, beside the client's headers.
pub(in crate::proxy) struct UpstreamHeaders<'a> {
    /// `Host` of the upstream.
    pub(in crate::proxy) host: &'a HeaderValue,
    pub(in crate::proxy) origin: &'a Origin,
    pub(in crate::proxy) client: IpAddr,
    /// In lower case. It is meant for us, so it does not pass.
    pub(in crate::proxy) csrf_header: &'a str,
    /// Names of cookies that pass.
    pub(in crate::proxy) cookies: &'a [String],
    /// Further names that do not pass, in lower case. One that ends in `*` stands for all that begin like it.
    pub(in crate::proxy) strip_headers: &'a [String],
    /// Whether the route lists methods. Then headers that override the method do not pass.
    pub(in crate::proxy) restricts_methods: bool,
    /// The version in which the client's request came.
    pub(in crate::proxy) version: Version,
}

impl UpstreamHeaders<'_> {
    /// Makes the headers from those that the client sent, as far as they are `wanted`.
    ///
    /// The HTTP client adds the framing, which it knows.
    pub(in crate::proxy) fn headers(
        &self,
        received: &HeaderMap,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<HeaderMap, Problem> {
        let lines = |of| received.get_all(of).iter().map(HeaderValue::as_bytes);
        let options = ConnectionOptions::read(lines(CONNECTION));
        let via = self.via(lines(VIA))?;
        let cookies = self.cookies(lines(COOKIE));

        let mut out = HeaderMap::with_capacity(24);
        // RFC 9110 §7.2: first of all.
        out.insert(HOST, self.host.clone());
        for (name, value) in received {
            let text = name.as_str();
            let ends = (!is_usual(name) && (is_hop_by_hop(text) || is_not_the_clients(text)))
                || options.name(text)
                || self.takes(text);
            if wanted(text) && !ends {
                out.append(name, value.clone());
            }
        }
        self.add(&mut out, via, &cookies).map_err(|_| UNFIT)?;
        Ok(out)
    }

    fn add(
        &self,
        out: &mut HeaderMap,
        via: HeaderValue,
        cookies: &[u8],
    ) -> Result<(), InvalidHeaderValue> {
        if !cookies.is_empty() {
            out.insert(COOKIE, HeaderValue::from_bytes(cookies)?);
        }
        let scheme = if self.origin.is_secure() {
            "https"
        } else {
            "http"
        };
        let host = self.origin.authority();
        let address = written(self.client);
        let (open, close) = match self.client {
            IpAddr::V4(_) => ("", ""),
            IpAddr::V6(_) => ("\"[", "]\""), // RFC 7239 §6
        };
        let forwarded = [
            "for=",
            open,
            &address,
            close,
            ";host=\"",
            host,
            "\";proto=",
            scheme,
        ];
        let forwarded = forwarded.concat();
        out.insert(FORWARDED, HeaderValue::try_from(forwarded)?);
        let address = HeaderValue::try_from(address)?;
        out.insert(HeaderName::from_static("x-forwarded-for"), address);
        let host = HeaderValue::from_str(host)?;
        out.insert(HeaderName::from_static("x-forwarded-host"), host);
        let scheme = HeaderValue::from_static(scheme);
        out.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
        out.insert(VIA, via);
        Ok(())
    }

    /// Whether a header does not pass because of the frontend or the route.
    fn takes(&self, name: &str) -> bool {
        let is_method = || {
            matches!(
                name,
                "x-http-method" | "x-http-method-override" | "x-method-override"
            )
        };
        name == self.csrf_header
            || (self.restricts_methods && is_method())
            || self.strip_headers.iter().any(|strip| is_named(strip, name))
    }

    /// The `Via` to send (RFC 9110 §7.6.3).
    fn via<'h>(&self, lines: impl Iterator<Item = &'h [u8]>) -> Result<HeaderValue, Problem> {
        let own = match self.version {
            Version::HTTP_10 => "1.0 sealgate",
            Version::HTTP_2 => "2 sealgate",
            _ => "1.1 sealgate",
        };
        let mut via = String::new();
        for line in lines {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            for hop in line.split(',').map(str::trim).filter(|hop| !hop.is_empty()) {
                via.push_str(hop);
                via.push_str(", ");
            }
        }
        if via.is_empty() {
            return Ok(HeaderValue::from_static(own));
        }
        via.push_str(own);
        HeaderValue::try_from(via).map_err(|_| UNFIT)
    }

    /// The cookies that the route allows, never one of ours.
    fn cookies<'h>(&self, lines: impl Iterator<Item = &'h [u8]>) -> Vec<u8> {
        let mut kept = Vec::new();
        if self.cookies.is_empty() {
            return kept;
        }
        for pair in lines.flat_map(|line| line.split(|b| *b == b';')) {
            let pair = pair.trim_ascii();
            let Some((name, _)) =
                memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at))
            else {
                continue;
            };
            let name = std::str::from_utf8(name.trim_ascii()).unwrap_or_default();
            if self.cookies.iter().any(|allowed| allowed == name) && !Jar::is_ours(name) {
                if !kept.is_empty() {
                    kept.extend_from_slice(b"; ");
                }
                kept.extend_from_slice(pair);
            }
        }
        kept
    }
}

/// Refuses a request that has been here before (RFC 9110 §7.6.3). The caller asks before the request waits for its place at the
/// upstream: a loop may hold all places.
pub(in crate::proxy) fn check_loop(received: &HeaderMap) -> Result<(), Problem> {
    // The protocol comes first, then the name.
    let names_us = |hop: &str| hop.split_ascii_whitespace().nth(1) == Some(PSEUDONYM);
    let lines = received.get_all(VIA).iter().map(HeaderValue::as_bytes);
    // A line that is not UTF-8 cannot name us.
    let mut lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    if lines.any(|line| line.split(',').any(names_us)) {
        return Err(Problem::BadRequest(
            "the request has come back: a proxy loop",
        ));
    }
    Ok(())
}

/// Whether [`is_not_the_clients`] need not be asked: browsers and apps send these with nearly every request, and they pass.
const fn is_usual(name: &HeaderName) -> bool {
    matches!(
        *name,
        ACCEPT
            | ACCEPT_ENCODING
            | ACCEPT_LANGUAGE
            | CACHE_CONTROL
            | CONTENT_TYPE
            | DNT
            | IF_MODIFIED_SINCE
            | IF_NONE_MATCH
            | ORIGIN
            | PRAGMA
            | RANGE
            | REFERER
            | USER_AGENT
    )
}

/// Whether a header does not pass: it is meant for us, the HTTP client writes it, or only we may say what it says.
fn is_not_the_clients(name: &str) -> bool {
    let is_credential = matches!(
        name,
        "authorization"
            | "cookie"
            | "cookie2"
            | "dpop"
            | "forwarded"
            // CGI makes it `HTTP_PROXY`, which HTTP clients obey (CVE-2016-5385).
            | "proxy"
            | "via"
    );
    let is_framing = matches!(name, "content-length" | "expect" | "host");
    // CGI writes '-' as '_', and some servers replace all but letters and digits: they would take `x_forwarded-for`
    // and `x.forwarded.for` for our own header (CVE-2025-64484).
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    is_credential
        || is_framing
        || !name.bytes().all(is_plain)
        || trace::is_ours(name)
        || is_claim(name)
        || name == "x-sealgate-session"
}

/// An address as text. The standard library takes 1,300 instructions for an IPv4 address, a fiftieth of a whole request.
fn written(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        for (place, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / place % 10));
            }
        }
    }
    text
}

/// Whether an entry of `strip_headers` names this header.
fn is_named(strip: &str, name: &str) -> bool {
    match strip.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == strip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(received: &[(&str, &str)]) -> Result<HeaderMap, Problem> {
        let origin = Origin::parse("https://shop.example.com").unwrap();
        let outbound = UpstreamHeaders {
            host: &HeaderValue::from_static("orders.internal"),
            origin: &origin,
            client: "2001:db8::7".parse().unwrap(),
            csrf_header: "x-csrf",
            cookies: &["theme".to_owned(), "__Host-Http-shop".to_owned()],
            strip_headers: &["x-acme-user".to_owned(), "x-corp-*".to_owned()],
            restricts_methods: true,
            version: Version::HTTP_11,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in received {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        outbound.headers(&headers, |_| true)
    }

    fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_every_request_has_is_what_would_pass() {
        let usual = "accept accept-encoding accept-language cache-control content-type dnt if-modified-since if-none-match origin pragma range referer user-agent";
        for name in usual.split(' ') {
            assert!(is_usual(&HeaderName::from_static(name)), "{name}");
            assert!(!is_hop_by_hop(name) && !is_not_the_clients(name), "{name}");
        }
        for name in ["authorization", "cookie", "host", "via", "forwarded"] {
            assert!(!is_usual(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_the_connection_or_to_us_does_not_pass() {
        // D1, D3, D4, D5, D7, B54, A21
        let headers = sent(&[("host", "spoofed"), ("host", "twice")]).unwrap();
        assert_eq!(values(&headers, "host"), ["orders.internal"]);
        for name in [
            "authorization",
            "connection",
            "proxy-connection",
            "proxy-authorization",
            "proxy-authenticate",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "content-length",
            "expect",
            "authorization",
            "dpop",
            "cookie",
            "x-real-ip",
            "x-user",
            "x-user-email",
            "x-auth-request-user",
            "x-remote-user",
            "remote-user",
            "remote-groups",
            "x-original-url",
            "x-rewrite-url",
            "x-forwarded-user",
            "x-forwarded-prefix",
            "x-http-method-override",
            "x-csrf",
            "x_forwarded_user",
            "x-forwarded_for",
            "x_anything",
            // the route's own
            "x-acme-user",
            "x-corp-",
            "x-corp-role",
        ] {
            let headers = sent(&[(name, "spoofed")]).unwrap();
            assert_eq!(values(&headers, name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_the_request_passes_unchanged_and_in_order() {
        // D22
        for name in [
            "accept",
            "accept-encoding",
            "accept-language",
            "content-type",
            "content-encoding",
            "if-match",
            "if-none-match",
            "origin",
            "range",
            "referer",
            "sec-fetch-site",
            "upgrade-insecure-requests",
            "user-agent",
            "x-acme-user-agent",
            "x-anything",
            "x-corp",
        ] {
            let headers = sent(&[(name, "a"), (name, "b")]).unwrap();
            assert_eq!(values(&headers, name), ["a", "b"], "{name}");
        }
    }

    #[test]
    fn what_we_say_replaces_what_the_client_says() {
        // D3, D16, B54
        for (name, ours) in [
            (
                "forwarded",
                "for=\"[2001:db8::7]\";host=\"shop.example.com\";proto=https",
            ),
            ("x-forwarded-for", "2001:db8::7"),
            ("x-forwarded-host", "shop.example.com"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 sealgate"),
        ] {
            let received: &[(&str, &str)] = if name == "via" {
                &[]
            } else {
                &[(name, "spoofed"), (name, "twice")]
            };
            let headers = sent(received).unwrap();
            assert_eq!(values(&headers, name), [ours], "{name}");
        }
    }

    #[test]
    fn every_octet_is_written_as_the_standard_library_writes_it() {
        for octet in 0..=255 {
            let address = IpAddr::from([octet, 0, 255 - octet, octet]);
            assert_eq!(written(address), address.to_string());
        }
        let address: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(written(address), "2001:db8::7");
    }

    #[test]
    fn connection_removes_what_the_client_sent_but_never_what_we_add() {
        // D1, D2 (CVE-2025-48865)
        let headers = sent(&[
            ("connection", "Authorization, x-forwarded-for , X-Hop"),
            ("connection", "via,forwarded,cookie, close"),
            ("x-hop", "1"),
            ("x-stays", "1"),
            ("cookie", "theme=dark"),
        ])
        .unwrap();
        assert_eq!(values(&headers, "x-hop"), Vec::<String>::new());
        assert_eq!(values(&headers, "x-stays"), ["1"]);
        assert_eq!(values(&headers, "x-forwarded-for"), ["2001:db8::7"]);
        assert_eq!(values(&headers, "via"), ["1.1 sealgate"]);
    }

    #[test]
    fn cookies_pass_by_name_and_never_ours() {
        // D5
        for (received, expect) in [
            (vec!["theme=dark"], vec!["theme=dark"]),
            (vec!["a=1; theme=dark ;b=2"], vec!["theme=dark"]),
            (vec!["theme=a", "x=1;theme=b"], vec!["theme=a; theme=b"]),
            (vec!["__Host-Http-shop=sealed; theme=x"], vec!["theme=x"]),
            (vec!["__Host-Http-shop=sealed"], vec![]),
            (vec!["Theme=x; theme; =theme; themes=y"], vec![]),
            (vec!["theme=\"a; __Host-Http-shop=b\""], vec!["theme=\"a"]),
        ] {
            let fields: Vec<_> = received.iter().map(|line| ("cookie", *line)).collect();
            let headers = sent(&fields).unwrap();
            assert_eq!(values(&headers, "cookie"), expect, "{received:?}");
        }
    }

    #[test]
    fn via_grows_and_a_loop_is_refused() {
        // D17
        let headers = sent(&[("via", "1.1 cdn, 2 edge (x)"), ("via", "1.0 lb")]).unwrap();
        assert_eq!(
            values(&headers, "via"),
            ["1.1 cdn, 2 edge (x), 1.0 lb, 1.1 sealgate"]
        );
        assert!(check_loop(&headers).is_err(), "what we send is ours");
        let others =
            HeaderMap::from_iter([(VIA, "1.1 cdn, 2 sealgates, sealgate".parse().unwrap())]);
        assert!(check_loop(&others).is_ok());
        for looped in ["1.1 sealgate", "1.1 cdn,1.1  sealgate (x), 1.1 b"] {
            let headers = HeaderMap::from_iter([(VIA, looped.parse().unwrap())]);
            let problem = check_loop(&headers).unwrap_err();
            assert_eq!(problem.code(), "bad-request", "{looped}");
        }
    }
}
