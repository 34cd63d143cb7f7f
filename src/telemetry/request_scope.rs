//! The request that a log line is about: its id, trace, frontend and route stand on every line that is written while it is
//! served.
//!
//! `server::pipeline` begins a scope with each request and runs the whole of it inside. A task that a request spawns takes
//! the scope along by [`take_along`]; the body of an answer is polled inside it. So the line that names a cause has the id
//! that the client was given, and no call site repeats it.
//!
//! The scope begins with the request's span, and knows which span the present work belongs to (`span`).
//!
//! # Invariants
//! - A field that a line has itself is not said twice: the line's own counts.
//! - The line of an answer that failed is left out only if another line has named the same problem as its `code`. So a line about
//!   something else silences nothing, and a cause that is told without `code` is told beside the answer's own line.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Record};

use super::recorder::Recording;
use super::{Label, RequestId, TraceContext};

/// The field of a line that names the cause of an answer: the code of the problem that the client hears.
const CODE: &str = "code";

tokio::task_local! {
    static CURRENT: Option<RequestScope>;
}

/// What log lines say of a request. Clones are the same request.
#[derive(Clone, Debug)]
pub struct RequestScope {
    facts: Arc<Facts>,
    /// The span that the present work belongs to, if it is not the request's own.
    within: Option<[u8; 8]>,
}

#[derive(Debug)]
struct Facts {
    id: RequestId,
    trace: TraceContext,
    /// Only if the trace is recorded here.
    recording: Option<Recording>,
    frontend: OnceLock<Label>,
    route: OnceLock<Label>,
    /// Microseconds until the head of the upstream's answer that took longest; 0 before the first.
    upstream: AtomicU64,
    /// The problems whose cause a line has named, each with the gravest level of such a line; see [`RequestScope::unless_told`].
    told: Mutex<Vec<(String, Level)>>,
}

impl RequestScope {
    /// A request has come.
    pub fn begin(id: RequestId, trace: TraceContext) -> Self {
        Self::recorded(id, trace, None)
    }

    /// A request has come whose spans are recorded.
    pub(super) fn recorded(
        id: RequestId,
        trace: TraceContext,
        recording: Option<Recording>,
    ) -> Self {
        let facts = Facts {
            id,
            trace,
            recording,
            frontend: OnceLock::new(),
            route: OnceLock::new(),
            upstream: AtomicU64::new(0),
            told: Mutex::default(),
        };
        Self {
            facts: Arc::new(facts),
            within: None,
        }
    }

    /// The request that is served right now, if there is one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// Looks at the request that is served right now, if there is one.
    pub(super) fn with_current<R>(look: impl FnOnce(&Self) -> R) -> Option<R> {
        CURRENT.try_with(|scope| scope.as_ref().map(look)).ok()?
    }

    /// What records its spans.
    pub(super) fn recording(&self) -> Option<&Recording> {
        self.facts.recording.as_ref()
    }

    /// The span that the present work belongs to, if it is not the request's own.
    pub(super) const fn within(&self) -> Option<[u8; 8]> {
        self.within
    }

    /// The same request, for work that belongs to a span.
    pub(super) fn inside(mut self, span: [u8; 8]) -> Self {
        self.within = Some(span);
        self
    }

    /// The id that the client is told, and asks for help with.
    pub fn id(&self) -> &str {
        self.facts.id.as_str()
    }

    /// The same, as `X-Request-Id` has it.
    pub fn id_header(&self) -> &HeaderValue {
        self.facts.id.header()
    }

    /// The trace that the request belongs to.
    pub fn trace(&self) -> &TraceContext {
        &self.facts.trace
    }

    /// `traceparent` for what the present work calls.
    pub fn traceparent(&self) -> String {
        match self.within {
            None => self.facts.trace.traceparent(),
            Some(span) => self.facts.trace.traceparent_of(span),
        }
    }

    /// An upstream took that long to answer.
    pub fn waited_for_upstream(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.facts
            .upstream
            .fetch_max(micros.max(1), Ordering::Relaxed);
    }

