//! States as bytes, field by field. The tables are in the [module head](super).
//!
//! # Invariants
//! - `decode(encode(x)) == x`, and every pair of sections that decodes is what its value encodes to (E17, fuzzed).

use openidconnect::{AccessToken, Nonce, PkceCodeVerifier, RefreshToken};

use super::codec::{self, Cursor, MAX_PAD, Malformed, Reader, Sections, Writer};
use super::pack::{self, Packing};
use super::settings::{Compression, JarSettings};
use super::state::{
    EndedMark, EndedMarks, Fact, LoginAttempt, LoginState, LogoutHint, LogoutState, Manner, Seen,
    Session, SessionId,
};
use super::token_set::TokenSet;
use super::{claims, token_text};
use crate::clock::UnixTime;
use crate::keyring::{Erased, Kid};
use crate::names::ReturnTo;
use crate::oidc::TokenType;
use crate::proof::PublicKey;

/// Longest text that is not a token or a claim.
pub(super) const TEXT: usize = 4096;

/// The further field of a session that says when its refresh token ends.
const REFRESH_ENDS_AT: u64 = 1;

/// The further field of a session that is bound to a device: its public key.
const DEVICE: u64 = 2;

/// The further field of a session that names the key that its access token is bound to.
const TOKEN_KEY: u64 = 3;

/// The further field of a login that names the key that its code is bound to.
const CODE_KEY: u64 = 1;

/// Something that is sealed. The purpose belongs to the type, so one kind of cookie never decodes as another.
pub(super) trait State: Sized {
    /// What the sealed bytes are for: the label of the subkey, and a part of the associated data. A change ends all of them.
    const PURPOSE: &'static str;
    /// Whether it may be compressed: not with anything in it that a stranger chooses, nor where it is too small to gain.
    const COMPRESSIBLE: bool = false;
    /// Whether its length depends on what it says.
    const VARIES: bool = true;
    /// Writes all fields.
    fn write(&self, writer: &mut Writer);
    /// Reads all fields.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
    /// What support may read of it, line by line: neither tokens nor who the user is.
    fn facts(&self, _: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        Vec::new()
    }
    /// Whether it still counts, for support.
    fn counts(&self, _: &JarSettings, _: UnixTime) -> bool {
        true
    }
}

/// The bytes that are sealed.
#[derive(Clone)]
pub(super) struct Plaintext {
    pub(super) bytes: Erased,
    pub(super) packing: Packing,
}

/// The plaintext of a state. `Err` gives the length that it would have, if a field is over its limit.
pub(super) fn encode<S: State>(
    state: &S,
    pad_to: usize,
    compression: Compression,
) -> Result<Plaintext, usize> {
    let sections = sections(state)?;
    let frame = if S::COMPRESSIBLE {
        pack::pack(&sections.packed, compression)
    } else {
        None
    };
    let (packing, packed) = match &frame {
        Some(frame) => (Packing::Zstd1, &**frame),
        None => (Packing::Plain, &*sections.packed),
    };
    let pad_to = if S::VARIES { pad_to } else { 1 };
    Ok(Plaintext {
        bytes: assemble(packed, &sections.loose, pad_to),
        packing,
    })
}

/// All fields of a state.
pub(super) fn sections<S: State>(state: &S) -> Result<Sections, usize> {
    let mut writer = Writer::new();
    state.write(&mut writer);
    let within = writer.packed_len() <= pack::LIMIT;
    writer.require(within);
    writer.finish()
}

/// Padded after packing: what a length tells must not depend on how well something compressed (E16).
pub(super) fn assemble(packed: &[u8], loose: &[u8], pad_to: usize) -> Erased {
    let pad_to = pad_to.clamp(1, MAX_PAD);
    // The two numbers have up to three bytes.
    let len = packed.len() + loose.len() + 6;
    let mut plaintext = Erased::with_capacity(len.next_multiple_of(pad_to));
    codec::put_number(&mut plaintext, pad_to as u64);
    codec::put_number(&mut plaintext, packed.len() as u64);
    plaintext.push(packed);
    plaintext.push(loose);
    codec::pad(&mut plaintext, pad_to);
    plaintext
}

