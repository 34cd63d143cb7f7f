//! All metrics but those of the coordination, which `coordination` declares.
//!
//! # Invariants
//! - Label values come from configuration or from fixed words ([`Label`]), never from a request: the number of series is
//!   bounded.
//!
//! # Why the output is rewritten
//! The client library writes the `OpenMetrics` format. It declares counters without `_total`. Readers of the Prometheus
//! text format, which is older and more common, do not join such a declaration with its samples.

use std::fmt::Write;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::coordination::CoordinationMetrics;
use super::label::{Label, Outcome, words};
use crate::clock::UnixTime;
use crate::names::{FrontendName, PartName, RouteName, UpstreamName};

/// `Content-Type` of what [`Metrics::encode`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a refresh ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RefreshResult {
    /// Another process had spent the refresh token.
    Conflict,
    /// The provider refused, and the session is over.
    Ended,
    /// A refresh was due, but there is no refresh token.
    Impossible,
    /// It failed, but the access token is still valid.
    Kept,
    /// It brought new tokens.
    Ok,
    /// It took the new tokens of another request.
    Shared,
    /// It failed, and the access token is no longer valid.
    Unavailable,
}

/// How far a login came.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoginResult {
    /// It failed.
    Failed,
    /// A person is signed in.
    Ok,
    /// The browser was sent to the provider.
    Started,
}

/// How reading the key directory or the configuration again ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReloadResult {
    /// There is a new one.
    Ok,
    /// It found a mistake: the old one stays.
    Rejected,
    /// It found what is in use.
    Unchanged,
}

