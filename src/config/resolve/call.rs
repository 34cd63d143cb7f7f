//! The keys that every call to an upstream has, be it a route's or a part's.

use std::sync::Arc;

use url::Url;

use super::check::{is_scope, is_token};
use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::mistake::did_you_mean;
use crate::config::settings;
use crate::frontend::TokenRequirement;
use crate::names::UpstreamName;
use crate::oidc::{ExchangeGrant, TokenExchange};
use crate::session::Jar;

/// Whose access token to send.
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

/// What the user's token is exchanged for, if it is at all.
pub(super) fn exchange(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    exchange: Option<&settings::Exchange>,
    token: Option<TokenRequirement>,
) -> Result<Option<Arc<TokenExchange>>, Noted> {
    let Some(exchange) = exchange else {
        return Ok(None);
    };
    let grant = resolver.choice(
        &at.child("grant"),
        &exchange.grant,
        &[
            ("token-exchange", ExchangeGrant::TokenExchange),
            ("on-behalf-of", ExchangeGrant::OnBehalfOf),
        ],
    );
    let is_users = resolver.ensure(
        token.is_none_or(TokenRequirement::is_users),
        at,
        "only a user's token can be exchanged, and none goes along here",
        "write token = \"user\", or remove this key",
    );
    let has_scopes = resolver.ensure(
        exchange.scopes.iter().all(|scope| is_scope(scope)),
        &at.child("scopes"),
        "a scope is printable ASCII without spaces, quotes and backslashes",
        "write each scope as a string of its own: [\"orders.read\", \"orders.write\"]",
    );
    let says_nothing =
        exchange.audience.is_none() && exchange.resource.is_none() && exchange.scopes.is_empty();
    let says_what = resolver.ensure(
        !says_nothing,
        at,
        "it does not say which token is wanted",
        "set audience, resource or scopes",
    );
    let is_on_behalf_of = grant == Some(ExchangeGrant::OnBehalfOf);
    let fits_grant = resolver.ensure(
        !is_on_behalf_of || (exchange.audience.is_none() && exchange.resource.is_none()),
        at,
        "with grant = \"on-behalf-of\" the scopes name the API",
        "remove audience and resource, and write scopes such as [\"api://orders/.default\"]",
    );
    // RFC 8707 §2: an absolute URI without a fragment.
    let is_resource = |text: &String| Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    let has_resource = resolver.ensure(
        exchange.resource.as_ref().is_none_or(is_resource),
        &at.child("resource"),
        "it is not an absolute URI without a fragment",
        "write the API's address, such as \"https://orders.internal\"",
    );
    let is_fine = is_users && has_scopes && says_what && fits_grant && has_resource;
    let wanted = grant.filter(|_| is_fine).map(|grant| TokenExchange {
        grant,
        audience: exchange.audience.clone(),
        resource: exchange.resource.clone(),
        scopes: exchange.scopes.clone(),
    });
    wanted.map(|wanted| Some(Arc::new(wanted))).ok_or(Noted)
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

/// In a list of names a star would be a name that matches nothing.
pub(super) fn refuse_star(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    names: &[String],
    remedy: &str,
) {
    let is_star = names.iter().any(|name| name == "*");
    resolver.ensure(!is_star, at, "a star only stands for itself", remedy);
}

/// Names of cookies that cross.
pub(super) fn cookie_names(resolver: &mut Resolver<'_>, at: &KeyPath, names: &[String]) {
    refuse_star(resolver, at, names, "name each cookie");
    for name in names {
        resolver.ensure(
            is_token(name),
            at,
            &format!("{name:?} is not a cookie name"),
            "name cookies as the Cookie header does",
        );
        resolver.ensure(
            !Jar::is_ours(name),
            at,
            &format!("{name:?} could be one of sealgate's own cookies, which never pass"),
            "remove it",
        );
    }
}
