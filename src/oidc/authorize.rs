//! What the browser carries: the authorization request, its answer's `iss`, and the logout request.
//!
//! # Invariants
//! - `response_type` is `code`, the challenge is S256, and nonce, verifier and the beginning of `state` are fresh 32 bytes.
//! - Of a request that reached us, only [`LoginParams`] get into these URLs.
//!
//! # Spec
//! OpenID Connect Core §3.1.2.1; RFC 7636 §4; RFC 8707 §2.1; RFC 9126 §4; RFC 9207; RFC 9449 §10; OpenID Connect RP-Initiated Logout §2.

use std::fmt;

use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier};
use url::Url;

use super::{IdTokenHint, IdpClient, OidcError, Profile, Provider, ProviderLogout};
use crate::keyring::Kid;

/// Random bytes in `state` and `nonce`: 43 characters of base64url.
const RANDOM_BYTES: u32 = 32;

/// Longest URL of a logout that carries an ID token without being told to; many servers take no more than 2,048 characters.
const LONGEST_LOGOUT_URL: usize = 2000;

/// What one login may ask for beyond the configuration; only from an allow-list.
#[derive(Clone, Debug, Default)]
pub struct LoginParams {
    /// `prompt`
    pub prompt: Option<String>,
    /// `acr_values`
    pub acr_values: Option<String>,
    /// `max_age`, seconds
    pub max_age: Option<u64>,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `ui_locales`
    pub ui_locales: Option<String>,
    /// Those that `oidc.login_params` names.
    pub more: Vec<(String, String)>,
}

/// An authorization request, and what its answer must be checked against.
pub struct AuthorizationRequest {
    /// Where the browser goes.
    pub url: Url,
    /// `nonce`, 32 random bytes in base64url.
    pub nonce: Nonce,
    /// PKCE verifier, likewise (S256).
    pub verifier: PkceCodeVerifier,
    /// The key that the code is bound to, if it is to one (`dpop_jkt`).
    pub proof_key: Option<Kid>,
}

impl fmt::Debug for AuthorizationRequest {
    // SECURITY: `state` (in the URL too) is what stops a forged answer; it stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("endpoint", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// A fresh random text, for `state` to begin with.
    pub fn random_state() -> String {
        CsrfToken::new_random_len(RANDOM_BYTES).into_secret()
    }

