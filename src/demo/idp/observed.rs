//! What the provider was asked, for tests.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the provider has been asked so far.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Requests for the metadata.
    pub discovery: u32,
    /// Requests for the keys.
    pub jwks: u32,
    /// Requests at the authorization endpoint.
    pub authorize: u32,
    /// The names of the parameters that browsers carried there, request by request.
    pub carried: Vec<Vec<String>>,
    /// Pushed authorization requests of clients that proved who they are: names and values.
    pub pushed: Vec<Vec<(String, String)>>,
    /// Requests at the token endpoint, by `grant_type`.
    pub token: BTreeMap<String, u32>,
    /// Request objects that were accepted: header and claims.
    pub request_objects: Vec<(Value, Value)>,
    /// Requests for userinfo.
    pub userinfo: u32,
    /// Tokens that clients wanted revoked, in that order, known or not.
    pub revoked: Vec<String>,
    /// Requests at the end session endpoint.
    pub end_session: u32,
}

impl Observed {
    /// Token requests of one grant type.
    pub fn token_calls(&self, grant_type: &str) -> u32 {
        self.token.get(grant_type).copied().unwrap_or(0)
    }
}
