//! What the identity provider does wrong when a test asks for it.
//!
//! Only the Rust API sets faults; a request cannot. A [`Faults`] handle is shared with the running provider, and works from the next
//! request on. Faults of one kind add up: an answer may be late and then be cut off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// One way to be wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// In answers of the authorization endpoint.
    Authorization(AuthorizationFault),
    /// In the metadata.
    Discovery(DiscoveryFault),
    /// In ID tokens.
    IdToken(IdTokenFault),
    /// In signed authorization responses, which are forged as ID tokens are.
    SignedResponse(IdTokenFault),
    /// At the JWKS endpoint.
    Jwks(EndpointFault),
    /// A member is set in each published key.
    KeyMember(&'static str, Value),
    /// At the endpoint for pushed authorization requests.
    Pushed(PushedFault),
    /// At the revocation endpoint.
    Revocation(EndpointFault),
    /// At the token endpoint.
    Token(TokenFault),
    /// At the userinfo endpoint.
    Userinfo(EndpointFault),
}

/// Wrong answers of the token endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenFault {
    /// Instead of looking at the request: this status and body (`application/json`).
    Answer {
        /// The status code.
        status: u16,
        /// The body, as it is.
        body: String,
    },
    /// Does everything, then puts a byte order mark in front of the answer.
    ByteOrderMark,
    /// Waits before it looks at the request.
    Delay(Duration),
    /// Does everything (spends the code, rotates the refresh token), then closes the connection unanswered.
    DropConnection,
    /// Sends `103 Early Hints` before the answer (RFC 8297).
    EarlyHints,
    /// `400 invalid_grant` without looking at the request.
    InvalidGrant,
    /// Does everything, then answers with another status.
    Status(u16),
    /// Does everything, then leaves out a member of the answer: `expires_in`, `refresh_token`, `id_token` …
    Without(&'static str),
    /// Does everything, then sets a member of the answer.
    With(&'static str, Value),
    /// Does everything, then answers with the first half of the JSON text.
    TruncatedJson,
}

/// Wrong ID tokens. All but the unsigned and badly signed ones bear a valid signature.
#[derive(Clone, Debug, PartialEq)]
pub enum IdTokenFault {
    /// `alg: none`, no signature (RFC 7518 §3.6).
    AlgNone,
    /// One bit of the signature is wrong.
    BadSignature,
    /// A claim is set: wrong `iss`, `aud`, `sub`, `nonce`, `exp`, an extra audience …
    Claim(&'static str, Value),
    /// Signed HS256 with the client secret (RFC 8725 §2.1).
    HmacWithClientSecret,
    /// A header parameter is set: `typ`, `jwk`, `jku` …
    Header(&'static str, Value),
    /// The header has no `kid`.
    NoKid,
    /// The header names a key that the JWKS does not have.
    UnknownKid,
    /// A claim is left out.
    WithoutClaim(&'static str),
}

/// Wrong authorization responses.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthorizationFault {
    /// `error=access_denied`, with markup in `error_description`, instead of a code.
    AccessDenied,
    /// A parameter stands beside a signed response.
    Beside(&'static str, &'static str),
    /// Another error code, instead of a code.
    Error(&'static str),
    /// `iss` is left out (RFC 9207).
    NoIss,
    /// A parameter comes twice: `state`, `code`, `iss` …
    Twice(&'static str),
    /// A parameter is set: a wrong `iss`, `state`, `code` …
    With(&'static str, String),
    /// A parameter is left out: `state`, `code` …
    Without(&'static str),
}

/// Wrong answers to pushed authorization requests.
#[derive(Clone, Debug, PartialEq)]
pub enum PushedFault {
    /// Instead of looking at the request: this status and body (`application/json`).
    Answer {
        /// The status code.
        status: u16,
        /// The body, as it is.
        body: String,
    },
    /// The endpoint itself fails.
    Endpoint(EndpointFault),
}

/// Wrong metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryFault {
    /// The endpoint itself fails.
    Endpoint(EndpointFault),
    /// `issuer` differs in case: `HTTP://…`.
    IssuerCase,
    /// `issuer` differs by a slash at the end.
    IssuerSlash,
    /// A member is set.
    With(&'static str, Value),
    /// A member is left out: `revocation_endpoint`, `end_session_endpoint` …
    Without(&'static str),
}

/// An endpoint that fails as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EndpointFault {
    /// Answers 503.
    Down,
    /// Answers 200 and two MiB of JSON.
    Huge,
    /// Waits before it answers.
    Slow(Duration),
    /// Answers with this status and no body.
    Status(u16),
    /// Answers 200 and the beginning of a JSON text.
    Truncated,
}

macro_rules! into_fault {
    ($($kind:ident($fault:ident)),* $(,)?) => {
        $(impl From<$fault> for Fault {
            fn from(fault: $fault) -> Self {
                Self::$kind(fault)
            }
        })*
    };
}
into_fault!(
    Authorization(AuthorizationFault),
    Discovery(DiscoveryFault),
    IdToken(IdTokenFault),
    Pushed(PushedFault),
    Token(TokenFault),
);

/// The faults of one provider; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Active>>);

#[derive(Debug, Default)]
struct Active {
    faults: Vec<(Fault, u32)>,
    padding: usize,
}

impl Faults {
    /// As a count: until [`Faults::clear`].
    pub const ALWAYS: u32 = u32::MAX;

    /// Makes the next `times` answers of that kind wrong.
    pub fn inject(&self, times: u32, fault: impl Into<Fault>) {
        self.active().faults.push((fault.into(), times));
    }

    /// Puts an incompressible claim of so many bytes into access tokens (JWT) and ID tokens; 0 ends it.
    pub fn pad_tokens(&self, bytes: usize) {
        self.active().padding = bytes;
    }

    /// Behaves again.
    pub fn clear(&self) {
        *self.active() = Active::default();
    }

    pub(super) fn padding(&self) -> usize {
        self.active().padding
    }

    /// The faults of one kind for one answer; counts them down.
    pub(super) fn take<T>(&self, kind: impl Fn(&Fault) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.active().faults.retain_mut(|(fault, left)| {
            let Some(fault) = kind(fault) else {
                return true;
            };
            if *left == 0 {
                return false;
            }
            taken.push(fault);
            if *left != Self::ALWAYS {
                *left -= 1;
            }
            *left > 0
        });
        taken
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_works_as_often_as_it_was_asked_for_and_on_its_own_kind_only() {
        let faults = Faults::default();
        faults.inject(2, IdTokenFault::NoKid);
        faults.inject(Faults::ALWAYS, TokenFault::InvalidGrant);
        let id_token = |fault: &Fault| match fault {
            Fault::IdToken(fault) => Some(fault.clone()),
            _ => None,
        };
        let counts: Vec<_> = (0..3).map(|_| faults.take(id_token).len()).collect();
        assert_eq!(counts, [1, 1, 0]);
        let token = |fault: &Fault| matches!(fault, Fault::Token(_)).then_some(());
        assert_eq!(faults.take(token).len(), 1);
        faults.clear();
        assert_eq!(faults.take(token).len(), 0);
    }
}
