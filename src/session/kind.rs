//! The kinds of cookies, one row each.
//!
//! A new kind begins here. What it holds has a file of its own, with its `State` and what a [`Wallet`](super::Wallet) does
//! with it; the [module head](super) specifies it; and `names` keeps its ending from the names of frontends.

use super::binding::Proved;
use super::encode::State;
use super::state::{EndedMarks, LoginAttempt, LogoutHint, Seen, Session};

/// Which of a frontend's cookies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind<'n> {
    Device,
    Ended,
    Hint,
    /// With the part of its `state` that names it.
    Login(&'n str),
    Seen,
    /// A chunk of the session.
    Session(u8),
}

/// One row: what a kind of cookie is, but for the state that it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) prefix: Prefix,
    /// Stands behind the frontend's name; an index or id may follow after a dot.
    pub(super) ending: &'static str,
    pub(super) path: CookiePath,
    pub(super) same_site: SiteSetting,
    pub(super) lifetime: Lifetime,
}

/// What the browser checks by a name's prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Prefix {
    /// `__Host-`: as the next, but for `HttpOnly`, which it has all the same. Browsers take no other prefix of ours for the
    /// cookie of a device.
    Host,
    /// `__Host-Http-`: this host alone, `Path=/`, `Secure`, `HttpOnly`.
    HostHttp,
    /// `__Http-`: the same with a path.
    Http,
}

/// Which requests carry the cookie.
#[derive(Clone, Copy, Debug)]
pub(super) enum CookiePath {
    /// Those to `<base_path>/logout`.
    Logout,
    /// All.
    Root,
}

/// Which setting says its `SameSite`.
#[derive(Clone, Copy, Debug)]
pub(super) enum SiteSetting {
    Login,
    Session,
}

/// How long a browser keeps the cookie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lifetime {
    /// As long as it runs, or as long as the session may last if the configuration says so.
    Session,
    /// For `login_timeout`.
    Login,
    /// Until the last of its marks is over; whoever sets it says when.
    Marks,
    /// Until a device must prove again; whoever sets it says when.
    Proof,
}

/// What most kinds are: for all requests, with the `SameSite` and the lifetime of the session.
const PLAIN: Row = Row {
    prefix: Prefix::HostHttp,
    ending: "",
    path: CookiePath::Root,
    same_site: SiteSetting::Session,
    lifetime: Lifetime::Session,
};

impl Kind<'static> {
    /// Those that a frontend has at most one cookie of, under a fixed name.
    pub(super) const FIXED: [Self; 4] = [Self::Device, Self::Ended, Self::Hint, Self::Seen];
}

impl Kind<'_> {
    /// The table.
    pub(super) const fn row(self) -> Row {
        match self {
            Self::Session(_) => PLAIN,
            Self::Seen => Row {
                ending: "-seen",
                ..PLAIN
            },
            Self::Device => Row {
                prefix: Prefix::Host,
                ending: "-device",
                lifetime: Lifetime::Proof,
                ..PLAIN
            },
            Self::Ended => Row {
                ending: "-out",
                lifetime: Lifetime::Marks,
                ..PLAIN
            },
            Self::Login(_) => Row {
                ending: "-login",
                same_site: SiteSetting::Login,
                lifetime: Lifetime::Login,
                ..PLAIN
            },
            Self::Hint => Row {
                prefix: Prefix::Http,
                ending: "-hint",
                path: CookiePath::Logout,
                ..PLAIN
            },
        }
    }
}

/// Something to do with what a cookie holds, whatever that is.
pub(super) trait Visitor {
    type Output;
    fn visit<S: State>(self) -> Self::Output;
}

impl Kind<'_> {
    /// Tells the visitor what a cookie of this kind holds.
    pub(super) fn visit<V: Visitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Session(_) => visitor.visit::<Session>(),
            Self::Device => visitor.visit::<Proved>(),
            Self::Seen => visitor.visit::<Seen>(),
            Self::Ended => visitor.visit::<EndedMarks>(),
            Self::Login(_) => visitor.visit::<LoginAttempt>(),
            Self::Hint => visitor.visit::<LogoutHint>(),
        }
    }
}
