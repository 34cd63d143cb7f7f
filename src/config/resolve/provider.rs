//! `[frontend.<name>.oidc]`: settings for a provider that differs from its metadata or from the specifications.

use url::Url;

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::names::is_loopback_host;
use crate::oidc::{self, Endpoints, IdTokenHint, ProviderLogout, Tenants};

/// The placeholders that a logout parameter may have.
const PLACEHOLDERS: [&str; 4] = [
    "client_id",
    "id_token_hint",
    "post_logout_redirect_uri",
    "state",
];

/// Which addresses may be plain HTTP.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Plain {
    Allowed,
    Never,
    OnLoopback,
}

impl Plain {
    fn of(oidc: &settings::Oidc) -> Self {
        let issuer = oidc.issuer.as_deref().unwrap_or_default();
        match oidc.allow_http.0 {
            true => Self::Allowed,
            false if issuer.starts_with("http://") => Self::OnLoopback,
            false => Self::Never,
        }
    }
}

/// Addresses in place of those in the metadata.
pub(super) fn endpoints(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Option<Endpoints> {
    let settings::Endpoints {
        authorization,
        token,
        jwks,
        userinfo,
        par,
        revocation,
        end_session,
    } = &oidc.endpoints;
    let mut one = |name: &str, text: &Option<String>| {
        address(resolver, &at.child(name), text.as_ref(), Plain::of(oidc))
    };
    let endpoints = (
        one("authorization", authorization),
        one("token", token),
        one("jwks", jwks),
        one("userinfo", userinfo),
        one("par", par),
        one("revocation", revocation),
        one("end_session", end_session),
    );
    Some(Endpoints {
        authorization: endpoints.0.ok()?,
        token: endpoints.1.ok()?,
        jwks: endpoints.2.ok()?,
        userinfo: endpoints.3.ok()?,
        par: endpoints.4.ok()?,
        revocation: endpoints.5.ok()?,
        end_session: endpoints.6.ok()?,
    })
}

/// Whose users may sign in, where the issuer is a template.
pub(super) fn tenants(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Option<Tenants> {
    let issuer = oidc.issuer.as_deref().unwrap_or_default();
    let (issuer_at, tenants_at) = (at.child("issuer"), at.child("tenants"));
    let filled = |tenant| Url::parse(&issuer.replace(oidc::PLACEHOLDER, tenant)).ok();
    let origin_of = |tenant| filled(tenant).map(|url| url.origin());
    let tenants = oidc.tenants.as_slice();
    match issuer.matches(oidc::PLACEHOLDER).count() {
        0 if tenants.is_empty() => return Some(Tenants::OneIssuer),
        0 => {
            resolver.wrong(
                &tenants_at,
                "the issuer is that of one tenant",
                "remove the tenants, or write {tenantid} in the issuer in place of the tenant",
            );
            return None;
        }
        1 if origin_of("a") == origin_of("b") => {}
        _ => {
            resolver.wrong(
                &issuer_at,
                "{tenantid} stands in it more than once, or in the host",
                "write it once, in the path: \"https://login.microsoftonline.com/{tenantid}/v2.0\"",
            );
            return None;
        }
    }
    if tenants == ["*"] {
        return Some(Tenants::Any);
    }
    let is_fine = resolver.ensure(
        !tenants.is_empty(),
        &tenants_at,
        "the issuer has {tenantid} in it, and nothing says whose users may sign in",
        "name the tenants by their ids, or write [\"*\"] for the users of every tenant",
    ) && resolver.ensure(
        tenants.iter().all(|one| oidc::is_tenant(one)),
        &tenants_at,
        "a tenant is not an id, or a star stands beside others",
        "write ids as the tokens have them in tid, or [\"*\"] alone",
    );
    is_fine.then(|| Tenants::Listed(tenants.to_vec()))
}

/// Where the metadata is.
pub(super) fn discovery_url(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Result<Option<Url>, Noted> {
    address(resolver, at, oidc.discovery_url.as_ref(), Plain::of(oidc))
}

/// An address of the provider.
fn address(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    text: Option<&String>,
    allow_http: Plain,
) -> Result<Option<Url>, Noted> {
    let Some(text) = text else {
        return Ok(None);
    };
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    let Some(url) = url else {
        resolver.wrong(
            at,
            format!("{text:?} is not an http or https URL without user and fragment"),
            "write the whole address, such as \"https://id.example.com/token\"",
        );
        return Err(Noted);
    };
    let is_loopback = url.host().is_some_and(|host| is_loopback_host(&host));
    // If the issuer is https, every address of the provider must be, on loopback too.
    let is_fine = resolver.ensure(
        url.scheme() == "https"
            || allow_http == Plain::Allowed
            || (is_loopback && allow_http == Plain::OnLoopback),
        at,
        "http:// is for a provider that is on loopback as a whole (localhost, 127.0.0.1, [::1])",
        "use https://, or set allow_http = true if nobody can listen between here and there",
    );
    if is_fine { Ok(Some(url)) } else { Err(Noted) }
}

/// How the provider's session is ended.
pub(super) fn logout(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Option<ProviderLogout> {
    let logout = &oidc.logout;
    let url = address(
        resolver,
        &at.child("url"),
        logout.url.as_ref(),
        Plain::of(oidc),
    );
    let id_token_hint = resolver.choice(
        &at.child("id_token_hint"),
        &logout.id_token_hint,
        &[
            ("auto", IdTokenHint::Auto),
            ("always", IdTokenHint::Always),
            ("never", IdTokenHint::Never),
        ],
    );
    let params_at = at.child("params");
    for (name, text) in &logout.params {
        let known = PLACEHOLDERS.iter().fold(text.clone(), |text, name| {
            text.replace(&format!("{{{name}}}"), "")
        });
        resolver.ensure(
            !known.contains(['{', '}']) && !name.is_empty() && !text.chars().any(char::is_control),
            &params_at.child(name),
            "it has a placeholder that is not known here, or control characters",
            "use {post_logout_redirect_uri}, {client_id}, {id_token_hint} or {state}",
        );
    }
    Some(ProviderLogout {
        url: url.ok()?,
        params: logout.params.clone(),
        id_token_hint: id_token_hint?,
    })
}

/// Parameters of a login that are passed on. Those that sealgate sets itself are refused.
pub(super) fn login_params(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    names: &[String],
    ours: &[&str],
) {
    const READ_HERE: [&str; 6] = [
        "acr_values",
        "login_hint",
        "max_age",
        "prompt",
        "returnUrl",
        "ui_locales",
    ];
    for name in names {
        resolver.ensure(
            !ours.contains(&name.as_str()) && name != "response_mode",
            at,
            &format!("sealgate sets {name:?} itself"),
            "remove it",
        );
        resolver.ensure(
            !READ_HERE.contains(&name.as_str()),
            at,
            &format!("{name:?} is a parameter of the login endpoint already"),
            "remove it",
        );
        resolver.ensure(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()),
            at,
            &format!("{name:?} is not the name of a parameter"),
            "name parameters as the provider does: [\"kc_idp_hint\"]",
        );
    }
}

/// Further audiences of ID tokens.
pub(super) fn trusted_audiences(resolver: &mut Resolver<'_>, at: &KeyPath, oidc: &settings::Oidc) {
    let is_fine =
        |one: &String| !one.is_empty() && one != "*" && !one.chars().any(char::is_control);
    resolver.ensure(
        oidc.trusted_audiences.iter().all(is_fine),
        at,
        "an audience is empty, a star, or has control characters",
        "write each audience as the ID token has it",
    );
}
