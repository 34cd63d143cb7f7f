//! `[frontend.<name>.route.<name>]`.

use std::sync::Arc;

use super::call::{cookie_names, exchange, refuse_star, token, upstream};
use super::check::is_token;
use super::resolver::{DAY, Noted, Resolver};
use super::{documents, part, policy};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::{Action, Forward, Route, RoutePath, TokenRequirement};
use crate::names::{RequestPath, RouteName};
use crate::oidc::TokenExchange;

/// Bodies are streamed, so a large limit is safe. A larger one than this is a typing mistake.
const MAX_BODY: u64 = 1 << 40;

/// The methods whose requests have bodies (RFC 9110 §9.3, RFC 5789).
const BODIES: [&str; 3] = ["PATCH", "POST", "PUT"];

/// All routes of a frontend; `None` if one cannot be used.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
    base_path: Option<&str>,
) -> Option<Vec<Route>> {
    let mut routes: Vec<Route> = Vec::new();
    for (name, route) in &frontend.route {
        let at = at.child(name);
        let Some(route) = one(resolver, &at, name, frontend, route) else {
            continue;
        };
        let path_at = at.child("path");
        let path = route.path.as_str();
        let below_endpoints = RequestPath::parse(path)
            .ok()
            .zip(base_path)
            .is_some_and(|(path, base_path)| path.strip_prefix(base_path).is_some());
        if below_endpoints {
            resolver.wrong(
                &path_at,
                format!("{path} is below base_path, where sealgate answers itself"),
                "choose another path, or another base_path",
            );
        }
        // `/@me` and `/%40me` are one path, and so are `/{sub}` and `/{sid}`.
        let is_same = |other: &&Route| other.path.is_same_place(&route.path);
        if let Some(other) = routes.iter().find(is_same) {
            resolver.wrong(
                &path_at,
                format!("route {} has the same path", other.name),
                "merge the two routes, or change one path",
            );
        }
        routes.push(route);
    }
    (routes.len() == frontend.route.len()).then_some(routes)
}

fn one(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    name: &str,
    frontend: &settings::Frontend,
    route: &settings::Route,
) -> Option<Route> {
    let parsed = RouteName::parse(name);
    if let Err(error) = &parsed {
        resolver.wrong(at, error.to_string(), "choose another name");
    }
    let path = path(resolver, &at.child("path"), route);
    let token = token(resolver, &at.child("token"), &route.token);
    let exchange = exchange_of(resolver, at, route, token);
    let action = match &path {
        Some(path) if !route.part.is_empty() => {
            let exchange = exchange.as_ref().ok().cloned().flatten();
            part::resolve(resolver, at, frontend, route, path, exchange.as_ref())
                .map(Action::Compose)
        }
        _ => forward(resolver, at, route).map(Action::Forward),
    };
    let required = policy::resolve(resolver, at, route);
    let rate_limit = policy::rate_limit(resolver, &at.child("rate_limit"), route);
    check_fresh_device(resolver, &at.child("require_fresh_device"), frontend, route);
    let route = Route {
        name: parsed.ok()?,
        path: path?,
        token: token?,
        exchange: exchange.ok()?,
        policy: required,
        rate_limit: rate_limit.ok()?,
        require_fresh_device: route.require_fresh_device.0,
        action: action?,
    };
    policy::check_token(resolver, at, &route);
    documents::warn_of_idle_login(resolver, at, &route);
    Some(route)
}

/// What `exchange` says, or its short form, `audience`.
fn exchange_of(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    route: &settings::Route,
    token: Option<TokenRequirement>,
) -> Result<Option<Arc<TokenExchange>>, Noted> {
    let Some(audience) = &route.audience else {
        return exchange(
            resolver,
            &at.child("exchange"),
            route.exchange.as_ref(),
            token,
        );
    };
    let at = at.child("audience");
    if route.exchange.is_some() {
        resolver.wrong(
            &at,
            "it is short for exchange, which this route has too",
            "remove audience, and set exchange.audience",
        );
        return Err(Noted);
    }
    let wanted = settings::Exchange::for_audience(audience);
    exchange(resolver, &at, Some(&wanted), token)
}

/// A proof is of a device, and a device that of a session.
fn check_fresh_device(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
    route: &settings::Route,
) {
    if !route.require_fresh_device.0 {
        return;
    }
    resolver.ensure(
        frontend.session.device_binding != "off",
        at,
        "the frontend's sessions are not bound to devices, so that every request would be refused",
        "set session.device_binding to \"preferred\" or \"required\", or remove this",
    );
    resolver.ensure(
        !matches!(route.token.as_str(), "none" | "client"),
        at,
        "the route does without a session, and only a session has a device",
        "write token = \"user\", or remove this",
    );
}

