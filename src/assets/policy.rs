//! What a page may load: the default Content-Security-Policy.
//!
//! # Spec
//! CSP Level 3 §6.7.3.3 (hashes of inline scripts), §8.3 (`'unsafe-hashes'`); HTML §8.1.8 (event-handler attributes).
//!
//! # Why styles have no hashes
//! Frameworks write styles into the page while it runs. A hash would switch `'unsafe-inline'` off (CSP §6.7.3.2).

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::page;

/// Most hashes that a policy names: a header has limits.
const MOST: usize = 64;

/// The sources of scripts that stand in this page itself, as `script-src` lists them; each has a space before it.
pub(super) fn inline_scripts(page: &[u8]) -> String {
    let mut emitter = DefaultEmitter::<()>::default();
    // The text of a script is not markup.
    emitter.naively_switch_states(true);
    let mut found = Found::default();
    let mut script: Option<Vec<u8>> = None;
    // A slice can be read to its end.
    for token in Tokenizer::new_with_emitter(page, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                let handlers = tag
                    .attributes
                    .iter()
                    .filter(|(name, _)| name.starts_with(b"on"));
                for (_, value) in handlers {
                    found.has_handlers = true;
                    found.add(value);
                }
                let is_inline = tag.name.as_slice() == b"script"
                    && !tag.attributes.contains_key(b"src".as_slice());
                script = is_inline.then(Vec::new);
            }
            Token::String(text) => {
                if let Some(script) = &mut script {
                    script.extend_from_slice(&text.value);
                }
            }
            Token::EndTag(_) => {
                if let Some(text) = script.take() {
                    found.add(&text);
                }
            }
            _ => {}
        }
    }
    found.sources()
}

#[derive(Default)]
struct Found {
    hashes: Vec<String>,
    has_handlers: bool,
}

impl Found {
    fn add(&mut self, text: &[u8]) {
        let hash = page::source(text);
        if !self.hashes.contains(&hash) && self.hashes.len() < MOST {
            self.hashes.push(hash);
        }
    }

    fn sources(self) -> String {
        let handlers = self.has_handlers.then(|| "'unsafe-hashes'".to_owned());
        let sources = handlers.into_iter().chain(self.hashes);
        sources
            .flat_map(|source| [" ".to_owned(), source])
            .collect()
    }
}

/// The policy of a file. `scripts` are its own ([`inline_scripts`]); `framed` the origins that it may frame beside its own.
pub(super) fn policy(scripts: &str, framed: &[String]) -> String {
    let mut policy = [
        "default-src 'self'; script-src 'self'",
        scripts,
        "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; \
         frame-ancestors 'none'; form-action 'self'; frame-src 'self'",
    ]
    .concat();
    for origin in framed {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    use page::source as hash;

    #[test]
    fn scripts_of_the_page_are_allowed_by_what_they_say() {
        // The hash is of CSP Level 3 §8.2's example.
        let example = "doSomething();";
        assert_eq!(
            hash(example),
            "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"
        );
        for (page, scripts) in [
            ("<script>doSomething();</script>", vec![example]),
            (
                "<SCRIPT type=module>\nlet a = '<b>';\r\n</SCRIPT >x",
                vec!["\nlet a = '<b>';\n"],
            ),
            (
                "<script>a</script><script>b</script><script>a</script>",
                vec!["a", "b"],
            ),
            ("<script src=/x.js>ignored</script>", vec![]),
            ("<!-- <script>no</script> --><p>script</p>", vec![]),
            ("<title><script>no</script></title>", vec![]),
            ("<script>a && b < c</script>", vec!["a && b < c"]),
            ("<script></script>", vec![""]),
            ("<script>never ends", vec![]),
        ] {
            let expect = scripts.iter().flat_map(|text| [" ".to_owned(), hash(text)]);
            let expect: String = expect.collect();
            assert_eq!(inline_scripts(page.as_bytes()), expect, "{page}");
        }
    }

    #[test]
    fn event_handlers_are_allowed_by_what_they_say() {
        let page = r#"<link rel="stylesheet" href="s.css" media="print" onload="this.media='all'"><p onclick="a &amp;&amp; b()">"#;
        let expect = format!(
            " 'unsafe-hashes' {} {}",
            hash("this.media='all'"),
            hash("a && b()")
        );
        assert_eq!(inline_scripts(page.as_bytes()), expect);
    }

    #[test]
    fn hostile_pages_make_no_long_header() {
        let many = (0..1000).map(|n| format!("<script>{n}</script>"));
        let many = many.collect::<Vec<_>>().concat();
        assert_eq!(
            inline_scripts(many.as_bytes()).matches("sha256").count(),
            MOST
        );
        for page in [
            &b"\xff\xfe<script>\xff</script>"[..],
            b"<script",
            b"<",
            b"",
            b"</script>",
        ] {
            let sources = inline_scripts(page);
            assert!(sources.is_ascii(), "{page:?}");
        }
    }

    #[test]
    fn a_policy_is_one_line() {
        let policy = policy(" 'sha256-x'", &["https://id.example.com".to_owned()]);
        assert!(policy.starts_with(
            "default-src 'self'; script-src 'self' 'sha256-x'; style-src 'self' 'unsafe-inline'; "
        ));
        assert!(policy.ends_with("frame-src 'self' https://id.example.com"));
        assert!(policy.contains("base-uri 'self';"));
    }
}
