//! Is a request provably from the frontend's own pages? One decision table.
//!
//! # Spec
//! RFC 10017 §6.1.3.3 (custom header), Fetch Metadata Request Headers (W3C),
//! RFC 6454 §7 (`Origin`).

use crate::names::Origin;

/// What a request could do. That decides how much it has to prove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It opens a WebSocket, for which a script can set no header.
    Handshake,
    /// `GET`, `HEAD` or `OPTIONS` (RFC 9110 §9.2.1).
    Safe,
    /// Anything else.
    Unsafe,
}

/// What a request says about where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'r> {
    /// What it could do.
    pub kind: Kind,
    /// Whether the anti-forgery header is there, with any value.
    pub has_csrf_header: bool,
    /// `Origin`
    pub origin: Option<&'r [u8]>,
    /// `Sec-Fetch-Site`
    pub site: Option<&'r [u8]>,
    /// Whether the target is an API route, where an address typed by the user (`none`) has no place.
    pub is_api: bool,
}

/// The answer to a person who typed the address of an API, or has a bookmark of it.
pub const TYPED: &str = "an API is called by the application, not from the address bar";

/// `Ok`, or which proof is missing.
pub fn check(request: Provenance<'_>, own: &Origin) -> Result<(), &'static str> {
    // If there is an `Origin`, it must be ours to the byte. `null` is not.
    if request
        .origin
        .is_some_and(|origin| origin != own.as_str().as_bytes())
    {
        return Err("the Origin is another one");
    }
    match request.site {
        // A sibling subdomain is same-site, so SameSite cookies do not keep it out.
        Some(b"cross-site" | b"same-site") => return Err("Sec-Fetch-Site says another origin"),
        Some(b"none") if request.is_api => {
            return Err(TYPED);
        }
        _ => {}
    }
    // Browsers always say whose script opens a WebSocket, and they send no preflight for it (RFC 6455 §10.2).
    if request.kind == Kind::Handshake {
        return match request.origin {
            Some(_) => Ok(()),
            None => Err("a WebSocket handshake needs the Origin"),
        };
    }
    // A form, image or link cannot set this header. With it, a cross-origin request needs a preflight, which we never grant.
    if request.has_csrf_header {
        return Ok(());
    }
    if request.kind == Kind::Safe && request.site == Some(b"same-origin") {
        return Ok(());
    }
    Err("the anti-forgery header is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_table_of_cross_site_requests() {
        // A11–A15
        let own = Origin::parse("https://app.example.com").unwrap();
        let ours = Some("https://app.example.com");
        let row = |is_safe, has_csrf_header, origin: Option<&str>, site: Option<&str>, is_api| {
            let request = Provenance {
                kind: if is_safe { Kind::Safe } else { Kind::Unsafe },
                has_csrf_header,
                origin: origin.map(str::as_bytes),
                site: site.map(str::as_bytes),
                is_api,
            };
            check(request, &own).is_ok()
        };
        for (name, got, want) in [
            (
                "fetch GET with header",
                row(true, true, None, Some("same-origin"), true),
                true,
            ),
            (
                "old browser GET with header",
                row(true, true, None, None, true),
                true,
            ),
            (
                "image or link of our own page",
                row(true, false, None, Some("same-origin"), true),
                true,
            ),
            (
                "GET with nothing",
                row(true, false, None, None, true),
                false,
            ),
            (
                "POST with header",
                row(false, true, ours, Some("same-origin"), true),
                true,
            ),
            (
                "POST with header, no metadata",
                row(false, true, None, None, true),
                true,
            ),
            (
                "POST of our own form",
                row(false, false, ours, Some("same-origin"), true),
                false,
            ),
            (
                "sibling subdomain",
                row(false, true, None, Some("same-site"), true),
                false,
            ),
            (
                "sibling GET with header",
                row(true, true, None, Some("same-site"), true),
                false,
            ),
            (
                "cross-site GET with header",
                row(true, true, None, Some("cross-site"), true),
                false,
            ),
            (
                "address bar to an API",
                row(true, true, None, Some("none"), true),
                false,
            ),
            (
                "address bar to /user",
                row(true, true, None, Some("none"), false),
                true,
            ),
            (
                "address bar to /user, no header",
                row(true, false, None, Some("none"), false),
                false,
            ),
            (
                "null origin",
                row(false, true, Some("null"), None, true),
                false,
            ),
            (
                "suffix attack",
                row(
                    false,
                    true,
                    Some("https://app.example.com.evil.test"),
                    None,
                    true,
                ),
                false,
            ),
            (
                "wrong port",
                row(
                    false,
                    true,
                    Some("https://app.example.com:8443"),
                    None,
                    true,
                ),
                false,
            ),
            (
                "wrong scheme",
                row(false, true, Some("http://app.example.com"), None, true),
                false,
            ),
            (
                "other case",
                row(false, true, Some("https://APP.example.com"), None, true),
                false,
            ),
            (
                "unknown metadata",
                row(true, false, None, Some("SAME-ORIGIN"), true),
                false,
            ),
        ] {
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn a_handshake_needs_the_exact_origin_and_nothing_else() {
        // D36
        let own = Origin::parse("https://app.example.com").unwrap();
        for (origin, site, want) in [
            (Some("https://app.example.com"), None, true),
            (Some("https://app.example.com"), Some("same-origin"), true),
            (Some("https://app.example.com"), Some("same-site"), false),
            (Some("https://app.example.com"), Some("cross-site"), false),
            (Some("https://app.example.com.evil.test"), None, false),
            (Some("http://app.example.com"), None, false),
            (Some("null"), None, false),
            (Some(""), None, false),
            (None, None, false),
            (None, Some("same-origin"), false),
        ] {
            for has_csrf_header in [false, true] {
                let request = Provenance {
                    kind: Kind::Handshake,
                    has_csrf_header,
                    origin: origin.map(str::as_bytes),
                    site: site.map(str::as_bytes),
                    is_api: true,
                };
                let got = check(request, &own).is_ok();
                assert_eq!(got, want, "{origin:?} {site:?} {has_csrf_header}");
            }
        }
    }
}
