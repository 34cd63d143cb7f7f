//! What fails at the first login, found before it: for `--check --online`.
//!
//! A code that nobody issued goes to the token endpoint: whoever says `invalid_grant` has accepted the client. An
//! authorization request goes out without a person behind it, and is not followed: a provider that knows client and redirect
//! URI sends it back, or on to its pages.
//!
//! # Spec
//! RFC 6749 §4.1.2.1, §5.2; OpenID Connect Core §3.1.2.6; Discovery 1.0 §3 (`scopes_supported`, `claims_supported`).

use http::header::{ACCEPT, LOCATION};
use openidconnect::PkceCodeChallenge;
use url::Url;

use super::drift::REMEDY as SET_CLOCKS;
use super::error_code::known_code;
use super::{IdpClient, LoginParams, OidcError, Provider};
use crate::telemetry::metrics::ProviderCall;

/// Something that a trial found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The key below `frontend.<name>.oidc` that it is about.
    pub key: &'static str,
    /// What is so.
    pub what: String,
    /// What to do; `None` for a note, with which logins work.
    pub remedy: Option<&'static str>,
}

impl Finding {
    fn note(key: &'static str, what: String) -> Self {
        Self {
            key,
            what,
            remedy: None,
        }
    }
}

impl Provider {
    /// Tries this client at its provider, once. `claims` are the names of ID token claims that are kept.
    pub async fn try_client(
        &self,
        idp: &IdpClient,
        claims: &[String],
    ) -> Result<Vec<Finding>, OidcError> {
        let mut findings: Vec<Finding> = self.try_token_endpoint(idp).await.into_iter().collect();
        // Who does not know the client says so twice.
        if findings.is_empty() {
            findings.extend(self.try_authorization(idp).await?);
        }
        // The token endpoint has told its time.
        findings.extend(self.clock_apart().map(|what| Finding {
            key: "issuer",
            what,
            remedy: Some(SET_CLOCKS),
        }));
        findings.extend(self.compare(idp, claims).await?);
        let gaps = self.gaps().into_iter();
        findings.extend(gaps.map(|gap| Finding::note("issuer", gap.to_string())));
        Ok(findings)
    }

    async fn try_token_endpoint(&self, idp: &IdpClient) -> Option<Finding> {
        let (_, verifier) = PkceCodeChallenge::new_random_sha256();
        let error = self
            .exchange_code(idp, "a-code-that-nobody-issued", verifier, None)
            .await
            .err()?;
        let finding = |key, what: String, remedy| Finding {
            key,
            what,
            remedy: Some(remedy),
        };
        match &error {
            OidcError::Rejected(code) if code == "invalid_client" => Some(finding(
                "client_secret",
                "the token endpoint does not accept the client: invalid_client".to_owned(),
                "see that client_id, client_auth and the secret or the key are those of the client that is registered",
            )),
            OidcError::Rejected(code) if code == "unauthorized_client" => Some(finding(
                "client_id",
                "the client may not use authorization codes: unauthorized_client".to_owned(),
                "allow the client the authorization code flow at the provider",
            )),
            // The code was refused, as it should be, and the client was not.
            OidcError::Rejected(_) => None,
            other => Some(finding(
                "issuer",
                format!("the token endpoint: {other}"),
                "see that the token endpoint can be reached from here and that it is one",
            )),
        }
    }

    async fn try_authorization(&self, idp: &IdpClient) -> Result<Option<Finding>, OidcError> {
        let params = LoginParams {
            prompt: Some("none".to_owned()),
            ..LoginParams::default()
        };
        let refused = |what: String| Finding {
            key: "client_id",
            what,
            remedy: Some(
                "register the client, and its redirect URI exactly as it stands here, at the provider",
            ),
        };
        let redirect_uri = &self.settings().redirect_uri;
        let request = match self.authorize(idp, &params, &Self::random_state()).await {
            Ok(request) => request,
            // It was pushed, and refused.
            Err(error @ OidcError::Rejected(_)) => {
                return Ok(Some(refused(format!(
                    "the authorization request with {redirect_uri}: {error}"
                ))));
            }
            Err(error) => return Err(error),
        };
        let known = self.known(idp).await?;
        let get = http::Request::get(request.url.as_str())
            .header(ACCEPT, "text/html")
            .body(Vec::new())
            .map_err(|_| OidcError::Invalid("the authorization endpoint is no URL".to_owned()))?;
        // Nobody counts the calls of a trial.
        let channel = self.channel(idp, ProviderCall::Discovery, &known.metadata);
        let answer = channel.send(get).await?;
        let status = answer.status();
        if status.is_client_error() {
            return Ok(Some(refused(format!(
                "the authorization endpoint answers {} to a login that returns to {redirect_uri}",
                status.as_u16()
            ))));
        }
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|value| request.url.join(value.to_str().ok()?).ok());
        let is_ours = |url: &Url| url.as_str().starts_with(redirect_uri.as_str());
        let on_own_page = location.as_ref().is_some_and(|url| !is_ours(url));
        let error = location.and_then(|url| {
            let (_, code) = url.query_pairs().find(|(name, _)| name == "error")?;
            Some(known_code(&code))
        });
        Ok(match error {
            // Who must not send the browser back to the client tells the person on a page (RFC 6749 §4.1.2.1).
            Some(code @ ("invalid_request" | "invalid_client" | "unauthorized_client"))
                if on_own_page =>
            {
                Some(refused(format!(
                    "the provider shows an error page of its own at a login that returns to {redirect_uri}: {code}"
                )))
            }
            // Core §3.1.2.6 wants an error at the client. Spring Authorization Server sends to its login page even what it has refused.
            _ if on_own_page => Some(Finding::note(
                "client_id",
                format!(
                    "the provider sends a login without a user to a page of its own, so the first login shows whether {redirect_uri} is registered"
                ),
            )),
            Some("unauthorized_client" | "unsupported_response_type") => Some(refused(
                "the client may not use the authorization code flow".to_owned(),
            )),
            Some("invalid_scope") => Some(Finding {
                key: "scopes",
                what: "the provider does not give these scopes: invalid_scope".to_owned(),
                remedy: Some(
                    "allow the client these scopes at the provider, or leave out those that it does not know",
                ),
            }),
            Some(code @ ("invalid_request" | "invalid_target" | "other")) => Some(Finding::note(
                "issuer",
                format!("the provider answers a login without a user with {code}"),
            )),
            // It has no user to answer for, as it should be.
            _ => None,
        })
    }

    /// What is asked for and not listed. Providers need not list everything (Discovery 1.0 §3).
    async fn compare(&self, idp: &IdpClient, claims: &[String]) -> Result<Vec<Finding>, OidcError> {
        let known = self.known(idp).await?;
        let listed = &known.metadata.listed;
        let missing = |list: &Option<Vec<String>>, wanted: &[String]| {
            let list = list.as_ref()?;
            let missing = wanted.iter().filter(|one| !list.contains(one));
            let missing: Vec<&str> = missing.map(String::as_str).collect();
            (!missing.is_empty()).then(|| missing.join(", "))
        };
        let scope = self.settings().scope();
        let scopes: Vec<_> = scope.split(' ').map(str::to_owned).collect();
        let scopes = missing(&listed.scopes, &scopes)
            .map(|names| Finding::note("scopes", format!("the provider does not list {names}")));
        let claims = missing(&listed.claims, claims).map(|names| {
            Finding::note(
                "issuer",
                format!("the provider does not list the claims {names}"),
            )
        });
        Ok(scopes.into_iter().chain(claims).collect())
    }
}
