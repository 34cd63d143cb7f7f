//! The attributes of spans: their names, and what a value can be.
//!
//! # Spec
//! OpenTelemetry semantic conventions, HTTP spans. `url.full` and `url.query` are left out: a query may hold what only its
//! reader may know.

use std::sync::Arc;

/// The class of an error: a problem's code, or the status of an answer.
pub const ERROR_TYPE: &str = "error.type";
/// The method, or `_OTHER`.
pub const METHOD: &str = "http.request.method";
/// The path of the route, as it is configured.
pub const HTTP_ROUTE: &str = "http.route";
/// The status of the answer.
pub const STATUS: &str = "http.response.status_code";
/// The host that is asked.
pub const SERVER_ADDRESS: &str = "server.address";
/// Its port.
pub const SERVER_PORT: &str = "server.port";
/// The path, as the access log writes it.
pub const URL_PATH: &str = "url.path";
/// `http` or `https`.
pub const URL_SCHEME: &str = "url.scheme";
/// Which frontend.
pub const FRONTEND: &str = "sealgate.frontend";
/// Which route or endpoint.
pub const ROUTE: &str = "sealgate.route";
/// How it ended, in the words of the metrics.
pub const OUTCOME: &str = "sealgate.outcome";
/// Which upstream.
pub const UPSTREAM: &str = "sealgate.upstream";
/// Which part of a composed answer.
pub const PART: &str = "sealgate.part";

/// The value of an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A configured name.
    Name(Arc<str>),
    /// A number.
    Number(i64),
    /// Text of a request. The caller knows that it holds no secret.
    Text(String),
    /// A fixed word.
    Word(&'static str),
}

impl From<Arc<str>> for Value {
    fn from(name: Arc<str>) -> Self {
        Self::Name(name)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

/// A method as an attribute: clients choose methods, and those that nobody knows are all alike.
pub fn method(name: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_nobody_knows_is_no_attribute() {
        for (name, expect) in [("GET", "GET"), ("get", "_OTHER"), ("SECRET-1", "_OTHER")] {
            assert_eq!(method(name), expect);
        }
    }
}
