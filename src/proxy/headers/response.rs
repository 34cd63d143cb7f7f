//! The headers for the client: which of the upstream's pass, and which sealgate adds.

use http::Uri;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use url::Url;

use super::{ConnectionOptions, cache, is_hop_by_hop, location};
use crate::frontend::{Forward, Matched};
use crate::session::Jar;

/// Of an upstream's headers so many do not pass, mostly. More of them cost one more allocation.
const MOST_ENDING: usize = 6;

/// All that the headers for the client depend on, beside the upstream's headers.
pub(in crate::proxy) struct ClientHeaders<'a> {
    pub(in crate::proxy) forward: &'a Forward,
    pub(in crate::proxy) matched: Matched<'a, 'a>,
    /// The URL that was asked for.
    pub(in crate::proxy) asked: &'a Uri,
    /// The upstream's own URL, with its prefix.
    pub(in crate::proxy) upstream: &'a Url,
    /// Whether the answer belongs to one user.
    pub(in crate::proxy) is_private: bool,
    /// Whether the answer is a 304. Its `Content-Length` passes although it has no body (RFC 9110 §8.6), and its type and
    /// policy do not pass.
    pub(in crate::proxy) is_not_modified: bool,
}

impl ClientHeaders<'_> {
    /// Makes the headers from the upstream's. The server adds the framing, which it knows.
    ///
    /// Most headers pass, so what does not pass is taken out.
    pub(in crate::proxy) fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        let lines = headers.get_all(CONNECTION).iter();
        let options = ConnectionOptions::read(lines.map(HeaderValue::as_bytes));
        let mut ending = Vec::with_capacity(MOST_ENDING);
        let mut judged = Vec::new();
        for name in headers.keys() {
            if self.ends(name) || options.name(name.as_str()) {
                ending.push(name.clone());
            } else if matches!(*name, SET_COOKIE | CONTENT_LOCATION | LOCATION) {
                judged.push(name.clone());
            }
        }
        for name in ending {
            headers.remove(name);
        }
        for name in judged {
            let lines = headers.get_all(&name).iter();
            let passing: Vec<_> = match name {
                SET_COOKIE => {
                    let passing = lines.filter(|line| self.lets_set(line.as_bytes()));
                    passing.cloned().collect()
                }
                _ => lines
                    .filter_map(|line| self.location(line.as_bytes()))
                    .collect(),
            };
            headers.remove(&name);
            for line in passing {
                headers.append(&name, line);
            }
        }
        self.add(&mut headers);
        headers
    }

    /// Whether no header of this name passes.
    fn ends(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        let is_page = self.forward.documents.is_some();
        match *name {
            CONTENT_LENGTH => !self.is_not_modified,
            CONTENT_SECURITY_POLICY | CONTENT_TYPE => self.is_not_modified,
            _ => {
                !is_usual(name)
                    && (is_hop_by_hop(text) || (ends_here(text) && !(is_page && is_of_page(text))))
            }
        }
    }

    fn add(&self, out: &mut HeaderMap) {
        if self.is_private {
            let lines = out.get_all(CACHE_CONTROL).iter();
            let control = cache::for_one_user(lines.map(HeaderValue::as_bytes));
            out.insert(CACHE_CONTROL, control);
            out.append(VARY, HeaderValue::from_static("cookie"));
        }
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        out.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        );
        if self.forward.documents.is_some() {
            return;
        }
        // A browser would show a document of the API as one of our origin, so it must not run anything. A browser
        // enforces all policies of an answer, so ours stands beside the upstream's.
        // A 304 replaces headers of the stored answer (RFC 9111 §4.3.4). Type and policy were decided when it was stored,
        // so neither the upstream nor we say them again.
        let mut types = out.get_all(CONTENT_TYPE).iter();
        let only = types.next().filter(|_| types.next().is_none());
        if !self.is_not_modified && !only.is_some_and(is_inert) {
            out.append(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("sandbox; default-src 'none'"),
            );
        }
    }

    fn location(&self, value: &[u8]) -> Option<HeaderValue> {
        let value = std::str::from_utf8(value).ok()?;
        let asked = Url::parse(&self.asked.to_string()).ok()?;
        let mount = self.matched.mount();
        let mount = self.forward.strip_prefix.then_some(mount);
        let rewritten = location::rewrite(value, &asked, self.upstream, mount)?;
        HeaderValue::try_from(rewritten).ok()
    }

    /// Whether an upstream's cookie passes: the route names it, it is not ours, and it is for this host only.
    fn lets_set(&self, cookie: &[u8]) -> bool {
        let Ok(cookie) = std::str::from_utf8(cookie) else {
            return false;
        };
        let mut parts = cookie.split(';');
        let Some((name, _)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return false;
        };
        let name = name.trim();
        let names_domain = parts.any(|attribute| {
            let attribute = attribute.split('=').next().unwrap_or_default();
            attribute.trim().eq_ignore_ascii_case("domain")
        });
        !names_domain
            && self
                .forward
                .set_cookies
                .iter()
                .any(|allowed| allowed == name)
            && !Jar::is_ours(name)
    }
}

