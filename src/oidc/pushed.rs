//! Pushed authorization requests: the parameters go from here to the provider, and the browser carries a reference to them.
//!
//! # Invariants
//! - A reference is made for one login, and the browser is sent there at once. It is never stored or used again.
//! - If the provider refuses a request, the login fails. It never falls back to a request that a browser carries.
//!
//! # Spec
//! RFC 9126; RFC 9449 §10.1.

use openidconnect::HttpResponse;
use url::Url;

use super::dpop::ProofKey;
use super::members::Members;
use super::metadata::Known;
use super::token_response::refusal;
use super::{IdpClient, OidcError, Provider};
use crate::telemetry::metrics::ProviderCall;

/// Longest reference. It becomes part of a URL.
const MAX_REFERENCE: usize = 2048;

impl Provider {
    /// The reference (`request_uri`) to a request with these parameters. A proof of `key` goes along, if the code is to be bound to
    /// one (RFC 9449 §10.1).
    pub(super) async fn push(
        &self,
        http: &IdpClient,
        known: &Known,
        endpoint: &Url,
        params: &[(&str, &str)],
        key: Option<&ProofKey>,
    ) -> Result<String, OidcError> {
        let make = || self.client_request(endpoint, params, &[]);
        let channel = self.channel(http, ProviderCall::Par, &known.metadata);
        let answer = self.send_proven(&channel, key, make).await;
        self.heard(&answer);
        let answer = answer.map_err(OidcError::lost_or_not)?;
        if answer.status().is_success() {
            return read(&answer);
        }
        Err(match refusal(self.settings(), &answer, params) {
            // It cannot be told from a refusal: the next login would get the same answer.
            OidcError::Invalid(why) => OidcError::Unusable(format!("pushed request: {why}")),
            error => error,
        })
    }
}

/// RFC 9126 §2.2. `expires_in` is of no use: the browser goes there at once.
fn read(answer: &HttpResponse) -> Result<String, OidcError> {
    let unusable = |why: &str| OidcError::Unusable(format!("pushed request: {why}"));
    let mut members =
        Members::parse(answer.body()).map_err(|_| unusable("the answer is no JSON object"))?;
    members
        .take_text("request_uri")
        .ok()
        .flatten()
        .filter(|uri| uri.len() <= MAX_REFERENCE && !uri.chars().any(char::is_control))
        .ok_or_else(|| unusable("request_uri is missing or not understood"))
}
