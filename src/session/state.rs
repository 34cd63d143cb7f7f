//! What is sealed into cookies, and how its times are computed.
//!
//! `endpoint::callback` begins a [`Session`], and `token` replaces its [`TokenSet`]. [`Jar`](super::Jar) carries all of them
//! through the browser. Nothing here reads a clock.
//!
//! # Invariants
//! - `Debug` shows neither tokens nor who the user is (F14).
//! - [`Session::ends_at`] never moves later: neither a refresh nor activity makes a session longer (F1).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{Nonce, PkceCodeVerifier};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::token_set::TokenSet;
use crate::clock::UnixTime;
use crate::keyring::{Kid, SealError};
use crate::names::ReturnTo;
use crate::proof::PublicKey;

/// Among a session's claims: the provider's `session_state` (OpenID Connect Session Management §2).
///
/// Anybody can write it into the URL of a callback. So it has a name of its own here, which no policy means.
pub const SESSION_STATE: &str = "bff:session_state";

/// 16 random bytes, new at each login. Whoever knows them can end the session by a link, and can do nothing else.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// A new one, from the operating system's random number generator.
    pub fn random() -> Result<Self, SealError> {
        let mut id = [0; 16];
        SysRng.try_fill_bytes(&mut id).map_err(|_| SealError)?;
        Ok(Self(id))
    }

    /// Eight characters of a hash of it, which tell sessions apart. Nobody can use them for anything else.
    pub fn fingerprint(self) -> String {
        let hash = Sha256::new()
            .chain_update(b"sealgate session\0")
            .chain_update(self.0)
            .finalize();
        let mut text = URL_SAFE_NO_PAD.encode(hash);
        text.truncate(8);
        text
    }

    /// The form for URLs: base64url without padding.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Whether `text` is this id. The comparison takes the same time wherever the two differ.
    pub fn matches(&self, text: &str) -> bool {
        self.to_text().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// An opened, authenticated, unexpired session.
#[derive(Clone)]
pub struct Session {
    /// New at each login (OWASP ASVS 7.2.4).
    pub id: SessionId,
    /// Who signed the user in. Together with `subject` it identifies the user (B38).
    pub issuer: String,
    /// The user, as that issuer calls them.
    pub subject: String,
    /// The issuer's session (`sid` claim), if it named one.
    pub idp_sid: Option<String>,
    /// When its login came back from the provider.
    pub started_at: UnixTime,
    /// When the user last proved who they are (`auth_time`), if the issuer said so.
    pub auth_time: Option<UnixTime>,
    /// The absolute end: the one from the configuration, or an earlier one that the issuer named (A25, B69).
    pub ends_at: UnixTime,
    /// The last activity that is known: when the session was sealed, or what the `-seen` cookie says, whichever is later.
    pub last_seen: UnixTime,
    /// The claims that the configuration keeps.
    pub claims: Map<String, Value>,
    /// The public key of the device that the session is bound to.
    pub device: Option<PublicKey>,
    /// The tokens that APIs are called with.
    pub tokens: TokenSet,
}

impl Session {
    /// When the session is over if nobody refreshes its tokens before: at its latest end, or earlier, when both the refresh
    /// token and the access token have ended, if the issuer said when (A25). A refresh may move this later, up to the latest end.
    pub fn over_at(&self) -> UnixTime {
        let tokens = &self.tokens;
        let last_token = |ends: UnixTime| ends.max(tokens.expires_at);
        let ends = self.latest_end();
        tokens
            .refresh_ends_at
            .map_or(ends, |token_ends| last_token(token_ends).min(ends))
    }

    /// The end that nothing moves later: the absolute one, or the end of the access token if there is no refresh token. A
    /// session that can no longer call an API is over.
    pub fn latest_end(&self) -> UnixTime {
        if self.is_refreshable() {
            self.ends_at
        } else {
            self.tokens.expires_at.min(self.ends_at)
        }
    }

    /// Whether it came with a refresh token.
    pub const fn is_refreshable(&self) -> bool {
        self.tokens.refresh_token.is_some()
    }

    /// Whether it is over (F1).
    pub fn is_expired(&self, now: UnixTime) -> bool {
        now >= self.over_at()
    }

    /// The session with newer tokens. `ends_by` is the end that the provider named with them. It may make the session end
    /// earlier, never later.
    #[must_use]
    pub fn renewed(&self, tokens: TokenSet, ends_by: Option<UnixTime>, now: UnixTime) -> Self {
        Self {
            ends_at: ends_by.map_or(self.ends_at, |ends| ends.min(self.ends_at)),
            last_seen: now,
            tokens,
            ..self.clone()
        }
    }

    /// Whether the access token ends so soon that it is time for a new one.
    ///
    /// That time begins `ahead` before the token's end, but not before the last fifth of its lifetime. Otherwise every request
    /// would refresh a token that lives shorter than `ahead`. Each session waits for a part of that time, up to a half of it
    /// and always the same part, so that sessions that began together are not all refreshed together (G11).
    pub fn refresh_due(&self, now: UnixTime, ahead: Duration) -> bool {
        let ahead = ahead.min(self.tokens.lifetime() / 5).as_secs();
        let [first, second, ..] = self.id.0;
        let share = u64::from(u16::from_be_bytes([first, second])) % (ahead / 2 + 1);
        now.plus(Duration::from_secs(ahead - share)) >= self.tokens.expires_at
    }

    /// Whether the last known activity is more than `idle_timeout` ago (F2).
    pub fn is_idle(&self, now: UnixTime, idle_timeout: Duration) -> bool {
        now.since(self.last_seen) > idle_timeout
    }

    /// The `sid` of logout URLs, which proves that a link was made for this session (B60).
    pub fn logout_sid(&self) -> String {
        self.id.to_text()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("started_at", &self.started_at)
            .field("ends_at", &self.ends_at)
            .field("last_seen", &self.last_seen)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

/// Something that support may read of what a cookie holds.
pub(super) enum Fact<'s> {
    At(UnixTime),
    Text(String),
    /// Shown by its length and the beginning of its hash.
    Token(&'s str),
}

/// What a login needs to remember until its callback.
pub struct LoginAttempt {
    /// The `state` that was sent.
    pub state: String,
    /// The nonce that the ID token must bear.
    pub nonce: Nonce,
    /// The PKCE verifier.
    pub verifier: PkceCodeVerifier,
    /// Which issuer the request went to (B4).
    pub issuer: String,
    /// The rest of where to go afterwards, for which [`LoginState`] has no room.
    pub rest: String,
    /// When it was begun.
    pub started_at: UnixTime,
    /// Begun by `/bff/silent-login`.
    pub silent: bool,
    /// The `max_age` that was asked for, in seconds.
    pub max_age: Option<u64>,
    /// The `acr_values` that were asked for, space-separated.
    pub acr_values: Option<String>,
    /// The session that the browser had when the login began. The callback is a cross-site navigation and cannot see it.
    pub replaces: Option<SessionId>,
    /// The key of the ring from which the proof's key is derived, if the code is bound to one.
    pub proof_key: Option<Kid>,
}

impl LoginAttempt {
    /// Whether the login has taken too long (B8).
    pub fn is_expired(&self, now: UnixTime, timeout: Duration) -> bool {
        now.since(self.started_at) > timeout
    }
}

/// What travels through the identity provider as a part of `state`. It is there even if the attempt's cookie is gone: because
/// the same answer comes a second time, because later attempts took its place, or because it was too old.
#[derive(Clone, Debug)]
pub struct LoginState {
    /// Where to go afterwards, or the beginning of it.
    pub(super) head: String,
    /// Whether the attempt has the rest.
    pub(super) is_cut: bool,
    /// When the attempt was begun.
    pub begun_at: UnixTime,
    /// What the person may be asked.
    pub manner: Manner,
    /// Whether the login asked for more than the sign-on that there was.
    pub is_demanding: bool,
    /// Whether sealgate itself began it, after one that failed.
    pub is_second: bool,
}

/// What the person may be asked by the identity provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Anything.
    Asking,
    /// Nothing: `prompt=none`.
    Quiet,
    /// Nothing, in a frame of a page that waits for a message.
    Silent,
}

impl LoginState {
    /// The longest beginning if the attempt's cookie has room for the rest. Every provider takes that much in `state`.
    const HEAD: usize = 640;

    /// The same if there is a session, whose cookies may leave no room. Keycloak takes 4096 bytes in a request line.
    const HEAD_BESIDE_SESSION: usize = 2000;

    /// The longest rest, which fits into a cookie.
    const REST: usize = 2400;

    /// Divides where to go afterwards into two parts. The attempt keeps the second.
    pub fn new(
        return_to: &ReturnTo,
        is_beside_session: bool,
        begun_at: UnixTime,
    ) -> (Self, String) {
        let text = return_to.as_str();
        let head = if is_beside_session {
            Self::HEAD_BESIDE_SESSION
        } else {
            Self::HEAD
        };
        let head = head.max(text.len().saturating_sub(Self::REST));
        // It is ASCII, so it can be divided anywhere.
        let (head, rest) = text.split_at_checked(head).unwrap_or((text, ""));
        let state = Self {
            head: head.to_owned(),
            is_cut: !rest.is_empty(),
            begun_at,
            manner: Manner::Asking,
            is_demanding: false,
            is_second: false,
        };
        (state, rest.to_owned())
    }

    /// Where to go afterwards. With the attempt it is complete; without, it is the page, perhaps without its query.
    pub fn return_to(&self, attempt: Option<&LoginAttempt>) -> ReturnTo {
        let whole = match (self.is_cut, attempt) {
            (false, _) => self.head.clone(),
            (true, Some(attempt)) => format!("{}{}", self.head, attempt.rest),
            (true, None) => match self.head.split_once(['?', '#']) {
                Some((path, _)) => path.to_owned(),
                None => String::new(),
            },
        };
        ReturnTo::parse(&whole).unwrap_or_else(ReturnTo::root)
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt")
            .field("started_at", &self.started_at)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

/// What logout needs after the session cookies are gone: from the `-hint` cookie.
#[derive(Clone)]
pub struct LogoutHint {
    /// Which session the hint belongs to.
    pub session: SessionId,
    /// The raw ID token, for `id_token_hint`.
    pub id_token: String,
}

impl fmt::Debug for LogoutHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutHint(..)")
    }
}

/// The content of `-seen`: activity since the session was sealed.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whose activity.
    pub(super) session: SessionId,
    /// When.
    pub(super) at: UnixTime,
}

/// The content of `-out`, from one to [`EndedMarks::MOST`], the latest first.
#[derive(Clone, Debug)]
pub(super) struct EndedMarks(pub(super) Vec<EndedMark>);

impl EndedMarks {
    /// The most marks that are kept. Older ones are forgotten.
    pub(super) const MOST: usize = 4;
}

/// A session that was ended, which a late answer must not bring back (G10); or a refused refresh token, whose refusal must
/// not be reported a second time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct EndedMark {
    /// Which session, or the name of the refusal.
    pub(super) session: SessionId,
    /// Until when the mark counts.
    pub(super) until: UnixTime,
}