/// Whether [`ends_here`] need not be asked: nearly every answer has these, and they pass.
const fn is_usual(name: &HeaderName) -> bool {
    matches!(
        *name,
        ACCEPT_RANGES
            | CACHE_CONTROL
            | CONTENT_ENCODING
            | CONTENT_LANGUAGE
            | CONTENT_LENGTH
            | CONTENT_TYPE
            | DATE
            | ETAG
            | EXPIRES
            | LAST_MODIFIED
            | VARY
    )
}

/// Whether a header does not pass: the browser does not need it, or it would speak for our whole origin.
fn ends_here(name: &str) -> bool {
    matches!(
        name,
        // Policy of the whole origin, or of who may read it.
        "accept-ch"
            | "activate-storage-access"
            | "alt-svc"
            | "clear-site-data"
            | "critical-ch"
            | "cross-origin-resource-policy"
            | "expect-ct"
            | "idp-signin-status"
            | "nel"
            | "observe-browsing-topics"
            | "origin-agent-cluster"
            | "origin-trial"
            | "report-to"
            | "reporting-endpoints"
            | "service-worker-allowed"
            | "set-login"
            | "shared-storage-write"
            | "strict-transport-security"
            | "supports-loading-mode"
            | "timing-allow-origin"
            | "x-content-type-options"
            // The browser would load or keep something for later answers of our origin (HTML §7.6.3, RFC 9842).
            | "speculation-rules"
            | "use-as-dictionary"
            // A challenge is for the holder of the token. A browser would show a password dialog.
            | "authentication-info"
            | "dpop-nonce"
            | "www-authenticate"
            // Commands to a proxy or cache in front of us, which would obey.
            | "surrogate-control"
            | "x-accel-charset"
            | "x-accel-expires"
            | "x-accel-limit-rate"
            | "x-accel-redirect"
            | "x-lighttpd-send-file"
            | "x-sendfile"
            // They name software and hosts behind us, or are obsolete ways around the rules above.
            | "refresh"
            | "server"
            | "set-cookie2"
            | "via"
            | "x-aspnet-version"
            | "x-aspnetmvc-version"
            | "x-powered-by"
            // Ours.
            | "x-sealgate-session"
    ) || name.starts_with("access-control-")
        || name.starts_with("ad-auction-")
        || name.starts_with("attribution-reporting-")
        // Sessions bound to a device (DBSC), under both of its names. The sessions here are ours.
        || name.starts_with("sec-session-")
        || name.starts_with("secure-session-")
        || name.starts_with("public-key-pins")
        // RFC 9213: targeted fields such as `CDN-Cache-Control` win over `Cache-Control`.
        || name.ends_with("-cache-control")
}

/// Whether a header that an API may not send speaks for the pages of the origin, which are the upstream's own on a route that
/// answers pages. CORS, cookies, caches and TLS of the origin stay ours.
fn is_of_page(name: &str) -> bool {
    matches!(
        name,
        "accept-ch"
            | "critical-ch"
            | "origin-agent-cluster"
            | "origin-trial"
            | "refresh"
            | "report-to"
            | "reporting-endpoints"
            | "service-worker-allowed"
            | "speculation-rules"
            | "supports-loading-mode"
    )
}

