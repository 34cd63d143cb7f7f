//! `[coordination]`.

use std::net::IpAddr;

use url::Url;

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::coordination::{CoordinationSettings, OnFailure, is_store_url};

const LONGEST_PREFIX: usize = 64;

/// The section, if it is there.
pub(super) fn resolve(resolver: &mut Resolver<'_>) -> Option<CoordinationSettings> {
    let at = KeyPath::of(["coordination"]);
    let section = resolver.written.settings.coordination.clone()?;
    let url_at = at.child("url");
    let example = "write { file = \"/run/secrets/valkey_url\" } or { env = \"VALKEY_URL\" }; it holds redis://…, rediss://… or unix://…";
    let url = resolver.secret(&url_at, section.url.as_ref(), example);
    let url = url.filter(|text| {
        // SECURITY: no message shows any of the URL, because it may hold a password.
        let parsed = Url::parse(text).ok();
        let parsed = parsed.filter(|_| is_store_url(text));
        if parsed.as_ref().is_some_and(is_in_the_clear) {
            resolver.hint(
                &url_at,
                "sealgate sends the password to the store unencrypted; with rediss:// it encrypts the connection",
            );
        }
        resolver.ensure(
            parsed.is_some(),
            &url_at,
            "the secret is not the URL of a store",
            "write redis://host:6379, rediss://host:6379 (with TLS) or unix:///path/of/the/socket",
        )
    });
    let on_failure = resolver.choice(
        &at.child("on_failure"),
        &section.on_failure,
        &[("open", OnFailure::Open), ("closed", OnFailure::Closed)],
    );
    let prefix = section.prefix;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    resolver.ensure(
        (1..=LONGEST_PREFIX).contains(&prefix.len()) && prefix.bytes().all(is_plain),
        &at.child("prefix"),
        "a prefix has 1 to 64 characters: letters, digits, `-`, `_`, `.` and `:`",
        "write a name for this installation, such as \"sealgate\"",
    );
    Some(CoordinationSettings {
        url: url?,
        on_failure: on_failure?,
        prefix,
    })
}

/// Whether others on the network can read the password.
fn is_in_the_clear(url: &Url) -> bool {
    // For this scheme the parser takes any text as host (URL Standard §3.5).
    let is_loopback = |host: &str| {
        let address = host.trim_matches(['[', ']']).parse();
        host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
    };
    url.scheme() == "redis" && url.password().is_some() && !url.host_str().is_none_or(is_loopback)
}
