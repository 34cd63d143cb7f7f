//! All metrics but those of the coordination, which `coordination` declares. One file for each story.
//!
//! - `answers`: what became of requests · `sessions`: logins, refreshes, cookies · `providers`, `connections`: neighbours
//! - `reloads`: keys and configuration · `process`: memory and time · `text`: how it is written
//!
//! # Invariants
//! - Label values come from configuration or from fixed words ([`Label`]), never from a request: the number of series is
//!   bounded.
//! - A series whose labels are known begins at zero: one that appears with its first event hides that event from `rate()`.

mod answers;
mod connections;
mod process;
mod providers;
mod reloads;
mod sessions;
mod text;

use prometheus_client::encoding::text as open_metrics;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::coordination::CoordinationMetrics;
use super::label::Label;
use crate::names::{FrontendName, UpstreamName};

pub use answers::AtHand;
pub use connections::{Held, StreamKind, UpstreamConnections};
pub use providers::{Counting, ExchangeResult, ProviderCall, ProviderCalls, ProviderResult};
pub use reloads::{ReloadResult, Reloads};
pub use sessions::{LoginFailed, LoginResult, RefreshResult, SessionPart};

/// `Content-Type` of what [`Metrics::encode`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels that are known before anything is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'k> {
    /// Every frontend.
    pub frontends: &'k [&'k FrontendName],
    /// What can be found in session cookies.
    pub sessions: &'k [&'static str],
    /// Each route and endpoint of every frontend, and the outcomes its answers can have.
    pub answers: &'k [(&'k FrontendName, Label, &'k [&'static str])],
    /// Each part of every route that has parts, and the outcomes that it can have.
    pub parts: &'k [(&'k FrontendName, Label, Label, &'k [&'static str])],
    /// Every upstream.
    pub upstreams: &'k [&'k UpstreamName],
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Those of the coordination between replicas.
    pub coordination: CoordinationMetrics,
    /// Readings of the key directory.
    pub reloads: Reloads,
    /// Readings of the configuration.
    pub config_reloads: Reloads,
    answers: answers::Answers,
    sessions: sessions::Sessions,
    providers: providers::Providers,
    connections: connections::Connections,
    keyring: reloads::Keyring,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Metrics {
    /// All metrics at zero; those of coordination if there is a section `[coordination]`.
    pub fn new(has_coordination: bool) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sealgate"),
            coordination: CoordinationMetrics::default(),
            reloads: Reloads::default(),
            config_reloads: Reloads::default(),
            answers: answers::Answers::default(),
            sessions: sessions::Sessions::default(),
            providers: providers::Providers::default(),
            connections: connections::Connections::default(),
            keyring: reloads::Keyring::default(),
        };
        let r = &mut metrics.registry;
        if has_coordination {
            metrics.coordination.begin();
            metrics.coordination.register(r);
        }
        metrics.answers.register(r);
        metrics.sessions.register(r);
        metrics.providers.register(r);
        metrics.connections.register(r);
        metrics.keyring.register(r);
        let (keys, configuration) = (&metrics.reloads, &metrics.config_reloads);
        keys.register(
            r,
            "keyring_reload",
            "Readings of the key directory by result",
        );
        configuration.register(
            r,
            "config_reload",
            "Readings of the configuration by result",
        );
        let build = Family::<[(&str, &str); 1], Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        r.register("build_info", "The version that runs", build);
        metrics
    }

    /// Begins the series of these labels. Those that have begun before go on.
    pub fn begin(&self, known: &Known<'_>) {
        self.answers.begin(known);
        self.sessions.begin(known);
        self.providers.begin(known);
        self.connections.begin(known);
    }

    /// Everything in the Prometheus text format.
    pub fn encode(&self) -> String {
        self.connections.show();
        let mut encoded = String::new();
        // Writing to a string cannot fail.
        let _ = open_metrics::encode_registry(&mut encoded, &self.registry);
        let mut text = text::prometheus(&encoded);
        text.push_str(&process::text());
        text
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_published_name() {
        let metrics = Metrics::default();
        let shop = FrontendName::parse("shop").unwrap();
        metrics.request(
            &AtHand::default(),
            (&shop).into(),
            "orders".into(),
            "2xx",
            0.012,
        );
        metrics.session_opened("unknown-key");
        metrics.session_stored(&shop, SessionPart::AccessToken, 1250);
        metrics.refreshed(RefreshResult::Shared);
        metrics.login(&shop, LoginResult::Started);
        metrics.login_failed(&shop, LoginFailed::Size);
        let orders = UpstreamName::parse("orders").unwrap();
        let connections = metrics.upstream_connections(&orders);
        connections.answered(0.5);
        let held = [
            connections.opened(),
            connections.opened(),
            connections.used(),
        ];
        drop(metrics.upstream_connections(&orders).used());
        let _streams = [StreamKind::Sse, StreamKind::Sse].map(|kind| metrics.streaming(kind));
        let _connection = metrics.connected();
        drop(metrics.connected());
        metrics.opened_with([0, 0x11, 0x22, 0x33, 0xaa, 0xbb, 0xcc, 0xdd]);
        metrics.reloads.count(ReloadResult::Unchanged);
        metrics.keyring(&[[1; 8], [2; 8]], 3600, "old");
        metrics.keyring(&[[1; 8], [2; 8], [3; 8]], 60, "f00d");
        let text = metrics.encode();
        for line in [
            "# TYPE sealgate_requests_total counter",
            "sealgate_requests_total{frontend=\"shop\",route=\"orders\",outcome=\"2xx\"} 1",
            "# TYPE sealgate_request_seconds histogram",
            "sealgate_request_seconds_count{frontend=\"shop\",route=\"orders\"} 1",
            "sealgate_session_open_total{result=\"unknown-key\"} 1",
            "sealgate_session_bytes_bucket{le=\"3072.0\",frontend=\"shop\",part=\"access_token\"} 1",
            "sealgate_session_bytes_bucket{le=\"7168.0\",frontend=\"shop\",part=\"access_token\"} 1",
            "sealgate_session_bytes_sum{frontend=\"shop\",part=\"access_token\"} 1250.0",
            "sealgate_refresh_total{result=\"shared\"} 1",
            "sealgate_refresh_total{result=\"conflict\"} 0",
            "sealgate_logins_total{frontend=\"shop\",result=\"started\"} 1",
            "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"size\"} 1",
            "sealgate_upstream_seconds_count{upstream=\"orders\"} 1",
            "sealgate_upstream_connections{upstream=\"orders\",state=\"active\"} 1",
            "sealgate_upstream_connections{upstream=\"orders\",state=\"idle\"} 1",
            "# TYPE sealgate_streams gauge",
            "sealgate_streams{kind=\"sse\"} 2",
            "sealgate_streams{kind=\"websocket\"} 0",
            "sealgate_connections 1",
            "sealgate_config_reload_total{result=\"rejected\"} 0",
            concat!(
                "sealgate_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "# TYPE process_cpu_seconds_total counter",
            "sealgate_open_total{kid=\"00112233aabbccdd\"} 1",
            "sealgate_open_total{kid=\"0303030303030303\"} 0",
            "# TYPE sealgate_keyring_keys gauge",
            "sealgate_keyring_keys 3",
            "sealgate_keyring_primary_age_seconds 60",
            "sealgate_keyring_reload_total{result=\"unchanged\"} 1",
            "sealgate_keyring_reload_total{result=\"rejected\"} 0",
            "# TYPE sealgate_keyring_fingerprint_info gauge",
            "sealgate_keyring_fingerprint_info{fingerprint=\"f00d\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n\n{text}");
        }
        assert!(!text.contains("\"old\""), "the old ring's series is gone");
        drop(held);
        let idle = "sealgate_upstream_connections{upstream=\"orders\",state=\"idle\"} 0";
        assert!(metrics.encode().contains(idle));
    }

    #[test]
    fn every_sample_belongs_to_a_declared_type() {
        let metrics = Metrics::default();
        metrics.request(
            &AtHand::default(),
            "shop".into(),
            "orders".into(),
            "2xx",
            0.012,
        );
        let text = metrics.encode();
        let mut declared = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                declared = rest.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(declared), "{line} under {declared}");
            }
        }
        assert!(text.contains("# HELP sealgate_requests_total Answers by outcome."));
    }

    #[test]
    fn known_series_exist_at_zero_and_no_others() {
        // N14
        let shop = FrontendName::parse("shop").unwrap();
        let orders = (&shop, "orders".into(), &["2xx", "5xx"][..]);
        let part = (&shop, "home".into(), "me".into(), &["ok"][..]);
        let users = UpstreamName::parse("users").unwrap();
        let metrics = Metrics::default();
        metrics.begin(&Known {
            frontends: &[&shop],
            sessions: &["ok", "rejected"],
            answers: &[orders],
            parts: &[part],
            upstreams: &[&users],
        });
        let text = metrics.encode();
        for line in [
            "sealgate_logins_total{frontend=\"shop\",result=\"ok\"} 0",
            "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"denied\"} 0",
            "sealgate_session_open_total{result=\"rejected\"} 0",
            "sealgate_requests_total{frontend=\"shop\",route=\"orders\",outcome=\"5xx\"} 0",
            "sealgate_request_seconds_count{frontend=\"shop\",route=\"orders\"} 0",
            "sealgate_part_total{frontend=\"shop\",route=\"home\",part=\"me\",outcome=\"ok\"} 0",
            "sealgate_part_seconds_count{frontend=\"shop\",route=\"home\",part=\"me\"} 0",
            "sealgate_upstream_seconds_count{upstream=\"users\"} 0",
            "sealgate_session_bytes_count{frontend=\"shop\",part=\"total\"} 0",
            "sealgate_provider_seconds_count{frontend=\"shop\",call=\"token\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n\n{text}");
        }
        assert!(!text.contains("coordination"), "{text}");
    }
}
