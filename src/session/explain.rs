//! Cookies in words, for support: what is in them, how old it is, what it weighs; or why they do not open.
//!
//! `sealgate --explain-cookie` prints it, with the key ring at hand. Nothing that serves requests calls it: to a browser all
//! failures are one (E11).
//!
//! # Invariants
//! - No token, claim or subject is shown: lengths, and the first 4 bytes of a token's SHA-256, which tell whether two are
//!   the same (E22, F14).
//! - What is read is bounded as for a request.

use std::fmt::{self, Write as _};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::budget;
use super::encode::State;
use super::envelope::{Envelope, Failure, Unsealed};
use super::kind::{Kind, Visitor};
use super::outcome::{Loaded, OpenResult};
use super::state::{Fact, Session};
use super::wallet::Wallet;
use crate::clock::UnixTime;
use crate::oidc::TokenType;

/// What became of one of our cookies (a session in several counts as one).
#[derive(Debug)]
pub struct Explained {
    /// Whether it opens, and holds now.
    pub is_good: bool,
    /// Some lines.
    pub text: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Wallet<'_> {
    /// Every cookie of this frontend that came, in words.
    pub fn explain(mut self) -> Vec<Explained> {
        // What a request with these cookies would be told.
        let verdict = self.load();
        let scene = Scene {
            wallet: &self,
            verdict,
        };
        let mut seen: Vec<Kind<'_>> = Vec::new();
        let mut all = Vec::new();
        for (kind, _) in self.received.iter() {
            let kind = match kind {
                Kind::Session(_) => Kind::Session(0),
                other => other,
            };
            if !seen.contains(&kind) {
                seen.push(kind);
                all.push(scene.explain(kind));
            }
        }
        all
    }
}

struct Scene<'s> {
    wallet: &'s Wallet<'s>,
    verdict: Loaded,
}

/// Lines of a report: a title, and indented facts.
struct Report(String);

impl Report {
    fn line(&mut self, name: &str, fact: impl fmt::Display) {
        // Writing to a `String` does not fail.
        let _ = writeln!(self.0, "  {name:<16} {fact}");
    }
}

/// Describes a cookie by the facts of what it holds.
struct Describe<'s> {
    scene: &'s Scene<'s>,
    kind: Kind<'s>,
}

impl Visitor for Describe<'_> {
    type Output = Explained;

    fn visit<S: State>(self) -> Explained {
        let scene = self.scene;
        let envelope = scene.wallet.jar.envelope::<S>(self.kind);
        let settings = &scene.wallet.jar.settings;
        scene.open(self.kind, &envelope, |report, opened| {
            for (name, fact) in opened.state.facts(settings) {
                match fact {
                    Fact::At(at) => report.line(name, scene.at(at)),
                    Fact::Text(text) => report.line(name, text),
                    Fact::Token(text) => report.line(name, token(text)),
                }
            }
            opened.state.counts(settings, scene.wallet.now)
        })
    }
}

