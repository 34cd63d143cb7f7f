//! Whether cookies fit, and what to say if they do not.
//!
//! # Invariants
//! - Counted is what a browser sends to an API route: names, `=`, values and the `; ` between cookies (C3).
//! - A session over budget is refused before it is sealed, never written to be dropped by the browser (C2).
//! - Room for `-seen`, `-out`, `-device` where sessions are bound, and one login is kept free, whether they are there or not. So no other cookie of ours ever
//!   costs a session its refresh, and more logins than one live only in room that nobody else needs.

use super::base64url;
use super::binding::{Binding, Proved};
use super::claims;
use super::codec::Writer;
use super::cookies::Received;
use super::encode::State;
use super::jar::Jar;
use super::kind::Kind;
use super::names::login_id;
use super::outcome::TooLarge;
use super::settings::DeviceBinding;
use super::state::{EndedMark, EndedMarks, LoginAttempt, Seen, Session, SessionId};
use super::token_text;
use crate::clock::UnixTime;
use crate::proof::{KEY_BYTES, PublicKey};

/// How many parts an error names.
const PARTS: usize = 5;

/// Characters of a random `state`, nonce or verifier.
const RANDOM_LEN: usize = 43;

/// As long, where it is written, as any time of this century.
const SOME_TIME: UnixTime = UnixTime::from_secs(u32::MAX as u64);

/// Bytes of a cookie in the header, with the separator before the next.
pub(super) const fn in_header(name_len: usize, value_len: usize) -> usize {
    name_len
        .saturating_add("=".len())
        .saturating_add(value_len)
        .saturating_add("; ".len())
}

impl Jar {
    /// Bytes of a session of this many characters in the header.
    fn session_bytes(&self, text_len: usize) -> usize {
        let layout = self.envelope::<Session>(Kind::Session(0)).layout();
        (0..=u8::MAX)
            .map(|index| (index, layout.chunk_len(text_len, index)))
            .take_while(|(_, len)| *len > 0)
            .map(|(index, len)| in_header(self.names.name(Kind::Session(index)).len(), len))
            .sum()
    }

    /// Bytes of `-seen`.
    fn seen_bytes(&self) -> usize {
        let seen = Seen {
            session: SessionId([0; 16]),
            at: SOME_TIME,
        };
        self.cookie_bytes(Kind::Seen, &seen)
    }

    /// Bytes of `-out` at its longest.
    fn ended_bytes(&self) -> usize {
        let mark = EndedMark {
            session: SessionId([0; 16]),
            until: SOME_TIME,
        };
        let ended = EndedMarks(vec![mark; EndedMarks::MOST]);
        self.cookie_bytes(Kind::Ended, &ended)
    }

    /// Bytes of `-device`, where sessions are bound.
    fn device_bytes(&self) -> usize {
        if self.settings.session.device_binding == DeviceBinding::Off {
            return 0;
        }
        let key = PublicKey::from_bytes([0; KEY_BYTES]);
        let proved = Proved {
            binding: Binding::of(SessionId([0; 16]), &key),
            at: SOME_TIME,
            until: SOME_TIME,
        };
        self.cookie_bytes(Kind::Device, &proved)
    }

    /// By how many characters a session grows when it is bound.
    fn growth(&self, session: &Session) -> usize {
        if self.settings.session.device_binding == DeviceBinding::Off || session.device.is_some() {
            return 0;
        }
        // The number of the field, the key, and padding that the key makes necessary.
        let bytes = (1 + KEY_BYTES).next_multiple_of(self.settings.session.pad_to);
        base64url::encoded_len(bytes)
    }

    /// Bytes of a login that keeps nothing of where it leads.
    fn login_bytes(&self) -> usize {
        let random = || "r".repeat(RANDOM_LEN);
        let smallest = LoginAttempt {
            state: random(),
            nonce: openidconnect::Nonce::new(random()),
            verifier: openidconnect::PkceCodeVerifier::new(random()),
            issuer: self.settings.issuer.clone(),
            rest: String::new(),
            started_at: SOME_TIME,
            silent: false,
            max_age: None,
            acr_values: None,
            replaces: Some(SessionId([0; 16])),
            proof_key: None,
        };
        let id = login_id(&smallest.state);
        self.cookie_bytes(Kind::Login(&id), &smallest)
    }

