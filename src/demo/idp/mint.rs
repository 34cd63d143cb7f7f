//! Every secret the provider gives out is made here, and remembered for the tests' canary search.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What kind of secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secret {
    /// Meant for APIs; no browser and no log may ever show one.
    AccessToken,
    /// Likewise, and meant for the token endpoint only.
    RefreshToken,
    /// Likewise, but for `id_token_hint` on the way to the end session endpoint.
    IdToken,
    /// What a client has signed to authenticate, once.
    ClientAssertion,
    /// Known to one client.
    ClientSecret,
    /// Passes through the browser once, in the authorization response; spent right after.
    Code,
}

/// All secrets so far, oldest first.
#[derive(Debug, Default)]
pub(super) struct Minted(Mutex<Vec<(Secret, String)>>);

impl Minted {
    /// Remembers a secret that was made elsewhere.
    pub(super) fn record(&self, kind: Secret, value: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((kind, value.to_owned()));
    }

    /// A new random secret; its prefix says what it is, so that a leak is recognised on sight.
    pub(super) fn random(&self, kind: Secret) -> String {
        let prefix = match kind {
            Secret::AccessToken => "at",
            Secret::ClientAssertion => "ca",
            Secret::ClientSecret => "cs",
            Secret::Code => "code",
            Secret::IdToken => "id",
            Secret::RefreshToken => "rt",
        };
        let value = format!("{prefix}-{}", random_text(32));
        self.record(kind, &value);
        value
    }

    pub(super) fn list(&self, wanted: impl Fn(Secret) -> bool) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|(kind, _)| wanted(*kind))
            .map(|(_, value)| value.clone())
            .collect()
    }
}

/// So many random bytes, as base64url.
pub(super) fn random_text(bytes: usize) -> String {
    let random: Vec<u8> = rand::random_iter().take(bytes).collect();
    URL_SAFE_NO_PAD.encode(random)
}
