//! What the sections share: the settings, the mistakes found so far, and the checks that many keys need.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::key_path::KeyPath;
use crate::config::mistake::{ConfigErrors, Mistake, did_you_mean};
use crate::config::variable;
use crate::config::written::Written;

/// A value cannot be used, and a mistake says why.
pub(super) struct Noted;

/// Collects mistakes, so that they can be reported all at once.
pub(super) struct Resolver<'w> {
    pub(super) written: &'w Written,
    pub(super) clock: &'w Clock,
    pub(super) warnings: Vec<String>,
    mistakes: Vec<Mistake>,
    hints: Vec<String>,
    /// Files and directories that only this process may read, each with what it is.
    pub(super) private: Vec<(String, PathBuf)>,
    /// Every file and directory that a key names.
    pub(super) files: Vec<PathBuf>,
    /// Variables that hold secrets, by name.
    pub(super) secret_variables: Vec<String>,
}

impl<'w> Resolver<'w> {
    pub(super) fn new(written: &'w Written, clock: &'w Clock) -> Self {
        Self {
            written,
            clock,
            warnings: Vec::new(),
            mistakes: written.mistakes.clone(),
            hints: Vec::new(),
            private: Vec::new(),
            files: Vec::new(),
            secret_variables: Vec::new(),
        }
    }

    /// Forgets the mistakes of other sections.
    pub(super) fn keep_mistakes_below(&mut self, section: &KeyPath) {
        self.mistakes
            .retain(|mistake| section.covers(&mistake.path));
    }

    pub(super) fn errors(self) -> ConfigErrors {
        ConfigErrors::new(self.mistakes)
    }

    /// Warnings and hints, if there is no mistake.
    pub(super) fn finish(self) -> Result<(Vec<String>, Vec<String>), ConfigErrors> {
        if self.mistakes.is_empty() {
            Ok((self.warnings, self.hints))
        } else {
            Err(self.errors())
        }
    }

    pub(super) fn wrong(
        &mut self,
        at: &KeyPath,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.mistakes.push(Mistake {
            path: at.clone(),
            origin: self.written.origin_of(at),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Notes a mistake in a variable that is no key of ours.
    pub(super) fn wrong_variable(&mut self, name: &str, what: &str, remedy: &str) {
        self.mistakes.push(Mistake {
            path: KeyPath::default(),
            origin: name.to_owned(),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    pub(super) fn warn(&mut self, at: &KeyPath, text: &str) {
        let origin = self.written.origin_of(at);
        self.warnings.push(format!("{at} ({origin}): {text}"));
    }

    /// Notes what the operator may have to change in other programs.
    pub(super) fn hint(&mut self, at: &KeyPath, text: &str) {
        let origin = self.written.origin_of(at);
        self.hints.push(format!("{at} ({origin}): {text}"));
    }

    /// Notes a mistake unless `fine`. Returns `fine`.
    pub(super) fn ensure(&mut self, fine: bool, at: &KeyPath, what: &str, remedy: &str) -> bool {
        if !fine {
            self.wrong(at, what, remedy);
        }
        fine
    }

    /// A key without a default. A value that could not be read is not reported as missing, too.
    pub(super) fn required<'v, T>(
        &mut self,
        at: &KeyPath,
        value: Option<&'v T>,
        remedy: &str,
    ) -> Option<&'v T> {
        if value.is_none() && !self.is_reported(at) {
            let remedy = format!("{remedy} (or set {})", variable::name_of(at));
            self.wrong(at, "this key is required, and no layer sets it", remedy);
        }
        value
    }

    /// Whether a layer sets a key that has a default.
    pub(super) fn is_set(&self, at: &KeyPath) -> bool {
        self.written.is_set(at)
    }

    /// Whether there is already a mistake about this key or a table around it.
    pub(super) fn is_reported(&self, at: &KeyPath) -> bool {
        self.mistakes.iter().any(|mistake| mistake.path.covers(at))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        at: &KeyPath,
        text: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let remedy = match did_you_mean(text, &words) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of \"{}\"", words.join("\", \"")),
            };
            self.wrong(at, format!("{text:?} is not supported here"), remedy);
        }
        found.map(|(_, choice)| *choice)
    }

    /// Notes a mistake if a duration is out of bounds. Returns it in any case.
    pub(super) fn within(
        &mut self,
        at: &KeyPath,
        span: Duration,
        least: Duration,
        most: Duration,
    ) -> Duration {
        if span < least || span > most {
            let (least, most) = (in_words(least), in_words(most));
            self.wrong(
                at,
                format!("{} is out of bounds", in_words(span)),
                format!("write a duration from {least} to {most}"),
            );
        }
        span
    }

    /// Where a path of the file system leads. What is there must never be served.
    pub(super) fn private_path(&mut self, at: &KeyPath, text: &str) -> PathBuf {
        let path = self.path(at, text);
        self.private.push((at.to_string(), path.clone()));
        path
    }

    /// Where a path of the file system leads.
    pub(super) fn path(&mut self, at: &KeyPath, text: &str) -> PathBuf {
        let path = self.written.file_path(at, text);
        self.files.push(path.clone());
        path
    }
}

/// The shortest duration for a clock of whole seconds.
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

fn in_words(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        _ if span.subsec_millis() > 0 => format!("{}ms", span.as_millis()),
        s if s > 0 && s % DAY.as_secs() == 0 => format!("{}d", s / DAY.as_secs()),
        s if s > 0 && s % HOUR.as_secs() == 0 => format!("{}h", s / HOUR.as_secs()),
        s if s > 0 && s % MINUTE.as_secs() == 0 => format!("{}m", s / MINUTE.as_secs()),
        s => format!("{s}s"),
    }
}