    /// Bytes of one cookie with this state.
    fn cookie_bytes<S: State>(&self, kind: Kind<'_>, state: &S) -> usize {
        let envelope = self.envelope(kind);
        let text_len = match envelope.draft(state) {
            Ok(draft) => draft.text_len(),
            Err(oversize) => oversize.text_len,
        };
        in_header(envelope.name().len(), text_len)
    }

    /// What logins may take up beside a session of this many characters.
    pub(super) fn room_for_logins(&self, text_len: usize) -> usize {
        // No separator behind the last cookie.
        (self.settings.session.max_bytes + "; ".len())
            .saturating_sub(self.session_bytes(text_len))
            .saturating_sub(self.seen_bytes() + self.ended_bytes() + self.device_bytes())
    }

    /// The `Cookie` header of most API requests: a session of this many characters, and its `-seen`. More comes along
    /// only while a login or a logout is under way.
    pub(super) fn header_bytes(&self, text_len: usize) -> usize {
        (self.session_bytes(text_len) + self.seen_bytes()).saturating_sub("; ".len())
    }

    /// The same beside the session that came.
    pub(super) fn room_beside(&self, received: &Received<'_>) -> usize {
        let chunks = received.iter().filter_map(|(kind, value)| match kind {
            Kind::Session(_) => Some(in_header(self.names.name(kind).len(), value.len())),
            _ => None,
        });
        self.room_for_logins(0).saturating_sub(chunks.sum())
    }
}

/// Refuses a session beside which `-seen`, `-out` and one login would not fit.
pub(super) fn check(jar: &Jar, session: &Session, text_len: usize) -> Result<(), TooLarge> {
    let text_len = text_len.saturating_add(jar.growth(session));
    if jar.room_for_logins(text_len) < jar.login_bytes() {
        return Err(too_large(jar, session, text_len));
    }
    Ok(())
}

/// The error for a session of this many characters.
pub(super) fn too_large(jar: &Jar, session: &Session, text_len: usize) -> TooLarge {
    let others = jar.seen_bytes() + jar.ended_bytes() + jar.device_bytes() + jar.login_bytes();
    let mut parts = parts(session);
    parts.push(("other cookies".to_owned(), others));
    biggest_first(&mut parts);
    TooLarge {
        needed: (jar.session_bytes(text_len) + others).saturating_sub("; ".len()),
        budget: jar.settings.session.max_bytes,
        parts,
    }
}

/// Keeps the biggest few.
pub(super) fn biggest_first(parts: &mut Vec<(String, usize)>) {
    parts.sort_by(|(a_name, a), (b_name, b)| b.cmp(a).then_with(|| a_name.cmp(b_name)));
    parts.truncate(PARTS);
}

/// What a session is made of, in bytes before sealing.
pub(super) fn parts(session: &Session) -> Vec<(String, usize)> {
    let tokens = &session.tokens;
    let mut parts = vec![
        (
            "access_token".to_owned(),
            token_len(tokens.access_token.secret()),
        ),
        ("scope".to_owned(), tokens.scope.len()),
        ("issuer".to_owned(), session.issuer.len()),
        ("subject".to_owned(), session.subject.len()),
    ];
    if let Some(token) = &tokens.refresh_token {
        parts.push(("refresh_token".to_owned(), token_len(token.secret())));
    }
    if let Some(sid) = &session.idp_sid {
        parts.push(("sid".to_owned(), sid.len()));
    }
    for (name, value) in &session.claims {
        parts.push((format!("claims.{name}"), claims::len(name, value)));
    }
    parts
}

fn token_len(token: &str) -> usize {
    let mut writer = Writer::new();
    token_text::write(&mut writer, token);
    writer.len()
}