impl Scene<'_> {
    fn explain(&self, kind: Kind<'_>) -> Explained {
        let jar = self.wallet.jar;
        match kind {
            // Of a session there is more to tell than its own facts.
            Kind::Session(_) => {
                let envelope = jar.envelope::<Session>(Kind::Session(0));
                self.open(kind, &envelope, |report, opened| {
                    self.session(report, &opened.state)
                })
            }
            _ => kind.visit(Describe { scene: self, kind }),
        }
    }

    fn open<S: State>(
        &self,
        kind: Kind<'_>,
        envelope: &Envelope<'_, S>,
        describe: impl FnOnce(&mut Report, &Unsealed<S>) -> bool,
    ) -> Explained {
        let chunk = |index: u8| match kind {
            Kind::Session(_) => self.wallet.received.value(Kind::Session(index)),
            kind => self.wallet.received.value(kind).filter(|_| index == 0),
        };
        let repeated = self.wallet.received.iter().find(|(other, _)| {
            let same = match kind {
                Kind::Session(_) => matches!(other, Kind::Session(_)),
                kind => *other == kind,
            };
            same && self.wallet.received.values(*other).nth(1).is_some()
        });
        let name = self.wallet.jar.names.name(kind);
        let purpose = S::PURPOSE;
        let mut report = Report(format!(
            "{name}: {purpose} of frontend {}\n",
            self.wallet.jar.settings.frontend
        ));
        let opened = match repeated {
            Some((repeated, _)) => Err(format!(
                "{} came more than once; which of them counts cannot be told",
                self.wallet.jar.names.name(repeated)
            )),
            None => envelope
                .diagnose(chunk, &self.wallet.keys)
                .map_err(|failure| self.failure(&failure)),
        };
        let is_good = match opened {
            Err(why) => {
                report.line("does not open", why);
                false
            }
            Ok(opened) => {
                self.wrapping(&mut report, &opened);
                describe(&mut report, &opened)
            }
        };
        Explained {
            is_good,
            text: report.0,
        }
    }

    /// What every cookie has.
    fn wrapping<S>(&self, report: &mut Report, opened: &Unsealed<S>) {
        let alg = self
            .wallet
            .keys
            .key(opened.kid)
            .map_or("", |key| key.alg().name());
        let role = if self.wallet.keys.primary(self.wallet.now).kid() == opened.kid {
            "the primary"
        } else {
            "opens only"
        };
        report.line("format", "version 1");
        report.line("key", format_args!("{} ({role})", opened.kid));
        report.line("cipher", alg);
        report.line("compression", opened.header.packing.name());
        report.line(
            "cookies",
            format_args!(
                "{}, values of {} characters",
                opened.header.chunks,
                opened.header.text_len()
            ),
        );
        let sizes = opened.sizes;
        report.line(
            "plaintext",
            format_args!(
                "text {} bytes, as sealed {}; other {}; padding {}",
                sizes.unpacked, sizes.packed, sizes.loose, sizes.padding
            ),
        );
    }

    fn session(&self, report: &mut Report, session: &Session) -> bool {
        let tokens = &session.tokens;
        let idle_timeout = self.wallet.jar.settings.session.idle_timeout;
        let opened = self.verdict.session.as_deref();
        let seen = opened.map_or(session.last_seen, |opened| opened.last_seen);
        let state = match self.verdict.result {
            OpenResult::Ok => "active",
            OpenResult::Ended => "ended by logout",
            OpenResult::Unrefreshable => "over with its access token: there is no refresh token",
            OpenResult::Expired => "over: past its end",
            OpenResult::Idle => "over: idle for too long",
            OpenResult::UnknownKey => "idle, unless a key that is not in this ring tells otherwise",
            OpenResult::Anonymous | OpenResult::Rejected => {
                "refused: a cookie came more than once, or too many came with it"
            }
        };
        report.line("state", state);
        report.line("session", session.id.fingerprint());
        match &session.device {
            Some(key) => {
                let name: String = key.thumbprint().chars().take(8).collect();
                report.line("device", format_args!("bound to the key {name}…"));
            }
            None => report.line("device", "not bound"),
        }
        report.line("issuer", &session.issuer);
        report.line("sealed", self.at(session.last_seen));
        report.line("started", self.at(session.started_at));
        if let Some(auth_time) = session.auth_time {
            report.line("authenticated", self.at(auth_time));
        }
        report.line("last activity", self.at(seen));
        report.line("idle from", self.at(seen.plus(idle_timeout)));
        report.line("ends", self.at(session.latest_end()));
        if let Some(ends) = tokens.refresh_ends_at {
            report.line("refresh ends", self.at(ends));
        }
        report.line("tokens received", self.at(tokens.issued_at));
        report.line("tokens expire", self.at(tokens.expires_at));
        report.line("access_token", token(tokens.access_token.secret()));
        if let TokenType::Dpop(kid) = tokens.token_type {
            report.line(
                "token type",
                format_args!("DPoP, bound to the key of {kid}"),
            );
        }
        match &tokens.refresh_token {
            Some(refresh_token) => report.line("refresh_token", token(refresh_token.secret())),
            None => report.line("refresh_token", "none"),
        }
        let mut parts = budget::parts(session);
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        report.line("parts", "bytes before compression");
        for (name, bytes) in parts {
            let _ = writeln!(report.0, "    {name:<14} {bytes:>6}");
        }
        self.verdict.result == OpenResult::Ok
    }

    fn failure(&self, failure: &Failure) -> String {
        let settings = &self.wallet.jar.settings;
        match failure {
            Failure::Tag => format!(
                "the key is known, but the seal is broken: a byte was changed, or it was sealed for another cookie, frontend \
                 (here {}), client ({}), issuer ({}) or origin ({})",
                settings.frontend, settings.client_id, settings.issuer, settings.origin
            ),
            other => other.to_string(),
        }
    }

    /// A time, and how far it is.
    fn at(&self, at: UnixTime) -> String {
        if at > self.wallet.now {
            format!("{at}, in {}", span(at.since(self.wallet.now)))
        } else {
            format!("{at}, {} ago", span(self.wallet.now.since(at)))
        }
    }
}

/// Two units are enough.
fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d{:02}h", secs / 86400, secs % 86400 / 3600),
    }
}

/// A token without the token.
fn token(token: &str) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(token));
    let front = u32::from_be_bytes([a, b, c, d]);
    let parts = token.split('.').count();
    format!(
        "{} characters in {parts} {}, SHA-256 {front:08x}…",
        token.len(),
        if parts == 1 { "part" } else { "parts" }
    )
}
