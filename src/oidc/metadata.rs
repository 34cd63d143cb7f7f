//! Provider metadata: discovered, checked, and reduced to what this client uses.
//!
//! # Invariants
//! - The document's `issuer` equals the configured one byte for byte; nothing is normalised (B39).
//! - Every endpoint is https, or plain HTTP on loopback if the issuer is so itself. `Channel` holds
//!   every request to that; the endpoints that a browser or a secret goes to are checked here as
//!   well.
//!
//! # Spec
//! OpenID Connect Discovery 1.0 §3, §4.3; RFC 8414 §2; RFC 9207 §3.

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, IssuerUrl, JsonWebKeySet, JsonWebKeySetUrl,
    ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::{IdpClient, is_outage};
use super::{ClientAuth, OidcError};
use crate::names::is_loopback_host;

/// What may sign an ID token. `none` and the HMACs never do: a client secret is no signing key (RFC
/// 8725 §3.1).
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Whether a provider may be reached without TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PlainHttp {
    /// The issuer is https: so is everything else.
    Never,
    /// The issuer is http on this machine: its endpoints may be, too.
    OnLoopback,
}

impl PlainHttp {
    /// Whether requests, or a browser, may be sent there.
    pub(super) fn allows(self, url: &Url) -> bool {
        let secure = match url.scheme() {
            "https" => true,
            "http" => {
                self == Self::OnLoopback && url.host().is_some_and(|host| is_loopback_host(&host))
            }
            _ => false,
        };
        secure && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    }
}

/// The endpoints and abilities of a provider.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: JsonWebKeySetUrl,
    pub(super) end_session_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    /// `iss` is in every authorization response (RFC 9207).
    pub(super) iss_parameter: bool,
    /// Accepted here and offered there.
    pub(super) algorithms: Vec<CoreJwsSigningAlgorithm>,
    pub(super) plain_http: PlainHttp,
}

impl Metadata {
    /// Fetches an issuer's metadata and its keys.
    pub(super) async fn discover(
        issuer: &str,
        client_auth: ClientAuth,
        http: &IdpClient,
    ) -> Result<(Self, CoreJsonWebKeySet), OidcError> {
        let (issuer, plain_http) = parse_issuer(issuer)?;
        let document = Document::discover_async(issuer, &http.within(plain_http))
            .await
            .map_err(|error| what_failed("discovery", error))?;
        let keys = document.jwks().clone();
        let metadata = Self::accept(&document, plain_http)?;
        warn_of_mismatch(&document, client_auth);
        Ok((metadata, keys))
    }

    /// Fetches the keys anew. Keys of unknown types are left out (RFC 7517 §5).
    pub(super) async fn fetch_keys(
        &self,
        http: &IdpClient,
    ) -> Result<CoreJsonWebKeySet, OidcError> {
        let keys = JsonWebKeySet::fetch_async(&self.jwks_uri, &http.within(self.plain_http))
            .await
            .map_err(|error| what_failed("key set", error))?;
        if keys.keys().is_empty() {
            return Err(OidcError::Invalid(
                "key set: no usable key in it".to_owned(),
            ));
        }
        Ok(keys)
    }

    fn accept(document: &Document, plain_http: PlainHttp) -> Result<Self, OidcError> {
        let endpoint = |name: &str, url: &Url| {
            let allowed = plain_http.allows(url).then(|| url.clone());
            allowed.ok_or_else(|| OidcError::Invalid(format!("discovery: {name} is not https://")))
        };
        let more = document.additional_metadata();
        let optional =
            |name: &str, url: &Option<Url>| url.as_ref().map(|url| endpoint(name, url)).transpose();
        let token_endpoint = document
            .token_endpoint()
            .ok_or_else(|| OidcError::Invalid("discovery: no token_endpoint".to_owned()))?;
        let offered = document.id_token_signing_alg_values_supported();
        let algorithms: Vec<_> = ALGORITHMS
            .into_iter()
            .filter(|algorithm| offered.contains(algorithm))
            .collect();
        if algorithms.is_empty() {
            return Err(OidcError::Invalid(
                "discovery: none of the offered ID token signature algorithms is accepted here"
                    .to_owned(),
            ));
        }
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                document.authorization_endpoint().url(),
            )?,
            token_endpoint: endpoint("token_endpoint", token_endpoint.url())?,
            jwks_uri: document.jwks_uri().clone(),
            end_session_endpoint: optional("end_session_endpoint", &more.end_session_endpoint)?,
            revocation_endpoint: optional("revocation_endpoint", &more.revocation_endpoint)?,
            iss_parameter: more
                .authorization_response_iss_parameter_supported
                .unwrap_or_default(),
            algorithms,
            plain_http,
        })
    }
}

type Document = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Members that `openidconnect` does not know.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Further {
    authorization_response_iss_parameter_supported: Option<bool>,
    code_challenge_methods_supported: Option<Vec<String>>,
    end_session_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for Further {}

fn parse_issuer(text: &str) -> Result<(IssuerUrl, PlainHttp), OidcError> {
    let issuer = IssuerUrl::new(text.to_owned()).ok().filter(|issuer| {
        // OpenID Connect Discovery §3: no query, no fragment.
        PlainHttp::OnLoopback.allows(issuer.url()) && issuer.url().query().is_none()
    });
    let issuer = issuer.ok_or_else(|| {
        OidcError::Invalid(format!(
            "the issuer {text:?} is not an https:// URL without query and fragment"
        ))
    })?;
    let plain_http = match issuer.url().scheme() {
        "http" => PlainHttp::OnLoopback,
        _ => PlainHttp::Never,
    };
    Ok((issuer, plain_http))
}

fn what_failed(what: &str, error: DiscoveryError<OidcError>) -> OidcError {
    let invalid = |why: String| OidcError::Invalid(format!("{what}: {why}"));
    match error {
        DiscoveryError::Request(error) => error,
        DiscoveryError::Response(status, _, _) => match status.as_u16() {
            200 => invalid("the content type is not application/json".to_owned()),
            status if is_outage(status) => {
                OidcError::Unavailable(format!("{what}: status {status}"))
            }
            status => invalid(format!("status {status}")),
        },
        DiscoveryError::Parse(error) => {
            let place: String = error.path().to_string().escape_debug().take(80).collect();
            invalid(format!("not readable as JSON of its kind, at {place}"))
        }
        // Names both issuers. They are the first thing an operator needs; neither is secret.
        DiscoveryError::Validation(text) => {
            invalid(text.escape_debug().take(300).collect::<String>())
        }
        _ => invalid("no URL can be made for it".to_owned()),
    }
}

/// What the provider says of itself may be incomplete, so this only helps to find a mistake.
fn warn_of_mismatch(document: &Document, client_auth: ClientAuth) {
    let methods = &document
        .additional_metadata()
        .code_challenge_methods_supported;
    if methods
        .as_ref()
        .is_some_and(|m| !m.iter().any(|m| m == "S256"))
    {
        log::warn!(
            "{:?} does not list the PKCE method S256",
            document.issuer().as_str()
        );
    }
    let expected = match client_auth {
        ClientAuth::ClientSecretBasic => CoreClientAuthMethod::ClientSecretBasic,
        ClientAuth::ClientSecretPost => CoreClientAuthMethod::ClientSecretPost,
    };
    let methods = document.token_endpoint_auth_methods_supported();
    if methods.is_some_and(|methods| !methods.contains(&expected)) {
        log::warn!(
            "{:?} does not list the client authentication {}",
            document.issuer().as_str(),
            client_auth.as_str()
        );
    }
}
