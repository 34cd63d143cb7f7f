//! The tokens of a session, and what a token response makes of them.
//!
//! `endpoint::redeem` begins with [`TokenSet::first`]; `token` goes on with [`TokenSet::next`].
//!
//! # Invariants
//! - `Debug` shows no token.
//! - Lifetimes count from before the request was sent, so a slow answer never makes a token look younger than it is.
//!
//! # Spec
//! RFC 6749 §5.1, §6.

use std::time::Duration;

use openidconnect::{AccessToken, RefreshToken};
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::oidc::{TokenResponse, TokenType};

/// The tokens of a session.
///
/// The serialized form goes to other replicas only, and sealed. The cookie has an encoding of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TokenSet {
    /// The access token.
    pub access_token: AccessToken,
    /// How it is used. Replicas of an earlier release do not say.
    #[serde(default)]
    pub token_type: TokenType,
    /// The refresh token, if there is one.
    pub refresh_token: Option<RefreshToken>,
    /// When the access token was asked for.
    pub issued_at: UnixTime,
    /// When the access token ends.
    pub expires_at: UnixTime,
    /// When the refresh token ends, if the provider said so.
    pub refresh_ends_at: Option<UnixTime>,
    /// The granted scope, as the provider wrote it.
    pub scope: String,
}

impl TokenSet {
    /// The tokens that a login begins with.
    pub fn first(response: TokenResponse, asked_at: UnixTime, asked_scope: &str) -> Self {
        Self {
            access_token: response.access_token,
            token_type: response.token_type,
            refresh_token: response.refresh_token,
            issued_at: asked_at,
            expires_at: asked_at.plus(response.expires_in),
            refresh_ends_at: response.refresh_expires_in.map(|left| asked_at.plus(left)),
            // RFC 6749 §5.1: if the answer does not say, it is what was asked for.
            scope: response.scope.unwrap_or_else(|| asked_scope.to_owned()),
        }
    }

    /// The tokens after a refresh.
    pub fn next(previous: &Self, response: TokenResponse, asked_at: UnixTime) -> Self {
        let rotated = response.refresh_token.filter(|newer| {
            let old = previous.refresh_token.as_ref();
            old.is_none_or(|old| old.secret() != newer.secret())
        });
        let refresh_ends_at = match response.refresh_expires_in {
            Some(left) => Some(asked_at.plus(left)),
            // The old end is not the new token's.
            None if rotated.is_some() => None,
            None => previous.refresh_ends_at,
        };
        Self {
            access_token: response.access_token,
            token_type: response.token_type,
            // RFC 6749 §6: without a new one, the old one stays.
            refresh_token: rotated.or_else(|| previous.refresh_token.clone()),
            issued_at: asked_at,
            expires_at: asked_at.plus(response.expires_in),
            refresh_ends_at,
            // RFC 6749 §6: if the answer does not say, it is what it was.
            scope: response.scope.unwrap_or_else(|| previous.scope.clone()),
        }
    }

    /// How long the access token lives in all.
    pub const fn lifetime(&self) -> Duration {
        self.expires_at.since(self.issued_at)
    }

    /// Whether the access token has ended.
    pub fn is_expired(&self, now: UnixTime) -> bool {
        now >= self.expires_at
    }

    /// The refresh token, unless the provider has said that it ends before now.
    pub fn usable_refresh_token(&self, now: UnixTime) -> Option<&RefreshToken> {
        let has_ended = self.refresh_ends_at.is_some_and(|ends| now >= ends);
        self.refresh_token.as_ref().filter(|_| !has_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000);

    const fn after(secs: u64) -> UnixTime {
        NOW.plus(Duration::from_secs(secs))
    }

    fn response(refresh_token: Option<&str>, refresh_expires_in: Option<u64>) -> TokenResponse {
        TokenResponse {
            access_token: AccessToken::new("at-2".to_owned()),
            token_type: TokenType::Bearer,
            refresh_token: refresh_token.map(|text| RefreshToken::new(text.to_owned())),
            id_token: None,
            expires_in: Duration::from_mins(1),
            refresh_expires_in: refresh_expires_in.map(Duration::from_secs),
            authorization_expires_in: None,
            scope: None,
        }
    }

    #[test]
    fn a_login_asks_for_its_scope_and_counts_from_the_request() {
        let mut said = response(Some("rt"), Some(600));
        let tokens = TokenSet::first(response(None, None), NOW, "openid a");
        assert_eq!(tokens.scope, "openid a");
        assert!(tokens.refresh_token.is_none() && tokens.refresh_ends_at.is_none());
        said.scope = Some("openid".to_owned());
        let tokens = TokenSet::first(said, NOW, "openid a");
        assert_eq!(tokens.scope, "openid");
        assert_eq!((tokens.issued_at, tokens.expires_at), (NOW, after(60)));
        assert_eq!(tokens.refresh_ends_at, Some(after(600)));
    }

    #[test]
    fn a_refresh_keeps_what_the_answer_does_not_say() {
        let previous = TokenSet::first(response(Some("old"), Some(600)), NOW, "openid a");
        let at = after(100);
        for (token, lifetime, expected_token, expected_end) in [
            (None, None, "old", Some(after(600))),
            (None, Some(50), "old", Some(after(150))),
            (Some("old"), None, "old", Some(after(600))),
            (Some("old"), Some(50), "old", Some(after(150))),
            (Some("new"), None, "new", None),
            (Some("new"), Some(50), "new", Some(after(150))),
        ] {
            let next = TokenSet::next(&previous, response(token, lifetime), at);
            let case = format!("{token:?} {lifetime:?}");
            let refresh_token = next.refresh_token.as_ref().map(RefreshToken::secret);
            assert_eq!(
                refresh_token.map(String::as_str),
                Some(expected_token),
                "{case}"
            );
            assert_eq!(next.refresh_ends_at, expected_end, "{case}");
            assert_eq!(
                (next.issued_at, next.expires_at),
                (at, after(160)),
                "{case}"
            );
            assert_eq!(next.scope, "openid a", "{case}");
        }
    }
}