words!(RefreshResult {
    Conflict => "conflict", Ended => "ended", Impossible => "impossible", Kept => "kept", Ok => "ok",
    Shared => "shared", Unavailable => "unavailable"
});
words!(LoginResult { Failed => "failed", Ok => "ok", Started => "started" });
words!(ExchangeResult { Cached => "cached", Ok => "ok", Refused => "refused", Unavailable => "unavailable" });
words!(ReloadResult { Ok => "ok", Rejected => "rejected", Unchanged => "unchanged" });

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answer {
    frontend: Label,
    route: Label,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Target {
    frontend: Label,
    route: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Part {
    frontend: Label,
    part: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Login {
    frontend: Label,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Upstream {
    upstream: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallOfRoute {
    frontend: Label,
    route: Label,
    part: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallResult {
    frontend: Label,
    route: Label,
    part: Label,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Key {
    kid: Hex,
}

/// The name of a key, written as everywhere else.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Hex([u8; 8]);

impl EncodeLabelValue for Hex {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        write!(encoder, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Fingerprint {
    fingerprint: String,
}

/// For a number that may be absent.
type NoLabels = [(&'static str, &'static str); 0];

/// The labels that are known before anything is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'k> {
    /// Every frontend.
    pub frontends: &'k [&'k FrontendName],
    /// What can be found in session cookies.
    pub sessions: &'k [&'static str],
    /// Each route and endpoint of every frontend, and the outcomes its answers can have.
    pub answers: &'k [(&'k FrontendName, Label, &'k [&'static str])],
}

/// How a token exchange ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExchangeResult {
    /// The token was at hand.
    Cached,
    /// The provider gave one.
    Ok,
    /// The provider refused.
    Refused,
    /// The provider could not be asked, or its answer could not be used.
    Unavailable,
}

/// Counts readings of the key directory, or of the configuration. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Family<Outcome, Counter>);

impl Reloads {
    /// A reading has ended so.
    pub fn count(&self, result: ReloadResult) {
        let result = result.as_str();
        self.0.get_or_create(&Outcome { result }).inc();
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Those of the coordination between replicas.
    pub coordination: CoordinationMetrics,
    requests: Family<Answer, Counter>,
    request_seconds: Family<Target, Histogram>,
    session_open: Family<Outcome, Counter>,
    session_bytes: Family<Part, Histogram>,
    refresh: Family<Outcome, Counter>,
    logins: Family<Login, Counter>,
    upstream_seconds: Family<Upstream, Histogram>,
    exchange: Family<Login, Counter>,
    part_seconds: Family<CallOfRoute, Histogram>,
    part_total: Family<CallResult, Counter>,
    open: Family<Key, Counter>,
    keyring_keys: Gauge,
    keyring_primary_age: Gauge,
    /// Readings of the key directory.
    pub reloads: Reloads,
    keyring_fingerprint: Family<Fingerprint, Gauge>,
    /// Readings of the configuration.
    pub config_reloads: Reloads,
    /// Without a certificate it has no series.
    certificate_expires: Family<NoLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Metrics {
    /// All metrics at zero; those of coordination if there is a section `[coordination]`.
    pub fn new(has_coordination: bool) -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("sealgate"),
            coordination: CoordinationMetrics::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            session_open: Family::default(),
            session_bytes: Family::new_with_constructor(bytes),
            refresh: Family::default(),
            logins: Family::default(),
            upstream_seconds: Family::new_with_constructor(seconds),
            exchange: Family::default(),
            part_seconds: Family::new_with_constructor(seconds),
            part_total: Family::default(),
            open: Family::default(),
            keyring_keys: Gauge::default(),
            keyring_primary_age: Gauge::default(),
            reloads: Reloads::default(),
            keyring_fingerprint: Family::default(),
            config_reloads: Reloads::default(),
            certificate_expires: Family::default(),
        };
        // A series that appears with its first event hides that event from `rate()`.
        for result in RefreshResult::ALL {
            let result = result.as_str();
            let _ = metrics.refresh.get_or_create(&Outcome { result });
        }
        for result in ReloadResult::ALL {
            let result = result.as_str();
            let _ = metrics.reloads.0.get_or_create(&Outcome { result });
            let _ = metrics.config_reloads.0.get_or_create(&Outcome { result });
        }
        if has_coordination {
            metrics.coordination.begin();
        }
        metrics.register(has_coordination)
    }

    /// Begins the series of these labels. Those that have begun before go on.
    pub fn begin(&self, known: &Known<'_>) {
        for frontend in known.frontends {
            for result in LoginResult::ALL {
                let (frontend, result) = ((*frontend).into(), result.as_str());
                let _ = self.logins.get_or_create(&Login { frontend, result });
            }
            for result in ExchangeResult::ALL {
                let (frontend, result) = ((*frontend).into(), result.as_str());
                let _ = self.exchange.get_or_create(&Login { frontend, result });
            }
        }
        for result in known.sessions {
            let _ = self.session_open.get_or_create(&Outcome { result });
        }
        for (frontend, route, outcomes) in known.answers {
            for outcome in *outcomes {
                let frontend = (*frontend).into();
                let route = route.clone();
                let _ = self.requests.get_or_create(&Answer {
                    frontend,
                    route,
                    outcome,
                });
            }
        }
    }

    /// When the certificate of the public listener ends to be valid.
    pub fn certificate_expires(&self, at: UnixTime) {
        let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        self.certificate_expires.get_or_create(&[]).set(at);
    }

    /// One answer: `route` is a route's or endpoint's name, `outcome` a class of status, a problem code, or `ok`.
    pub fn request(&self, frontend: Label, route: Label, outcome: &'static str, seconds: f64) {
        let target = Target { frontend, route };
        self.request_seconds.get_or_create(&target).observe(seconds);
        let Target { frontend, route } = target;
        let answer = Answer {
            frontend,
            route,
            outcome,
        };
        self.requests.get_or_create(&answer).inc();
    }

    /// How the cookies of a request were found.
    pub fn session_opened(&self, result: &'static str) {
        self.session_open.get_or_create(&Outcome { result }).inc();
    }

    /// The size of one part of a session that was to be stored, or of the whole.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a session has fewer than 2^53 bytes"
    )]
    pub fn session_stored(&self, frontend: &FrontendName, part: &'static str, bytes: usize) {
        let frontend = frontend.into();
        self.session_bytes
            .get_or_create(&Part { frontend, part })
            .observe(bytes as f64);
    }

    /// How a refresh ended.
    pub fn refreshed(&self, result: RefreshResult) {
        let result = result.as_str();
        self.refresh.get_or_create(&Outcome { result }).inc();
    }

    /// How far a login came.
    pub fn login(&self, frontend: &FrontendName, result: LoginResult) {
        let (frontend, result) = (frontend.into(), result.as_str());
        self.logins.get_or_create(&Login { frontend, result }).inc();
    }

    /// How a token exchange ended.
    pub fn exchanged(&self, frontend: &FrontendName, result: ExchangeResult) {
        let (frontend, result) = (frontend.into(), result.as_str());
        self.exchange
            .get_or_create(&Login { frontend, result })
            .inc();
    }

    /// How long an upstream took until its response headers.
    pub fn upstream_answered(&self, upstream: &UpstreamName, seconds: f64) {
        let upstream = upstream.into();
        self.upstream_seconds
            .get_or_create(&Upstream { upstream })
            .observe(seconds);
    }

    /// How one part of a composed answer ended: `ok`, or the code of its failure. It took no time if nothing was asked.
    pub fn part(
        &self,
        frontend: &FrontendName,
        route: &RouteName,
        part: &PartName,
        outcome: &'static str,
        seconds: Option<f64>,
    ) {
        let call = CallOfRoute {
            frontend: frontend.into(),
            route: route.into(),
            part: part.into(),
        };
        if let Some(seconds) = seconds {
            self.part_seconds.get_or_create(&call).observe(seconds);
        }
        let CallOfRoute {
            frontend,
            route,
            part,
        } = call;
        let result = CallResult {
            frontend,
            route,
            part,
            outcome,
        };
        self.part_total.get_or_create(&result).inc();
    }

    /// A session was opened with this key. Once the number of a retired key stands still, the key is no longer needed.
    pub fn opened_with(&self, kid: [u8; 8]) {
        let kid = Hex(kid);
        self.open.get_or_create(&Key { kid }).inc();
    }

    /// The ring in use, by the names of its keys. Equal fingerprints mean equal rings.
    pub fn keyring(&self, kids: &[[u8; 8]], primary_age_seconds: u64, fingerprint: &str) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.keyring_keys
            .set(i64::try_from(kids.len()).unwrap_or(i64::MAX));
        for kid in kids {
            let _ = self.open.get_or_create(&Key { kid: Hex(*kid) });
        }
        self.keyring_primary_age.set(whole(primary_age_seconds));
        let fingerprint = Fingerprint {
            fingerprint: fingerprint.to_owned(),
        };
        if self.keyring_fingerprint.get(&fingerprint).is_none() {
            self.keyring_fingerprint.clear();
            self.keyring_fingerprint.get_or_create(&fingerprint).set(1);
        }
    }

    /// Everything in the Prometheus text format.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode_registry(&mut encoded, &self.registry);
        prometheus_text(&encoded)
    }

    fn register(mut self, has_coordination: bool) -> Self {
        let r = &mut self.registry;
        if has_coordination {
            self.coordination.register(r);
        }
        r.register("requests", "Answers by outcome", self.requests.clone());
        r.register(
            "request_seconds",
            "Time until an answer's headers",
            self.request_seconds.clone(),
        );
        r.register(
            "session_open",
            "Session cookies by what was found in them",
            self.session_open.clone(),
        );
        r.register(
            "session_bytes",
            "Bytes of a session by part, when it is stored or refused for its size",
            self.session_bytes.clone(),
        );
        r.register("refresh", "Refreshes by result", self.refresh.clone());
        r.register("logins", "Logins by result", self.logins.clone());
        r.register(
            "upstream_seconds",
            "Time until an upstream's response headers",
            self.upstream_seconds.clone(),
        );
        r.register(
            "exchange",
            "Token exchanges by result",
            self.exchange.clone(),
        );
        r.register(
            "part_seconds",
            "Time that a part of a composed answer took",
            self.part_seconds.clone(),
        );
        r.register(
            "part",
            "Parts of composed answers by outcome",
            self.part_total.clone(),
        );
        r.register("open", "Sessions opened by key", self.open.clone());
        r.register(
            "keyring_keys",
            "Keys in the ring",
            self.keyring_keys.clone(),
        );
        r.register(
            "keyring_primary_age_seconds",
            "Time since the primary key became active",
            self.keyring_primary_age.clone(),
        );
        r.register(
            "keyring_reload",
            "Readings of the key directory by result",
            self.reloads.0.clone(),
        );
        r.register(
            "keyring_fingerprint_info",
            "The ring in use; replicas with equal fingerprints have equal rings",
            self.keyring_fingerprint.clone(),
        );
        r.register(
            "config_reload",
            "Readings of the configuration by result",
            self.config_reloads.0.clone(),
        );
        r.register(
            "tls_certificate_expires_seconds",
            "When the certificate of the public listener ends, in Unix time",
            self.certificate_expires.clone(),
        );
        self
    }
}

