//! Request parameters, of a query or of a form, and cookies.

use actix_web::HttpRequest;
use actix_web::http::header;
use serde_json::Value;

/// Parameters that come at most once each (RFC 6749 §3.1), but for `resource` (RFC 8707 §2).
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter came twice.
#[derive(Debug)]
pub(super) struct Repeated;

impl Params {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Repeated> {
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if name != "resource" && params.iter().any(|(known, _)| *known == name) {
                return Err(Repeated);
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(params))
    }

    /// A parameter without value counts as left out (RFC 6749 §3.1).
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The members of a JSON object. A list is a parameter that comes several times.
    pub(super) fn of<'m>(members: impl Iterator<Item = (&'m String, &'m Value)>) -> Self {
        let mut params = Vec::new();
        for (name, value) in members {
            let values = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            params.extend(values.iter().map(|value| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (name.clone(), text)
            }));
        }
        Self(params)
    }

    /// The names of all parameters, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// All parameters, in order.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        self.0.clone()
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.one(name).map(str::to_owned)
    }

    pub(super) fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// The value of a request cookie.
pub(super) fn cookie<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_once_and_an_empty_one_not_at_all() {
        let params = Params::parse(b"a=1+2%26&empty=&resource=x&resource=y").unwrap();
        assert_eq!(params.one("a"), Some("1 2&"));
        assert_eq!(params.one("empty"), None);
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert!(Params::parse(b"state=1&state=2").is_err());
    }
}
