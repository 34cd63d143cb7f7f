//! Whether a session's cookies fit, and what to say if they do not.
//!
//! # Invariants
//! - Counted is what a browser sends to an API route: names, `=`, values and the `; ` between cookies (C3).
//! - A session over budget is refused before it is sealed, never written to be dropped by the browser (C2).

use super::chunk::Layout;
use super::claims;
use super::codec::Writer;
use super::cookies::Received;
use super::jar::Jar;
use super::names::Kind;
use super::outcome::TooLarge;
use super::set_cookie::SetCookies;
use super::state::{Seen, Session};
use super::token_text;
use crate::clock::UnixTime;
use crate::keyring::{KeyRing, OpenError};

/// How many parts an error names.
const PARTS: usize = 5;

/// The cookies beside the session's that the browser will go on sending, and login cookies that are dead.
pub(super) struct Others<'r> {
    bytes: usize,
    /// Ids of login cookies that do not open or are too old.
    pub(super) dead: Vec<&'r str>,
}

/// Bytes of a cookie in the header, with the separator before the next.
const fn in_header(name_len: usize, value_len: usize) -> usize {
    name_len
        .saturating_add("=".len())
        .saturating_add(value_len)
        .saturating_add("; ".len())
}

impl Jar {
    /// Takes stock of the received cookies that `out` does not delete.
    pub(super) fn others<'r>(
        &self,
        received: &Received<'r>,
        keys: &KeyRing,
        now: UnixTime,
        out: &SetCookies,
    ) -> Others<'r> {
        let mut others = Others {
            bytes: 0,
            dead: Vec::new(),
        };
        for (kind, value) in received.iter() {
            let name = self.names.name(kind);
            if out.deletes(&name) {
                continue;
            }
            match kind {
                Kind::Login(id) => match self.open_login(id, received, keys) {
                    Ok(attempt) if attempt.is_expired(now) => others.dead.push(id),
                    Err(OpenError::Rejected) => others.dead.push(id),
                    Ok(_) | Err(OpenError::UnknownKey) => {
                        others.bytes += in_header(name.len(), value.len());
                    }
                },
                Kind::Ended => others.bytes += in_header(name.len(), value.len()),
                Kind::Hint | Kind::Seen | Kind::Session(_) => {}
            }
        }
        others
    }

    /// Bytes of the `Cookie` header with a session of this many characters.
    fn needed(&self, text_len: usize, others: &Others<'_>) -> usize {
        let layout: Layout = self.session.layout();
        let chunks: usize = (0..=u8::MAX)
            .map(|index| (index, layout.chunk_len(text_len, index)))
            .take_while(|(_, len)| *len > 0)
            .map(|(index, len)| in_header(self.names.name(Kind::Session(index)).len(), len))
            .sum();
        let total = chunks + self.seen_bytes() + others.bytes;
        total.saturating_sub("; ".len())
    }

    /// The `-seen` cookie, whether it has been written yet or not.
    fn seen_bytes(&self) -> usize {
        let longest = Seen {
            session: super::state::SessionId([0; 16]),
            at: UnixTime::from_secs(u64::from(u32::MAX)),
        };
        let draft = self.seen.draft(&longest);
        draft.map_or(0, |draft| {
            in_header(self.names.name(Kind::Seen).len(), draft.text_len())
        })
    }
}

/// The bytes that are needed. Refuses a session that is over budget.
pub(super) fn check(
    jar: &Jar,
    session: &Session,
    text_len: usize,
    others: &Others<'_>,
) -> Result<usize, TooLarge> {
    let needed = jar.needed(text_len, others);
    if needed <= jar.settings.session.max_bytes {
        Ok(needed)
    } else {
        Err(too_large(jar, session, text_len, others))
    }
}

/// The error for a session of this many characters.
pub(super) fn too_large(
    jar: &Jar,
    session: &Session,
    text_len: usize,
    others: &Others<'_>,
) -> TooLarge {
    let mut parts = parts(session);
    if others.bytes > 0 {
        parts.push(("other cookies".to_owned(), others.bytes));
    }
    biggest_first(&mut parts);
    TooLarge {
        needed: jar.needed(text_len, others),
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