/// Whether a browser runs nothing in a document of this type.
///
/// Browsers split the value at commas and take the last type that they know (Fetch §2.2.6). So a value with a comma may
/// be any type.
fn is_inert(content_type: &HeaderValue) -> bool {
    let Ok(content_type) = content_type.to_str() else {
        return false;
    };
    if content_type.contains(',') {
        return false;
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("application", kind)) => {
            matches!(
                kind,
                "cbor"
                    | "gzip"
                    | "json"
                    | "octet-stream"
                    | "pdf"
                    | "protobuf"
                    | "x-ndjson"
                    | "x-protobuf"
                    | "zip"
            ) || kind.ends_with("+json")
        }
        Some(("audio" | "font" | "video", _)) => true,
        Some(("image", kind)) => !kind.contains("xml"),
        Some(("text", kind)) => matches!(kind, "csv" | "event-stream" | "plain"),
        _ => false,
    }
}

/// The `Content-Length` of an answer to `HEAD`, which has no body to measure.
pub(in crate::proxy) fn content_length(received: &HeaderMap) -> Option<u64> {
    let value = received.get(CONTENT_LENGTH)?.to_str().ok()?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::samples::route;
    use crate::frontend::{Action, WebSocket};
    use crate::names::RequestPath;

    fn passed(is_private: bool, received: &[(&'static str, &'static str)]) -> HeaderMap {
        passed_as(is_private, false, received)
    }

    fn passed_as(
        is_private: bool,
        is_not_modified: bool,
        received: &[(&'static str, &'static str)],
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in received {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let route = route("/api/orders");
        let Action::Forward(forward) = &route.action else {
            unreachable!("tests forward");
        };
        let mut forward = forward.clone();
        forward.set_cookies = vec!["theme".to_owned(), "__Host-Http-shop".to_owned()];
        let inbound = ClientHeaders {
            forward: &forward,
            matched: Matched {
                route: &route,
                path: RequestPath::parse("/api/orders/7").unwrap(),
                rest: "/7",
                websocket: WebSocket::NotAsked,
            },
            asked: &Uri::from_static("http://orders.internal/v1/7"),
            upstream: &Url::parse("http://orders.internal/v1").unwrap(),
            is_private,
            is_not_modified,
        };
        inbound.headers(headers)
    }

    fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_every_answer_has_is_what_would_pass() {
        let usual = "accept-ranges cache-control content-encoding content-language content-length content-type date etag expires last-modified vary";
        for name in usual.split(' ') {
            assert!(is_usual(&HeaderName::from_static(name)), "{name}");
            assert!(!is_hop_by_hop(name) && !ends_here(name), "{name}");
        }
        for name in ["server", "set-cookie", "connection", "x-acme"] {
            assert!(!is_usual(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn an_upstream_says_nothing_about_our_origin() {
        // A17, B57, D1, D25, D26
        for name in [
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "clear-site-data",
            "strict-transport-security",
            "alt-svc",
            "service-worker-allowed",
            "www-authenticate",
            "public-key-pins",
            "public-key-pins-report-only",
            "server",
            "x-powered-by",
            "set-cookie",
            "set-cookie2",
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
            "cdn-cache-control",
            "x-accel-redirect",
            "via",
            // R of the review
            "accept-ch",
            "activate-storage-access",
            "attribution-reporting-register-source",
            "critical-ch",
            "idp-signin-status",
            "origin-trial",
            "sec-session-registration",
            "secure-session-challenge",
            "secure-session-registration",
            "set-login",
            "speculation-rules",
            "supports-loading-mode",
            "use-as-dictionary",
        ] {
            let headers = passed(false, &[(name, "x")]);
            assert_eq!(values(&headers, name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_the_answer_passes() {
        // D22, D41
        for name in [
            "accept-ranges",
            "allow",
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-range",
            "date",
            "etag",
            "last-modified",
            "link",
            "retry-after",
            "vary",
            "x-accel-buffering",
            "x-anything",
        ] {
            let headers = passed(false, &[(name, "a"), (name, "b")]);
            assert_eq!(values(&headers, name), ["a", "b"], "{name}");
        }
    }

    #[test]
    fn connection_removes_headers_of_the_upstream_but_none_of_ours() {
        // D1, D2
        let headers = passed(
            true,
            &[
                ("connection", "X-Hop, cache-control, x-content-type-options"),
                ("x-hop", "1"),
                ("cache-control", "public, max-age=9"),
            ],
        );
        assert_eq!(values(&headers, "x-hop"), Vec::<String>::new());
        assert_eq!(values(&headers, "cache-control"), ["no-store"]);
        assert_eq!(values(&headers, "x-content-type-options"), ["nosniff"]);
    }

    #[test]
    fn set_cookie_passes_by_name_without_domain_and_never_ours() {
        // D25
        for (cookie, passes) in [
            ("theme=dark; Path=/; HttpOnly", true),
            (" theme =dark", true),
            ("theme=dark; Domain=example.com", false),
            ("theme=dark; domain", false),
            ("other=1", false),
            ("__Host-Http-shop=x; Path=/; Secure", false),
            ("theme", false),
            ("=theme=x", false),
        ] {
            let headers = passed(false, &[("set-cookie", cookie)]);
            assert_eq!(headers.contains_key("set-cookie"), passes, "{cookie}");
        }
    }

    #[test]
    fn an_answer_for_one_user_says_so_to_caches() {
        // D28
        let headers = passed(
            true,
            &[("cache-control", "public, max-age=9"), ("vary", "accept")],
        );
        assert_eq!(values(&headers, "cache-control"), ["max-age=9, private"]);
        assert_eq!(values(&headers, "vary"), ["accept", "cookie"]);
        let headers = passed(true, &[("expires", "Fri, 01 Jan 2100 00:00:00 GMT")]);
        assert_eq!(values(&headers, "cache-control"), ["no-store"]);
        let headers = passed(false, &[("cache-control", "public")]);
        assert_eq!(values(&headers, "cache-control"), ["public"]);
        assert!(!headers.contains_key("vary"));
    }

    #[test]
    fn documents_of_an_api_are_sandboxed() {
        // D40
        for (content_type, inert) in [
            ("application/json", true),
            ("application/problem+json; charset=utf-8", true),
            ("Text/Plain", true),
            ("text/event-stream", true),
            ("image/png", true),
            ("application/pdf", true),
            ("text/html", false),
            ("text/html;x=application/json", false),
            ("application/xhtml+xml", false),
            ("text/xml", false),
            ("image/svg+xml", false),
            ("text/javascript", false),
            ("nonsense", false),
            ("", false),
        ] {
            let headers = passed(false, &[("content-type", content_type)]);
            let policy = values(&headers, "content-security-policy");
            assert_eq!(policy.is_empty(), inert, "{content_type}");
            assert_eq!(values(&headers, "x-content-type-options"), ["nosniff"]);
        }
        let policies = values(
            &passed(false, &[("content-security-policy", "img-src *")]),
            "content-security-policy",
        );
        assert_eq!(policies, ["img-src *", "sandbox; default-src 'none'"]);
    }

    #[test]
    fn a_304_leaves_type_and_policy_of_what_a_cache_has() {
        // R of the review, RFC 9111 §4.3.4: what it says replaces what was stored.
        let received = [
            ("content-type", "text/html"),
            ("content-security-policy", "img-src *"),
            ("etag", "\"1\""),
            ("content-length", "7"),
        ];
        let headers = passed_as(false, true, &received);
        assert_eq!(values(&headers, "content-type"), Vec::<String>::new());
        assert!(!headers.contains_key("content-security-policy"));
        assert_eq!(values(&headers, "etag"), ["\"1\""]);
        assert_eq!(values(&headers, "content-length"), ["7"]);
        assert_eq!(values(&headers, "x-content-type-options"), ["nosniff"]);
    }

    #[test]
    fn a_redirect_to_the_upstream_becomes_one_to_the_route() {
        // D34
        let headers = passed(false, &[("location", "http://orders.internal/v1/8")]);
        assert_eq!(values(&headers, "location"), ["/api/orders/8"]);
        let headers = passed(false, &[("location", "http://orders.internal/admin")]);
        assert!(!headers.contains_key("location"));
    }
}
