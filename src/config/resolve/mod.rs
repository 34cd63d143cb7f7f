//! Settings → domain values: parses names and addresses, opens files, follows secrets, and goes on after a mistake.
//!
//! Plans are made first, frontends are built from them only when nothing is wrong.

mod assets;
mod certificate;
mod check;
mod coordination;
mod csrf_header;
mod environment;
mod frontend;
mod oidc;
mod policy;
mod route;
mod secret;
mod server;
mod session;
mod tls;
mod upstream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use frontend::FrontendPlan;

use super::key_path::KeyPath;
use super::mistake::{ConfigErrors, Mistake, did_you_mean};
use super::variable;
use super::written::Written;
use super::{Config, KeysSettings, ServerSettings};
use crate::clock::Clock;
use crate::coordination::CoordinationSettings;
use crate::frontend::Frontends;
use crate::names::UpstreamName;
use crate::proxy::UpstreamSettings;
use crate::telemetry::{LogFilter, LogFormat};

pub use tls::tls_config;

/// Everything that is needed to serve, checked, with the frontends still to be built.
pub(super) struct Plan {
    pub(super) server: ServerSettings,
    pub(super) keys: KeysSettings,
    pub(super) frontends: Vec<FrontendPlan>,
    pub(super) upstreams: HashMap<UpstreamName, UpstreamSettings>,
    pub(super) coordination: Option<CoordinationSettings>,
    pub(super) log_format: LogFormat,
    pub(super) log_filter: LogFilter,
    pub(super) warnings: Vec<String>,
    pub(super) hints: Vec<String>,
}

impl Plan {
    /// Builds cookie jars and providers.
    pub(super) fn build(self, clock: &Clock) -> Config {
        let mut warnings = self.warnings;
        if let Some(tls) = &self.server.tls {
            let origins = self.frontends.iter().map(|plan| &plan.origin);
            warnings.extend(certificate::doubts(tls, origins, clock.now()));
        }
        let frontends = self.frontends.into_iter();
        Config {
            server: self.server,
            keys: self.keys,
            frontends: Frontends::new(frontends.map(|plan| Arc::new(plan.build(clock))).collect()),
            upstreams: self.upstreams,
            coordination: self.coordination,
            log_format: self.log_format,
            log_filter: self.log_filter,
            warnings,
            hints: self.hints,
        }
    }
}

/// Everything.
pub(super) fn plan(written: &Written) -> Result<Plan, ConfigErrors> {
    let mut resolver = Resolver::new(written);
    let server = server::resolve(&mut resolver);
    let keys = server::keys(&mut resolver);
    let log_format = resolver.choice(
        &KeyPath::of(["telemetry", "log_format"]),
        &written.settings.telemetry.log_format,
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    );
    let upstreams = upstream::resolve(&mut resolver);
    let frontends = frontend::resolve(&mut resolver);
    let coordination = coordination::resolve(&mut resolver);
    assets::keep_apart(&mut resolver);
    environment::check_names(&mut resolver);
    let log_filter = environment::log_filter(&mut resolver);
    let (Some(server), Some(log_format), Some(upstreams), Some(frontends)) =
        (server, log_format, upstreams, frontends)
    else {
        return Err(resolver.errors());
    };
    let (warnings, hints) = resolver.finish()?;
    Ok(Plan {
        server,
        keys,
        frontends,
        upstreams: upstreams.into_iter().collect(),
        coordination,
        log_format,
        log_filter,
        warnings,
        hints,
    })
}

/// `[keys]` alone.
pub(super) fn keys_alone(written: &Written) -> Result<KeysSettings, ConfigErrors> {
    let mut resolver = Resolver::new(written);
    let keys = server::keys(&mut resolver);
    resolver.finish()?;
    Ok(keys)
}

/// `keys.dir` alone: `--check` looks at the key ring whatever is wrong elsewhere.
pub(super) fn keys_dir_alone(written: &Written) -> Result<PathBuf, ConfigErrors> {
    let mut resolver = Resolver::new(written);
    let keys = KeyPath::of(["keys"]);
    resolver
        .mistakes
        .retain(|mistake| keys.covers(&mistake.path));
    let dir = server::keys(&mut resolver).dir;
    resolver.finish()?;
    Ok(dir)
}

