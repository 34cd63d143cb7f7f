//! The names of cookies.
//!
//! # Invariants
//! - A name has one kind and a kind one name; frontends never share a name (C12, C21).
//! - No cookie of ours, in whatever case, is taken for somebody else's.

use crate::names::FrontendName;

/// The prefixes of all cookies that sealgate sets.
const PREFIXES: [&str; 3] = ["__Host-Http-", "__Http-", "sealgate-"];

/// Characters of `state` in the name of a login cookie.
const LOGIN_ID: usize = 8;

/// Which of a frontend's cookies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind<'n> {
    Ended,
    Hint,
    Login(&'n str),
    Seen,
    /// A chunk of the session.
    Session(u8),
}

/// The cookie names of one frontend.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) base: String,
    pub(super) hint: String,
}

impl Names {
    /// `secure`: whether prefixes that need `Secure` can be used (C19).
    pub(super) fn new(frontend: &FrontendName, secure: bool) -> Self {
        let (host, path) = if secure {
            ("__Host-Http-", "__Http-")
        } else {
            ("sealgate-", "sealgate-")
        };
        Self {
            base: format!("{host}{frontend}"),
            hint: format!("{path}{frontend}-hint"),
        }
    }

    /// The name of a cookie.
    pub(super) fn name(&self, kind: Kind<'_>) -> String {
        let base = &self.base;
        match kind {
            Kind::Session(0) => base.clone(),
            Kind::Session(index) => format!("{base}.{index}"),
            Kind::Seen => format!("{base}-seen"),
            Kind::Ended => format!("{base}-out"),
            Kind::Login(id) => format!("{base}-login.{id}"),
            Kind::Hint => self.hint.clone(),
        }
    }

    /// Which cookie has this name.
    pub(super) fn kind<'n>(&self, name: &'n [u8]) -> Option<Kind<'n>> {
        if name == self.hint.as_bytes() {
            return Some(Kind::Hint);
        }
        match name.strip_prefix(self.base.as_bytes())? {
            b"" => Some(Kind::Session(0)),
            b"-seen" => Some(Kind::Seen),
            b"-out" => Some(Kind::Ended),
            [b'.', digits @ ..] => chunk_index(digits).map(Kind::Session),
            rest => login_id_in(rest.strip_prefix(b"-login.")?).map(Kind::Login),
        }
    }
}

/// 1 to 255, without leading zeros.
fn chunk_index(digits: &[u8]) -> Option<u8> {
    if !matches!(digits, [b'1'..=b'9', ..]) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn login_id_in(id: &[u8]) -> Option<&str> {
    let plain = id.len() <= LOGIN_ID && id.iter().copied().all(is_base64url);
    std::str::from_utf8(id).ok().filter(|_| plain)
}

/// The part of a login's `state` that names its cookie. Any text gives an id that is safe in a name.
pub(super) fn login_id(state: &str) -> String {
    let plain = |byte: &u8| is_base64url(*byte);
    state
        .bytes()
        .filter(plain)
        .take(LOGIN_ID)
        .map(char::from)
        .collect()
}

pub(super) const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether a cookie's name begins as ours do, in any case: some upstream may not care about case.
pub(super) fn is_ours(name: &str) -> bool {
    let name = name.trim_ascii().as_bytes();
    PREFIXES.iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|front| front.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(frontend: &str) -> Names {
        Names::new(&FrontendName::parse(frontend).unwrap(), true)
    }

    #[test]
    fn every_kind_has_one_name() {
        let names = names("shop");
        for (kind, name) in [
            (Kind::Session(0), "__Host-Http-shop"),
            (Kind::Session(2), "__Host-Http-shop.2"),
            (Kind::Seen, "__Host-Http-shop-seen"),
            (Kind::Ended, "__Host-Http-shop-out"),
            (Kind::Login("a-B_9xyz"), "__Host-Http-shop-login.a-B_9xyz"),
            (Kind::Hint, "__Http-shop-hint"),
        ] {
            assert_eq!(names.name(kind), name);
            assert_eq!(names.kind(name.as_bytes()), Some(kind));
        }
        for other in [
            "__host-http-shop",
            "__Host-Http-shop.0",
            "__Host-Http-shop.01",
            "__Host-Http-shop.256",
            "__Host-Http-shop.+1",
            "__Host-Http-shop.",
            "__Host-Http-shop-Seen",
            "__Host-Http-shop2",
            "__Host-Http-shop-login.a/b",
            "__Host-Http-shop-login.toolongid",
            "__Host-Http-sho",
            "__Host-Http-shop-hint",
        ] {
            assert_eq!(names.kind(other.as_bytes()), None, "{other}"); // C12
        }
    }

    #[test]
    fn frontends_of_one_host_have_distinct_names() {
        // C21
        let (shop, second) = (names("shop"), names("shop-2"));
        for kind in [
            Kind::Session(0),
            Kind::Session(1),
            Kind::Seen,
            Kind::Ended,
            Kind::Login("a"),
            Kind::Hint,
        ] {
            assert_eq!(shop.kind(second.name(kind).as_bytes()), None);
            assert_eq!(second.kind(shop.name(kind).as_bytes()), None);
        }
    }

    #[test]
    fn a_loopback_origin_without_tls_has_another_prefix() {
        // C19
        let names = Names::new(&FrontendName::parse("shop").unwrap(), false);
        assert_eq!(names.name(Kind::Session(1)), "sealgate-shop.1");
        assert_eq!(names.name(Kind::Hint), "sealgate-shop-hint");
        assert_eq!(names.kind(b"sealgate-shop-hint"), Some(Kind::Hint));
    }

    #[test]
    fn no_spelling_of_our_prefixes_goes_upstream() {
        for (name, ours) in [
            ("__Host-Http-shop", true),
            ("__Host-Http-shop.1", true),
            ("__host-http-SHOP", true),
            (" __Host-Http-shop", true),
            ("__Http-shop-hint", true),
            ("sealgate-shop", true),
            ("Sealgate-shop-out", true),
            ("theme", false),
            ("__Host-theme", false),
            ("__Secure-x", false),
            ("sealgate", false),
            ("", false),
            ("ü", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }

    #[test]
    fn any_state_names_a_login_cookie_safely() {
        assert_eq!(login_id("abcdefghijk"), "abcdefgh");
        assert_eq!(login_id("a;=\r\n ü%b"), "ab");
        assert_eq!(login_id(""), "");
    }
}
