//! `[frontend.<name>.oidc]`.

use std::time::Duration;

use url::Url;

use super::authorization;
use super::check::is_scope;
use super::client_certificate;
use super::credentials;
use super::fapi2;
use super::provider;
use super::resolver::{DAY, HOUR, MINUTE, Noted, Resolver, SECOND};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::names::is_loopback_host;
use crate::oidc::{self, ClientSettings, Dpop, RepeatRefresh, SigningAlgorithm, WithoutExp};

/// Parameters that sealgate sets itself for each login.
const OURS: [&str; 16] = [
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "id_token_hint",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_type",
    "scope",
    "state",
];

/// Parameters whose effect must be checked in the ID token. The login endpoint takes them, and checks.
const CHECKED: [&str; 2] = ["acr_values", "max_age"];

/// Providers' shorter lifetimes are not believed either.
const SHORTEST_TOKEN: Duration = Duration::from_secs(5);

/// One frontend's client; `redirect_uri` is `None` if origin or base path is unusable.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
    redirect_uri: Option<String>,
) -> Option<ClientSettings> {
    let (profile, oidc) = &fapi2::resolve(resolver, at, oidc)?;
    let issuer = issuer(resolver, &at.child("issuer"), oidc);
    let tenants = provider::tenants(resolver, at, oidc);
    let client_id_at = at.child("client_id");
    let client_id = resolver
        .required(
            &client_id_at,
            oidc.client_id.as_ref(),
            "write the client_id that is registered at the identity provider",
        )
        .filter(|id| {
            // RFC 6749 appendix A.1
            let fine = !id.is_empty()
                && id.trim() == *id
                && id.bytes().all(|b| (0x20..=0x7e).contains(&b));
            resolver.ensure(
                fine,
                &client_id_at,
                "a client_id is printable ASCII, not empty, and without spaces around it",
                "copy it from the identity provider",
            )
        });
    let client_keys = credentials::client_keys(resolver, at, oidc);
    let certificate = client_certificate::resolve(resolver, at, oidc);
    let client_auth = credentials::client_auth(resolver, at, oidc, &client_keys);
    let repeat_refresh = resolver.choice(
        &at.child("repeat_refresh"),
        &oidc.repeat_refresh,
        &[
            ("auto", RepeatRefresh::Auto),
            ("always", RepeatRefresh::Always),
            ("never", RepeatRefresh::Never),
        ],
    );
    let dpop = resolver.choice(
        &at.child("dpop"),
        &oidc.dpop,
        &[
            ("never", Dpop::Never),
            ("auto", Dpop::Auto),
            ("always", Dpop::Always),
        ],
    );
    let signed_by = signed_by(resolver, &at.child("id_token_signed_response_alg"), oidc);
    let logout_token_without_exp = resolver.choice(
        &at.child("logout_token_without_exp"),
        &oidc.logout_token_without_exp,
        &[
            ("refuse", WithoutExp::Refuse),
            ("by-iat", WithoutExp::ByIat),
        ],
    );
    let authorization = authorization::resolve(resolver, at, oidc, &client_keys);
    let endpoints = provider::endpoints(resolver, &at.child("endpoints"), oidc);
    let discovery_url = provider::discovery_url(resolver, &at.child("discovery_url"), oidc);
    let logout = provider::logout(resolver, &at.child("logout"), oidc);
    provider::login_params(
        resolver,
        &at.child("login_params"),
        &oidc.login_params,
        &OURS,
    );
    provider::trusted_audiences(resolver, &at.child("trusted_audiences"), oidc);
    scopes(resolver, &at.child("scopes"), &oidc.scopes);
    let resources = resources(resolver, &at.child("resources"), &oidc.resources);
    for (name, value) in &oidc.extra_params {
        extra_param(resolver, &at.child("extra_params").child(name), name, value);
    }
    let clock_skew = oidc.clock_skew.0;
    resolver.within(&at.child("clock_skew"), clock_skew, Duration::ZERO, MINUTE);
    let expires_in = oidc.expires_in.0;
    resolver.within(&at.child("expires_in"), expires_in, SHORTEST_TOKEN, DAY);
    let login_timeout = oidc.login_timeout.0;
    resolver.within(&at.child("login_timeout"), login_timeout, SECOND, HOUR);
    Some(ClientSettings {
        issuer: issuer?,
        tenants: tenants?,
        client_id: client_id?.clone(),
        client_auth: client_auth?,
        certificate: certificate.ok()?,
        client_keys: client_keys.ok()?,
        trusted_audiences: oidc.trusted_audiences.clone(),
        discovery_url: discovery_url.ok()?,
        endpoints: endpoints?,
        allow_http: oidc.allow_http.0,
        login_params: oidc.login_params.clone(),
        logout: logout?,
        scopes: oidc.scopes.clone(),
        resources: resources?,
        extra_params: oidc.extra_params.clone(),
        clock_skew,
        expires_in,
        login_timeout,
        profile: *profile,
        authorization: authorization?,
        id_token_signed_response_alg: signed_by.ok()?,
        logout_token_without_exp: logout_token_without_exp?,
        dpop: dpop?,
        repeat_refresh: repeat_refresh?,
        redirect_uri: redirect_uri?,
    })
}

