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
mod secret;
mod settings;
mod units;
mod variable;
mod written;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::clock::Clock;
use crate::coordination::CoordinationSettings;
use crate::frontend::Frontends;
use crate::names::UpstreamName;
use crate::proxy::UpstreamSettings;
use crate::telemetry::{LogFilter, LogFormat};

pub use key_path::KeyPath;
pub use layer::Environment;
pub use mistake::{ConfigErrors, Mistake};
pub use resolve::tls_config;
pub use units::parse_duration;
pub use written::{Override, Sources, Written};

/// The annotated example: what `--example-config` prints.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Everything the process needs to know to serve.
#[derive(Debug)]
pub struct Config {
    /// Listeners, threads, shutdown.
    pub server: ServerSettings,
    /// The key ring.
    pub keys: KeysSettings,
    /// Every single-page app.
    pub frontends: Frontends,
    /// Every API.
    pub upstreams: HashMap<UpstreamName, UpstreamSettings>,
    /// What replicas share besides the keys.
    pub coordination: Option<CoordinationSettings>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: LogFilter,
    /// What works, but should be known: for the log at start, and for `--check`.
    pub warnings: Vec<String>,
    /// What programs around sealgate may have to be told: for `--check` alone.
    pub hints: Vec<String>,
}

/// `[server]`, resolved.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The public listener.
    pub bind: SocketAddr,
    /// The listener for `/livez`, `/readyz` and `/metrics`.
    pub admin_bind: SocketAddr,
    /// Names by which it is called, in lower case, beside `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// Threads that answer requests.
    pub workers: usize,
    /// Networks whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long readiness fails before the listeners close.
    pub shutdown_delay: Duration,
    /// How long requests in flight may go on after that.
    pub shutdown_grace: Duration,
    /// Certificate and key; [`tls_config`] reads them.
    pub tls: Option<TlsFiles>,
}

/// `server.tls`, resolved: both files have been read once.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM: the certificate, then its intermediates.
    pub cert: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// `[keys]`, resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeysSettings {
    /// The directory of the key ring.
    pub dir: PathBuf,
    /// How long a new key only opens before it seals.
    pub activation_delay: Duration,
    /// How often the directory is read again.
    pub reload_interval: Duration,
    /// As configured.
    pub retire_after: Option<Duration>,
    /// The longest `absolute_timeout` of any frontend.
    pub longest_session: Option<Duration>,
}

impl KeysSettings {
    /// Keys whose successor has been active longer than this can be dropped.
    pub fn retire_after(&self) -> Duration {
        const DAY: Duration = Duration::from_hours(24);
        self.retire_after.or(self.longest_session).unwrap_or(DAY)
    }

    /// Whether that follows from the configuration; else it is a guess, and sessions may last longer.
    pub fn is_retirement_known(&self) -> bool {
        self.retire_after.or(self.longest_session).is_some()
    }
}

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

impl Written {
    /// Gives everything its meaning, for serving and for `--check`.
    pub fn resolve(&self, clock: &Clock) -> Result<Config, ConfigErrors> {
        Ok(resolve::plan(self)?.build(clock))
    }

    /// The key ring's settings alone, for `--rotate-keys`: whoever rotates keys need not hold the clients' secrets.
    pub fn keys(&self) -> Result<KeysSettings, ConfigErrors> {
        resolve::keys_alone(self)
    }

    /// The key ring's directory alone, for `--check`.
    pub fn keys_dir(&self) -> Result<PathBuf, ConfigErrors> {
        resolve::keys_dir_alone(self)
    }

    /// The admin listener's address alone, for `--health`.
    pub fn admin_bind(&self) -> Result<SocketAddr, ConfigErrors> {
        resolve::admin_bind_alone(self)
    }

    /// The effective configuration with the origin of each value, for `--print-config`.
    pub fn print(&self) -> Result<String, ConfigErrors> {
        if self.mistakes.is_empty() {
            Ok(print::print(self))
        } else {
            Err(ConfigErrors::new(self.mistakes.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