/// `OpenMetrics` → Prometheus text: `HELP` and `TYPE` of a counter get the name of its samples.
fn prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        let declared = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '));
        let written = match declared {
            None => match line.split_once("{} ") {
                // A family without labels.
                Some((name, value)) if !name.contains('{') => writeln!(out, "{name} {value}"),
                _ => writeln!(out, "{line}"),
            },
            Some((name, kind)) => {
                let total = if kind == "counter" { "_total" } else { "" };
                let text = help.take().map_or("", |(_, text)| text);
                writeln!(
                    out,
                    "# HELP {name}{total} {text}\n# TYPE {name}{total} {kind}"
                )
            }
        };
        // Writing to a string cannot fail.
        let _ = written;
    }
    out
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// The steps are small near the size of a cookie and below the default of `session.max_bytes`.
fn bytes() -> Histogram {
    Histogram::new([
        64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 3072.0, 4096.0, 5120.0, 6144.0, 7168.0, 8192.0,
        16_384.0, 32_768.0, 65_536.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_published_name() {
        let metrics = Metrics::default();
        let shop = FrontendName::parse("shop").unwrap();
        metrics.request((&shop).into(), "orders".into(), "2xx", 0.012);
        metrics.session_opened("unknown-key");
        metrics.session_stored(&shop, "access_token", 1250);
        metrics.refreshed(RefreshResult::Shared);
        metrics.login(&shop, LoginResult::Started);
        metrics.upstream_answered(&UpstreamName::parse("orders").unwrap(), 0.5);
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
            "sealgate_upstream_seconds_count{upstream=\"orders\"} 1",
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
    }

    #[test]
    fn every_sample_belongs_to_a_declared_type() {
        let metrics = Metrics::default();
        metrics.request("shop".into(), "orders".into(), "2xx", 0.012);
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
        let metrics = Metrics::default();
        metrics.begin(&Known {
            frontends: &[&shop],
            sessions: &["ok", "rejected"],
            answers: &[orders],
        });
        let text = metrics.encode();
        for line in [
            "sealgate_logins_total{frontend=\"shop\",result=\"failed\"} 0",
            "sealgate_session_open_total{result=\"rejected\"} 0",
            "sealgate_requests_total{frontend=\"shop\",route=\"orders\",outcome=\"5xx\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n\n{text}");
        }
        assert!(!text.contains("coordination"), "{text}");
    }
}
