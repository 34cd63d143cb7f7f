//! The cookies of one frontend: names, attributes, envelopes.
//!
//! `frontend` has one for each frontend. Each request gets a [`Wallet`](super::Wallet) from it, which reads and writes.
//!
//! # Invariants
//! - A cookie's attributes follow from its kind and the configuration alone, never from a request (C16, C20).

use super::chunk::Layout;
use super::envelope::Envelope;
use super::names::{self, Kind, Names};
use super::set_cookie::{Attributes, SetCookies};
use super::settings::JarSettings;
use super::state::{EndedMarks, LoginAttempt, LoginState, LogoutHint, LogoutState, Seen, Session};

/// What all cookies of one frontend have in common.
#[derive(Debug)]
pub struct Jar {
    pub(super) settings: JarSettings,
    pub(super) names: Names,
    logout_path: String,
    pub(super) session: Envelope<Session>,
    pub(super) seen: Envelope<Seen>,
    pub(super) ended: Envelope<EndedMarks>,
    /// Of no login in particular.
    pub(super) login: Envelope<LoginAttempt>,
    /// Of no login in particular.
    pub(super) login_state: Envelope<LoginState>,
    pub(super) hint: Envelope<LogoutHint>,
    pub(super) logout_state: Envelope<LogoutState>,
}

impl Jar {
    /// Fixes names, attributes and associated data.
    pub fn new(settings: JarSettings) -> Self {
        let names = Names::new(&settings.frontend, settings.origin.is_secure());
        let base = names.name(Kind::Session(0));
        let seen = names.name(Kind::Seen);
        let ended = names.name(Kind::Ended);
        let hint = names.name(Kind::Hint);
        let max_bytes = settings.session.max_bytes;
        // No cookie, but as one: it travels in a URL.
        let state = "logout-state";
        Self {
            logout_path: format!("{}/logout", settings.base_path),
            session: Envelope::new(&base, Layout::chunks(&base, max_bytes), &settings),
            seen: Envelope::new(&seen, Layout::single(&seen), &settings),
            ended: Envelope::new(&ended, Layout::single(&ended), &settings),
            login: Envelope::new("", Layout::single(""), &settings),
            login_state: Envelope::new("", Layout::single(""), &settings),
            hint: Envelope::new(&hint, Layout::single(&hint), &settings),
            logout_state: Envelope::new(state, Layout::single(state), &settings),
            names,
            settings,
        }
    }

    /// Whether a request cookie is one of ours (of any frontend), and so never goes upstream.
    ///
    /// The three prefixes are sealgate's, whatever follows them and in any case: `__Host-Http-`, `__Http-`, `sealgate-`.
    pub fn is_ours(name: &str) -> bool {
        names::is_ours(name)
    }

    pub(super) fn set(
        &self,
        kind: Kind<'_>,
        value: &str,
        max_age: Option<u64>,
        out: &mut SetCookies,
    ) {
        out.set(self.names.name(kind), value, self.attributes(kind), max_age);
    }

    pub(super) fn delete(&self, kind: Kind<'_>, out: &mut SetCookies) {
        out.delete(self.names.name(kind), self.attributes(kind));
    }

    fn attributes(&self, kind: Kind<'_>) -> Attributes<'_> {
        Attributes {
            path: if kind == Kind::Hint {
                &self.logout_path
            } else {
                "/"
            },
            // From the configured origin alone, never from a request (C20).
            secure: self.settings.origin.is_secure(),
            same_site: match kind {
                Kind::Login(_) => self.settings.login_same_site,
                _ => self.settings.session.same_site,
            },
        }
    }
}