/// A plaintext, divided.
pub(super) struct Front<'b> {
    pub(super) pad_to: usize,
    /// As it was packed.
    pub(super) packed: &'b [u8],
    /// With the padding.
    loose: &'b [u8],
}

impl<'b> Front<'b> {
    pub(super) fn read(plaintext: &'b [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(plaintext);
        let pad_to = cursor.length(MAX_PAD)?;
        let len = cursor.length(pack::LIMIT)?;
        Ok(Self {
            pad_to,
            packed: cursor.raw(len)?,
            loose: cursor.0,
        })
    }
}

/// What a plaintext holds.
#[derive(Debug)]
pub(super) struct Decoded<S> {
    pub(super) state: S,
    pub(super) sizes: Sizes,
}

/// Bytes of the parts of a plaintext.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) packed: usize,
    /// The packed section when it is unpacked.
    pub(super) unpacked: usize,
    pub(super) loose: usize,
    pub(super) padding: usize,
}

/// The state of a plaintext.
pub(super) fn decode<S: State>(
    plaintext: &[u8],
    packing: Packing,
) -> Result<Decoded<S>, Malformed> {
    let front = Front::read(plaintext)?;
    let unpacked = match packing {
        Packing::Plain => None,
        Packing::Zstd1 if S::COMPRESSIBLE => Some(pack::unpack(front.packed)?),
        Packing::Zstd1 => return Err(Malformed),
    };
    let section = unpacked.as_ref().map_or(front.packed, |bytes| bytes);
    let mut reader = Reader::new(section, front.loose);
    let state = S::read(&mut reader)?;
    let padding = reader.finish()?;
    let exact = padding.len() < front.pad_to && plaintext.len().is_multiple_of(front.pad_to);
    if !exact || padding.iter().any(|byte| *byte != 0) {
        return Err(Malformed);
    }
    Ok(Decoded {
        state,
        sizes: Sizes {
            packed: front.packed.len(),
            unpacked: section.len(),
            loose: front.loose.len() - padding.len(),
            padding: padding.len(),
        },
    })
}

impl State for Session {
    const PURPOSE: &'static str = "session";
    /// Nothing in it is chosen by whoever can see its length: an identity provider writes it (E15).
    const COMPRESSIBLE: bool = true;

