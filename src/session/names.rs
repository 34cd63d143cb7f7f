//! The names of cookies.
//!
//! # Invariants
//! - Each name has one kind, and each kind one name. Two frontends never share a name.
//! - A cookie of ours is recognised in upper and lower case.

use super::kind::{Kind, Prefix};
use crate::names::FrontendName;

/// The prefixes of all cookies that sealgate sets.
const PREFIXES: [&str; 3] = ["__Host-Http-", "__Http-", "sealgate-"];

/// A prefix that other cookies have, too. Ours are recognised by their ending as well.
const SHARED_PREFIX: &str = "__Host-";

/// Characters of `state` in the name of a login cookie.
const LOGIN_ID: usize = 8;

/// The cookie names of one frontend.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The session's name. Most other names begin with it.
    pub(super) base: String,
    /// The beginning of names of cookies with a path.
    with_path: String,
    /// The beginning of the name of a device's cookie.
    of_device: String,
}

impl Names {
    /// `secure`: whether prefixes that need `Secure` can be used.
    pub(super) fn new(frontend: &FrontendName, secure: bool) -> Self {
        let [host, path, plain] = PREFIXES;
        let (host, path, device) = if secure {
            (host, path, SHARED_PREFIX)
        } else {
            (plain, plain, plain)
        };
        Self {
            base: format!("{host}{frontend}"),
            with_path: format!("{path}{frontend}"),
            of_device: format!("{device}{frontend}"),
        }
    }

    /// Prefix and frontend.
    fn front(&self, prefix: Prefix) -> &str {
        match prefix {
            Prefix::HostHttp => &self.base,
            Prefix::Http => &self.with_path,
            Prefix::Host => &self.of_device,
        }
    }

    /// The name of a cookie.
    pub(super) fn name(&self, kind: Kind<'_>) -> String {
        let row = kind.row();
        let (front, ending) = (self.front(row.prefix), row.ending);
        match kind {
            Kind::Session(index @ 1..) => format!("{front}{ending}.{index}"),
            Kind::Login(id) => format!("{front}{ending}.{id}"),
            _ => format!("{front}{ending}"),
        }
    }

    /// Which cookie has this name.
    pub(super) fn kind<'n>(&self, name: &'n [u8]) -> Option<Kind<'n>> {
        [Prefix::HostHttp, Prefix::Http, Prefix::Host]
            .into_iter()
            .find_map(|prefix| {
                let rest = name.strip_prefix(self.front(prefix).as_bytes())?;
                kind_of(rest).filter(|kind| kind.row().prefix == prefix)
            })
    }

    /// Whether a pair of name and value may be a cookie of ours. It is a first, quick look.
    pub(super) fn may_begin(&self, pair: &[u8]) -> bool {
        let fronts = [&self.base, &self.with_path, &self.of_device];
        fronts
            .into_iter()
            .any(|front| pair.starts_with(front.as_bytes()))
    }
}

/// The kind, by the ending behind the frontend's name.
fn kind_of(rest: &[u8]) -> Option<Kind<'_>> {
    match rest {
        b"" => Some(Kind::Session(0)),
        [b'.', digits @ ..] => chunk_index(digits).map(Kind::Session),
        rest => {
            let is_its = |kind: &Kind<'_>| kind.row().ending.as_bytes() == rest;
            Kind::FIXED.into_iter().find(is_its).or_else(|| {
                let id = rest.strip_prefix(Kind::Login("").row().ending.as_bytes())?;
                login_id_in(id.strip_prefix(b".")?).map(Kind::Login)
            })
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

/// Whether a cookie's name begins like one of ours, in upper or lower case, because some upstreams do not tell them apart.
pub(super) fn is_ours(name: &str) -> bool {
    let name = name.trim_ascii().as_bytes();
    let begins = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|front| front.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let ending = Kind::Device.row().ending.as_bytes();
    let is_device = || {
        let rest = name.get(SHARED_PREFIX.len()..).unwrap_or_default();
        let at = rest.len().checked_sub(ending.len());
        at.and_then(|at| rest.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    PREFIXES.iter().any(|prefix| begins(prefix)) || (begins(SHARED_PREFIX) && is_device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::kind::{CookiePath, Lifetime};

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
            (Kind::Device, "__Host-shop-device"),
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
            "__Host-Http-shop-device",
            "__Host-shop",
            "__Host-shop-seen",
        ] {
            assert_eq!(names.kind(other.as_bytes()), None, "{other}"); // C12
        }
    }

    #[test]
    fn no_frontend_is_called_as_a_cookie_ends() {
        // C21: `shop-seen` would share a name with `shop`
        for kind in Kind::FIXED.into_iter().chain([Kind::Login("a")]) {
            let name = format!("shop{}", kind.row().ending);
            assert!(FrontendName::parse(&name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_a_prefix_promises_is_kept() {
        // RFC 6265bis §4.1.3: `__Host-` needs Path=/
        let kinds = [Kind::Session(0), Kind::Session(1), Kind::Login("a")];
        for kind in Kind::FIXED.into_iter().chain(kinds) {
            let row = kind.row();
            let is_root = matches!(row.path, CookiePath::Root);
            assert_eq!(is_root, row.prefix != Prefix::Http, "{kind:?}");
            let is_mark = matches!(row.lifetime, Lifetime::Marks);
            assert_eq!(is_mark, kind == Kind::Ended);
            let is_shared = row.prefix == Prefix::Host;
            assert_eq!(is_shared, kind == Kind::Device, "`is_ours` knows one");
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
            Kind::Device,
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
        assert_eq!(names.name(Kind::Device), "sealgate-shop-device");
        assert_eq!(names.kind(b"sealgate-shop-device"), Some(Kind::Device));
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
            ("__Host-shop-device", true),
            ("__host-SHOP-Device", true),
            ("__Host-device", false),
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
