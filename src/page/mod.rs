//! The frame of every page that sealgate shows to a person in its own name.
//!
//! # Invariants
//! - Static text and escaped values only; nothing that came with a request is shown as markup (B18).
//! - One style, inline; the content security policy allows it by its hash, and nothing else to be loaded.
//!
//! # Spec
//! CSP Level 3 §6.7.3.2 (hashes); WCAG 2.2 for what `page.css` may do.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(STYLE));

/// A whole document. `title` is text; `body` is markup whose values are [`escape`]d.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        escape(title)
    )
}

/// The policy of such a document. Who may frame it is `ancestors`; a script that stands in it has to be named.
pub(crate) fn policy(ancestors: &str, script: Option<&str>) -> String {
    let script = script.map_or_else(String::new, |text| format!("script-src {}; ", source(text)));
    format!(
        "default-src 'none'; {script}style-src {}; frame-ancestors {ancestors}; base-uri 'none'; form-action 'none'",
        *STYLE_SOURCE
    )
}

/// Text for HTML, in elements and in quoted attributes.
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

fn source(text: &str) -> String {
    format!(
        "'sha256-{}'",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
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