    fn write(&self, w: &mut Writer) {
        w.loose(&self.id.0);
        w.time(self.last_seen);
        w.time(self.started_at);
        w.time(self.ends_at);
        w.option(self.auth_time, Writer::time);
        let tokens = &self.tokens;
        token_text::write(w, tokens.access_token.secret());
        w.option(tokens.refresh_token.as_ref(), |w, token| {
            token_text::write(w, token.secret());
        });
        w.time(tokens.issued_at);
        w.time(tokens.expires_at);
        w.bytes(TEXT, self.issuer.as_bytes());
        w.bytes(TEXT, self.subject.as_bytes());
        w.option(self.idp_sid.as_ref(), |w, sid| {
            w.bytes(TEXT, sid.as_bytes());
        });
        w.bytes(TEXT, tokens.scope.as_bytes());
        claims::write(w, &self.claims);
        if let Some(ends) = tokens.refresh_ends_at {
            w.number(REFRESH_ENDS_AT);
            w.time(ends);
        }
        if let Some(key) = &self.device {
            w.number(DEVICE);
            w.loose(key.as_bytes());
        }
        if let TokenType::Dpop(kid) = tokens.token_type {
            w.number(TOKEN_KEY);
            w.loose(kid.as_bytes());
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = SessionId(r.loose_array()?);
        let (last_seen, started_at, ends_at) = (r.time()?, r.time()?, r.time()?);
        let auth_time = r.option(Reader::time)?;
        let access_token = AccessToken::new(token_text::read(r)?);
        let refresh_token = r.option(token_text::read)?.map(RefreshToken::new);
        let (issued_at, expires_at) = (r.time()?, r.time()?);
        let mut session = Self {
            id,
            issuer: r.text(TEXT)?.to_owned(),
            subject: r.text(TEXT)?.to_owned(),
            idp_sid: r.option(|r| r.text(TEXT))?.map(str::to_owned),
            started_at,
            auth_time,
            ends_at,
            last_seen,
            tokens: TokenSet {
                access_token,
                token_type: TokenType::Bearer,
                refresh_token,
                issued_at,
                expires_at,
                refresh_ends_at: None,
                scope: r.text(TEXT)?.to_owned(),
            },
            claims: claims::read(r)?,
            device: None,
        };
        let mut last = 0;
        while !r.is_packed_used_up() {
            let field = r.number()?;
            match field {
                REFRESH_ENDS_AT if last < field => session.tokens.refresh_ends_at = Some(r.time()?),
                DEVICE if last < field => {
                    session.device = Some(PublicKey::from_bytes(r.loose_array()?));
                }
                TOKEN_KEY if last < field => {
                    let kid = Kid::from_bytes(r.loose_array()?);
                    session.tokens.token_type = TokenType::Dpop(kid);
                }
                _ => return Err(Malformed),
            }
            last = field;
        }
        Ok(session)
    }
}

impl State for LoginAttempt {
    const PURPOSE: &'static str = "login";

    fn write(&self, w: &mut Writer) {
        w.bytes(TEXT, self.state.as_bytes());
        w.bytes(TEXT, self.nonce.secret().as_bytes());
        w.bytes(TEXT, self.verifier.secret().as_bytes());
        w.bytes(TEXT, self.issuer.as_bytes());
        w.bytes(TEXT, self.rest.as_bytes());
        w.time(self.started_at);
        w.flag(self.silent);
        w.option(self.max_age, Writer::number);
        w.option(self.acr_values.as_ref(), |w, acr| {
            w.bytes(TEXT, acr.as_bytes());
        });
        w.option(self.replaces, |w, session| w.loose(&session.0));
        if let Some(kid) = self.proof_key {
            w.number(CODE_KEY);
            w.loose(kid.as_bytes());
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut attempt = Self {
            state: r.text(TEXT)?.to_owned(),
            nonce: Nonce::new(r.text(TEXT)?.to_owned()),
            verifier: PkceCodeVerifier::new(r.text(TEXT)?.to_owned()),
            issuer: r.text(TEXT)?.to_owned(),
            rest: r.text(TEXT)?.to_owned(),
            started_at: r.time()?,
            silent: r.flag()?,
            max_age: r.option(Reader::number)?,
            acr_values: r.option(|r| r.text(TEXT))?.map(str::to_owned),
            replaces: r.option(Reader::loose_array)?.map(SessionId),
            proof_key: None,
        };
        if !r.is_packed_used_up() {
            attempt.proof_key = match r.number()? {
                CODE_KEY => Some(Kid::from_bytes(r.loose_array()?)),
                _ => return Err(Malformed),
            };
        }
        Ok(attempt)
    }

    fn facts(&self, settings: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        let rest = format!("{} bytes here, the others in state", self.rest.len());
        vec![
            ("issuer", Fact::Text(self.issuer.clone())),
            ("begun", Fact::At(self.started_at)),
            (
                "ends",
                Fact::At(self.started_at.plus(settings.login_timeout)),
            ),
            ("return to", Fact::Text(rest)),
        ]
    }

    fn counts(&self, settings: &JarSettings, now: UnixTime) -> bool {
        !self.is_expired(now, settings.login_timeout)
    }
}

impl State for LoginState {
    const PURPOSE: &'static str = "login-state";

