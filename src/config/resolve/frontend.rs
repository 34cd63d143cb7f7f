//! `[frontend.<name>]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::resolver::{Noted, Resolver};
use super::{
    assets, authorization, claim, csrf_header, documents, native, oidc, policy, reach, route,
    session,
};
use crate::config::key_path::KeyPath;
use crate::config::mistake::did_you_mean;
use crate::config::settings;
use crate::frontend::{Frontend, Route, RouteTable};
use crate::names::{FrontendName, Origin, ReturnTo};
use crate::oidc::Provider;
use crate::session::{Jar, JarSettings, SameSite};

/// As all documents call the file of the configuration.
const USUAL_FILE: &str = "sealgate.toml";

/// Every frontend; `None` if one cannot be used.
pub(super) fn resolve(resolver: &mut Resolver<'_>) -> Option<Vec<Arc<Frontend>>> {
    let frontends = &resolver.written.settings.frontend;
    let at = KeyPath::of(["frontend"]);
    if frontends.is_empty() && !resolver.is_reported(&at) {
        let is_forgotten =
            resolver.written.files().next().is_none() && Path::new(USUAL_FILE).is_file();
        let remedy = if is_forgotten {
            "sealgate reads no file by itself: name the one that lies here with -c sealgate.toml, or in SEALGATE_CONFIG"
        } else {
            "add a table [frontend.<name>] to a file given with -c; --example-config prints an example"
        };
        resolver.wrong(&at, "there is no frontend", remedy);
    }
    let mut origins = BTreeMap::new();
    let usable: Vec<_> = frontends
        .iter()
        .filter_map(|(name, frontend)| {
            let at = KeyPath::of(["frontend", name]);
            if is_named_by_mistake(resolver, &at, frontend) {
                return None;
            }
            let origin = origin(resolver, &at.child("origin"), frontend);
            if let Some(origin) = &origin {
                compare_origins(resolver, &at.child("origin"), origin, &origins);
                origins.insert(name, origin.clone());
            }
            one(resolver, name, frontend, origin).map(Arc::new)
        })
        .collect();
    reach::keep_apart(resolver);
    (usable.len() == frontends.len()).then_some(usable)
}

