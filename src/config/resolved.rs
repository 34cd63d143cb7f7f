//! What the configuration means: values that the rest of the program can use without a look at text.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::sign::CertifiedKey;

use crate::clock::UnixTime;
use crate::coordination::CoordinationSettings;
use crate::frontend::Frontends;
use crate::frontend::UpstreamSettings;
use crate::names::UpstreamName;
use crate::oidc::Egress;
use crate::telemetry::{LogFilter, LogFormat, Telling};

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
    /// What the log says of requests.
    pub telling: Telling,
    /// Every file and directory that it was read from or names.
    pub files: Vec<PathBuf>,
    /// How calls to identity providers leave.
    pub egress: Egress,
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
    /// What the public listener shows, if it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// How often the files of the configuration are looked at.
    pub reload_interval: Duration,
}

/// `server.tls`, resolved.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM: the certificate, then its intermediates.
    pub cert: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
    /// What both held.
    pub pair: Arc<CertifiedKey>,
    /// The earliest end of the chain's certificates.
    pub expires_at: Option<UnixTime>,
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
