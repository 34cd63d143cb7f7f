//! What every call to an upstream is configured with, be it a route's or a part's.

use super::check::is_token;
use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::mistake::did_you_mean;
use crate::frontend::TokenRequirement;
use crate::names::UpstreamName;
use crate::session::Jar;

/// Whose access token goes along.
pub(super) fn token(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    text: &str,
) -> Option<TokenRequirement> {
    let words = [
        ("none", TokenRequirement::None),
        ("user", TokenRequirement::User),
        ("client", TokenRequirement::Client),
        ("user_or_client", TokenRequirement::UserOrClient),
        ("user_or_none", TokenRequirement::UserOrNone),
    ];
    resolver.choice(at, text, &words)
}

/// The `[upstream.<name>]` that a call goes to.
pub(super) fn upstream(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    name: Option<&String>,
) -> Option<UpstreamName> {
    let name = resolver.required(at, name, "name one of the [upstream.…] tables")?;
    let known = &resolver.written.settings.upstream;
    if !known.contains_key(name) {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let remedy = match did_you_mean(name, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "add a table [upstream.…] of that name, with a url".to_owned(),
        };
        resolver.wrong(at, format!("there is no upstream {name:?}"), remedy);
        return None;
    }
    // A bad name has been reported at the upstream itself.
    UpstreamName::parse(name).ok()
}

/// Names are written one by one; in a list of them a star would be a name, and match nothing.
pub(super) fn refuse_star(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    names: &[String],
    remedy: &str,
) {
    let is_star = names.iter().any(|name| name == "*");
    resolver.ensure(!is_star, at, "a star stands for nothing but itself", remedy);
}

/// Names of cookies that cross.
pub(super) fn cookie_names(resolver: &mut Resolver<'_>, at: &KeyPath, names: &[String]) {
    refuse_star(resolver, at, names, "name each cookie");
    for name in names {
        resolver.ensure(
            is_token(name),
            at,
            &format!("{name:?} is no cookie name"),
            "name cookies as the Cookie header does",
        );
        resolver.ensure(
            !Jar::is_ours(name),
            at,
            &format!("{name:?} could be one of sealgate's own cookies, which never cross"),
            "remove it",
        );
    }
}
