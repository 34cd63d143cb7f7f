//! Page or JSON: who reads a problem, and which form the client prefers.
//!
//! # Spec
//! RFC 9110 §12.5.1 (`Accept`).

use http::header::{self, HeaderMap};

use crate::frontend::Reader;
use crate::guard;

/// Whether a problem is told by a page: a person waits for one, and does not prefer JSON.
pub(super) fn wants_page(headers: &HeaderMap, reader: Option<Reader>) -> bool {
    let is_for_person = reader == Some(Reader::Person) && !guard::is_fetch(headers);
    (guard::wants_page(headers) || is_for_person) && !prefers_json(headers)
}

/// Whether `Accept` ranks JSON above HTML. A page is the default.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let quality = |wanted: &[&str]| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next()?;
                wanted
                    .iter()
                    .any(|name| media.eq_ignore_ascii_case(name))
                    .then(|| {
                        parts
                            .find_map(|part| part.strip_prefix("q="))
                            .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0))
                    })
            })
            .fold(0.0, f32::max)
    };
    quality(&["application/problem+json", "application/json"])
        > quality(&["text/html", "application/xhtml+xml"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    #[test]
    fn a_page_is_the_default_and_json_has_to_be_preferred() {
        for (accept, want) in [
            ("", false),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            ("application/json", true),
            ("application/problem+json", true),
            ("text/html;q=0.5, application/problem+json", true),
            ("text/html, application/json;q=0.9", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_json(&headers), want, "{accept}");
        }
    }
}
