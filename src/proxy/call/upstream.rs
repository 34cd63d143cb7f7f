//! The upstreams of one worker and their connections.
//!
//! Each worker builds its own, because connections do not move between workers. The only sender is
//! [`Call`](super::Call).

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMapExt as _;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::ClientConfig;

use super::base::Base;
use super::connector::Connector;
use super::places::{Asker, NoPlace, NoTunnel, Place, Places, RETRY_AFTER, TunnelPlace, Tunnels};
use super::pool::{Failure, Pool};
use super::trickles::Trickles;
use crate::frontend::UpstreamSettings;
use crate::names::UpstreamName;
use crate::problem::Problem;
use crate::telemetry::RequestScope;
use crate::telemetry::metrics::{Metrics, UpstreamConnections};
use crate::tls::TrustAnchors;

/// Time for name resolution, TCP and TLS. An upstream that needs longer is down.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection is kept idle. Common servers (Node, actix) close after 5 s, and a `POST` must not meet a
/// connection that is about to close.
const MOST_IDLE: Duration = Duration::from_secs(4);

/// The upstreams of one worker, each with its own pool of connections.
#[derive(Debug, Default)]
pub struct Upstreams(foldhash::HashMap<UpstreamName, Rc<Upstream>>);

impl Upstreams {
    /// Builds the clients.
    pub fn new(
        settings: &HashMap<UpstreamName, UpstreamSettings>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        Self::default().renewed(settings, metrics)
    }

    /// The upstreams of other settings. Where these change nothing about an upstream's connections, it keeps them.
    pub fn renewed(
        &self,
        settings: &HashMap<UpstreamName, UpstreamSettings>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let mut upstreams = foldhash::HashMap::with_capacity(settings.len());
        let mut mistakes = Vec::new();
        for (name, settings) in settings {
            let new = || {
                let connections = metrics.upstream_connections(name);
                Upstream::new(name.clone(), settings.clone(), connections)
            };
            let upstream = match self.0.get(name) {
                Some(old) if old.settings == *settings => Ok(Rc::clone(old)),
                Some(old) => new().map(|new| Rc::new(new.in_place_of(old))),
                None => new().map(Rc::new),
            };
            match upstream {
                Ok(upstream) => {
                    upstreams.insert(name.clone(), upstream);
                }
                Err(mistake) => mistakes.push(format!("upstream.{name}: {mistake}")),
            }
        }
        mistakes.sort();
        if mistakes.is_empty() {
            Ok(Self(upstreams))
        } else {
            Err(mistakes.join("\n"))
        }
    }

    /// Every one.
    pub(super) fn all(&self) -> impl Iterator<Item = &Upstream> {
        self.0.values().map(Rc::as_ref)
    }

    /// The upstream with this name. `config` has made sure that there is one.
    pub(in crate::proxy) fn find(&self, name: &UpstreamName) -> Result<&Upstream, Problem> {
        self.0.get(name).map(Rc::as_ref).ok_or_else(|| {
            log::error!(code = Problem::Internal.code(); "upstream {name} is not configured");
            Problem::Internal
        })
    }
}

/// One API base.
pub(in crate::proxy) struct Upstream {
    pub(in crate::proxy) name: UpstreamName,
    pub(in crate::proxy) settings: UpstreamSettings,
    pub(in crate::proxy) base: Base,
    pub(super) pool: Pool,
    /// Bodies of which little has come.
    pub(super) trickles: Trickles,
    /// One for each connection that may be in use.
    places: Places,
    /// Half as many, for connections that last. They are counted apart, so that ordinary requests always have theirs.
    tunnels: Tunnels,
    connections: UpstreamConnections,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    fn new(
        name: UpstreamName,
        settings: UpstreamSettings,
        connections: UpstreamConnections,
    ) -> Result<Self, String> {
        let base = Base::of(&settings.url).map_err(|error| format!("url: {error}"))?;
        let tls = tls_config(settings.ca.as_ref())?;
        let origin = base.origin().map_err(|error| format!("url: {error}"))?;
        let connector = Connector::new(origin, tls, CONNECT_LIMIT, connections.clone());
        let pool = Pool::new(connector, settings.max_connections, MOST_IDLE);
        let trickles = Trickles::of(settings.max_connections);
        let places = Places::new(settings.max_connections, connections.clone());
        let tunnels = Tunnels::new(settings.max_connections.div_ceil(2), connections.clone());
        Ok(Self {
            name,
            settings,
            base,
            pool,
            trickles,
            places,
            tunnels,
            connections,
        })
    }

    /// This upstream with the connections that it had under other settings, if these allow that.
    fn in_place_of(mut self, old: &Self) -> Self {
        if self.settings.has_same_connections(&old.settings) {
            self.pool = old.pool.clone();
            self.trickles = old.trickles.clone();
            self.places = old.places.clone();
            self.tunnels = old.tunnels.clone();
        }
        self
    }

