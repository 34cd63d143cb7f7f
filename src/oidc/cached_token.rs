//! An access token that belongs to no cookie, and how long it may be used.

use std::fmt;
use std::time::Duration;

use super::{Authorization, OidcError, TokenResponse};
use crate::clock::UnixTime;

/// How long before its end a token is replaced; at most a fifth of its lifetime.
const AHEAD: Duration = Duration::from_mins(1);

/// What is left unused of an exchanged token's life; at most half of it.
const LAST_SECONDS: Duration = Duration::from_secs(30);

/// An access token outside of any session, as it came from the token endpoint.
pub struct CachedToken {
    /// How requests carry it.
    pub authorization: Authorization,
    /// The granted scope.
    pub scope: String,
    asked_at: UnixTime,
    expires_at: UnixTime,
    /// How long before its end it is replaced at the earliest.
    ahead: Duration,
}

impl CachedToken {
    /// The token of an answer to a request for `asked_scope`, which was sent at `asked_at`.
    pub(super) fn new(
        response: TokenResponse,
        asked_at: UnixTime,
        asked_scope: &str,
    ) -> Result<Self, OidcError> {
        let authorization = Authorization::of(&response.access_token, response.token_type)
            .map_err(|_| OidcError::Unusable("no header can carry the access token".to_owned()))?;
        Ok(Self {
            authorization,
            // RFC 6749 §5.1: if the answer does not say, it is what was asked for.
            scope: response.scope.unwrap_or_else(|| asked_scope.to_owned()),
            asked_at,
            expires_at: asked_at.plus(response.expires_in),
            ahead: AHEAD,
        })
    }

    /// The token that came in exchange for another one, which ends at `end`: never used later, and not in its last seconds,
    /// so that it does not end on the way.
    pub(super) fn exchanged(
        response: TokenResponse,
        asked_at: UnixTime,
        asked_scope: &str,
        end: UnixTime,
    ) -> Result<Self, OidcError> {
        let lifetime = response.expires_in;
        let spared = LAST_SECONDS.min(lifetime / 2);
        let token = Self::new(response, asked_at, asked_scope)?;
        Ok(Self {
            expires_at: token.expires_at.minus(spared).min(end),
            ahead: Duration::ZERO,
            ..token
        })
    }

    /// The same, to be used no longer than this. The earliest of several ends counts.
    #[must_use]
    pub fn until(self, end: UnixTime) -> Self {
        Self {
            expires_at: self.expires_at.min(end),
            ..self
        }
    }

    /// When it ends.
    pub(super) const fn ends_at(&self) -> UnixTime {
        self.expires_at
    }

    /// When it is time to ask for the next one.
    pub(super) fn replace_from(&self) -> UnixTime {
        let lifetime = self.expires_at.since(self.asked_at);
        self.expires_at.minus(self.ahead.min(lifetime / 5))
    }
}

impl fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedToken")
            .field("scope", &self.scope)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openidconnect::AccessToken;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_token_ends_at_the_earliest_of_its_ends() {
        let now = UnixTime::from_secs(1_000_000);
        let after = |secs| now.plus(SECOND * secs);
        let ends = |token: &CachedToken| (token.replace_from(), token.expires_at);
        let response = TokenResponse {
            access_token: AccessToken::new("at".to_owned()),
            token_type: crate::oidc::TokenType::Bearer,
            refresh_token: None,
            id_token: None,
            expires_in: SECOND * 300,
            refresh_expires_in: None,
            authorization_expires_in: None,
            scope: None,
        };
        let token = CachedToken::new(response, now, "a b").unwrap();
        assert_eq!(token.scope, "a b", "as asked for");
        assert!(token.authorization.bearer().unwrap().is_sensitive());
        assert!(!format!("{token:?}").contains("at\""));
        assert_eq!(ends(&token), (after(240), after(300)));
        let token = token.until(after(900));
        assert_eq!(ends(&token), (after(240), after(300)));
        let token = token.until(after(100)).until(after(200));
        assert_eq!(ends(&token), (after(80), after(100)), "a fifth ahead");
        let token = token.until(now.minus(SECOND));
        assert!(now >= token.expires_at, "it is over");
    }
}
