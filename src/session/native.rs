//! What an app without a cookie jar holds instead of cookies: tokens and codes that only we can read.
//!
//! They are sealed as cookies are, under purposes of their own, so none of them opens as a cookie, nor as another of them.
//!
//! # Invariants
//! - The access token has no refresh token in it: who steals it has a session until it ends, and no longer.
//! - The refresh token has no access token in it, only the digest that the table of refreshes knows it by.
//! - A code has the provider's own code in it, which the provider redeems once.
//!
//! # Spec
//! RFC 6749 §1.4, §1.5; RFC 7636 §4.4; RFC 9449 §6, §10.

use openidconnect::{AccessToken, Nonce, PkceCodeVerifier, RefreshToken};
use sha2::{Digest as _, Sha256};

use super::codec::{Malformed, Reader, Writer};
use super::encode::{State, TEXT};
use super::envelope::Envelope;
use super::names::is_base64url;
use super::outcome::{StoreError, TooLarge};
use super::state::{Session, SessionId};
use super::token_set::TokenSet;
use super::wallet::Wallet;
use super::{base64url, budget, claims, token_text};
use crate::clock::UnixTime;
use crate::keyring::{Kid, OpenError};
use crate::oidc::TokenType;

/// Characters of the random part of a `state`: 32 bytes.
const RANDOM_LEN: usize = 43;

/// The SHA-256 of something: a key's thumbprint, a challenge, a token.
pub type Digest = [u8; 32];

/// What an app's access token holds.
#[derive(Clone, Debug)]
pub struct NativeAccess {
    /// The session, without a refresh token.
    pub session: Session,
    /// The thumbprint of the key that it is bound to (RFC 7638).
    pub key: Option<Digest>,
    /// When the whole session is over, if it outlives this token.
    pub lasts_until: Option<UnixTime>,
}

/// What an app's refresh token holds.
#[derive(Clone, Debug)]
pub struct NativeRefresh {
    /// The session. In place of the access token stands its digest.
    pub session: Session,
    /// The thumbprint of the key that it is bound to (RFC 7638).
    pub key: Option<Digest>,
    access_token: Digest,
}

impl NativeAccess {
    /// What the app gets of a session.
    pub fn of(session: &Session, key: Option<Digest>) -> Self {
        let mut own = session.clone();
        own.tokens.refresh_token = None;
        own.tokens.refresh_ends_at = None;
        // The key of an app is not that of a browser's device.
        own.device = None;
        Self {
            session: own,
            key,
            lasts_until: session.is_refreshable().then(|| session.over_at()),
        }
    }
}

impl NativeRefresh {
    /// What the app gets of a session that can be refreshed.
    pub fn of(session: &Session, key: Option<Digest>) -> Option<Self> {
        let access_token = Sha256::digest(session.tokens.access_token.secret()).into();
        session.is_refreshable().then(|| Self {
            session: with_stand_in(session.clone(), access_token),
            key,
            access_token,
        })
    }
}

/// The session with the digest in place of its access token: the table of refreshes tells sessions' tokens apart by it.
fn with_stand_in(mut session: Session, access_token: Digest) -> Session {
    let tokens = &mut session.tokens;
    tokens.access_token = AccessToken::new(base64url::encode(&access_token));
    (tokens.issued_at, tokens.expires_at) = (session.last_seen, session.last_seen);
    session
}

/// What an app asks for at `authorize`, on its way through the identity provider in `state`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NativeLogin {
    /// Where the app waits.
    pub redirect_uri: String,
    /// The app's own `state`.
    pub state: Option<String>,
    /// The S256 challenge.
    pub challenge: Digest,
    /// `dpop_jkt`: the key that the code is bound to.
    pub key: Option<Digest>,
    /// When it was begun.
    pub begun_at: UnixTime,
}

/// What an app's code holds: the provider's code, unredeemed, and all that redeeming it takes.
pub struct NativeCode {
    /// What the app asked for.
    pub login: NativeLogin,
    /// The provider's code.
    pub code: String,
    /// The random part of the `state` that was sent to the provider.
    pub random: String,
    /// The nonce that the ID token must bear.
    pub nonce: Nonce,
    /// The verifier that the provider wants.
    pub verifier: PkceCodeVerifier,
    /// The `max_age` that was asked for, in seconds.
    pub max_age: Option<u64>,
    /// The `acr_values` that were asked for.
    pub acr_values: Option<String>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// The key of the ring whose `DPoP` key the provider's code is bound to, if it is to one.
    pub proof_key: Option<Kid>,
}

impl std::fmt::Debug for NativeCode {
    // SECURITY: codes are plain texts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeCode")
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}

