//! Who calls: the one type that `token`, `api` and `endpoint` decide by.
//!
//! `opening` and `native` find it out, once the request was let in. It says whose session it is, and what that session may do
//! here: only a session that came in cookies can be written back, so only its tokens are refreshed while a request waits.

use std::rc::Rc;

use crate::clock::UnixTime;
use crate::session::{OpenSession, Session};

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody that is known here. [`OpenResult`](crate::session::OpenResult) says what became of their cookies.
    Nobody,
    /// A browser, with its session in cookies.
    Browser(Rc<OpenSession>),
    /// An app, with a token.
    App(App),
}

/// An app that calls with a token.
#[derive(Clone, Debug)]
pub struct App {
    /// Its session, without a refresh token.
    pub session: Rc<OpenSession>,
    /// When the session is over, if the app can refresh it.
    pub lasts_until: Option<UnixTime>,
    /// When the token was sealed: the last refresh, or the login.
    pub sealed_at: UnixTime,
    /// It has proved its key at this time or later. A token that is bound to no key comes without a proof.
    pub proved_at: Option<UnixTime>,
    /// The scheme that a challenge names (RFC 9110 §11.6.1).
    pub scheme: &'static str,
}

impl Caller {
    /// A browser with this session, which it has now.
    pub fn browser(session: Session) -> Self {
        Self::Browser(Rc::new(session.into()))
    }

    /// The session of whoever calls.
    pub const fn session(&self) -> Option<&Rc<OpenSession>> {
        match self {
            Self::Nobody => None,
            Self::Browser(session) | Self::App(App { session, .. }) => Some(session),
        }
    }

    /// Whether nobody is signed in.
    pub const fn is_nobody(&self) -> bool {
        self.session().is_none()
    }

    /// The app that calls, if it is one.
    pub const fn app(&self) -> Option<&App> {
        match self {
            Self::App(app) => Some(app),
            Self::Nobody | Self::Browser(_) => None,
        }
    }

    /// The session, and the end that nothing moves later: what a long stream ends with.
    pub fn lasts(&self) -> Option<(&Session, UnixTime)> {
        let session: &Session = self.session()?;
        let is_refreshable = self.app().is_some_and(|app| app.lasts_until.is_some());
        let end = if is_refreshable {
            session.ends_at
        } else {
            session.latest_end()
        };
        Some((session, end))
    }
}

impl From<Option<Rc<OpenSession>>> for Caller {
    fn from(session: Option<Rc<OpenSession>>) -> Self {
        session.map_or(Self::Nobody, Self::Browser)
    }
}
