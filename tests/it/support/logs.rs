//! Every log line of the process at every level, kept so that tests can search it for secrets (F14).

use std::sync::{Mutex, Once, PoisonError};

static LINES: Mutex<String> = Mutex::new(String::new());
static INSTALLED: Once = Once::new();

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        sealgate::telemetry::with_request(record, keep);
    }

    fn flush(&self) {}
}

/// Nothing is filtered out.
fn keep(record: &log::Record<'_>) -> bool {
    use std::fmt::Write as _;

    struct Fields<'a>(&'a mut String);
    impl<'kvs> log::kv::VisitSource<'kvs> for Fields<'_> {
        fn visit_pair(
            &mut self,
            key: log::kv::Key<'kvs>,
            value: log::kv::Value<'kvs>,
        ) -> Result<(), log::kv::Error> {
            let _ = write!(self.0, " {key}={value}");
            Ok(())
        }
    }

    let mut line = format!("{} {} {}", record.level(), record.target(), record.args());
    let _ = record.key_values().visit(&mut Fields(&mut line));
    if std::env::var_os("TEST_LOG").is_some() && record.level() <= log::Level::Debug {
        println!("{line}");
    }
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.push_str(&line);
    lines.push('\n');
    true
}

/// A place in the log.
#[derive(Clone, Copy, Default)]
pub struct Mark(usize);

/// Begins to keep lines; gives the place where the next will stand.
pub fn install() -> Mark {
    INSTALLED.call_once(|| {
        log::set_logger(&Keep).expect("no other logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
    Mark(LINES.lock().unwrap_or_else(PoisonError::into_inner).len())
}

/// Runs `search` over all lines since then, of other tests too.
pub fn search<T>(since: Mark, search: impl FnOnce(&str) -> T) -> T {
    // A copy: whoever logs meanwhile does not wait for the search.
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner)[since.0..].to_owned();
    search(&lines)
}

/// Whether tokens are made of such bytes.
const fn is_of_tokens(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// A text made ready for a search for thousands of tokens.
pub struct Searchable<'t> {
    text: &'t str,
    /// Every stretch of it that could hold a token, once.
    stretches: String,
}

impl<'t> Searchable<'t> {
    pub fn new(text: &'t str) -> Self {
        let mut known = std::collections::HashSet::new();
        let mut stretches = String::new();
        for stretch in text.split(|c: char| !(c.is_ascii() && is_of_tokens(c as u8))) {
            if stretch.len() >= 16 && known.insert(stretch) {
                stretches.push_str(stretch);
                stretches.push(' ');
            }
        }
        Self { text, stretches }
    }

    pub fn contains(&self, secret: &str) -> bool {
        if secret.len() >= 16 && secret.bytes().all(is_of_tokens) {
            self.stretches.contains(secret)
        } else {
            self.text.contains(secret)
        }
    }
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let searched = Searchable::new("GET /x?code=at-0123456789abcdef&y=1\nBearer s p a c e d é");
    for secret in [
        "at-0123456789abcdef",
        "0123456789abcdef",
        "s p a c e d é",
        "code",
    ] {
        assert!(searched.contains(secret), "{secret}");
    }
    for other in ["at-0123456789abcdeg", "code=at-01234567x", "spaced"] {
        assert!(!searched.contains(other), "{other}");
    }
}
