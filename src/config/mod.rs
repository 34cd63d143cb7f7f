//! Text becomes domain types: layers of TOML and variables in, [`Config`] out, or every mistake at once.
//!
//! `main` calls it; nothing to the right of it knows that there are files. It goes in three steps:
//! `layer` and `written` put the sources on top of each other, `extract` reads them into `settings`, and
//! `resolve` gives them meaning: opens files, follows secrets, parses names.
//!
//! # Invariants
//! - All mistakes are reported together, each with its key, who said it, what is wrong, and a remedy.
//! - A key that is not supported is a mistake; nothing is accepted and then ignored.
//! - Secrets are followed by `resolve` alone, and shown nowhere.
//!
//! # Why defaults are a layer of their own
//! So that `--print-config` shows them like any other value, and there is one place to read them: `defaults.toml`.

mod extract;
mod key_path;
mod layer;
mod mistake;
mod print;
mod resolve;
mod resolved;
mod secret;
mod settings;
mod units;
mod variable;
mod written;

use std::path::PathBuf;

use crate::clock::Clock;

pub use key_path::KeyPath;
pub use mistake::{ConfigErrors, Mistake};
pub use resolved::{Config, KeysSettings, ServerSettings, TlsFiles};
pub use units::parse_duration;
pub use variable::Environment;
pub use written::{Override, Sources, Written};

/// The annotated example: what `--example-config` prints.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Reads files and variables, and resolves them.
pub fn load(
    files: &[PathBuf],
    environment: Environment,
    clock: &Clock,
) -> Result<Config, ConfigErrors> {
    let sources = Sources {
        files: files.to_vec(),
        environment,
        command_line: Vec::new(),
    };
    sources.read()?.resolve(clock)
}

#[cfg(test)]
mod tests;
