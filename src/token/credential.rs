//! What an upstream request proves its right with.
//!
//! `proxy` makes a request and hands it to [`Credential::apply`] last, once its method and its URI are final.
//!
//! # Spec
//! RFC 6750 §2.1 (bearer tokens).
//!
//! # Why the credential is applied, and not read as a header
//! A bearer token is the same header on every request. A proof of possession (RFC 9449 §4.2) is signed over the method and
//! the URI of one request, and again for each repetition.

use std::fmt;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};

/// The proof that goes along with one upstream request.
#[derive(Clone)]
pub enum Credential {
    /// Nothing goes along.
    None,
    /// An access token in `Authorization`. The value is marked sensitive.
    Bearer(HeaderValue),
}

impl Credential {
    /// Whether the upstream gets a token.
    pub const fn has_token(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bearer(_) => true,
        }
    }

    /// Adds the proof to a request whose method and URI do not change any more.
    pub fn apply<B>(&self, request: &mut Request<B>) {
        match self {
            Self::None => {}
            Self::Bearer(value) => {
                request.headers_mut().insert(AUTHORIZATION, value.clone());
            }
        }
    }
}

impl fmt::Debug for Credential {
    // SECURITY: it holds a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Credential::None",
            Self::Bearer(_) => "Credential::Bearer(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_the_only_authorization_and_stays_out_of_logs() {
        let mut value = HeaderValue::from_static("Bearer canary");
        value.set_sensitive(true);
        let credential = Credential::Bearer(value);
        assert!(credential.has_token());
        assert!(!format!("{credential:?}").contains("canary"));

        let request = Request::builder().header(AUTHORIZATION, "Basic x");
        let mut request = request.body(()).unwrap();
        credential.apply(&mut request);
        credential.apply(&mut request);
        let sent: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().collect();
        assert_eq!(sent, ["Bearer canary"]);
        assert!(sent.iter().all(|value| value.is_sensitive()));
    }

    #[test]
    fn without_a_token_nothing_is_added() {
        let mut request = Request::new(());
        Credential::None.apply(&mut request);
        assert!(!Credential::None.has_token());
        assert!(request.headers().is_empty());
    }
}