    /// A place among the tunnels. They last, so nobody waits for one.
    pub(super) fn tunnel_place(&self, asker: Asker) -> Result<TunnelPlace, Problem> {
        self.tunnels.take(asker).map_err(|why| match why {
            NoTunnel::AllTaken => {
                let (name, problem) = (&self.name, Problem::UpstreamTimeout);
                log::warn!(code = problem.code(); "upstream {name}: all its tunnels are in use");
                problem
            }
            NoTunnel::KeptForOthers => {
                log::info!(
                    "upstream {}: the last tunnels are for users, and for addresses that have at most a quarter of them",
                    self.name
                );
                Problem::RateLimited {
                    retry_after: RETRY_AFTER,
                }
            }
        })
    }

    /// The right to use a connection, until the answer is over. Waits for it, at most `limit`.
    pub(super) async fn place(&self, asker: Asker, limit: Duration) -> Result<Place, Problem> {
        let taken = self.places.take(asker, limit).await;
        taken.map_err(|why| match why {
            NoPlace::TooLate => {
                let (name, most) = (&self.name, self.settings.max_connections);
                let problem = Problem::UpstreamTimeout;
                log::warn!(code = problem.code();
                    "upstream {name}: of its {most} connections none was free for this request in time");
                problem
            }
            NoPlace::HoldsTooMany => {
                log::info!(
                    "upstream {}: others wait for a connection, and one address has more than a quarter of them",
                    self.name
                );
                Problem::RateLimited {
                    retry_after: RETRY_AFTER,
                }
            }
        })
    }

    /// Counts how long a call took until the answer's head, and says so to the client's request.
    pub(in crate::proxy) fn has_answered(&self, took: Duration) {
        self.connections.answered(took.as_secs_f64());
        if let Some(scope) = RequestScope::current() {
            scope.waited_for_upstream(took);
        }
    }

    /// What a failure means to the client. The log gets the cause, without URL, headers or body.
    pub(super) fn problem(&self, failure: &Failure) -> Problem {
        let mut timed_out = false;
        let mut source = failure.source();
        while let Some(error) = source {
            timed_out |= error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
            source = error.source();
        }
        let name = &self.name;
        let remedy = if matches!(failure, Failure::Connect(_)) {
            format!(": see that it runs, and upstream.{name}.url")
        } else {
            String::new()
        };
        let problem = if timed_out {
            Problem::UpstreamTimeout
        } else {
            Problem::UpstreamUnavailable
        };
        log::warn!(code = problem.code(); "upstream {name}: {}{remedy}", cause(failure));
        problem
    }
}

/// Why a request got no answer, without URL, headers or body.
pub(super) fn cause(failure: &Failure) -> String {
    let mut cause = failure.to_string();
    let mut source = failure.source();
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    cause
}

/// TLS to an upstream. The roots are Mozilla's, or its own and no others.
pub(super) fn tls_config(ca: Option<&TrustAnchors>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match ca {
        None => builder.with_webpki_roots(),
        Some(TrustAnchors(anchors)) => builder.with_root_certificates(Arc::clone(anchors)),
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use url::Url;

    use super::*;
    use crate::guard::spender;
    use crate::tls;

    fn settings(url: &str, seconds: u64, ca: Option<TrustAnchors>) -> UpstreamSettings {
        UpstreamSettings {
            url: Url::parse(url).unwrap(),
            timeout: Duration::from_secs(seconds),
            idle_timeout: Duration::from_secs(1),
            max_connections: 4,
            ca,
        }
    }

    fn anchors() -> TrustAnchors {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let good = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&path, good.cert.pem()).unwrap();
        tls::trust_anchors(&path).unwrap()
    }

    /// A place taken before is missing afterwards if the places were kept.
    #[tokio::test]
    async fn other_settings_keep_what_they_do_not_change() {
        let url = "https://orders.internal/v1";
        let metrics = Metrics::default();
        let (ca, other_ca) = (anchors(), anchors());
        let name = UpstreamName::parse("orders").unwrap();
        let one = |settings| HashMap::from([(name.clone(), settings)]);
        let before = Upstreams::new(&one(settings(url, 1, Some(ca.clone()))), &metrics).unwrap();
        let asker = Asker {
            address: spender(IpAddr::from([10, 0, 0, 1])),
            is_signed_in: false,
        };
        let limit = Duration::from_secs(1);
        let _place = before.find(&name).unwrap().place(asker, limit).await;
        for (what, settings, keeps) in [
            ("nothing", settings(url, 1, Some(ca.clone())), true),
            ("the time", settings(url, 9, Some(ca.clone())), true),
            (
                "the path",
                settings("https://orders.internal/v2", 1, Some(ca.clone())),
                true,
            ),
            (
                "the host",
                settings("https://other.internal/v1", 1, Some(ca.clone())),
                false,
            ),
            (
                "the port",
                settings("https://orders.internal:444/v1", 1, Some(ca.clone())),
                false,
            ),
            (
                "the scheme",
                settings("http://orders.internal:443/v1", 1, Some(ca)),
                false,
            ),
            ("the anchors", settings(url, 1, Some(other_ca)), false),
            ("no anchors", settings(url, 1, None), false),
        ] {
            let after = before.renewed(&one(settings.clone()), &metrics).unwrap();
            let after = after.find(&name).unwrap();
            assert_eq!(after.settings, settings, "{what}");
            assert_eq!(after.places.taken() == 1, keeps, "{what}");
        }
        assert!(
            before
                .renewed(&HashMap::new(), &metrics)
                .unwrap()
                .0
                .is_empty()
        );
    }
}
