//! `RUST_LOG`: which log lines are written.
//!
//! # Why not as `env_logger` reads it
//! It takes a word that is not a level for the name of a module, and then writes no lines of other modules. A typing error
//! would silence the whole process, errors included.

use log::LevelFilter;

/// What is written without `RUST_LOG`.
const DEFAULT: &str = "info";
const REMEDY: &str =
    "write a level (off, error, warn, info, debug, trace), or module=level such as sealgate=debug";

/// The directives that have a meaning, and complaints about the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogFilter {
    spec: String,
    complaints: Vec<String>,
}

impl LogFilter {
    /// Reads the directives, and leaves out those that have no meaning.
    pub fn parse(text: &str) -> Self {
        let (directives, search) = match text.split_once('/') {
            Some((directives, search)) => (directives, Some(search)),
            None => (text, None),
        };
        let mut kept = Vec::new();
        let mut complaints = Vec::new();
        let mut is_about_us = false;
        for directive in directives.split(',').map(str::trim) {
            match Directive::of(directive) {
                Directive::Nothing => {}
                Directive::Level => {
                    is_about_us = true;
                    kept.push(directive);
                }
                Directive::Module(module) => {
                    is_about_us |= is_ours(module);
                    kept.push(directive);
                }
                Directive::Unknown(word) => {
                    let word: String = word.chars().take(64).collect();
                    complaints.push(format!("{word:?} is no level, and was left out: {REMEDY}"));
                }
            }
        }
        if !is_about_us {
            // A filter that names only other modules, or is empty, must not silence the whole process.
            if !kept.is_empty() {
                complaints.push(format!(
                    "it says nothing of sealgate itself, whose lines are written at info: add sealgate=off if that is meant, or {REMEDY}"
                ));
            }
            kept.insert(0, DEFAULT);
        }
        let mut spec = kept.join(",");
        if let Some(search) = search {
            spec.push('/');
            spec.push_str(search);
        }
        Self { spec, complaints }
    }

    /// What is wrong with the text, with the remedy.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// The filter as `env_logger` reads it.
    pub(super) fn spec(&self) -> &str {
        &self.spec
    }
}

enum Directive<'t> {
    Level,
    Module(&'t str),
    Nothing,
    Unknown(&'t str),
}

impl<'t> Directive<'t> {
    fn of(text: &'t str) -> Self {
        let is_level = |text: &str| text.trim().parse::<LevelFilter>().is_ok();
        match text.split_once('=') {
            None if text.is_empty() => Self::Nothing,
            None if is_level(text) => Self::Level,
            // A module without a level means all of its lines.
            None if is_ours(text) || text.contains("::") => Self::Module(text),
            None => Self::Unknown(text),
            Some((module, level)) if is_level(level) && !module.trim().is_empty() => {
                Self::Module(module.trim())
            }
            Some((_, level)) => Self::Unknown(level.trim()),
        }
    }
}

fn is_ours(module: &str) -> bool {
    module.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_a_level_silences_no_module() {
        // N11
        for (text, spec, complaints) in [
            ("", "info", 0),
            ("debug", "debug", 0),
            ("WARN", "WARN", 0),
            ("off", "off", 0),
            ("sealgate=debug", "sealgate=debug", 0),
            ("sealgate", "sealgate", 0),
            (
                "warn,sealgate::token=trace",
                "warn,sealgate::token=trace",
                0,
            ),
            ("info/login", "info/login", 0),
            ("verbose", "info", 1),
            ("warning", "info", 1),
            ("debug,verbose", "debug", 1),
            ("sealgate=loud", "info", 1),
            ("=debug", "info", 1),
            ("sealgat=debug", "info,sealgat=debug", 1),
            ("hyper::proto=debug", "info,hyper::proto=debug", 1),
            (" , ", "info", 0),
        ] {
            let filter = LogFilter::parse(text);
            assert_eq!(filter.spec(), spec, "{text:?}");
            assert_eq!(filter.complaints().len(), complaints, "{text:?}");
        }
    }
}
