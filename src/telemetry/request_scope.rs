//! The request that a log line is about: its id, frontend and route stand on every line that is written while it is served.
//!
//! `server::pipeline` begins a scope with each request and runs the whole of it inside. A task that a request spawns takes
//! the scope along by [`take_along`]; the body of an answer is polled inside it. So the line that names a cause has the id
//! that the client was given, and no call site repeats it.
//!
//! The scope begins where a trace's span of the request would begin, and ends where that would end.
//!
//! # Invariants
//! - A field that a line has itself is not said twice: the line's own counts.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use log::Record;
use log::kv::{Error, Key, Source, Value, VisitSource};

use super::Label;

tokio::task_local! {
    static CURRENT: Option<RequestScope>;
}

/// What log lines say of a request. Clones are the same request.
#[derive(Clone, Debug)]
pub struct RequestScope(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: RequestId,
    frontend: OnceLock<Label>,
    route: OnceLock<Label>,
}

/// Sixteen hexadecimal digits.
#[derive(Debug)]
struct RequestId([u8; 16]);

impl RequestScope {
    /// A request has come that has this number.
    pub fn begin(number: u64) -> Self {
        Self(Arc::new(Facts {
            id: RequestId::of(number),
            frontend: OnceLock::new(),
            route: OnceLock::new(),
        }))
    }

    /// The id that the client is told, and asks for help with.
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// Says which frontend serves the request.
    pub fn set_frontend(&self, frontend: Label) {
        // It is known once.
        let _ = self.0.frontend.set(frontend);
    }

    /// Says which route or endpoint serves the request.
    pub fn set_route(&self, route: Label) {
        let _ = self.0.route.set(route);
    }

    /// The frontend, or nothing before it is known.
    pub fn frontend(&self) -> Label {
        self.0.frontend.get().cloned().unwrap_or("".into())
    }

    /// The route or endpoint, or nothing before it is known.
    pub fn route(&self) -> Label {
        self.0.route.get().cloned().unwrap_or("".into())
    }

    /// Serves the request: whatever the future logs is about it.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Some(self), future)
    }

    /// Does something of the request outside of its future.
    pub fn during<R>(&self, something: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(Some(self.clone()), something)
    }

    fn fields(&self) -> [(&'static str, Option<&str>); 3] {
        let Facts {
            id,
            frontend,
            route,
        } = &*self.0;
        [
            ("id", Some(id.as_str())),
            ("frontend", frontend.get().map(Label::as_str)),
            ("route", route.get().map(Label::as_str)),
        ]
    }
}

/// The future of a task that the present request spawns, if there is a request.
pub fn take_along<F: Future>(future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current(), future)
}

/// The same for what runs on a thread of its own.
pub fn take_along_blocking<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let scope = current();
    move || CURRENT.sync_scope(scope, work)
}

/// Gives `record` to `log` with what is known of the present request.
pub fn with_request<R>(record: &Record<'_>, log: impl FnOnce(&Record<'_>) -> R) -> R {
    let Some(scope) = current() else {
        return log(record);
    };
    let fields = Fields {
        own: record.key_values(),
        scope: &scope,
    };
    let mut builder = record.to_builder();
    log(&builder.key_values(&fields).build())
}

fn current() -> Option<RequestScope> {
    CURRENT.try_with(Clone::clone).ok().flatten()
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

impl RequestId {
    fn of(number: u64) -> Self {
        let digit = |nibble: u64| match u8::try_from(nibble).unwrap_or_default() {
            decimal @ 0..=9 => b'0' + decimal,
            letter => b'a' - 10 + letter,
        };
        let mut left = number;
        let mut digits = [0; 16];
        for place in digits.iter_mut().rev() {
            *place = digit(left & 0xf);
            left >>= 4;
        }
        Self(digits)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

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
        with_request(&record, |record| {
            let mut text = Text(String::new());
            record.key_values().visit(&mut text).unwrap();
            text.0
        })
    }

    #[test]
    fn a_line_has_the_fields_of_its_request_once() {
        assert_eq!(fields(&[("a", "1")]), "a=1 ");
        let scope = RequestScope::begin(0x1f);
        assert_eq!(scope.id(), "000000000000001f");
        assert_eq!(RequestScope::begin(u64::MAX - 5).id(), "fffffffffffffffa");
        let lines = scope.during(|| {
            let before = fields(&[]);
            scope.set_frontend("shop".into());
            scope.set_route("orders".into());
            scope.set_route("other".into());
            (before, fields(&[("a", "1"), ("frontend", "mine")]))
        });
        assert_eq!(lines.0, "id=000000000000001f ");
        assert_eq!(
            lines.1,
            "a=1 frontend=mine id=000000000000001f route=orders "
        );
        assert_eq!(fields(&[]), "");
    }

    #[actix_web::test]
    async fn a_task_takes_the_request_along() {
        let scope = RequestScope::begin(1);
        let (with, without) = scope
            .around(async {
                let with = actix_web::rt::spawn(take_along(async { fields(&[]) }));
                let without = actix_web::rt::spawn(async { fields(&[]) });
                (with.await.unwrap(), without.await.unwrap())
            })
            .await;
        assert_eq!((&*with, &*without), ("id=0000000000000001 ", ""));
    }
}
