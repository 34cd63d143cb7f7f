//! A user's access token becomes one that is good for one API alone.
//!
//! # Invariants
//! - An exchanged token is never in a cookie. Each process asks for its own, once for a session's token and what is wanted.
//! - It serves no longer than the token that it came of, nor than the session.
//!
//! # Spec
//! RFC 8693 §2.1, §2.2; RFC 7523 §2.1, as Entra ID's on-behalf-of flow uses it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::AccessToken;
use sha2::{Digest as _, Sha256};

use super::{CachedToken, IdpClient, IsOver, OidcError, Provider, TokenResponse};
use crate::clock::UnixTime;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How long a refusal of what is wanted is remembered.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// What a user's token is exchanged for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TokenExchange {
    /// How it is asked for.
    pub grant: ExchangeGrant,
    /// The logical name of the API (RFC 8693 §2.1).
    pub audience: Option<String>,
    /// The address of the API (RFC 8707 §2).
    pub resource: Option<String>,
    /// The scope of the new token. If it is empty, the provider chooses.
    pub scopes: Vec<String>,
}

/// The grant of a [`TokenExchange`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ExchangeGrant {
    /// Entra ID: the token is an assertion (RFC 7523 §2.1) with `requested_token_use=on_behalf_of`.
    OnBehalfOf,
    /// RFC 8693.
    TokenExchange,
}

/// Which token of a session becomes which.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(super) struct ExchangeKey {
    /// A digest of the token that is exchanged.
    token: [u8; 32],
    wanted: Arc<TokenExchange>,
}

impl std::fmt::Debug for ExchangeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeKey")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

/// The token that is exchanged, and how long what comes of it may serve.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Identifies the session.
    pub session: [u8; 16],
    /// The user's access token.
    pub token: &'a AccessToken,
    /// When that token ends, or the session if that is earlier.
    pub ends_at: UnixTime,
}

/// What came of an exchange.
pub struct Exchanged {
    /// The token.
    pub token: Arc<CachedToken>,
    /// Whether it was at hand.
    pub is_cached: bool,
}

impl Provider {
    /// The token that was got in exchange before, if it still serves.
    pub fn exchanged_at_hand(
        &self,
        subject: Subject<'_>,
        wanted: &Arc<TokenExchange>,
    ) -> Option<Arc<CachedToken>> {
        let key = key(subject, wanted);
        let token = self.exchanged.at_hand(&subject.session, &key, self.now());
        token.filter(|token| self.prover().can_use(&token.authorization))
    }

    /// A token for one API, in exchange for the user's. `is_over` makes what tells later whether the session was ended.
    ///
    /// A refusal is [`OidcError::Rejected`] with the provider's code.
    pub async fn exchanged_token(
        &self,
        http: &IdpClient,
        subject: Subject<'_>,
        wanted: &Arc<TokenExchange>,
        is_over: impl FnOnce() -> IsOver,
    ) -> Result<Exchanged, OidcError> {
        let is_cached = Cell::new(true);
        let ask = async |asked_at| {
            is_cached.set(false);
            let answer = self.exchange(http, subject.token, wanted).await;
            let scope = wanted.scopes.join(" ");
            answer.and_then(|response| {
                CachedToken::exchanged(response, asked_at, &scope, subject.ends_at)
            })
        };
        let (key, is_over) = (key(subject, wanted), || Some(is_over()));
        let slot = self
            .exchanged
            .slot_of(&subject.session, &key, self.now(), is_over);
        let mut token = slot.get_or(self.clock(), &ask, refused_for).await?;
        if !self.prover().can_use(&token.authorization) {
            // The key that it is bound to has left the ring.
            slot.forget();
            token = slot.get_or(self.clock(), &ask, refused_for).await?;
        }
        Ok(Exchanged {
            token,
            is_cached: is_cached.get(),
        })
    }

    /// Forgets a token that its API has refused.
    pub fn forget_exchanged(&self, subject: Subject<'_>, wanted: &Arc<TokenExchange>) {
        let refused = key(subject, wanted);
        self.exchanged
            .retain(&subject.session, |key| *key != refused);
    }

    /// Forgets what was exchanged for a session's earlier tokens. Each request that shares a refresh calls this, so what
    /// came for the new token stays.
    pub fn forget_exchanged_before(&self, session: [u8; 16], token: &AccessToken) {
        let token: [u8; 32] = Sha256::digest(token.secret()).into();
        self.exchanged.retain(&session, |key| key.token == token);
    }

    /// Forgets all that was exchanged for a session: it has ended.
    pub fn forget_exchanged_of(&self, session: [u8; 16]) {
        self.exchanged.retain(&session, |_| false);
    }

    /// Forgets all that was exchanged for sessions that are over, wherever they were ended.
    pub fn forget_exchanged_of_ended(&self) {
        self.exchanged.forget_ended();
    }

    /// How many tokens that came in exchange are in memory, or are asked for.
    pub fn exchanged_tokens(&self) -> usize {
        self.exchanged.len()
    }

    async fn exchange(
        &self,
        http: &IdpClient,
        token: &AccessToken,
        wanted: &TokenExchange,
    ) -> Result<TokenResponse, OidcError> {
        let scope = wanted.scopes.join(" ");
        let mut grant = match wanted.grant {
            ExchangeGrant::OnBehalfOf => vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("requested_token_use", "on_behalf_of"),
                ("assertion", token.secret().as_str()),
            ],
            ExchangeGrant::TokenExchange => vec![
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                ("requested_token_type", ACCESS_TOKEN),
                ("subject_token_type", ACCESS_TOKEN),
                ("subject_token", token.secret().as_str()),
            ],
        };
        let more = [
            ("audience", wanted.audience.as_deref()),
            ("resource", wanted.resource.as_deref()),
            (
                "scope",
                Some(scope.as_str()).filter(|scope| !scope.is_empty()),
            ),
        ];
        grant.extend(
            more.into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        self.exchange_call(http, &grant).await
    }
}

fn key(subject: Subject<'_>, wanted: &Arc<TokenExchange>) -> ExchangeKey {
    ExchangeKey {
        token: Sha256::digest(subject.token.secret()).into(),
        wanted: Arc::clone(wanted),
    }
}

/// A refusal is about what was asked for and is told again for a little while; an outage closes the gate for longer each time.
fn refused_for(error: &OidcError) -> Option<Duration> {
    match error {
        // Another token may be taken at once.
        OidcError::Rejected(code) if code == "invalid_grant" || code == "invalid_request" => {
            Some(Duration::ZERO)
        }
        OidcError::Rejected(_) => Some(REFUSED_FOR),
        _ => None,
    }
}
