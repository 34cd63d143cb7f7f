//! Who calls: the one type that `token`, `api` and `endpoint` decide by.
//!
//! `opening` finds it out, once the request was let in. It says whose session it is, and what that session may do here: only
//! a session that came in cookies can be written back, so only its tokens are refreshed while a request waits.

use std::rc::Rc;

use crate::session::{OpenSession, Session};

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody that is known here. [`OpenResult`](crate::session::OpenResult) says what became of their cookies.
    Nobody,
    /// A browser, with its session in cookies.
    Browser(Rc<OpenSession>),
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
            Self::Browser(session) => Some(session),
        }
    }

    /// Whether nobody is signed in.
    pub const fn is_nobody(&self) -> bool {
        self.session().is_none()
    }
}

impl From<Option<Rc<OpenSession>>> for Caller {
    fn from(session: Option<Rc<OpenSession>>) -> Self {
        session.map_or(Self::Nobody, Self::Browser)
    }
}
