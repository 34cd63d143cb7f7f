//! Settings → domain values: parses names and addresses, opens files, follows secrets, and continues after a mistake.
//!
//! One file for each section. Each takes a [`Resolver`], notes mistakes in it, and gives the values that are usable.

mod assets;
mod authorization;
mod call;
mod certificate;
mod check;
mod claim;
mod client_certificate;
mod coordination;
mod credentials;
mod csrf_header;
mod documents;
mod environment;
mod fapi2;
mod frontend;
mod native;
mod oidc;
mod part;
mod policy;
mod provider;
mod reach;
mod resolver;
mod route;
mod secret;
mod server;
mod session;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use resolver::Resolver;

use super::key_path::KeyPath;
use super::mistake::ConfigErrors;
use super::resolved::{Config, KeysSettings};
use super::written::Written;
use crate::clock::Clock;
use crate::frontend::Frontends;
use crate::telemetry::{LogFormat, Subject, Telling};

impl Written {
    /// Gives every key its meaning, for serving and for `--check`.
    pub fn resolve(&self, clock: &Clock) -> Result<Config, ConfigErrors> {
        let mut resolver = Resolver::new(self, clock);
        let server = server::resolve(&mut resolver);
        let keys = server::keys(&mut resolver);
        let log_format = resolver.choice(
            &KeyPath::of(["telemetry", "log_format"]),
            &self.settings.telemetry.log_format,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        );
        let subject = resolver.choice(
            &KeyPath::of(["telemetry", "log_subject"]),
            &self.settings.telemetry.log_subject,
            &[
                ("none", Subject::None),
                ("hash", Subject::Hash),
                ("plain", Subject::Plain),
            ],
        );
        let upstreams = upstream::resolve(&mut resolver);
        let frontends = frontend::resolve(&mut resolver);
        let coordination = coordination::resolve(&mut resolver);
        assets::keep_apart(&mut resolver);
        environment::check_names(&mut resolver);
        let log_filter = environment::log_filter(&mut resolver);
        let egress = environment::egress(&mut resolver, frontends.as_deref().unwrap_or_default());
        let (Some(server), Some(log_format), Some(subject), Some(upstreams), Some(frontends)) =
            (server, log_format, subject, upstreams, frontends)
        else {
            return Err(resolver.errors());
        };
        if let Some(tls) = &server.tls {
            let origins = frontends.iter().map(|frontend| &frontend.origin);
            let doubts = certificate::doubts(tls, origins, clock.now());
            resolver.warnings.extend(doubts);
        }
        upstream::warn_of_circles(&mut resolver, &upstreams, server.bind);
        let files = self.all_files(&mut resolver);
        let (warnings, hints) = resolver.finish()?;
        Ok(Config {
            server,
            keys,
            frontends: Frontends::new(frontends),
            upstreams: upstreams.into_iter().collect(),
            coordination,
            log_format,
            telling: Telling {
                access_log: self.settings.telemetry.access_log.0,
                subject,
            },
            files,
            egress,
            log_filter,
            warnings,
            hints,
        })
    }

    /// All files that decide what this configuration means.
    fn all_files(&self, resolver: &mut Resolver<'_>) -> Vec<PathBuf> {
        let mut files = std::mem::take(&mut resolver.files);
        files.extend(self.files().map(Path::to_owned));
        // Further roots for identity providers.
        files.extend(self.environment.get("SSL_CERT_FILE").map(PathBuf::from));
        files.sort();
        files.dedup();
        files
    }

    /// `[keys]` alone, for `--rotate-keys`: a machine that rotates keys does not need the clients' secrets.
    pub fn keys(&self) -> Result<KeysSettings, ConfigErrors> {
        let mut resolver = Resolver::new(self, &NO_MATTER);
        let keys = server::keys(&mut resolver);
        resolver.finish()?;
        Ok(keys)
    }

    /// `keys.dir` alone: `--check` looks at the key ring even if other sections have mistakes.
    pub fn keys_dir(&self) -> Result<PathBuf, ConfigErrors> {
        let mut resolver = Resolver::new(self, &NO_MATTER);
        resolver.keep_mistakes_below(&KeyPath::of(["keys"]));
        let dir = server::keys(&mut resolver).dir;
        resolver.finish()?;
        Ok(dir)
    }

    /// `server.admin_bind` alone: a mistake made elsewhere after the start must not fail `--health`.
    pub fn admin_bind(&self) -> Result<SocketAddr, ConfigErrors> {
        let mut resolver = Resolver::new(self, &NO_MATTER);
        resolver.keep_mistakes_below(&KeyPath::of(["server"]));
        let admin_bind = server::admin_bind(&mut resolver);
        admin_bind.ok_or_else(|| resolver.errors())
    }
}

/// The clock for parts of the configuration that do not depend on the time.
static NO_MATTER: Clock = Clock::system();
