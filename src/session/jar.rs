//! The cookies of one frontend: names, attributes, and where they are sealed for.
//!
//! `frontend` has one for each frontend. Each request gets a [`Wallet`](super::Wallet) from it, which reads and writes.
//!
//! # Invariants
//! - A cookie's attributes follow from its kind and the configuration alone, never from a request.

use super::chunk::Layout;
use super::encode::State;
use super::envelope::{Envelope, Place};
use super::kind::{CookiePath, Kind, Lifetime, SiteSetting};
use super::names::{self, Names};
use super::set_cookie::{Attributes, SetCookies};
use super::settings::JarSettings;

/// What all cookies of one frontend have in common.
#[derive(Debug)]
pub struct Jar {
    pub(super) settings: JarSettings,
    pub(super) names: Names,
    pub(super) place: Place,
    logout_path: String,
}

impl Jar {
    /// Fixes names, attributes and associated data.
    pub fn new(settings: JarSettings) -> Self {
        Self {
            names: Names::new(&settings.frontend, settings.origin.is_secure()),
            place: Place::new(&settings),
            logout_path: format!("{}/logout", settings.base_path),
            settings,
        }
    }

    /// The envelope of a cookie. What a kind holds, [`Kind::visit`] says.
    pub(super) fn envelope<S: State>(&self, kind: Kind<'_>) -> Envelope<'_, S> {
        let name = self.names.name(kind);
        let layout = match kind {
            Kind::Session(_) => Layout::chunks(&name, self.settings.session.max_bytes),
            _ => Layout::single(&name),
        };
        self.place.envelope(name, layout)
    }

    /// The envelope of a state that travels in a URL, as if it were in a cookie of this name.
    pub(super) fn parameter<S: State>(&self, name: String) -> Envelope<'_, S> {
        let layout = Layout::single(&name);
        self.place.envelope(name, layout)
    }

    /// The envelope of what an app holds: no cookie, so it is as long as it must be.
    pub(super) fn token<S: State>(&self) -> Envelope<'_, S> {
        self.place.envelope(S::PURPOSE.to_owned(), Layout::token())
    }

    /// Whether a request cookie is one of ours (of any frontend), and so never goes upstream.
    ///
    /// The three prefixes are sealgate's, whatever follows them and in any case: `__Host-Http-`, `__Http-`, `sealgate-`.
    pub fn is_ours(name: &str) -> bool {
        names::is_ours(name)
    }

    /// Sets a cookie that lives as long as its kind does. `seconds` are those of the session, or of the marks.
    pub(super) fn set(&self, kind: Kind<'_>, value: &str, seconds: u64, out: &mut SetCookies) {
        let max_age = match kind.row().lifetime {
            Lifetime::Session => Some(seconds).filter(|_| self.settings.session.is_persistent),
            Lifetime::Login => Some(self.settings.login_timeout.as_secs()),
            Lifetime::Marks | Lifetime::Proof => Some(seconds),
        };
        out.set(self.names.name(kind), value, self.attributes(kind), max_age);
    }

    pub(super) fn delete(&self, kind: Kind<'_>, out: &mut SetCookies) {
        out.delete(self.names.name(kind), self.attributes(kind));
    }

    /// A cookie's attributes in words, but for how long it lives.
    pub(super) fn attributes_of(&self, kind: Kind<'_>) -> String {
        self.attributes(kind).to_string()
    }

    fn attributes(&self, kind: Kind<'_>) -> Attributes<'_> {
        let row = kind.row();
        Attributes {
            path: match row.path {
                CookiePath::Logout => &self.logout_path,
                CookiePath::Root => "/",
            },
            // By the configured origin, never by a request.
            secure: self.settings.origin.is_secure(),
            same_site: match row.same_site {
                SiteSetting::Login => self.settings.login_same_site,
                SiteSetting::Session => self.settings.session.same_site,
            },
        }
    }
}
