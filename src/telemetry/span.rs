//! Spans: which work of a request took how long. This is the door: other code knows nothing of OpenTelemetry.
//!
//! A [`Span`] is open from its making until it is dropped. Spans are recorded only if the environment names a collector and
//! the sampler takes the request. Otherwise a `Span` is empty, and each of its functions returns after one look.
//!
//! # Invariants
//! - Work that is done [`around`](Span::around) a span belongs to it: spans that begin there are its children, and calls
//!   tell its id to whom they call.
//! - Without a request there are no spans.

use std::fmt;
use std::future::Future;

use futures_util::future::Either;
use url::Url;

use super::attribute::{self, Value};
use super::metrics::ProviderCall;
use super::recorder::{Begun, Open, Recorder};
use super::{RequestId, RequestScope, TraceContext};

/// What a span is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanName {
    /// A call to the identity provider.
    Oidc(ProviderCall),
    /// One call of a part of a composed answer, with the token that it needs.
    Part,
    /// The cookies or the token of the request become a session.
    SessionOpen,
    /// A token comes in exchange for the user's.
    TokenExchange,
    /// The session gets new tokens.
    TokenRefresh,
    /// A call to an API, until the head of its answer.
    Upstream,
}

impl SpanName {
    /// As it is exported.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc(ProviderCall::Discovery) => "oidc.discovery",
            Self::Oidc(ProviderCall::Jwks) => "oidc.jwks",
            Self::Oidc(ProviderCall::Par) => "oidc.par",
            Self::Oidc(ProviderCall::Revocation) => "oidc.revocation",
            Self::Oidc(ProviderCall::Token) => "oidc.token",
            Self::Oidc(ProviderCall::Userinfo) => "oidc.userinfo",
            Self::Part => "part",
            Self::SessionOpen => "session.open",
            Self::TokenExchange => "token.exchange",
            Self::TokenRefresh => "token.refresh",
            Self::Upstream => "upstream",
        }
    }

    /// Whether another server does the work.
    const fn is_call(self) -> bool {
        matches!(self, Self::Oidc(_) | Self::Upstream)
    }
}

/// Work that is under way; or nothing, if it is not recorded.
#[derive(Default)]
pub struct Span(Option<Box<Recorded>>);

struct Recorded {
    open: Open,
    /// The request, and this span as what its work belongs to.
    scope: RequestScope,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.is_recorded()).finish()
    }
}

/// A request has come: its scope, and its own span. The sampler's word goes out with each call.
pub fn begin_request(
    id: RequestId,
    trace: TraceContext,
    recorder: Option<Recorder>,
) -> (RequestScope, Span) {
    let Some(recorder) = recorder else {
        return (RequestScope::begin(id, trace), Span::default());
    };
    let Begun {
        trace,
        open,
        recording,
    } = recorder.begin_request(trace);
    let scope = RequestScope::recorded(id, trace, recording);
    let span = open.map(|open| {
        let scope = scope.clone();
        Box::new(Recorded { open, scope })
    });
    (scope, Span(span))
}

impl Span {
    /// Work of the request that is served right now has begun.
    pub fn begin(name: SpanName) -> Self {
        RequestScope::with_current(|scope| Self::of(scope, name)).unwrap_or_default()
    }

    /// Work of this request has begun.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(
            unreachable_code,
            unused_variables,
            reason = "without the feature nothing records"
        )
    )]
    pub fn of(scope: &RequestScope, name: SpanName) -> Self {
        let Some(recording) = scope.recording() else {
            return Self(None);
        };
        let open = recording.begin(name.as_str(), name.is_call(), scope.within());
        let scope = scope.clone().inside(open.id());
        Self(Some(Box::new(Recorded { open, scope })))
    }

    /// Whether what is said of it reaches anybody.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// The request, as work that belongs to this span sees it.
    pub fn scope(&self) -> Option<&RequestScope> {
        self.0.as_ref().map(|recorded| &recorded.scope)
    }

    /// Does work that belongs to it.
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        match self.scope() {
            Some(scope) => Either::Left(scope.clone().around(future)),
            None => Either::Right(future),
        }
    }

    /// Says something of it. Each attribute is said once.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(recorded) = &mut self.0 {
            recorded.open.set(key, value.into());
        }
    }

    /// Says whom it calls.
    pub fn calls(&mut self, method: &str, url: &Url) {
        if !self.is_recorded() {
            return;
        }
        self.set(attribute::METHOD, attribute::method(method));
        self.set(
            attribute::SERVER_ADDRESS,
            url.host_str().unwrap_or_default().to_owned(),
        );
        if let Some(port) = url.port_or_known_default() {
            self.set(attribute::SERVER_PORT, port);
        }
    }

    /// Says how a call was answered. For whom calls, each status from 400 on is an error.
    pub fn answered(&mut self, status: u16) {
        if !self.is_recorded() {
            return;
        }
        self.set(attribute::STATUS, status);
        if status >= 400 {
            self.failed(status.to_string());
        }
    }

    /// It is an error, of this class.
    pub fn failed(&mut self, class: impl Into<Value>) {
        if let Some(recorded) = &mut self.0 {
            recorded.open.set(attribute::ERROR_TYPE, class.into());
            recorded.open.fail();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn without_a_recorder_a_span_is_empty_and_changes_nothing() {
        let trace = TraceContext::of(None, None, (7, 8));
        let (scope, span) = begin_request(RequestId::made(1), trace, None);
        assert!(!span.is_recorded());
        let told = scope.traceparent();
        let (inner, seen) = scope
            .around(async {
                let mut span = Span::begin(SpanName::Upstream);
                span.answered(500);
                let seen = span.around(async { RequestScope::current().unwrap().traceparent() });
                (span.is_recorded(), seen.await)
            })
            .await;
        assert_eq!((inner, seen), (false, told));
        assert!(!Span::begin(SpanName::Part).is_recorded(), "no request");
    }
}