impl Wallet<'_> {
    /// An app's access token.
    pub fn seal_native_access(&self, access: &NativeAccess) -> Result<String, StoreError> {
        self.seal_token(access, || budget::parts(&access.session))
    }

    /// What an app's access token holds, and the key that sealed it.
    pub fn open_native_access(&self, token: &str) -> Result<(NativeAccess, Kid), OpenError> {
        self.open_token(token)
    }

    /// An app's refresh token.
    pub fn seal_native_refresh(&self, refresh: &NativeRefresh) -> Result<String, StoreError> {
        self.seal_token(refresh, || budget::parts(&refresh.session))
    }

    /// What an app's refresh token holds, and the key that sealed it.
    pub fn open_native_refresh(&self, token: &str) -> Result<(NativeRefresh, Kid), OpenError> {
        self.open_token(token)
    }

    /// An app's code.
    pub fn seal_native_code(&self, code: &NativeCode) -> Result<String, StoreError> {
        self.seal_token(code, || vec![("code".to_owned(), code.code.len())])
    }

    /// What an app's code holds, and the key that sealed it.
    pub fn open_native_code(&self, code: &str) -> Result<(NativeCode, Kid), OpenError> {
        self.open_token(code)
    }

    /// The `state` that the identity provider gets for the login of an app. Its cookie keeps `random`.
    pub fn seal_native_login(
        &self,
        random: &str,
        login: &NativeLogin,
    ) -> Result<String, StoreError> {
        let envelope = self.native_login(random);
        let parts = || vec![("redirect_uri".to_owned(), login.redirect_uri.len())];
        let sealed = self.seal(&envelope, login, parts)?;
        Ok(format!("{random}{sealed}"))
    }

    /// Opens that `state` again: its random part, and what the app asked for.
    pub fn open_native_login<'s>(&self, state: &'s str) -> Option<(&'s str, NativeLogin)> {
        let (random, sealed) = state.split_at_checked(RANDOM_LEN)?;
        if !random.bytes().all(is_base64url) {
            return None;
        }
        let envelope = self.native_login(random);
        let opened = envelope.open(|_| Some(sealed.as_bytes()), &self.keys);
        Some((random, opened.ok()?.state))
    }

    /// Bound to all of the random part, so that nobody can exchange one `state` for another.
    fn native_login(&self, random: &str) -> Envelope<'_, NativeLogin> {
        self.jar
            .parameter(format!("{}.{random}", NativeLogin::PURPOSE))
    }

    fn seal_token<S: State>(
        &self,
        state: &S,
        parts: impl Fn() -> Vec<(String, usize)>,
    ) -> Result<String, StoreError> {
        self.seal(&self.jar.token(), state, parts)
    }

    fn seal<S: State>(
        &self,
        envelope: &Envelope<'_, S>,
        state: &S,
        parts: impl Fn() -> Vec<(String, usize)>,
    ) -> Result<String, StoreError> {
        let draft = envelope.draft(state).map_err(|oversize| {
            let mut parts = parts();
            budget::biggest_first(&mut parts);
            TooLarge {
                needed: oversize.text_len,
                budget: envelope.layout().capacity(),
                parts,
            }
        })?;
        Ok(envelope.seal(&draft, &self.keys, self.now)?)
    }

    fn open_token<S: State>(&self, text: &str) -> Result<(S, Kid), OpenError> {
        let envelope = self.jar.token::<S>();
        let opened = envelope.open(|_| Some(text.as_bytes()), &self.keys)?;
        Ok((opened.state, opened.kid))
    }
}

impl State for NativeAccess {
    const PURPOSE: &'static str = "native-access";
    /// As of a session: an identity provider writes it (E15).
    const COMPRESSIBLE: bool = true;

    fn write(&self, w: &mut Writer) {
        let tokens = &self.session.tokens;
        token_text::write(w, tokens.access_token.secret());
        w.time(tokens.issued_at);
        w.time(tokens.expires_at);
        w.option(self.lasts_until, Writer::time);
        write_common(w, &self.session, self.key);
        if let TokenType::Dpop(kid) = tokens.token_type {
            write_kid(w, kid);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let access_token = AccessToken::new(token_text::read(r)?);
        let tokens = TokenSet {
            access_token,
            token_type: TokenType::Bearer,
            refresh_token: None,
            issued_at: r.time()?,
            expires_at: r.time()?,
            refresh_ends_at: None,
            scope: String::new(),
        };
        let lasts_until = r.option(Reader::time)?;
        let (mut session, key) = read_common(r, tokens)?;
        if let Some(kid) = read_kid(r)? {
            session.tokens.token_type = TokenType::Dpop(kid);
        }
        Ok(Self {
            session,
            key,
            lasts_until,
        })
    }
}

impl State for NativeRefresh {
    const PURPOSE: &'static str = "native-refresh";
    const COMPRESSIBLE: bool = true;

