//! Provider metadata: discovered, checked, and reduced to what this client uses.
//!
//! # Invariants
//! - The document's `issuer` equals the configured one byte for byte. Nothing is normalised.
//! - Every endpoint is https, or plain HTTP on loopback if the issuer is too, or what `oidc.allow_http` allows. `Channel` checks that for every request, and this
//!   file for the endpoints that a browser or a secret goes to.
//! - Members that are not used are not read, so they may hold anything, or be missing.
//!
//! # Spec
//! OpenID Connect Discovery 1.0 §3, §4; RFC 8414 §2; RFC 8705 §5; RFC 9207 §3; RFC 9126 §5.

use std::fmt::Display;
use std::sync::Arc;

use http::header::ACCEPT;
use http::{Method, Request};
use url::Url;

use super::algorithm::SigningAlgorithm;
use super::gaps::{self, Gap};
use super::http::{Channel, IdpClient, PlainHttp, is_outage};
use super::keys::KeySet;
use super::members::{Members, NotUnderstood};
use super::{ClientAuth, ClientSettings, Dpop, OidcError, Par, ResponseMode};
use crate::clock::UnixTime;
use crate::telemetry::metrics::ProviderCall;

/// OpenID Connect Discovery §4.1: behind the issuer, with one slash between.
const WELL_KNOWN: &str = ".well-known/openid-configuration";

/// RFC 9126 §5.
const PAR_ENDPOINT: &str = "pushed_authorization_request_endpoint";

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) metadata: Arc<Metadata>,
    pub(super) keys: KeySet,
    /// See [`Provider::origins`](super::Provider::origins).
    pub(super) origins: Arc<[String]>,
    /// When the metadata was fetched.
    pub(super) since: UnixTime,
}

/// The endpoints and abilities of a provider.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) end_session_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    pub(super) userinfo_endpoint: Option<Url>,
    /// Where authorization requests are pushed to, if they are.
    pub(super) par_endpoint: Option<Url>,
    /// `iss` is in every authorization response (RFC 9207).
    pub(super) iss_parameter: bool,
    /// What may sign an ID token: what is configured, else what is offered there and accepted here.
    pub(super) algorithms: Vec<SigningAlgorithm>,
    /// What an operator should know of it.
    pub(super) gaps: Vec<Gap>,
    /// What it says that it offers.
    pub(super) listed: Listed,
    /// What may sign an authorization response, if responses are signed.
    pub(super) response_algorithms: Vec<SigningAlgorithm>,
    /// It verifies proofs of the algorithm that ours have (RFC 9449 §5.1).
    pub(super) takes_dpop: bool,
    pub(super) plain_http: PlainHttp,
}

/// What a provider says that it offers; `None` where it lists nothing. Only an operator reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) scopes: Option<Vec<String>>,
    pub(super) claims: Option<Vec<String>>,
}

impl Listed {
    fn of(document: &Members) -> Self {
        let list = |name| {
            let list = document.list(name).ok().flatten()?;
            let texts = list.iter().filter_map(|one| one.as_str());
            Some(texts.map(str::to_owned).collect())
        };
        Self {
            scopes: list("scopes_supported"),
            claims: list("claims_supported"),
        }
    }
}

impl Metadata {
    /// Fetches an issuer's metadata and its keys.
    pub(super) async fn discover(
        settings: &ClientSettings,
        http: &IdpClient,
    ) -> Result<(Self, KeySet), OidcError> {
        let plain_http = check_issuer(settings)?;
        let url = match &settings.discovery_url {
            Some(url) => url.clone(),
            None => well_known(&settings.issuer_address())?,
        };
        let document = fetch(
            "discovery",
            &http.channel(ProviderCall::Discovery, plain_http),
            &url,
        )
        .await?;
        let metadata = Self::accept(&document, settings, plain_http)?;
        warn_of_mismatch(&document, settings);
        let keys = metadata.fetch_keys(http).await?;
        Ok((metadata, keys))
    }

    /// Fetches the keys anew.
    pub(super) async fn fetch_keys(&self, http: &IdpClient) -> Result<KeySet, OidcError> {
        let document = fetch(
            "key set",
            &http.channel(ProviderCall::Jwks, self.plain_http),
            &self.jwks_uri,
        )
        .await?;
        let keys = document
            .list("keys")
            .map_err(|member| invalid("key set", &member))?;
        Ok(KeySet::read(keys.unwrap_or_default()))
    }