fn path(resolver: &mut Resolver<'_>, at: &KeyPath, route: &settings::Route) -> Option<RoutePath> {
    let remedy = "write the path that it serves, such as \"/api/orders\"";
    let text = resolver.required(at, route.path.as_ref(), remedy)?;
    match RoutePath::parse(text) {
        Ok(path) => {
            check_spelling(resolver, at, text);
            Some(path)
        }
        Err(error) => {
            let remedy = "write a path such as \"/api/orders\" or \"/api/users/{sub}\"";
            resolver.wrong(at, format!("{text:?} is not usable: {error}"), remedy);
            None
        }
    }
}

/// A route that sends requests on.
fn forward(resolver: &mut Resolver<'_>, at: &KeyPath, route: &settings::Route) -> Option<Forward> {
    let upstream = upstream(resolver, &at.child("upstream"), route.upstream.as_ref());
    let deadline = at.child("deadline");
    if resolver.is_set(&deadline) {
        let what = "it is about an answer that is put together from parts, and the route has none";
        resolver.wrong(&deadline, what, "write timeout, or add parts");
    }
    let methods = methods(resolver, &at.child("methods"), route.methods.as_deref());
    resolver.ensure(
        route.body_limit.0 <= MAX_BODY,
        &at.child("body_limit"),
        "out of bounds",
        "write a size up to 1TiB; \"0\" allows no body",
    );
    let mut named = methods.iter();
    // Without names, all methods are meant.
    let may_have_body = methods.is_empty() || named.any(|method| BODIES.contains(&method.as_str()));
    if route.body_limit.0 == 0 && may_have_body {
        resolver.warn(
            &at.child("body_limit"),
            "0 allows no body, and does not mean without a limit: write the most that a request may have, or name methods without a body",
        );
    }
    let timeout = route.timeout.map(|span| {
        let least = std::time::Duration::from_millis(1);
        resolver.within(&at.child("timeout"), span.0, least, DAY)
    });
    let documents = documents::resolve(resolver, at, route);
    cookie_names(resolver, &at.child("cookies"), &route.cookies);
    cookie_names(resolver, &at.child("set_cookies"), &route.set_cookies);
    let strip_headers = strip_headers(resolver, &at.child("strip_headers"), &route.strip_headers);
    Some(Forward {
        upstream: upstream?,
        strip_prefix: route.strip_prefix.0,
        methods,
        body_limit: route.body_limit.0,
        timeout,
        documents,
        websocket: route.websocket.0,
        cookies: route.cookies.clone(),
        set_cookies: route.set_cookies.clone(),
        strip_headers,
    })
}

/// Other routers have signs for "and all below it" and for a segment of any value. Here they are literal.
fn check_spelling(resolver: &mut Resolver<'_>, at: &KeyPath, path: &str) {
    let plain = path.trim_end_matches(['*', '/', '.', '{', '}']);
    let plain = if plain.is_empty() { "/" } else { plain };
    let above = if plain.contains('*') {
        "name the path above it".to_owned()
    } else {
        format!("write {plain:?}")
    };
    let remedy = format!("{above}: a path includes all below it; write %2A for a star in a path");
    resolver.ensure(
        !path.contains('*'),
        at,
        &format!("{path:?} has a star, and a star only stands for itself"),
        &remedy,
    );
    if path.split('/').any(|segment| segment.starts_with(':')) {
        resolver.warn(
            at,
            "a segment that begins with a colon stands for itself; a path includes all below it, and only {claim} has a \
             special meaning",
        );
    }
}

/// Empty means all but `CONNECT` and `TRACE`, so an operator cannot write an empty list.
fn methods(resolver: &mut Resolver<'_>, at: &KeyPath, methods: Option<&[String]>) -> Vec<String> {
    let Some(methods) = methods else {
        return Vec::new();
    };
    resolver.ensure(
        !methods.is_empty(),
        at,
        "the list of methods is empty",
        "name at least one method, or remove the key to allow all",
    );
    refuse_star(resolver, at, methods, "remove the key to allow all methods");
    for method in methods {
        // Methods are case-sensitive (RFC 9110 §9.1): "get" is not "GET".
        let upper = is_token(method) && !method.bytes().any(|b| b.is_ascii_lowercase());
        resolver.ensure(
            upper,
            at,
            &format!("{method:?} is not a method"),
            "write methods in upper case: [\"GET\", \"POST\"]",
        );
        resolver.ensure(
            !matches!(method.as_str(), "CONNECT" | "TRACE"),
            at,
            &format!("sealgate never forwards {method}"),
            "remove it",
        );
    }
    methods.to_vec()
}

/// The names in lower case, in which they are compared.
fn strip_headers(resolver: &mut Resolver<'_>, at: &KeyPath, names: &[String]) -> Vec<String> {
    for name in names {
        let stem = name.strip_suffix('*').unwrap_or(name);
        resolver.ensure(
            is_token(stem) && !stem.contains('*'),
            at,
            &format!("{name:?} is not a header name"),
            "name headers as clients send them; a \"*\" may stand at the end: [\"X-Acme-User\", \"X-Corp-*\"]",
        );
    }
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}
