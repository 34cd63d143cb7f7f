//! The headers of a file.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::policy;

/// On every file: who may frame it, what it tells others (F10, F11).
const SECURITY: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "browsing-topics=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// What every answer with a file says of it, a 304 too. It is made once, as long as the provider's origins stay the same.
#[derive(Debug)]
pub(super) struct Headers {
    /// Without the policy.
    own: HeaderMap,
    /// The scripts that a page itself has.
    scripts: String,
    last: ArcSwapOption<Made>,
}

#[derive(Debug)]
struct Made {
    framed: Vec<String>,
    headers: HeaderMap,
}

impl Headers {
    pub(super) fn new(facts: &Facts<'_>, scripts: String) -> Self {
        Self {
            own: of(facts),
            scripts,
            last: ArcSwapOption::empty(),
        }
    }

    /// The headers of its bare form, where a page may frame these origins beside its own.
    pub(super) fn framing(&self, framed: &[String]) -> HeaderMap {
        if let Some(last) = &*self.last.load()
            && last.framed == framed
        {
            return last.headers.clone();
        }
        let mut headers = self.own.clone();
        if let Ok(policy) = HeaderValue::try_from(policy::policy(&self.scripts, framed)) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        let made = Made {
            framed: framed.to_owned(),
            headers: headers.clone(),
        };
        self.last.store(Some(Arc::new(made)));
        headers
    }
}

/// What the headers of a file depend on.
pub(super) struct Facts<'f> {
    /// The tag of the bare file.
    pub(super) tag: &'f HeaderValue,
    pub(super) modified_at: Option<SystemTime>,
    /// Whether the name changes with the content.
    pub(super) is_immutable: bool,
    /// Whether it comes in more than one form.
    pub(super) varies: bool,
}

fn of(facts: &Facts<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, facts.tag.clone());
    let modified_at = facts.modified_at.map(httpdate::fmt_http_date);
    if let Some(Ok(date)) = modified_at.map(HeaderValue::try_from) {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let control = if facts.is_immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    if facts.varies {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// Puts the configured headers in place of those that a file has.
pub(super) fn replace(headers: &mut HeaderMap, by: &[(String, String)]) {
    for (name, value) in by {
        let name = HeaderName::try_from(name.as_str());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            continue;
        };
        if value.is_empty() {
            headers.remove(name);
        } else {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_follows_the_origins_that_may_be_framed() {
        let facts = Facts {
            tag: &HeaderValue::from_static("\"1\""),
            modified_at: None,
            is_immutable: false,
            varies: false,
        };
        let headers = Headers::new(&facts, " 'sha256-x'".to_owned());
        let framing = |origin: &str| {
            let made = headers.framing(&[origin.to_owned()]);
            let policy = made.get(CONTENT_SECURITY_POLICY).unwrap();
            policy.to_str().unwrap().to_owned()
        };
        let first = framing("https://a.test");
        assert!(first.contains("script-src 'self' 'sha256-x';"), "{first}");
        assert!(
            first.ends_with("frame-src 'self' https://a.test"),
            "{first}"
        );
        assert_eq!(framing("https://a.test"), first);
        assert_eq!(framing("https://b.test"), first.replace("a.test", "b.test"));
        assert_eq!(framing("https://a.test"), first);
    }
}