    fn write(&self, w: &mut Writer) {
        let tokens = &self.session.tokens;
        let refresh_token = tokens.refresh_token.as_ref();
        token_text::write(w, refresh_token.map_or("", |token| token.secret()));
        w.option(tokens.refresh_ends_at, Writer::time);
        w.loose(&self.access_token);
        write_common(w, &self.session, self.key);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let refresh_token = RefreshToken::new(token_text::read(r)?);
        let refresh_ends_at = r.option(Reader::time)?;
        let access_token = r.loose_array()?;
        let tokens = TokenSet {
            access_token: AccessToken::new(String::new()),
            token_type: TokenType::Bearer,
            refresh_token: Some(refresh_token),
            issued_at: UnixTime::from_secs(0),
            expires_at: UnixTime::from_secs(0),
            refresh_ends_at,
            scope: String::new(),
        };
        let (session, key) = read_common(r, tokens)?;
        Ok(Self {
            session: with_stand_in(session, access_token),
            key,
            access_token,
        })
    }
}

/// The one further field: which key of the ring the `DPoP` key follows from that a token or a code of the provider is bound to.
const KEY: u64 = 1;

fn write_kid(w: &mut Writer, kid: Kid) {
    w.number(KEY);
    w.loose(kid.as_bytes());
}

fn read_kid(r: &mut Reader<'_>) -> Result<Option<Kid>, Malformed> {
    if r.is_packed_used_up() {
        return Ok(None);
    }
    match r.number()? {
        KEY => Ok(Some(Kid::from_bytes(r.loose_array()?))),
        _ => Err(Malformed),
    }
}

/// All but the tokens.
fn write_common(w: &mut Writer, session: &Session, key: Option<Digest>) {
    w.loose(&session.id.0);
    w.time(session.last_seen);
    w.time(session.started_at);
    w.time(session.ends_at);
    w.option(session.auth_time, Writer::time);
    w.bytes(TEXT, session.issuer.as_bytes());
    w.bytes(TEXT, session.subject.as_bytes());
    w.option(session.idp_sid.as_ref(), |w, sid| {
        w.bytes(TEXT, sid.as_bytes());
    });
    w.bytes(TEXT, session.tokens.scope.as_bytes());
    claims::write(w, &session.claims);
    w.option(key, |w, key| w.loose(&key));
}

fn read_common(
    r: &mut Reader<'_>,
    tokens: TokenSet,
) -> Result<(Session, Option<Digest>), Malformed> {
    let id = SessionId(r.loose_array()?);
    let (last_seen, started_at, ends_at) = (r.time()?, r.time()?, r.time()?);
    let mut session = Session {
        id,
        last_seen,
        started_at,
        ends_at,
        auth_time: r.option(Reader::time)?,
        issuer: r.text(TEXT)?.to_owned(),
        subject: r.text(TEXT)?.to_owned(),
        idp_sid: r.option(|r| r.text(TEXT))?.map(str::to_owned),
        tokens,
        claims: serde_json::Map::new(),
        device: None,
    };
    r.text(TEXT)?.clone_into(&mut session.tokens.scope);
    session.claims = claims::read(r)?;
    Ok((session, r.option(Reader::loose_array)?))
}

impl NativeLogin {
    fn put(&self, w: &mut Writer) {
        w.bytes(TEXT, self.redirect_uri.as_bytes());
        w.option(self.state.as_ref(), |w, state| {
            w.bytes(TEXT, state.as_bytes());
        });
        w.loose(&self.challenge);
        w.option(self.key, |w, key| w.loose(&key));
        w.time(self.begun_at);
    }

    fn take(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            redirect_uri: r.text(TEXT)?.to_owned(),
            state: r.option(|r| r.text(TEXT))?.map(str::to_owned),
            challenge: r.loose_array()?,
            key: r.option(Reader::loose_array)?,
            begun_at: r.time()?,
        })
    }
}

impl State for NativeLogin {
    const PURPOSE: &'static str = "native-login";

    fn write(&self, w: &mut Writer) {
        self.put(w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::take(r)
    }
}

impl State for NativeCode {
    const PURPOSE: &'static str = "native-code";

    fn write(&self, w: &mut Writer) {
        self.login.put(w);
        w.bytes(TEXT, self.code.as_bytes());
        w.bytes(TEXT, self.random.as_bytes());
        w.bytes(TEXT, self.nonce.secret().as_bytes());
        w.bytes(TEXT, self.verifier.secret().as_bytes());
        w.option(self.max_age, Writer::number);
        w.option(self.acr_values.as_ref(), |w, acr| {
            w.bytes(TEXT, acr.as_bytes());
        });
        w.time(self.issued_at);
        if let Some(kid) = self.proof_key {
            write_kid(w, kid);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            login: NativeLogin::take(r)?,
            code: r.text(TEXT)?.to_owned(),
            random: r.text(TEXT)?.to_owned(),
            nonce: Nonce::new(r.text(TEXT)?.to_owned()),
            verifier: PkceCodeVerifier::new(r.text(TEXT)?.to_owned()),
            max_age: r.option(Reader::number)?,
            acr_values: r.option(|r| r.text(TEXT))?.map(str::to_owned),
            issued_at: r.time()?,
            proof_key: read_kid(r)?,
        })
    }
}