    /// How long the slowest upstream took to answer, if one was called.
    pub fn slowest_upstream(&self) -> Option<Duration> {
        let micros = self.facts.upstream.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Says which frontend serves the request.
    pub fn set_frontend(&self, frontend: Label) {
        // It is known once.
        let _ = self.facts.frontend.set(frontend);
    }

    /// Says which route or endpoint serves the request.
    pub fn set_route(&self, route: Label) {
        let _ = self.facts.route.set(route);
    }

    /// The frontend, or nothing before it is known.
    pub fn frontend(&self) -> Label {
        self.facts.frontend.get().cloned().unwrap_or("".into())
    }

    /// The route or endpoint, or nothing before it is known.
    pub fn route(&self) -> Label {
        self.facts.route.get().cloned().unwrap_or("".into())
    }

    /// The level for the line of an answer that failed with the problem `code`: its own, or debug if a line as grave has named the
    /// cause of that problem.
    pub fn unless_told(&self, level: Level, code: &str) -> Level {
        if self.has_told(level, code) {
            Level::Debug
        } else {
            level
        }
    }

    fn has_told(&self, level: Level, code: &str) -> bool {
        let is_it = |(of, at): &(String, Level)| of == code && *at <= level;
        self.told().iter().any(is_it)
    }

    fn note_told(&self, record: &Record<'_>) {
        let Some(code) = record.key_values().get(Key::from_str(CODE)) else {
            return;
        };
        let (code, level) = (code.to_string(), record.level());
        if !self.has_told(level, &code) {
            self.told().push((code, level));
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<(String, Level)>> {
        // A line too many does no harm.
        let told = self.facts.told.lock();
        told.unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the request: whatever the future logs is about it.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Some(self), future)
    }

    /// Does something of the request outside of its future.
    pub fn during<R>(&self, something: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(Some(self.clone()), something)
    }

    fn fields(&self) -> [(&'static str, Option<&str>); 4] {
        let Facts {
            id,
            trace,
            recording: _,
            frontend,
            route,
            upstream: _,
            told: _,
        } = &*self.facts;
        [
            ("id", Some(id.as_str())),
            ("trace", Some(trace.trace_id())),
            ("frontend", frontend.get().map(Label::as_str)),
            ("route", route.get().map(Label::as_str)),
        ]
    }
}

/// The future of a task that the present request spawns, if there is a request.
pub fn take_along<F: Future>(future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(RequestScope::current(), future)
}

/// The same for what runs on a thread of its own.
pub fn take_along_blocking<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let scope = RequestScope::current();
    move || CURRENT.sync_scope(scope, work)
}

/// Gives `record` to `log` with what is known of the present request. `log` tells whether the filter lets it through: a line that
/// nobody can read has said nothing.
pub fn with_request(record: &Record<'_>, log: impl FnOnce(&Record<'_>) -> bool) {
    let Some(scope) = RequestScope::current() else {
        log(record);
        return;
    };
    let fields = Fields {
        own: record.key_values(),
        scope: &scope,
    };
    let mut builder = record.to_builder();
    if log(&builder.key_values(&fields).build()) {
        scope.note_told(record);
    }
}

/// The fields of a line, and those of its request.
struct Fields<'a> {
    own: &'a dyn Source,
    scope: &'a RequestScope,
}

impl Source for Fields<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        self.own.visit(visitor)?;
        for (name, value) in self.scope.fields() {
            let key = Key::from_str(name);
            if let Some(value) = value
                && self.own.get(key.clone()).is_none()
            {
                visitor.visit_pair(key, Value::from(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const TRACE: &str = "00000000000000000000000000000007";

    fn begin(number: u64) -> RequestScope {
        let trace = TraceContext::of(None, None, (7, 8));
        RequestScope::begin(RequestId::made(number), trace)
    }

    #[test]
    fn the_slowest_upstream_counts() {
        let scope = begin(1);
        assert_eq!(scope.slowest_upstream(), None);
        for micros in [3, 9, 5] {
            scope.waited_for_upstream(Duration::from_micros(micros));
        }
        assert_eq!(scope.slowest_upstream(), Some(Duration::from_micros(9)));
    }

    /// The fields that a line with `own` gets.
    fn fields(own: &[(&str, &str)]) -> String {
        struct Text(String);
        impl<'kvs> VisitSource<'kvs> for Text {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "{key}={value} ");
                Ok(())
            }
        }
        let record = Record::builder().key_values(&own).build();
        let mut text = Text(String::new());
        with_request(&record, |record| {
            record.key_values().visit(&mut text).unwrap();
            true
        });
        text.0
    }

    #[test]
    fn a_line_has_the_fields_of_its_request_once() {
        assert_eq!(fields(&[("a", "1")]), "a=1 ");
        let scope = begin(0x1f);
        assert_eq!(scope.id(), "000000000000001f");
        let lines = scope.during(|| {
            let before = fields(&[]);
            scope.set_frontend("shop".into());
            scope.set_route("orders".into());
            scope.set_route("other".into());
            (before, fields(&[("a", "1"), ("frontend", "mine")]))
        });
        let of_request = format!("id=000000000000001f trace={TRACE} ");
        assert_eq!(lines.0, of_request);
        assert_eq!(
            lines.1,
            format!("a=1 frontend=mine {of_request}route=orders ")
        );
        assert_eq!(fields(&[]), "");
    }

    #[test]
    fn a_request_knows_which_causes_its_lines_have_named() {
        let scope = begin(1);
        let log_if = |passes, level, fields: &[(&str, &str)]| {
            let record = Record::builder().level(level).key_values(&fields).build();
            scope.during(|| with_request(&record, |_| passes));
        };
        let log = |level, code| log_if(true, level, &[("code", code)]);
        log_if(false, Level::Error, &[("code", "internal")]);
        assert!(!scope.has_told(Level::Trace, "internal"), "it is hidden");
        log_if(true, Level::Error, &[("reason", "internal")]);
        log(Level::Error, "upstream-timeout");
        assert!(!scope.has_told(Level::Trace, "internal"), "others are told");
        log(Level::Info, "internal");
        let has_told = |level| scope.has_told(level, "internal");
        assert!(has_told(Level::Info) && !has_told(Level::Warn));
        log(Level::Error, "internal");
        log(Level::Debug, "internal");
        assert!(has_told(Level::Warn) && has_told(Level::Error));
        assert_eq!(scope.unless_told(Level::Warn, "internal"), Level::Debug);
        assert_eq!(scope.unless_told(Level::Warn, "not-found"), Level::Warn);
    }

    #[actix_web::test]
    async fn a_task_takes_the_request_along() {
        let scope = begin(1);
        let (with, without) = scope
            .around(async {
                let with = actix_web::rt::spawn(take_along(async { fields(&[]) }));
                let without = actix_web::rt::spawn(async { fields(&[]) });
                (with.await.unwrap(), without.await.unwrap())
            })
            .await;
        let of_request = format!("id=0000000000000001 trace={TRACE} ");
        assert_eq!((&*with, &*without), (&*of_request, ""));
    }
}
