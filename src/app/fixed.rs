//! What only a restart changes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::coordination::CoordinationSettings;
use crate::telemetry::LogFormat;

/// The values that the process began with.
pub(super) struct Fixed {
    bind: SocketAddr,
    admin_bind: SocketAddr,
    workers: usize,
    shutdown_grace: Duration,
    has_tls: bool,
    keys_dir: PathBuf,
    coordination: Option<CoordinationSettings>,
    log_format: LogFormat,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let server = &config.server;
        Self {
            bind: server.bind,
            admin_bind: server.admin_bind,
            workers: server.workers,
            shutdown_grace: server.shutdown_grace,
            has_tls: server.tls.is_some(),
            keys_dir: config.keys.dir.clone(),
            coordination: config.coordination.clone(),
            log_format: config.log_format,
        }
    }

    /// The keys whose values a configuration would change, and cannot.
    pub(super) fn differences(&self, config: &Config) -> Vec<&'static str> {
        let new = Self::of(config);
        let keys = [
            ("server.bind", self.bind != new.bind),
            ("server.admin_bind", self.admin_bind != new.admin_bind),
            ("server.workers", self.workers != new.workers),
            (
                "server.shutdown_grace",
                self.shutdown_grace != new.shutdown_grace,
            ),
            ("server.tls", self.has_tls != new.has_tls),
            ("keys.dir", self.keys_dir != new.keys_dir),
            ("[coordination]", self.coordination != new.coordination),
            ("telemetry.log_format", self.log_format != new.log_format),
        ];
        let changed = keys.into_iter().filter(|(_, has_changed)| *has_changed);
        changed.map(|(key, _)| key).collect()
    }
}
