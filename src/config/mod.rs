//! Text becomes domain types: layers of TOML and variables in, [`Config`] out, or every mistake at once.
//!
//! `main` calls it. The modules below it do not know that there are files. There are three steps: `layer` and `written`
//! put the sources on top of each other, `extract` reads them into `settings`, and `resolve` gives them meaning: it opens
//! files, follows secrets, and parses names. `README.md` beside this file is the manual of all keys.
//!
//! # Invariants
//! - All mistakes are reported together. Each names its key, the layer that set it, what is wrong, and a remedy.
//! - An unknown key is a mistake. No key is accepted and then ignored.
//! - Only `resolve` follows secrets. Nothing shows them.
//!
//! # Why defaults are a layer of their own
//! `--print-config` shows them like any other value, and they all stand in one place: `defaults.toml`.

mod defaults;
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
mod watched;
mod written;

use std::path::PathBuf;

use crate::clock::Clock;

pub use defaults::EXAMPLE;
pub use key_path::KeyPath;
pub use mistake::{ConfigErrors, Mistake};
pub use resolved::{Config, KeysSettings, ServerSettings, TlsFiles};
pub use units::parse_duration;
pub use variable::Environment;
pub use watched::FileStates;
pub use written::{Override, Sources, Written};

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