fn issuer(resolver: &mut Resolver<'_>, at: &KeyPath, said: &settings::Oidc) -> Option<String> {
    let example = "https://id.example.com";
    let text = resolver.required(
        at,
        said.issuer.as_ref(),
        &format!("write the identity provider's issuer, such as \"{example}\""),
    )?;
    let url = resolver.bare_url(at, text, example)?;
    if let Some((issuer, _)) = text.split_once("/.well-known/") {
        resolver.wrong(
            at,
            "this is the address of the metadata, not the issuer",
            format!("write \"{issuer}\", or what the metadata says under \"issuer\""),
        );
        return None;
    }
    let filled = text.replace(oidc::PLACEHOLDER, "");
    if filled.contains(['{', '}', '<', '>']) {
        resolver.wrong(
            at,
            format!("{text:?} still has a placeholder in it"),
            "write your own value in place of {…} or <…>; only {tenantid} has a meaning here, beside tenants",
        );
        return None;
    }
    // OpenID Connect Discovery §3: an issuer is https.
    let loopback = url.host().is_some_and(|host| is_loopback_host(&host));
    let fine = resolver.ensure(
        url.scheme() == "https" || loopback || said.allow_http.0,
        at,
        "http:// is for loopback names only (localhost, 127.0.0.1, [::1])",
        "use https://, or set allow_http = true if nobody can listen between here and there",
    );
    fine.then(|| text.clone())
}

fn signed_by(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Result<Option<SigningAlgorithm>, Noted> {
    let Some(text) = &oidc.id_token_signed_response_alg else {
        return Ok(None);
    };
    let algorithm = resolver.choice(at, text, &SigningAlgorithm::ALL);
    algorithm.map(Some).ok_or(Noted)
}

fn scopes(resolver: &mut Resolver<'_>, at: &KeyPath, scopes: &[String]) {
    let are_scopes = resolver.ensure(
        scopes.iter().all(|scope| is_scope(scope)),
        at,
        "a scope is printable ASCII without spaces, quotes and backslashes",
        "write each scope as a string of its own: [\"openid\", \"profile\"]",
    );
    resolver.ensure(
        !are_scopes || scopes.iter().any(|scope| scope == "openid"),
        at,
        "without \"openid\" the provider sends no ID token, and no login works",
        "add \"openid\"",
    );
}

fn resources(resolver: &mut Resolver<'_>, at: &KeyPath, texts: &[String]) -> Option<Vec<Url>> {
    let urls: Vec<_> = texts
        .iter()
        .filter_map(|text| {
            // RFC 8707 §2: absolute, without fragment.
            let url = Url::parse(text).ok().filter(|url| url.fragment().is_none());
            if url.is_none() {
                resolver.wrong(
                    at,
                    format!("{text:?} is not an absolute URI without a fragment"),
                    "write resource indicators such as \"https://orders.internal/\"",
                );
            }
            url
        })
        .collect();
    (urls.len() == texts.len()).then_some(urls)
}

fn extra_param(resolver: &mut Resolver<'_>, at: &KeyPath, name: &str, value: &str) {
    let ours = OURS.contains(&name);
    resolver.ensure(
        !ours,
        at,
        "sealgate sets this parameter itself",
        "remove it",
    );
    resolver.ensure(
        !CHECKED.contains(&name),
        at,
        "this parameter belongs to a single login, and sealgate checks the ID token against it",
        &format!("remove it, and navigate to the login endpoint with ?{name}=…"),
    );
    let response_mode = name == "response_mode" && !matches!(value, "query" | "form_post");
    resolver.ensure(
        !response_mode,
        at,
        "sealgate reads the answer from the query or from a form_post here",
        "write oidc.response_mode = \"query\", \"form_post\" or \"jwt\" in its place",
    );
    resolver.ensure(
        (name, value) != ("prompt", "none"),
        at,
        "with this parameter every login would fail",
        "remove it; the silent-login endpoint sends prompt=none",
    );
    let printable = !name.is_empty() && !name.chars().chain(value.chars()).any(char::is_control);
    resolver.ensure(
        printable,
        at,
        "the name is empty, or name or value have control characters",
        "write plain text",
    );
}
