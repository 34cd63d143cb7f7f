//! Reading the `Cookie` header: which of its cookies are this frontend's.
//!
//! # Invariants
//! - Names are compared byte for byte, values are not decoded in any way (C12, C13).
//! - Neither the order of cookies nor their division into header lines matters (C10, C11).
//! - Work and memory are bounded, whatever a browser sends.
//!
//! # Spec
//! RFC 6265bis §4.2, §5.4. RFC 9113 §8.2.3 (several `Cookie` lines).

use super::kind::Kind;
use super::names::Names;

/// More cookies of ours than this are not looked at; a browser has fewer than thirty at the worst.
const MAX_COOKIES: usize = 64;

/// The cookies of one request that bear this frontend's names; borrowed, unopened, untrusted.
#[derive(Default)]
pub(super) struct Received<'r> {
    cookies: Vec<(Kind<'r>, &'r [u8])>,
    overflow: bool,
}

impl<'r> Received<'r> {
    /// Picks them out of `Cookie` lines.
    pub(super) fn read(names: &Names, lines: impl Iterator<Item = &'r [u8]>) -> Self {
        let mut received = Self::default();
        for mut line in lines {
            while let Some(at) = memchr::memchr(b';', line) {
                let (pair, rest) = line.split_at(at);
                received.add(names, pair);
                line = rest.get(1..).unwrap_or_default();
            }
            received.add(names, line);
        }
        received
    }

    fn add(&mut self, names: &Names, pair: &'r [u8]) {
        let pair = pair.trim_ascii();
        // Most cookies are somebody else's: told apart before their value is looked at.
        if !names.may_begin(pair) {
            return;
        }
        let Some((name, value)) =
            memchr::memchr(b'=', pair).and_then(|at| Some((pair.get(..at)?, pair.get(at + 1..)?)))
        else {
            return;
        };
        let Some(kind) = names.kind(name.trim_ascii_end()) else {
            return;
        };
        if self.cookies.len() < MAX_COOKIES {
            self.cookies.push((kind, value.trim_ascii_start()));
        } else {
            self.overflow = true;
        }
    }

    /// All of them, as they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Kind<'r>, &'r [u8])> {
        self.cookies.iter().copied()
    }

    /// The values of one name.
    pub(super) fn values(&self, kind: Kind<'_>) -> impl Iterator<Item = &'r [u8]> {
        self.iter()
            .filter(move |(other, _)| *other == kind)
            .map(|(_, value)| value)
    }

    /// The value of a name that came once; `None` if it came not at all, or more than once (C10).
    pub(super) fn value(&self, kind: Kind<'_>) -> Option<&'r [u8]> {
        let mut values = self.values(kind);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether there is any chunk of a session.
    pub(super) fn has_session(&self) -> bool {
        self.iter()
            .any(|(kind, _)| matches!(kind, Kind::Session(_)))
    }

    /// Whether there is no telling what the session is: a name twice, or more cookies than were looked at.
    pub(super) fn is_ambiguous(&self) -> bool {
        let repeated = |(kind, _): &(Kind<'_>, _)| {
            let of_session = matches!(kind, Kind::Session(_) | Kind::Seen | Kind::Ended);
            of_session && self.values(*kind).nth(1).is_some()
        };
        self.overflow || self.cookies.iter().any(repeated)
    }
}

impl std::fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.cookies.iter().map(|(kind, _)| kind))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::FrontendName;

    fn names(frontend: &str) -> Names {
        Names::new(&FrontendName::parse(frontend).unwrap(), true)
    }

    fn read<'r>(names: &Names, lines: &[&'r str]) -> Received<'r> {
        Received::read(names, lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn cookies_are_found_in_any_line_order_and_spacing() {
        // C10, C11
        let names = names("shop");
        for lines in [
            &["a=b; __Host-Http-shop=X; __Host-Http-shop.1=Y"][..],
            &["__Host-Http-shop.1=Y", "a=b", "__Host-Http-shop=X"],
            &["__Host-Http-shop.1=Y;__Host-Http-shop=X;;"],
            &[" ;\t__Host-Http-shop.1=Y  ;  __Host-Http-shop = X; =;x"],
        ] {
            let received = read(&names, lines);
            assert_eq!(
                received.value(Kind::Session(0)),
                Some(&b"X"[..]),
                "{lines:?}"
            );
            assert_eq!(
                received.value(Kind::Session(1)),
                Some(&b"Y"[..]),
                "{lines:?}"
            );
            assert_eq!(received.iter().count(), 2);
            assert!(!received.is_ambiguous());
        }
    }

    #[test]
    fn values_are_raw() {
        // C13
        let names = names("shop");
        for value in ["%41", "\"X\"", "a=b", "X Y", ""] {
            let line = format!("__Host-Http-shop={value}");
            let received = read(&names, &[&line]);
            assert_eq!(received.value(Kind::Session(0)), Some(value.as_bytes()));
        }
        let raw: &[u8] = b"__Host-Http-shop=\xff\x00";
        let received = Received::read(&names, [raw].into_iter());
        assert_eq!(received.value(Kind::Session(0)), Some(&b"\xff\x00"[..]));
    }

    #[test]
    fn a_repeated_name_is_ambiguous_in_both_orders_and_logins_do_not_matter() {
        // C10
        let names = names("shop");
        for (line, ambiguous) in [
            ("__Host-Http-shop=good; __Host-Http-shop=bad", true),
            ("__Host-Http-shop=bad; __Host-Http-shop=good", true),
            ("__Host-Http-shop=same; __Host-Http-shop=same", true),
            (
                "__Host-Http-shop=a; __Host-Http-shop.9=b; __Host-Http-shop.9=c",
                true,
            ),
            ("__Host-Http-shop-seen=a; __Host-Http-shop-seen=b", true),
            (
                "__Host-Http-shop=a; __Host-Http-shop-login.x=b; __Host-Http-shop-login.x=b",
                false,
            ),
            (
                "__Host-Http-shop=a; __host-http-shop=b; __Host-Http-shop.01=c",
                false,
            ),
        ] {
            assert_eq!(read(&names, &[line]).is_ambiguous(), ambiguous, "{line}");
        }
        assert_eq!(
            read(&names, &["__Host-Http-shop=a; __Host-Http-shop=b"]).value(Kind::Session(0)),
            None
        );
    }

    #[test]
    fn a_flood_of_our_names_is_bounded_and_ambiguous() {
        // C22
        let names = names("shop");
        let flood: Vec<String> = (0..10_000)
            .map(|n| format!("__Host-Http-shop-login.{n}=x"))
            .collect();
        let flood = flood.join("; ");
        let received = read(&names, &[&flood, "__Host-Http-shop=a"]);
        assert_eq!(received.iter().count(), MAX_COOKIES);
        assert!(received.is_ambiguous());
        let junk = "junk=x; ".repeat(20_000);
        let foreign = read(&names, &[&junk, "__Host-Http-shop=a"]);
        assert_eq!(foreign.value(Kind::Session(0)), Some(&b"a"[..]));
    }
}