    fn accept(
        document: &Members,
        settings: &ClientSettings,
        plain_http: PlainHttp,
    ) -> Result<Self, OidcError> {
        let fail = |why: &dyn Display| invalid("discovery", why);
        let odd = |member: NotUnderstood| fail(&member);
        let issuer = document.text("issuer").map_err(odd)?.unwrap_or_default();
        if issuer != settings.issuer {
            // Names both issuers. They are the first thing an operator needs; neither is secret.
            let issuer: String = issuer.chars().take(200).collect();
            let configured = &settings.issuer;
            return Err(fail(&format!(
                "issuer is {issuer:?} and not {configured:?}"
            )));
        }
        // RFC 8705 §5: where a client goes that shows a certificate, if that is elsewhere.
        let aliases = match settings.certificate {
            Some(_) => document.object("mtls_endpoint_aliases").map_err(odd)?,
            None => None,
        };
        let optional = |name: &'static str, configured: &Option<Url>| {
            if let Some(configured) = configured {
                return Ok(Some(configured.clone()));
            }
            // A browser goes to these two, and has no certificate to show.
            let is_for_browsers = matches!(name, "authorization_endpoint" | "end_session_endpoint");
            let alias = match &aliases {
                Some(aliases) if !is_for_browsers => aliases.text(name).map_err(odd)?,
                _ => None,
            };
            let plain = || document.text(name).map_err(odd);
            let Some(text) = alias.map_or_else(plain, |alias| Ok(Some(alias)))? else {
                return Ok(None);
            };
            let url = Url::parse(text).map_err(|_| odd(NotUnderstood(name)))?;
            if !plain_http.allows(&url) {
                return Err(fail(&format!("{name} is not https://")));
            }
            Ok(Some(url))
        };
        let required = |name, configured| {
            optional(name, configured)?.ok_or_else(|| fail(&format!("{name} is missing")))
        };
        let endpoints = &settings.endpoints;
        let par_endpoint = match settings.authorization.par {
            Par::Always => Some(required(PAR_ENDPOINT, &endpoints.par)?),
            Par::Auto => optional(PAR_ENDPOINT, &endpoints.par)?,
            Par::Never => None,
        };
        let end_session_endpoint = optional("end_session_endpoint", &endpoints.end_session)?;
        let revocation_endpoint = optional("revocation_endpoint", &endpoints.revocation)?;
        let has_logout = end_session_endpoint.is_some() || settings.logout.url.is_some();
        Ok(Self {
            listed: Listed::of(document),
            gaps: gaps::of(document, revocation_endpoint.is_some(), has_logout),
            authorization_endpoint: required("authorization_endpoint", &endpoints.authorization)?,
            token_endpoint: required("token_endpoint", &endpoints.token)?,
            jwks_uri: required("jwks_uri", &endpoints.jwks)?,
            end_session_endpoint,
            revocation_endpoint,
            // Few need it, so one that is odd keeps nobody out.
            userinfo_endpoint: optional("userinfo_endpoint", &endpoints.userinfo)
                .unwrap_or_default(),
            par_endpoint,
            iss_parameter: document
                .flag("authorization_response_iss_parameter_supported")
                .map_err(odd)?,
            algorithms: algorithms(document, settings)?,
            response_algorithms: response_algorithms(document, settings)?,
            // Odd or missing, it means that there is no DPoP.
            takes_dpop: document
                .list("dpop_signing_alg_values_supported")
                .ok()
                .flatten()
                .is_some_and(|offered| offered.iter().any(|one| one == "ES256")),
            plain_http,
        })
    }
}

/// Fetches one document. Its content counts, not its `Content-Type`.
async fn fetch(what: &str, channel: &Channel<'_>, url: &Url) -> Result<Members, OidcError> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(url.as_str())
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|_| invalid(what, &"no request can be made for its URL"))?;
    let answer = channel.send(request).await?;
    match answer.status().as_u16() {
        200..=299 => {}
        status if is_outage(status) => {
            return Err(OidcError::Unavailable(format!("{what}: status {status}")));
        }
        status => return Err(invalid(what, &format!("status {status}"))),
    }
    Members::parse(answer.body()).map_err(|_| invalid(what, &"it is no JSON object"))
}

fn algorithms(
    document: &Members,
    settings: &ClientSettings,
) -> Result<Vec<SigningAlgorithm>, OidcError> {
    const NAME: &str = "id_token_signing_alg_values_supported";
    let accepted = SigningAlgorithm::ALL.into_iter();
    let offered = document
        .list(NAME)
        .map_err(|member| invalid("discovery", &member))?;
    let is_offered =
        |name: &str| offered.is_none_or(|offered| offered.iter().any(|one| one == name));
    if let Some(configured) = settings.id_token_signed_response_alg {
        let name = configured.as_str();
        if !is_offered(name) {
            log::warn!("{:?} does not list the algorithm {name}", settings.issuer);
        }
        return Ok(vec![configured]);
    }
    let algorithms: Vec<_> = accepted
        .filter(|(name, algorithm)| is_offered(name) && settings.accepts(*algorithm))
        .map(|(_, algorithm)| algorithm)
        .collect();
    if algorithms.is_empty() {
        let why = format!("{NAME} has none that is accepted here");
        return Err(invalid("discovery", &why));
    }
    Ok(algorithms)
}

