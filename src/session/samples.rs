//! Sessions, jars and rings for tests.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AccessToken, Nonce, PkceCodeVerifier, RefreshToken};
use serde_json::json;

use super::jar::Jar;
use super::settings::{Compression, DeviceBinding, JarSettings, SameSite, SessionSettings};
use super::state::{LoginAttempt, Session, SessionId};
use super::token_set::TokenSet;
use crate::clock::UnixTime;
use crate::keyring::{Alg, Key, KeyRing};
use crate::names::{FrontendName, Origin};

pub(super) const ISSUER: &str = "https://id.example.com";

/// A day in 2027: times have as many bytes as they will have for long.
pub(crate) const fn now() -> UnixTime {
    UnixTime::from_secs(1_800_000_000)
}

pub(super) const fn after(secs: u64) -> UnixTime {
    now().plus(Duration::from_secs(secs))
}

pub(super) fn settings() -> JarSettings {
    JarSettings {
        frontend: FrontendName::parse("shop").unwrap(),
        origin: Origin::parse("https://shop.example.com").unwrap(),
        issuer: ISSUER.to_owned(),
        client_id: "shop".to_owned(),
        base_path: "/bff".to_owned(),
        login_same_site: SameSite::Lax,
        login_timeout: Duration::from_mins(10),
        session: SessionSettings {
            absolute_timeout: Duration::from_hours(8),
            idle_timeout: Duration::from_mins(30),
            is_persistent: false,
            same_site: SameSite::Strict,
            max_bytes: 100_000,
            claims: vec!["sub".to_owned(), "name".to_owned()],
            refresh_ahead: Duration::from_mins(1),
            pad_to: 64,
            not_before: None,
            compression: Compression::Zstd,
            device_binding: DeviceBinding::Off,
        },
    }
}

pub(super) fn jar() -> Jar {
    Jar::new(settings())
}

pub(crate) fn ring() -> Arc<KeyRing> {
    let at = UnixTime::from_secs(0);
    ring_of(vec![Key::generate(Alg::default(), at, at).unwrap()])
}

pub(super) fn ring_of(keys: Vec<Key>) -> Arc<KeyRing> {
    Arc::new(KeyRing::from_keys(keys, now()).unwrap())
}

pub(crate) fn session(at: UnixTime) -> Session {
    Session {
        id: SessionId([7; 16]),
        issuer: ISSUER.to_owned(),
        subject: "subject-of-alice".to_owned(),
        idp_sid: Some("idp-session".to_owned()),
        started_at: at,
        auth_time: None,
        ends_at: at.plus(Duration::from_hours(8)),
        last_seen: at,
        claims: json!({"sub": "subject-of-alice", "name": "Alice", "roles": ["buyer", 7]})
            .as_object()
            .unwrap()
            .clone(),
        device: None,
        tokens: TokenSet {
            access_token: AccessToken::new("canary-access-token".to_owned()),
            token_type: crate::oidc::TokenType::Bearer,
            refresh_token: Some(RefreshToken::new("canary-refresh-token".to_owned())),
            issued_at: at,
            expires_at: at.plus(Duration::from_mins(5)),
            refresh_ends_at: None,
            scope: "openid profile".to_owned(),
        },
    }
}

/// A session whose access token has `len` characters, which take as many in the cookie: there is nothing to compress.
pub(super) fn session_of(len: usize, at: UnixTime) -> Session {
    let mut session = session(at);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 58).unwrap()
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut token: String = (1..len).map(|_| char::from(alphabet[noise()])).collect();
    // Zero bits at the end, so that it is base64url of something; and still as long if it cannot be.
    token.extend((len > 0).then_some('A'));
    session.tokens.access_token = AccessToken::new(token);
    session
}

pub(super) fn attempt(state: &str, at: UnixTime) -> LoginAttempt {
    LoginAttempt {
        state: state.to_owned(),
        nonce: Nonce::new("canary-nonce".to_owned()),
        verifier: PkceCodeVerifier::new("canary-verifier".to_owned()),
        issuer: ISSUER.to_owned(),
        rest: "/orders/7?x=1".to_owned(),
        started_at: at,
        silent: false,
        max_age: Some(600),
        acr_values: None,
        replaces: Some(SessionId([9; 16])),
        proof_key: None,
    }
}
