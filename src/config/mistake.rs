//! Mistakes in a configuration. Each names the place, what is wrong, and what to do.
//!
//! # Invariants
//! - A mistake never shows a secret. It quotes a value only where the key cannot hold a secret.

use std::fmt::{self, Write as _};

use super::key_path::KeyPath;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The key; empty if the mistake is about a whole file or variable.
    pub path: KeyPath,
    /// Where the value comes from: `shop.toml:12`, a variable's name, `default` or `not set`.
    pub origin: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// In the order of their keys, without repetitions.
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.path.cmp(&b.path));
        mistakes.dedup();
        Self(mistakes)
    }

    /// Each mistake.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl ConfigErrors {
    /// All of it on one line, for the log. Where there are several, each has its number.
    pub fn on_one_line(&self) -> String {
        let mut line = self.head();
        for (index, mistake) in self.0.iter().enumerate() {
            line.push(' ');
            if self.0.len() > 1 {
                let _ = write!(line, "({}) ", index + 1);
            }
            let text = mistake.to_string();
            let words: Vec<_> = text.lines().map(str::trim).collect();
            line.push_str(&words.join(" "));
        }
        line
    }

    fn head(&self) -> String {
        match self.0.len() {
            1 => "there is a mistake in the configuration:".to_owned(),
            n => format!("there are {n} mistakes in the configuration:"),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        for mistake in &self.0 {
            write!(f, "\n\n  {mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            origin,
            what,
            remedy,
        } = self;
        if path.keys().is_empty() {
            write!(f, "{origin}: {what}")?;
        } else {
            write!(f, "{path} ({origin}): {what}")?;
        }
        write!(f, "\n    → {remedy}")
    }
}

/// The one of `known` that the operator probably meant. Two letters that changed places count as one difference.
pub(super) fn did_you_mean<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(found, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let known = ["issuer", "client_id", "client_secret", "scopes"];
        assert_eq!(did_you_mean("isuer", &known), Some("issuer"));
        assert_eq!(did_you_mean("clientid", &known), Some("client_id"));
        assert_eq!(did_you_mean("client_secert", &known), Some("client_secret"));
        assert_eq!(did_you_mean("scope", &known), Some("scopes"));
        assert_eq!(did_you_mean("scpoes", &known), Some("scopes"));
        assert_eq!(did_you_mean("par", &known), None);
        assert_eq!(did_you_mean("bnid", &["bind", "tls"]), Some("bind"));
    }
}
