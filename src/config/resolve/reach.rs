//! Who may reach a frontend, and how: `hosts`, `hsts`, `logins_from`, `initiate_login`.

use std::collections::BTreeMap;

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::{Hsts, Invitations};
use crate::names::{Authority, Origin, values_of_host};

/// Who may reach a frontend, and how.
pub(super) struct Reach {
    pub(super) hosts: Vec<String>,
    pub(super) hsts: Hsts,
    pub(super) invitations: Invitations,
}

/// What the keys of the frontend at `at` say.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
    is_secure: bool,
) -> Reach {
    Reach {
        hosts: hosts(resolver, &at.child("hosts"), frontend, is_secure),
        hsts: hsts(resolver, &at.child("hsts"), frontend),
        invitations: invitations(resolver, &at.child("logins_from"), frontend),
    }
}

/// Further values of `Host`, in lower case. One without a port stands for the default port, too.
fn hosts(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
    is_secure: bool,
) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in &frontend.hosts {
        resolver.ensure(
            Authority::parse(text).is_some(),
            at,
            &format!("{text:?} is not a host"),
            "write hosts as they stand in Host: [\"shop.internal\", \"10.0.0.7:8080\"]",
        );
        hosts.extend(spellings(text, is_secure));
    }
    hosts
}

/// What `Host` may say for one value of `hosts`.
fn spellings(text: &str, is_secure: bool) -> Vec<String> {
    let is_without_port =
        Authority::parse(text).is_some_and(|authority| authority.host().len() == text.len());
    values_of_host(text.to_ascii_lowercase(), is_without_port, is_secure)
}

/// Refuses a host that selects two frontends.
pub(super) fn keep_apart(resolver: &mut Resolver<'_>) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    let frontends = &resolver.written.settings.frontend;
    let mut origins = BTreeMap::new();
    for (name, frontend) in frontends {
        let origin = frontend.origin.as_deref().map(Origin::parse);
        if let Some(Ok(origin)) = origin {
            for host in origin.hosts() {
                owners.entry(host).or_insert(name);
            }
            origins.insert(name, origin);
        }
    }
    for (name, frontend) in frontends {
        let at = KeyPath::of(["frontend", name, "hosts"]);
        let is_secure = origins.get(name).is_some_and(Origin::is_secure);
        for host in &frontend.hosts {
            let mut owners = spellings(host, is_secure)
                .into_iter()
                .map(|spelling| *owners.entry(spelling).or_insert(name));
            let owner = owners.find(|owner| *owner != name).unwrap_or(name);
            resolver.ensure(
                owner == name,
                &at,
                &format!("{host:?} leads to frontend {owner} already"),
                "give each frontend hosts of its own",
            );
        }
    }
}

/// The value of `Strict-Transport-Security`.
fn hsts(resolver: &mut Resolver<'_>, at: &KeyPath, frontend: &settings::Frontend) -> Hsts {
    let text = frontend.hsts.as_str();
    if text.is_empty() {
        return Hsts::None;
    }
    // RFC 6797 §6.1.1
    let has_age = text.split(';').any(|directive| {
        let age = directive.trim().to_ascii_lowercase();
        age.strip_prefix("max-age=")
            .is_some_and(|seconds| seconds.trim_matches('"').parse::<u64>().is_ok())
    });
    resolver.ensure(
        has_age && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
        at,
        &format!("{text:?} is not a value of Strict-Transport-Security"),
        "write one such as \"max-age=31536000; includeSubDomains\", or \"\" for none",
    );
    if resolver.is_set(at) {
        Hsts::Own(text.to_owned())
    } else {
        Hsts::Default
    }
}

/// Who beside the frontend's own pages may begin a login.
fn invitations(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Invitations {
    let from_anywhere = frontend.logins_from.iter().any(|origin| origin == "*");
    let mut from = Vec::new();
    for text in frontend.logins_from.iter().filter(|origin| *origin != "*") {
        match Origin::parse(text) {
            Ok(origin) => from.push(origin.to_string()),
            Err(error) => resolver.wrong(
                at,
                format!("{text:?} is not usable: {error}"),
                "write origins, such as [\"https://www.example.com\"], or [\"*\"] for all",
            ),
        }
    }
    Invitations {
        from,
        from_anywhere,
        initiated: frontend.initiate_login.0,
    }
}
