//! Calls to identity providers.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Known, Metrics, seconds};
use crate::names::FrontendName;
use crate::telemetry::Label;
use crate::telemetry::label::words;

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderCall {
    /// Its metadata.
    Discovery,
    /// Its keys.
    Jwks,
    /// To take an authorization request (RFC 9126).
    Par,
    /// To revoke a token (RFC 7009).
    Revocation,
    /// Tokens.
    Token,
    /// Claims.
    Userinfo,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderResult {
    /// It was answered.
    Ok,
    /// The provider refused.
    Refused,
    /// It was not answered, or with the status of an outage.
    Unavailable,
}

words!(ProviderCall {
    Discovery => "discovery", Jwks => "jwks", Par => "par", Revocation => "revocation", Token => "token",
    Userinfo => "userinfo"
});
words!(ProviderResult { Ok => "ok", Refused => "refused", Unavailable => "unavailable" });

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

words!(ExchangeResult { Cached => "cached", Ok => "ok", Refused => "refused", Unavailable => "unavailable" });

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Exchange {
    frontend: Label,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Call {
    frontend: Label,
    call: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallResult {
    frontend: Label,
    call: &'static str,
    result: &'static str,
}

/// Counts the calls to the provider of one frontend. Clones count together.
#[derive(Clone, Debug)]
pub struct ProviderCalls {
    frontend: Label,
    seconds: Family<Call, Histogram>,
    total: Family<CallResult, Counter>,
}

impl ProviderCalls {
    /// A call begins.
    pub fn begin(&self, call: ProviderCall) -> Counting<'_> {
        Counting {
            calls: self,
            call,
            since: Instant::now(),
        }
    }
}

/// A call that is under way.
#[derive(Debug)]
pub struct Counting<'c> {
    calls: &'c ProviderCalls,
    call: ProviderCall,
    since: Instant,
}

impl Counting<'_> {
    /// It has ended so.
    pub fn ended(self, result: ProviderResult) {
        let frontend = self.calls.frontend.clone();
        let (call, result) = (self.call.as_str(), result.as_str());
        let seconds = self.since.elapsed().as_secs_f64();
        let target = Call { frontend, call };
        self.calls.seconds.get_or_create(&target).observe(seconds);
        let frontend = target.frontend;
        let result = CallResult {
            frontend,
            call,
            result,
        };
        self.calls.total.get_or_create(&result).inc();
    }
}

#[derive(Debug)]
pub(super) struct Providers {
    exchange: Family<Exchange, Counter>,
    seconds: Family<Call, Histogram>,
    total: Family<CallResult, Counter>,
}

impl Default for Providers {
    fn default() -> Self {
        Self {
            exchange: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            total: Family::default(),
        }
    }
}

impl Providers {
    pub(super) fn begin(&self, known: &Known<'_>) {
        for frontend in known.frontends {
            for result in ExchangeResult::ALL {
                let (frontend, result) = ((*frontend).into(), result.as_str());
                let _ = self.exchange.get_or_create(&Exchange { frontend, result });
            }
            for call in ProviderCall::ALL {
                let target = Call {
                    frontend: (*frontend).into(),
                    call: call.as_str(),
                };
                drop(self.seconds.get_or_create(&target));
                for result in ProviderResult::ALL {
                    let _ = self.total.get_or_create(&CallResult {
                        frontend: (*frontend).into(),
                        call: call.as_str(),
                        result: result.as_str(),
                    });
                }
            }
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "exchange",
            "Token exchanges by result",
            self.exchange.clone(),
        );
        r.register(
            "provider_seconds",
            "Time of a call to the identity provider",
            self.seconds.clone(),
        );
        r.register(
            "provider",
            "Calls to the identity provider by result",
            self.total.clone(),
        );
    }
}

impl Metrics {
    /// Counts the calls to the provider of this frontend.
    pub fn provider_calls(&self, frontend: &FrontendName) -> ProviderCalls {
        ProviderCalls {
            frontend: frontend.into(),
            seconds: self.providers.seconds.clone(),
            total: self.providers.total.clone(),
        }
    }

    /// How a token exchange ended.
    pub fn exchanged(&self, frontend: &FrontendName, result: ExchangeResult) {
        let (frontend, result) = (frontend.into(), result.as_str());
        let exchanges = &self.providers.exchange;
        exchanges
            .get_or_create(&Exchange { frontend, result })
            .inc();
    }
}