/// JARM §4. A provider that does not list them may sign with any that is accepted here.
fn response_algorithms(
    document: &Members,
    settings: &ClientSettings,
) -> Result<Vec<SigningAlgorithm>, OidcError> {
    if settings.authorization.response_mode != ResponseMode::Jwt {
        return Ok(Vec::new());
    }
    let offered = document
        .list("authorization_signing_alg_values_supported")
        .map_err(|member| invalid("discovery", &member))?;
    let accepted = SigningAlgorithm::ALL.into_iter();
    let is_offered =
        |name: &str| offered.is_none_or(|offered| offered.iter().any(|one| one == name));
    let algorithms =
        accepted.filter(|(name, algorithm)| is_offered(name) && settings.accepts(*algorithm));
    Ok(algorithms.map(|(_, algorithm)| algorithm).collect())
}

/// Where the metadata is, if nothing else is configured.
fn well_known(issuer: &str) -> Result<Url, OidcError> {
    let slash = if issuer.ends_with('/') { "" } else { "/" };
    Url::parse(&format!("{issuer}{slash}{WELL_KNOWN}"))
        .map_err(|_| invalid("discovery", &"no URL can be made for it"))
}

fn check_issuer(settings: &ClientSettings) -> Result<PlainHttp, OidcError> {
    let text = settings.issuer_address();
    let most = if settings.allow_http {
        PlainHttp::Anywhere
    } else {
        PlainHttp::OnLoopback
    };
    let issuer = Url::parse(&text).ok().filter(|issuer| {
        // OpenID Connect Discovery §3: no query, no fragment.
        most.allows(issuer) && issuer.query().is_none()
    });
    let issuer = issuer.ok_or_else(|| {
        OidcError::Invalid(format!(
            "the issuer {text:?} is not an https:// URL without query and fragment"
        ))
    })?;
    Ok(match issuer.scheme() {
        _ if settings.allow_http => PlainHttp::Anywhere,
        "http" => PlainHttp::OnLoopback,
        _ => PlainHttp::Never,
    })
}

fn invalid(what: &str, why: &dyn Display) -> OidcError {
    OidcError::Invalid(format!("{what}: {why}"))
}

/// Warns if the provider does not list what this client needs. Metadata may be incomplete, so it is only a hint at a mistake.
fn warn_of_mismatch(document: &Members, settings: &ClientSettings) {
    let issuer = &settings.issuer;
    let lacks = |name, value: &str| {
        let list = document.list(name).ok().flatten();
        list.is_some_and(|list| !list.iter().any(|one| one == value))
    };
    if lacks("code_challenge_methods_supported", "S256") {
        log::warn!("{issuer:?} does not list the PKCE method S256");
    }
    if let Some(mode) = settings.authorization.response_mode.parameter()
        && lacks("response_modes_supported", mode)
    {
        log::warn!("{issuer:?} does not list the response mode {mode}");
    }
    let client_auth = settings.client_auth.as_str();
    if lacks("token_endpoint_auth_methods_supported", client_auth) {
        log::warn!("{issuer:?} does not list the client authentication {client_auth}");
    }
    if let ClientAuth::PrivateKeyJwt(keys) = &settings.client_auth {
        let algorithm = keys.algorithm().as_str();
        if lacks(
            "token_endpoint_auth_signing_alg_values_supported",
            algorithm,
        ) {
            log::warn!("{issuer:?} does not list {algorithm}, with which the client's key signs");
        }
    }
    if let Some(keys) = &settings.authorization.request_object {
        let algorithm = keys.algorithm().as_str();
        if lacks("request_object_signing_alg_values_supported", algorithm) {
            log::warn!("{issuer:?} does not list {algorithm} for request objects");
        }
    } else if document.flag("require_signed_request_object") == Ok(true) {
        log::warn!("{issuer:?} requires signed requests (RFC 9101): set request_object = true");
    }
    if settings.dpop == Dpop::Always && lacks("dpop_signing_alg_values_supported", "ES256") {
        log::warn!("{issuer:?} does not list ES256, with which DPoP proofs are signed");
    }
    let is_pushed = settings.authorization.par != Par::Never
        && (settings.endpoints.par.is_some() || document.has(PAR_ENDPOINT));
    if document.flag("require_pushed_authorization_requests") == Ok(true) && !is_pushed {
        let remedy = match settings.authorization.par {
            Par::Never => "remove par = \"never\"",
            Par::Always | Par::Auto => "write its address at endpoints.par",
        };
        log::warn!("{issuer:?} requires pushed authorization requests (RFC 9126): {remedy}");
    }
}
