//! The headers of a file.

use std::time::SystemTime;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

/// On every file: who may frame it, what it tells others (F10, F11).
const SECURITY: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "browsing-topics=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// So many headers at most come to those of [`of`]. More of them cost one more allocation.
const MOST_ADDED: usize = 10;

/// What the headers of a file depend on.
pub(super) struct Facts<'f> {
    /// The tag of the bare file.
    pub(super) tag: &'f HeaderValue,
    pub(super) modified_at: Option<SystemTime>,
    /// Whether the name changes with the content.
    pub(super) is_immutable: bool,
    /// Whether it comes in more than one form.
    pub(super) varies: bool,
}

/// What every answer with a file says of it, a 304 too: they are made once for a file.
pub(super) fn of(facts: &Facts<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(SECURITY.len() + MOST_ADDED);
    headers.insert(ETAG, facts.tag.clone());
    let modified_at = facts.modified_at.map(httpdate::fmt_http_date);
    if let Some(Ok(date)) = modified_at.map(HeaderValue::try_from) {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let control = if facts.is_immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    if facts.varies {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// Puts the configured headers in place of those that a file has.
pub(super) fn replace(headers: &mut HeaderMap, by: &[(String, String)]) {
    for (name, value) in by {
        let name = HeaderName::try_from(name.as_str());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            continue;
        };
        if value.is_empty() {
            headers.remove(name);
        } else {
            headers.insert(name, value);
        }
    }
}
