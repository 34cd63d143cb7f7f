//! Where an upstream points to, as the browser must see it.

use url::Url;

/// The `Location` or `Content-Location` for the client, of an answer to `asked`. With `None` it does not pass.
///
/// An address at the upstream becomes a path of the route. An address at another origin stays. An address at the upstream
/// that no path of the frontend leads to does not pass, nor does another scheme than http and https.
///
/// `mount` is the route's path as this request has it, if the route takes it off.
pub(super) fn rewrite(
    value: &str,
    asked: &Url,
    upstream: &Url,
    mount: Option<&str>,
) -> Option<String> {
    let target = asked.join(value).ok()?;
    if !matches!(target.scheme(), "http" | "https") {
        return None;
    }
    if target.origin() != upstream.origin() {
        return Some(target.into());
    }
    let rest = below(target.path(), upstream.path())?;
    let path = format!("{}{rest}", mount.unwrap_or_default());
    // SECURITY: `//host` would be another origin (RFC 3986 §4.2).
    if path.starts_with("//") {
        return None;
    }
    let mut out = if path.is_empty() {
        "/".to_owned()
    } else {
        path
    };
    for (mark, part) in [('?', target.query()), ('#', target.fragment())] {
        if let Some(part) = part {
            out.push(mark);
            out.push_str(part);
        }
    }
    Some(out)
}

fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_points_at_the_upstream_becomes_a_path_of_the_route() {
        // D34
        let upstream = Url::parse("http://orders.internal:8080/v1").unwrap();
        let asked = Url::parse("http://orders.internal:8080/v1/7?x=1").unwrap();
        for (value, stripped, kept) in [
            (
                "http://orders.internal:8080/v1/8?y#z",
                Some("/api/orders/8?y#z"),
                Some("/8?y#z"),
            ),
            (
                "http://orders.internal:8080/v1",
                Some("/api/orders"),
                Some("/"),
            ),
            ("/v1/8", Some("/api/orders/8"), Some("/8")),
            ("8", Some("/api/orders/8"), Some("/8")),
            (
                "//orders.internal:8080/v1/8",
                Some("/api/orders/8"),
                Some("/8"),
            ),
            (
                "http://u:p@orders.internal:8080/v1/8",
                Some("/api/orders/8"),
                Some("/8"),
            ),
            (
                "http://orders.internal:8080/v1//evil.test/",
                Some("/api/orders//evil.test/"),
                None,
            ),
            ("http://orders.internal:8080/v10", None, None),
            ("http://orders.internal:8080/admin", None, None),
            ("/v1/../admin", None, None),
            ("javascript:alert(1)", None, None),
            (
                "https://cdn.example/x?s=%2B",
                Some("https://cdn.example/x?s=%2B"),
                Some("https://cdn.example/x?s=%2B"),
            ),
            (
                "//cdn.example/x",
                Some("http://cdn.example/x"),
                Some("http://cdn.example/x"),
            ),
        ] {
            let made = rewrite(value, &asked, &upstream, Some("/api/orders"));
            assert_eq!(made.as_deref(), stripped, "{value}");
            let made = rewrite(value, &asked, &upstream, None);
            assert_eq!(made.as_deref(), kept, "{value}, prefix kept");
        }
    }
}