/// Notes a table that has nothing a frontend needs: its name is probably another one's with a typo.
fn is_named_by_mistake(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> bool {
    let oidc = &frontend.oidc;
    let is_complete =
        frontend.origin.is_some() || oidc.issuer.is_some() || oidc.client_id.is_some();
    let frontends = &resolver.written.settings.frontend;
    let name = at.keys().last().map_or("", String::as_str);
    let others: Vec<_> = frontends.keys().map(String::as_str).collect();
    let others: Vec<_> = others.into_iter().filter(|other| *other != name).collect();
    let near = did_you_mean(name, &others);
    let Some(near) = near.filter(|_| !is_complete && !resolver.is_reported(at)) else {
        return false;
    };
    let remedy = format!("did you mean frontend.{near}? Or set origin and oidc of this one");
    resolver.wrong(
        at,
        "this frontend has neither an origin nor an oidc table",
        remedy,
    );
    true
}

fn one(
    resolver: &mut Resolver<'_>,
    name: &str,
    frontend: &settings::Frontend,
    origin: Option<Origin>,
) -> Option<Frontend> {
    let at = KeyPath::of(["frontend", name]);
    let parsed = FrontendName::parse(name);
    if let Err(error) = &parsed {
        resolver.wrong(&at, error.to_string(), "choose another name");
    }
    let base_path = base_path(resolver, &at.child("base_path"), &frontend.base_path);
    let csrf_header =
        csrf_header::resolve(resolver, &at.child("csrf_header"), &frontend.csrf_header);
    let error_page = error_page(resolver, &at.child("error_page"), frontend);
    let redirect_uri = origin
        .as_ref()
        .zip(base_path.as_ref())
        .map(|(origin, base_path)| format!("{origin}{base_path}/callback"));
    let oidc_at = at.child("oidc");
    let client = oidc::resolve(resolver, &oidc_at, &frontend.oidc, redirect_uri);
    let session = session::resolve(resolver, &at.child("session"), &frontend.session);
    let limit_at = at.child("login_rate_limit");
    let login_rate_limit = policy::login_rate_limit(resolver, &limit_at, frontend);
    let routes = route::resolve(resolver, &at.child("route"), frontend, base_path.as_deref());
    let claims = claim::resolve(resolver, &at, frontend);
    let is_secure = origin.as_ref().is_some_and(Origin::is_secure);
    let reach = reach::resolve(resolver, &at, frontend, is_secure);
    let native = native::resolve(resolver, &at.child("native"), frontend.native.as_ref());
    let assets = assets::resolve(resolver, &at.child("assets"), frontend);
    documents::refuse_assets(resolver, &at, frontend);
    let origin = origin?;
    let mut login_same_site = SameSite::Lax;
    if authorization::posts_its_answer(&frontend.oidc) {
        authorization::warn_of_form_post(resolver, &oidc_at, &origin);
        // Browsers refuse SameSite=None without Secure (RFC 6265bis §5.7).
        if origin.is_secure() {
            login_same_site = SameSite::None;
        }
    }
    if !origin.is_secure() && frontend.session.device_binding == "required" {
        resolver.warn(
            &at.child("session").child("device_binding"),
            "browsers bind no session without TLS, so each ends two minutes after its login",
        );
    }
    let (name, base_path, client, session) = (parsed.ok()?, base_path?, client?, session?);
    let jar = Jar::new(JarSettings {
        frontend: name.clone(),
        origin: origin.clone(),
        issuer: client.issuer.clone(),
        client_id: client.client_id.clone(),
        base_path: base_path.clone(),
        login_same_site,
        login_timeout: client.login_timeout,
        session: session.clone(),
    });
    let native = native.ok()?;
    let of_apps = native.as_ref().map(|native| native.absolute_timeout);
    let longest_session = session.absolute_timeout.max(of_apps.unwrap_or_default());
    let routes = routes?;
    let required_claims = required_claims(&routes);
    let claims = claims.map(|rules| rules.wanting(&session.claims, &required_claims));
    let routes = RouteTable::new(routes);
    let error_page = error_page.ok()?;
    let page_at = at.child("error_page");
    documents::check_error_page(resolver, &page_at, error_page.as_ref(), &routes);
    Some(Frontend {
        name,
        origin,
        hosts: reach.hosts,
        hsts: reach.hsts,
        invitations: reach.invitations,
        base_path,
        clear_cache_on_logout: frontend.clear_cache_on_logout.0,
        csrf_header: csrf_header?,
        error_page,
        longest_session,
        session,
        native,
        claims: claims?,
        required_claims,
        login_rate_limit: login_rate_limit.ok()?,
        jar,
        provider: Provider::new(client, resolver.clock.clone()),
        routes,
        assets: assets.ok()?,
    })
}

/// The claims that a session must keep because a route checks them.
fn required_claims(routes: &[Route]) -> Vec<String> {
    routes
        .iter()
        .flat_map(|route| {
            let policy = route.policy.claims_to_keep(&route.path);
            policy.chain(route.action.claims())
        })
        .map(str::to_owned)
        .collect()
}

fn origin(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Option<Origin> {
    let text = resolver.required(
        at,
        frontend.origin.as_ref(),
        "write the public origin, such as \"https://shop.example.com\"",
    )?;
    let origin = match Origin::parse(text) {
        Ok(origin) => origin,
        Err(error) => {
            resolver.wrong(
                at,
                error.to_string(),
                "write the public origin, such as \"https://shop.example.com\"",
            );
            return None;
        }
    };
    if !origin.is_secure() {
        if resolver.written.settings.server.tls.is_some() {
            resolver.wrong(
                at,
                "with server.tls every request is https, so this origin never matches",
                "write https://, or remove server.tls",
            );
        }
        resolver.warn(
            at,
            "plain HTTP is for development only: cookies lose Secure and their __Host- prefix",
        );
    }
    Some(origin)
}

fn compare_origins(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    origin: &Origin,
    others: &BTreeMap<&String, Origin>,
) {
    for (name, other) in others {
        if origin.authority() == other.authority() {
            resolver.wrong(
                at,
                format!(
                    "frontend {name} has the same host and port, so sealgate could not tell their requests apart"
                ),
                "give each frontend a host name of its own",
            );
        } else if origin.host() == other.host() {
            // RFC 6265bis §8.5: cookies are not isolated by port.
            resolver.warn(
                at,
                &format!("frontend {name} is on the same host: cookies ignore ports, so each frontend receives the other's cookies"),
            );
        }
    }
}

fn base_path(resolver: &mut Resolver<'_>, at: &KeyPath, text: &str) -> Option<String> {
    let path = resolver.local_path(at, text)?;
    // The path becomes a cookie's Path and part of the redirect URI, so it must not need quoting.
    let plain = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
    let fine = resolver.ensure(
        plain && path != "/",
        at,
        "management endpoints need a path of plain letters, other than /",
        "write one such as \"/bff\"",
    );
    fine.then_some(path)
}

fn error_page(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Result<Option<ReturnTo>, Noted> {
    let Some(text) = &frontend.error_page else {
        return Ok(None);
    };
    let page = ReturnTo::parse(text);
    if page.is_none() {
        resolver.wrong(
            at,
            "this is not a path on the frontend's own origin",
            "write one such as \"/signin-error\"",
        );
    }
    page.map(Some).ok_or(Noted)
}