/// `server.admin_bind` alone: a health check must not fail for mistakes elsewhere, made after the start.
pub(super) fn admin_bind_alone(written: &Written) -> Result<SocketAddr, ConfigErrors> {
    let mut resolver = Resolver::new(written);
    let server = KeyPath::of(["server"]);
    resolver
        .mistakes
        .retain(|mistake| server.covers(&mistake.path));
    let admin_bind = server::admin_bind(&mut resolver);
    admin_bind.ok_or_else(|| resolver.errors())
}

/// Something cannot be used, and a mistake says so.
struct Noted;

/// What all parts of resolving share: what was written, and what was found wrong with it.
struct Resolver<'w> {
    written: &'w Written,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
    hints: Vec<String>,
    /// What nobody but this process may read, with what it is.
    private: Vec<(String, PathBuf)>,
    /// Variables that hold secrets, by name.
    secret_variables: Vec<String>,
}

impl<'w> Resolver<'w> {
    fn new(written: &'w Written) -> Self {
        Self {
            written,
            mistakes: written.mistakes.clone(),
            warnings: Vec::new(),
            hints: Vec::new(),
            private: Vec::new(),
            secret_variables: Vec::new(),
        }
    }

    fn errors(self) -> ConfigErrors {
        ConfigErrors::new(self.mistakes)
    }

    /// Warnings and hints, if nothing is wrong.
    fn finish(self) -> Result<(Vec<String>, Vec<String>), ConfigErrors> {
        if self.mistakes.is_empty() {
            Ok((self.warnings, self.hints))
        } else {
            Err(self.errors())
        }
    }

    fn wrong(&mut self, at: &KeyPath, what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Mistake {
            path: at.clone(),
            origin: self.written.origin_of(at),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    fn warn(&mut self, at: &KeyPath, text: &str) {
        let origin = self.written.origin_of(at);
        self.warnings.push(format!("{at} ({origin}): {text}"));
    }

    /// Notes what to look at elsewhere, where nothing is wrong here.
    fn hint(&mut self, at: &KeyPath, text: &str) {
        let origin = self.written.origin_of(at);
        self.hints.push(format!("{at} ({origin}): {text}"));
    }

    /// Notes a mistake unless `fine`; hands `fine` back.
    fn ensure(&mut self, fine: bool, at: &KeyPath, what: &str, remedy: &str) -> bool {
        if !fine {
            self.wrong(at, what, remedy);
        }
        fine
    }

    /// A key that has no default. A value that was unreadable is not called missing on top.
    fn required<'v, T>(
        &mut self,
        at: &KeyPath,
        value: Option<&'v T>,
        remedy: &str,
    ) -> Option<&'v T> {
        if value.is_none() && !self.is_reported(at) {
            let remedy = format!("{remedy} (or set {})", variable::name_of(at));
            self.wrong(at, "it is required, and not set", remedy);
        }
        value
    }

    /// Whether a mistake says already that this key, or a table around it, could not be read.
    fn is_reported(&self, at: &KeyPath) -> bool {
        self.mistakes.iter().any(|mistake| mistake.path.covers(at))
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, at: &KeyPath, text: &str, choices: &[(&str, T)]) -> Option<T> {
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

    /// A duration within bounds; the same duration, whatever is wrong with it.
    fn within(
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

    /// Where a path of the file system leads that must not be served.
    fn private_path(&mut self, at: &KeyPath, text: &str) -> PathBuf {
        let path = self.path(at, text);
        self.private.push((at.to_string(), path.clone()));
        path
    }

    /// Where a path of the file system leads.
    fn path(&self, at: &KeyPath, text: &str) -> PathBuf {
        self.written.file_path(at, text)
    }
}

/// One second: what is shorter would be none for a clock of whole seconds.
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

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
