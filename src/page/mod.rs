//! The frame of every page of its own that sealgate shows to a person.
//!
//! # Invariants
//! - A page has static text and escaped values only. Nothing that came with a request is shown as markup.
//! - There is one inline style. The content security policy allows it by its hash, and allows nothing else to load.
//!
//! # Spec
//! CSP Level 3 §6.7.3.2 (hashes); WCAG 2.2 for what `page.css` may do.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(STYLE));

/// A whole document. `title` is text. `body` is markup whose values are [`escape`]d.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        escape(title)
    )
}

/// The content security policy of such a document. `ancestors` may frame it. A `script` that stands in it must be given.
pub(crate) fn policy(ancestors: &str, script: Option<&str>) -> String {
    let script = script.map_or_else(String::new, |text| format!("script-src {}; ", source(text)));
    format!(
        "default-src 'none'; {script}style-src {}; frame-ancestors {ancestors}; base-uri 'none'; form-action 'none'",
        *STYLE_SOURCE
    )
}

/// Escapes text for HTML elements and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A script or style that stands in a page, as a policy names it (CSP Level 3 §2.3.1).
pub(crate) fn source(text: impl AsRef<[u8]>) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        // B18
        assert_eq!(
            escape("<a href=\"x\" b='y'>&"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;"
        );
        assert!(document("</title>", "").contains("<title>&lt;/title&gt;</title>"));
    }

    #[test]
    fn a_script_is_allowed_only_where_there_is_one() {
        assert!(!policy("'none'", None).contains("script-src"));
        assert!(policy("'self'", Some("1")).contains("script-src 'sha256-"));
    }
}
