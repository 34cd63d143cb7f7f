//! Is a request provably from the frontend's own pages? One decision table for what scripts call ([`check`]), one for pages
//! that anybody may link to ([`check_page`]).
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
    check_origin(request, own)?;
    match request.site {
        // A sibling subdomain is same-site, so SameSite cookies do not keep it out.
        Some(b"cross-site" | b"same-site") => return Err("Sec-Fetch-Site says another origin"),
        Some(b"none") if request.is_api => {
            return Err(TYPED);
        }
        _ => {}
    }
    if request.kind == Kind::Handshake {
        return check_handshake(request);
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

/// The same for a route that answers pages.
///
/// Links of other sites lead to a page, and so do bookmarks. A form that the page's own origin posts proves that by two
/// headers that no page can set: `Origin` and `Sec-Fetch-Site`. Each of them has been wrong in some browser.
///
/// A safe request without `Sec-Fetch-Site` is of an old browser or of a program: with `SameSite` an old browser sends no session
/// for another site's image or script, and a program is in nobody's session.
pub fn check_page(
    request: Provenance<'_>,
    is_navigation: bool,
    own: &Origin,
) -> Result<(), &'static str> {
    check_origin(request, own)?;
    let is_foreign = matches!(request.site, Some(b"cross-site" | b"same-site"));
    let is_own = matches!(request.site, Some(b"same-origin"));
    match request.kind {
        Kind::Safe if is_navigation => Ok(()),
        _ if is_foreign => Err("Sec-Fetch-Site says another origin"),
        Kind::Handshake => check_handshake(request),
        Kind::Safe if matches!(request.site, None | Some(b"same-origin" | b"none")) => Ok(()),
        Kind::Safe => Err("Sec-Fetch-Site is not understood"),
        Kind::Unsafe if request.has_csrf_header => Ok(()),
        Kind::Unsafe if request.origin.is_some() && is_own => Ok(()),
        Kind::Unsafe => Err(
            "a form needs the Origin and Sec-Fetch-Site of its own page, or the anti-forgery header",
        ),
    }
}

/// If there is an `Origin`, it must be ours to the byte. `null` is not.
fn check_origin(request: Provenance<'_>, own: &Origin) -> Result<(), &'static str> {
    match request.origin {
        Some(origin) if origin != own.as_str().as_bytes() => Err("the Origin is another one"),
        _ => Ok(()),
    }
}

/// Browsers always say whose script opens a WebSocket, and they send no preflight for it (RFC 6455 §10.2).
const fn check_handshake(request: Provenance<'_>) -> Result<(), &'static str> {
    match request.origin {
        Some(_) => Ok(()),
        None => Err("a WebSocket handshake needs the Origin"),
    }
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

    /// What it is | kind | whether it navigates | the anti-forgery header | `Origin` | `Sec-Fetch-Site` | whether it is let in.
    const PAGES: &str = "
        a foreign link                  | safe      | navigates | -      | -     | cross-site  | yes
        a sibling's link                | safe      | navigates | -      | -     | same-site   | yes
        the address bar                 | safe      | navigates | -      | -     | none        | yes
        an old browser                  | safe      | navigates | -      | -     | -           | yes
        a navigation with an Origin     | safe      | navigates | -      | other | cross-site  | no
        our own script                  | safe      | -         | -      | -     | same-origin | yes
        a program                       | safe      | -         | -      | -     | -           | yes
        a foreign script                | safe      | -         | -      | -     | cross-site  | no
        a sibling's image               | safe      | -         | -      | -     | same-site   | no
        a foreign fetch                 | safe      | -         | header | other | -           | no
        what nobody knows               | safe      | -         | -      | -     | SAME-ORIGIN | no
        our own form                    | unsafe    | navigates | -      | own   | same-origin | yes
        our own fetch                   | unsafe    | -         | -      | own   | same-origin | yes
        our own fetch with the header   | unsafe    | -         | header | own   | same-origin | yes
        an old browser with the header  | unsafe    | -         | header | -     | -           | yes
        a form without Origin           | unsafe    | navigates | -      | -     | same-origin | no
        a form without metadata         | unsafe    | navigates | -      | own   | -           | no
        a form of nowhere               | unsafe    | navigates | -      | own   | none        | no
        a form that names no referrer   | unsafe    | navigates | -      | null  | same-origin | no
        a foreign form                  | unsafe    | navigates | -      | other | cross-site  | no
        a sibling's form                | unsafe    | navigates | -      | other | same-site   | no
        a foreign form with our Origin  | unsafe    | navigates | -      | own   | cross-site  | no
        a sibling with the header       | unsafe    | -         | header | -     | same-site   | no
        our own socket                  | handshake | -         | -      | own   | same-origin | yes
        an old browser's own socket     | handshake | -         | -      | own   | -           | yes
        a foreign socket                | handshake | -         | -      | other | cross-site  | no
        a socket of nobody              | handshake | -         | -      | -     | -           | no
    ";

    #[test]
    fn the_decision_table_of_pages() {
        // A11–A15
        let own = Origin::parse("https://app.example.com").unwrap();
        let rows = PAGES.lines().map(str::trim).filter(|row| !row.is_empty());
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let &[name, kind, mode, header, origin, site, want] = &*cells else {
                panic!("{row}");
            };
            let request = Provenance {
                kind: match kind {
                    "safe" => Kind::Safe,
                    "unsafe" => Kind::Unsafe,
                    _ => Kind::Handshake,
                },
                has_csrf_header: header == "header",
                origin: match origin {
                    "own" => Some(own.as_str().as_bytes()),
                    "other" => Some(b"https://evil.test"),
                    "null" => Some(b"null"),
                    _ => None,
                },
                site: Some(site.as_bytes()).filter(|_| site != "-"),
                is_api: true,
            };
            let got = check_page(request, mode == "navigates", &own).is_ok();
            assert_eq!(got, want == "yes", "{name}");
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