    fn write(&self, w: &mut Writer) {
        w.bytes(TEXT, self.head.as_bytes());
        w.flag(self.is_cut);
        w.time(self.begun_at);
        w.number(match self.manner {
            Manner::Asking => 0,
            Manner::Quiet => 1,
            Manner::Silent => 2,
        });
        w.flag(self.is_demanding);
        w.flag(self.is_second);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            head: r.text(TEXT)?.to_owned(),
            is_cut: r.flag()?,
            begun_at: r.time()?,
            manner: match r.number()? {
                0 => Manner::Asking,
                1 => Manner::Quiet,
                2 => Manner::Silent,
                _ => return Err(Malformed),
            },
            is_demanding: r.flag()?,
            is_second: r.flag()?,
        })
    }
}

impl State for Seen {
    const PURPOSE: &'static str = "seen";
    const VARIES: bool = false;

    fn write(&self, w: &mut Writer) {
        w.loose(&self.session.0);
        w.time(self.at);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            session: SessionId(r.loose_array()?),
            at: r.time()?,
        })
    }

    fn facts(&self, _: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        vec![
            ("session", Fact::Text(self.session.fingerprint())),
            ("last activity", Fact::At(self.at)),
        ]
    }
}

impl State for EndedMarks {
    const PURPOSE: &'static str = "out";
    const VARIES: bool = false;

    fn write(&self, w: &mut Writer) {
        let count = self.0.len();
        w.require((1..=Self::MOST).contains(&count));
        if count > 1 {
            w.number(count as u64);
        }
        for mark in &self.0 {
            w.loose(&mark.session.0);
            w.time(mark.until);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = if r.is_packed_used_up() {
            1
        } else {
            let count = usize::try_from(r.number()?).map_err(|_| Malformed)?;
            // One is written without a number.
            if !(2..=Self::MOST).contains(&count) {
                return Err(Malformed);
            }
            count
        };
        let read = |_| {
            Ok(EndedMark {
                session: SessionId(r.loose_array()?),
                until: r.time()?,
            })
        };
        Ok(Self((0..count).map(read).collect::<Result<_, _>>()?))
    }

    fn facts(&self, _: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        let facts = |mark: &EndedMark| {
            [
                ("session", Fact::Text(mark.session.fingerprint())),
                ("ended, until", Fact::At(mark.until)),
            ]
        };
        self.0.iter().flat_map(facts).collect()
    }

    fn counts(&self, _: &JarSettings, now: UnixTime) -> bool {
        self.0.iter().any(|mark| mark.until > now)
    }
}

impl State for LogoutHint {
    const PURPOSE: &'static str = "hint";
    /// It holds an ID token and nothing else, and must fit one cookie whatever groups that token lists.
    const COMPRESSIBLE: bool = true;

    fn write(&self, w: &mut Writer) {
        w.loose(&self.session.0);
        token_text::write(w, &self.id_token);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            session: SessionId(r.loose_array()?),
            id_token: token_text::read(r)?,
        })
    }

    fn facts(&self, _: &JarSettings) -> Vec<(&'static str, Fact<'_>)> {
        vec![
            ("session", Fact::Text(self.session.fingerprint())),
            ("id_token", Fact::Token(&self.id_token)),
        ]
    }
}

impl State for LogoutState {
    const PURPOSE: &'static str = "logout-state";

    fn write(&self, w: &mut Writer) {
        w.bytes(TEXT, self.return_to.as_str().as_bytes());
        w.time(self.issued_at);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            return_to: read_return_to(r)?,
            issued_at: r.time()?,
        })
    }
}

/// Checked again, although authenticated: a rule that became stricter holds for old cookies too.
fn read_return_to(r: &mut Reader<'_>) -> Result<ReturnTo, Malformed> {
    let text = r.text(TEXT)?;
    ReturnTo::parse(text)
        .filter(|parsed| parsed.as_str() == text)
        .ok_or(Malformed)
}