/// The content of the `state` that goes to the identity provider with a logout.
#[derive(Debug)]
pub(super) struct LogoutState {
    /// Where to go afterwards.
    pub(super) return_to: ReturnTo,
    /// When the logout was begun.
    pub(super) issued_at: UnixTime,
}

impl LogoutState {
    /// How long a logout may take.
    pub(super) const LIFETIME: Duration = Duration::from_hours(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples;

    const fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn a_session_ends_at_its_absolute_end() {
        // F1
        let session = samples::session(at(1_000));
        let end = session.ends_at.as_secs();
        for (now, expired) in [
            (1_000, false),
            (end - 1, false),
            (end, true),
            (end + 1, true),
        ] {
            assert_eq!(session.is_expired(at(now)), expired, "{now}");
        }
    }

    #[test]
    fn without_a_refresh_token_a_session_ends_with_its_access_token() {
        // N1, P04 (envoy#14542)
        let mut session = samples::session(at(1_000));
        session.tokens.expires_at = at(1_300);
        session.tokens.refresh_token = None;
        assert_eq!(
            (session.over_at(), session.latest_end()),
            (at(1_300), at(1_300))
        );
        assert!(!session.is_expired(at(1_299)) && session.is_expired(at(1_300)));
        session.ends_at = at(1_200);
        assert_eq!(
            session.over_at(),
            at(1_200),
            "F1: never past the absolute end"
        );
    }

    #[test]
    fn a_session_is_idle_after_more_than_the_timeout() {
        // F2
        let session = samples::session(at(1_000));
        let idle = Duration::from_mins(1);
        for (now, is_idle) in [(999, false), (1_000, false), (1_060, false), (1_061, true)] {
            assert_eq!(session.is_idle(at(now), idle), is_idle, "{now}");
        }
    }

    #[test]
    fn a_refresh_is_due_ahead_of_the_end_but_never_before_the_last_fifth() {
        let mut session = samples::session(at(1_000));
        session.id = SessionId([0; 16]);
        for (lifetime, ahead, due_from) in [
            (300, 60, 1_240),
            (300, 30, 1_270),
            (300, 0, 1_300),
            (100, 60, 1_080),
            (3_600, 60, 4_540),
            (0, 60, 1_000),
        ] {
            session.tokens.issued_at = at(1_000);
            session.tokens.expires_at = at(1_000 + lifetime);
            let ahead = Duration::from_secs(ahead);
            assert!(!session.refresh_due(at(due_from - 1), ahead), "{lifetime}");
            assert!(session.refresh_due(at(due_from), ahead), "{lifetime}");
            assert!(session.tokens.is_expired(at(1_000 + lifetime)));
            assert!(!session.tokens.is_expired(at(999 + lifetime)));
        }
    }

    #[test]
    fn sessions_that_began_together_are_refreshed_one_after_another() {
        // G11: spread over half of the time ahead, each always at the same distance from its end
        let mut session = samples::session(at(1_000));
        let ahead = Duration::from_mins(1);
        let mut due = std::collections::BTreeMap::<u64, u32>::new();
        for n in 0..3_100_u16 {
            session.id.0[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
            let first = (1_000..1_300)
                .find(|now| session.refresh_due(at(*now), ahead))
                .unwrap();
            *due.entry(first).or_default() += 1;
        }
        assert_eq!(due.len(), 31);
        assert_eq!(
            due.keys().copied().collect::<Vec<_>>(),
            (1_240..=1_270).collect::<Vec<_>>()
        );
        assert!(
            due.values().all(|count| (50..200).contains(count)),
            "{due:?}"
        );
    }

    #[test]
    fn a_session_id_matches_its_own_text_only() {
        // B60
        let session = samples::session(at(1_000));
        let sid = session.logout_sid();
        assert!(session.id.matches(&sid));
        for other in [
            "",
            "x",
            &sid[1..],
            &format!("{sid}="),
            &SessionId([0; 16]).to_text(),
        ] {
            assert!(!session.id.matches(other), "{other}");
        }
    }

    #[test]
    fn debug_shows_neither_tokens_nor_the_user() {
        // F14
        let session = samples::session(at(1_000));
        let attempt = samples::attempt("state-of-the-login", at(1_000));
        let hint = LogoutHint {
            session: session.id,
            id_token: "canary-id-token".to_owned(),
        };
        let shown = format!("{session:?} {attempt:?} {hint:?} {:?}", session.id);
        for secret in [
            session.tokens.access_token.secret(),
            session.tokens.refresh_token.as_ref().unwrap().secret(),
            &session.subject,
            &attempt.state,
            attempt.nonce.secret(),
            attempt.verifier.secret(),
            &hint.id_token,
            "Alice",
        ] {
            assert!(!shown.contains::<&str>(secret), "{shown}");
        }
    }
}
