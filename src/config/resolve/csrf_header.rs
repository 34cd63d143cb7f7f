//! `frontend.<name>.csrf_header`: a header that only the app's own script can send.
//!
//! # Spec
//! Fetch, "CORS-safelisted request-header" and "forbidden request-header"; RFC 9110, RFC 9218 (`Priority`), RFC 7239
//! (`Forwarded`), W3C Trace Context.

use super::check::is_token;
use super::resolver::Resolver;
use crate::config::key_path::KeyPath;

/// Browsers send these themselves, or let a foreign page send them without a CORS preflight.
const FROM_BROWSERS: [&str; 42] = [
    "alt-used",
    "attribution-reporting-eligible",
    "attribution-reporting-support",
    "authorization",
    "available-dictionary",
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "device-memory",
    "dictionary-id",
    "dnt",
    "downlink",
    "dpr",
    "ect",
    "expect",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "origin",
    "ping-from",
    "ping-to",
    "pragma",
    "priority",
    "purpose",
    "range",
    "referer",
    "rtt",
    "save-data",
    "service-worker",
    "service-worker-navigation-preload",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
    "viewport-width",
    "width",
    "x-purpose",
];

const FAMILIES_FROM_BROWSERS: [&str; 8] = [
    "accept",
    "access-control-",
    "content-",
    "if-",
    "sec-",
    "te",
    "upgrade",
    "x-moz",
];

/// Proxies, balancers, content delivery networks and tracers on the way add these to whatever comes along.
const FROM_PROXIES: [&str; 21] = [
    "b3",
    "baggage",
    "client-ip",
    "early-data",
    "forwarded",
    "front-end-https",
    "max-forwards",
    "surrogate-capability",
    "traceparent",
    "tracestate",
    "true-client-ip",
    "uber-trace-id",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-correlation-id",
    "x-request-id",
    "x-request-start",
    "x-scheme",
    "x-url-scheme",
    "x-varnish",
];

const FAMILIES_FROM_PROXIES: [&str; 21] = [
    "akamai-",
    "cdn-",
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-",
    "proxy-",
    "x-akamai-",
    "x-amz",
    "x-amzn",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-b3-",
    "x-cloud-trace-",
    "x-datadog-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-real-",
    "x-vercel-",
];

/// The name in lower case, if its presence proves something.
pub(super) fn resolve(resolver: &mut Resolver<'_>, at: &KeyPath, text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let is_of = |names: &[&str], families: &[&str]| {
        let is_family = |family: &&str| match family.strip_suffix('-') {
            Some(_) => name.starts_with(*family),
            // One word, by itself and with more behind it.
            None => name
                .strip_prefix(*family)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
        };
        names.contains(&&*name) || families.iter().any(is_family)
    };
    let remedy = "write one such as \"X-CSRF\"";
    let fine = resolver.ensure(
        is_token(&name),
        at,
        "this is not the name of a header",
        remedy,
    ) && resolver.ensure(
        !is_of(&FROM_BROWSERS, &FAMILIES_FROM_BROWSERS),
        at,
        "a foreign page can make a browser send this header, so it proves nothing",
        remedy,
    ) && resolver.ensure(
        !is_of(&FROM_PROXIES, &FAMILIES_FROM_PROXIES),
        at,
        "proxies on the way add this header to requests of foreign pages, so it proves nothing",
        remedy,
    );
    if name == "x-requested-with" {
        resolver.warn(
            at,
            "Android's WebView adds this header to every request, also to those of foreign pages: use another name, such as X-CSRF",
        );
    }
    fine.then_some(name)
}
