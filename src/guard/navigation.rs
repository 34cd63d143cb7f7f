//! Does a person read the answer, or a script?
//!
//! A navigation gets a page, a script gets JSON. `server::response`, `assets` and [`admit`](super::admit) ask.
//!
//! # Spec
//! Fetch Metadata Request Headers (W3C) §2.2; RFC 9110 §12.5.1 (`Accept`).
//!
//! # Why `Sec-Fetch-Dest` does not count
//! A service worker that passes a navigation on with `fetch(event.request)` keeps its mode, but its destination becomes `empty`.

use http::header::{self, HeaderMap, HeaderName};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request is a navigation. An old browser does not say so, but asks for HTML.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    match mode(headers) {
        Some(mode) => mode == b"navigate",
        None => accepts_html(headers),
    }
}

/// Whether the request says that it is not a navigation.
pub fn is_fetch(headers: &HeaderMap) -> bool {
    mode(headers).is_some_and(|mode| mode != b"navigate")
}

/// Whether a person waits for a page: a navigation that asks for HTML by name.
pub fn wants_page(headers: &HeaderMap) -> bool {
    is_navigation(headers) && accepts_html(headers)
}

/// Whether the answer is for a frame in a page.
pub fn is_framed(headers: &HeaderMap) -> bool {
    destination(headers).is_some_and(|to| {
        matches!(
            to,
            b"embed" | b"fencedframe" | b"frame" | b"iframe" | b"object"
        )
    })
}

/// Where the request comes from: `Sec-Fetch-Site`.
pub fn site(headers: &HeaderMap) -> Option<&[u8]> {
    headers
        .get(SEC_FETCH_SITE)
        .map(header::HeaderValue::as_bytes)
}

/// What the answer is for: `Sec-Fetch-Dest`.
pub(super) fn destination(headers: &HeaderMap) -> Option<&[u8]> {
    headers
        .get(SEC_FETCH_DEST)
        .map(header::HeaderValue::as_bytes)
}

fn mode(headers: &HeaderMap) -> Option<&[u8]> {
    headers
        .get(SEC_FETCH_MODE)
        .map(header::HeaderValue::as_bytes)
}

/// Whether `Accept` names HTML. `*/*` does not count: scripts and command lines send it.
fn accepts_html(headers: &HeaderMap) -> bool {
    let mut lines = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines.any(|line| {
        line.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_html = parts
                .next()
                .is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
            let mut quality = parts.filter_map(|part| part.strip_prefix("q="));
            let is_refused = quality
                .next()
                .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            is_html && !is_refused
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    #[test]
    fn a_navigation_says_so_or_asks_for_html() {
        // N8, B17
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (mode, accept, navigates, waits) in [
            (Some("navigate"), Some(chromium), true, true),
            (Some("navigate"), Some("*/*"), true, false),
            (Some("navigate"), None, true, false),
            (Some("cors"), Some("text/html"), false, false),
            (Some("no-cors"), Some("*/*"), false, false),
            (Some("same-origin"), Some("text/html"), false, false),
            (None, Some(chromium), true, true),
            (
                None,
                Some("application/json, Text/HTML; charset=utf-8"),
                true,
                true,
            ),
            (None, Some("text/html;q=0"), false, false),
            (None, Some("text/html; q=0.0, */*"), false, false),
            (None, Some("text/html;q=0.1"), true, true),
            (None, Some("*/*"), false, false),
            (None, Some("text/*"), false, false),
            (None, Some("text/htmlx"), false, false),
            (None, None, false, false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(SEC_FETCH_MODE, mode), (header::ACCEPT, accept)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            let got = (is_navigation(&headers), wants_page(&headers));
            assert_eq!(got, (navigates, waits), "{mode:?} {accept:?}");
        }
    }
}