    /// An authorization code request with PKCE S256, nonce and this `state`. It is signed if that is configured, and pushed if the
    /// provider takes that.
    pub async fn authorize(
        &self,
        http: &IdpClient,
        params: &LoginParams,
        state: &str,
    ) -> Result<AuthorizationRequest, OidcError> {
        let known = self.known(http).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = Nonce::new_random_len(RANDOM_BYTES);
        let settings = self.settings();
        let scope = settings.scope();
        let mut ours = vec![
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", &settings.redirect_uri),
            ("scope", &scope),
            ("state", state),
            ("nonce", nonce.secret()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", challenge.method()),
        ];
        let response_mode = settings.authorization.response_mode.parameter();
        ours.extend(response_mode.map(|mode| ("response_mode", mode)));
        let proof_key = self.proof_key(&known.metadata)?;
        let dpop_jkt = proof_key.as_ref().map(|key| ("dpop_jkt", key.thumbprint()));
        let asked = asked_for(params);
        let resources = settings
            .resources
            .iter()
            .map(|uri| ("resource", uri.as_str()));
        let mut all: Vec<(&str, &str)> = ours
            .iter()
            .copied()
            .chain(dpop_jkt)
            .chain(resources)
            .collect();
        all.extend(asked.iter().map(|(name, value)| (*name, value.as_str())));
        let fixed = settings.extra_params.iter().filter(|(name, _)| {
            // RFC 6749 §3.1: a parameter comes once. What this login asks for has precedence.
            !ours.iter().any(|(ours, _)| ours == name)
                && !asked.iter().any(|(asked, _)| asked == name)
        });
        all.extend(fixed.map(|(name, value)| (name.as_str(), value.as_str())));
        let signing = settings.authorization.request_object.as_ref();
        let signed = signing.map(|keys| self.request_object(keys, &all));
        let signed = signed.transpose()?;
        let client = ("client_id", settings.client_id.as_str());
        if let Some(request) = &signed {
            all = vec![client, ("request", request)];
        }
        let mut url = known.metadata.authorization_endpoint.clone();
        if let Some(endpoint) = &known.metadata.par_endpoint {
            let reference = self
                .push(http, &known, endpoint, &all, proof_key.as_deref())
                .await?;
            // RFC 9126 §4
            let carried = [client, ("request_uri", &reference)];
            url.query_pairs_mut().extend_pairs(carried);
        } else {
            url.query_pairs_mut().extend_pairs(all);
            if signed.is_some() {
                // OpenID Connect Core §6.1 wants these outside, too.
                let outside = [("response_type", "code"), ("scope", &scope)];
                url.query_pairs_mut().extend_pairs(outside);
            }
        }
        Ok(AuthorizationRequest {
            url,
            nonce,
            verifier,
            proof_key: proof_key.map(|key| key.kid()),
        })
    }

    /// RFC 9207: exact comparison if present; an error if absent though advertised, or though the profile requires it.
    pub async fn check_iss(&self, http: &IdpClient, iss: Option<&str>) -> Result<(), OidcError> {
        let wrong = match iss {
            Some(iss) if self.settings().is_issuer(iss) => return Ok(()),
            Some(_) => "the authorization response is from another issuer",
            // FAPI 2.0 Security Profile §5.3.3.2
            None if self.settings().profile == Some(Profile::Fapi2) => {
                "the authorization response lacks iss"
            }
            None if self.known(http).await?.metadata.iss_parameter => {
                "the authorization response lacks the advertised iss"
            }
            None => return Ok(()),
        };
        Err(OidcError::Invalid(wrong.to_owned()))
    }

    /// The `end_session_endpoint` with its parameters; `None` if the provider has none.
    pub async fn end_session_url(
        &self,
        http: &IdpClient,
        id_token_hint: Option<&str>,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Result<Option<Url>, OidcError> {
        let ProviderLogout {
            url,
            id_token_hint: policy,
            ..
        } = &self.settings().logout;
        let url = match url {
            Some(url) => url.clone(),
            None => match &self.known(http).await?.metadata.end_session_endpoint {
                Some(url) => url.clone(),
                None => return Ok(None),
            },
        };
        let with = |hint: Option<&str>| {
            let mut url = url.clone();
            let params = self.logout_params(hint, post_logout_redirect_uri, state);
            url.query_pairs_mut().extend_pairs(params);
            url
        };
        let full = with(id_token_hint.filter(|_| *policy != IdTokenHint::Never));
        let is_too_long = *policy == IdTokenHint::Auto && full.as_str().len() > LONGEST_LOGOUT_URL;
        Ok(Some(if is_too_long { with(None) } else { full }))
    }

    /// What RP-initiated logout §2 has, with what the configuration puts beside it, in its place, or takes away.
    fn logout_params(
        &self,
        id_token_hint: Option<&str>,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Vec<(String, String)> {
        let hint = id_token_hint.unwrap_or_default();
        let specified = [
            ("id_token_hint", hint),
            ("client_id", self.settings().client_id.as_str()),
            ("post_logout_redirect_uri", post_logout_redirect_uri),
            ("state", state),
        ];
        let configured = &self.settings().logout.params;
        let filled = |text: &String| {
            let fill = |text: String, (name, value): &(&str, &str)| {
                text.replace(&format!("{{{name}}}"), value)
            };
            specified.iter().fold(text.clone(), fill)
        };
        let kept = specified
            .iter()
            .filter(|(name, _)| !configured.contains_key(*name));
        kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(
                configured
                    .iter()
                    .map(|(name, text)| (name.clone(), filled(text))),
            )
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }
}

fn asked_for(params: &LoginParams) -> Vec<(&str, String)> {
    let max_age = params.max_age.map(|secs| secs.to_string());
    [
        ("prompt", params.prompt.clone()),
        ("acr_values", params.acr_values.clone()),
        ("max_age", max_age),
        ("login_hint", params.login_hint.clone()),
        ("ui_locales", params.ui_locales.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .chain(
        params
            .more
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    )
    .collect()
}
