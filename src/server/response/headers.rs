//! The headers that sealgate adds to an answer.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::api;
use crate::frontend::{Frontend, Hsts};
use crate::session::SetCookies;

/// Headers of an answer that is ours from the first to the last byte.
pub(super) fn of_our_own(headers: &mut HeaderMap) {
    // The client module says itself how long it may be kept.
    if !headers.contains_key(header::CACHE_CONTROL) {
        set(headers, header::CACHE_CONTROL, "no-store");
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(
        headers,
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(headers, header::VARY, "Cookie, Origin, Sec-Fetch-Site");
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        set(
            headers,
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        );
    }
}

/// Tells browsers to use only TLS for this host from now on (RFC 6797). This is the one place that sets the header.
pub(super) fn strict_transport_security(headers: &mut HeaderMap, frontend: &Frontend) {
    if !frontend.origin.is_secure() {
        return;
    }
    match &frontend.hsts {
        Hsts::Default => set(
            headers,
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        ),
        Hsts::None => {}
        Hsts::Own(value) => {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
            }
        }
    }
}

/// Sets cookies, and lets no cache keep the answer.
pub(super) fn cookies(headers: &mut HeaderMap, cookies: &SetCookies) {
    if cookies.is_empty() {
        return;
    }
    // What an upstream said about caching no longer holds.
    for name in [header::EXPIRES, header::PRAGMA, header::AGE, header::ETAG] {
        headers.remove(name);
    }
    // Who compresses a stream of events holds them back. An answer that forbids it does so still (RFC 9111 §5.2.2.6).
    let control = if has_directive(headers, "no-transform") {
        "no-store, no-transform"
    } else {
        "no-store"
    };
    set(headers, header::CACHE_CONTROL, control);
    for (name, bytes, attributes) in cookies.described() {
        log::debug!(cookie = name, bytes = bytes, attributes = attributes; "cookie");
    }
    for line in cookies.lines() {
        if let Ok(value) = HeaderValue::try_from(line) {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// Tells the client which session it talks with.
pub(super) fn session(headers: &mut HeaderMap, mark: &str) {
    if let Ok(mark) = HeaderValue::try_from(mark) {
        headers.insert(api::SESSION_HEADER, mark);
    }
}

/// The nonce for an app's next proof (RFC 9449 §8.2).
pub(super) fn nonce(headers: &mut HeaderMap, nonce: Option<&str>) {
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        headers.insert(HeaderName::from_static("dpop-nonce"), nonce);
    }
}

/// The id that the log has for the request.
pub(super) fn request_id(headers: &mut HeaderMap, id: &HeaderValue) {
    headers.insert(HeaderName::from_static("x-request-id"), id.clone());
}

fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    directives.any(|directive| directive.trim().eq_ignore_ascii_case(name))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
