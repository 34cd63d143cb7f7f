//! What is open at the moment: connections of clients, streams, connections to upstreams.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Known, Metrics, seconds};
use crate::names::UpstreamName;
use crate::telemetry::Label;
use crate::telemetry::label::words;

/// What kind of answer lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamKind {
    /// Server-sent events.
    Sse,
    /// A WebSocket connection.
    WebSocket,
}

words!(StreamKind { Sse => "sse", WebSocket => "websocket" });

/// Counts as long as it is held.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    fn new(count: &Gauge) -> Self {
        count.inc();
        Self(count.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The connections to one upstream, of all workers, and what comes over them. Clones count together.
#[derive(Clone, Debug)]
pub struct UpstreamConnections {
    open: Gauge,
    active: Gauge,
    seconds: Histogram,
}

#[cfg(test)]
impl Default for UpstreamConnections {
    fn default() -> Self {
        Self::new(seconds())
    }
}

impl UpstreamConnections {
    fn new(seconds: Histogram) -> Self {
        Self {
            open: Gauge::default(),
            active: Gauge::default(),
            seconds,
        }
    }

    /// A connection was made.
    pub fn opened(&self) -> Held {
        Held::new(&self.open)
    }

    /// A call has the right to one.
    pub fn used(&self) -> Held {
        Held::new(&self.active)
    }

    /// So long it took until an answer's headers.
    pub fn answered(&self, seconds: f64) {
        self.seconds.observe(seconds);
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Stream {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Upstream {
    upstream: Label,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct UpstreamState {
    upstream: Label,
    state: &'static str,
}

#[derive(Debug)]
pub(super) struct Connections {
    of_clients: Gauge,
    streams: Family<Stream, Gauge>,
    upstream_seconds: Family<Upstream, Histogram>,
    of_upstreams: Mutex<BTreeMap<Arc<str>, UpstreamConnections>>,
    shown: Family<UpstreamState, Gauge>,
}

impl Default for Connections {
    fn default() -> Self {
        let streams = Family::<Stream, Gauge>::default();
        for kind in StreamKind::ALL {
            let kind = kind.as_str();
            let _ = streams.get_or_create(&Stream { kind });
        }
        Self {
            of_clients: Gauge::default(),
            streams,
            upstream_seconds: Family::new_with_constructor(seconds),
            of_upstreams: Mutex::default(),
            shown: Family::default(),
        }
    }
}

impl Connections {
    pub(super) fn begin(&self, known: &Known<'_>) {
        for upstream in known.upstreams {
            let upstream = (*upstream).into();
            drop(self.upstream_seconds.get_or_create(&Upstream { upstream }));
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "connections",
            "Connections to the public listener",
            self.of_clients.clone(),
        );
        r.register(
            "streams",
            "Answers that last, by kind",
            self.streams.clone(),
        );
        r.register(
            "upstream_seconds",
            "Time until an upstream's response headers",
            self.upstream_seconds.clone(),
        );
        r.register(
            "upstream_connections",
            "Connections to an upstream: in use by a call, or idle",
            self.shown.clone(),
        );
    }

    /// Brings what is shown up to date.
    pub(super) fn show(&self) {
        let of_upstreams = self.of_upstreams();
        for (name, connections) in of_upstreams.iter() {
            let upstream = Label::from(Arc::clone(name));
            let (open, active) = (connections.open.get(), connections.active.get());
            for (state, count) in [("active", active), ("idle", open.saturating_sub(active))] {
                let upstream = upstream.clone();
                let shown = self.shown.get_or_create(&UpstreamState { upstream, state });
                // A call has its place before its connection.
                shown.set(count.max(0));
            }
        }
    }

    fn of_upstreams(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, UpstreamConnections>> {
        self.of_upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// A client has connected to the public listener.
    pub fn connected(&self) -> Held {
        Held::new(&self.connections.of_clients)
    }

    /// An answer has begun that lasts.
    pub fn streaming(&self, kind: StreamKind) -> Held {
        let kind = kind.as_str();
        let streams = self.connections.streams.get_or_create(&Stream { kind });
        Held::new(&streams)
    }

    /// The connections to this upstream.
    pub fn upstream_connections(&self, upstream: &UpstreamName) -> UpstreamConnections {
        let new = || {
            let upstream = upstream.into();
            let seconds = &self.connections.upstream_seconds;
            UpstreamConnections::new(seconds.get_or_create(&Upstream { upstream }).clone())
        };
        let mut of_upstreams = self.connections.of_upstreams();
        let connections = of_upstreams.entry(upstream.shared());
        connections.or_insert_with(new).clone()
    }
}
