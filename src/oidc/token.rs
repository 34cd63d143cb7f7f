//! The back channel: code and refresh token to tokens, and revocation.
//!
//! # Invariants
//! - Every request carries client authentication, and secrets are in a header or a body, never in a
//!   URL.
//! - One call, one request: a refresh that is repeated after a lost answer may end the session (RFC
//!   9700 §4.14.2).
//! - Of an error answer only a code that the specifications define is kept; descriptions are
//!   dropped.
//!
//! # Spec
//! RFC 6749 §2.3.1, §4.1.3, §5, §6; RFC 7009; RFC 7636 §4.5; RFC 8707 §2.2.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use openidconnect::{AccessToken, HttpRequest, HttpResponse, PkceCodeVerifier, RefreshToken};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::{Zeroize, Zeroizing};

use super::http::{Channel, is_outage};
use super::{ClientAuth, ClientSettings, IdpClient, OidcError, Provider, TokenResponse};

/// Lifetime of an access token where the provider names none.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// RFC 6749 §5.2, RFC 8707 §2, RFC 7009 §2.2.1.
const ERROR_CODES: [&str; 8] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "unsupported_token_type",
];

impl Provider {
    /// Code to tokens.
    pub async fn exchange_code(
        &self,
        http: &IdpClient,
        code: &str,
        verifier: PkceCodeVerifier,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.settings().redirect_uri),
            ("code_verifier", verifier.secret()),
        ];
        let (channel, request) = self.token_request(http, &grant).await?;
        let answer = channel.send(request).await;
        self.heard(&answer);
        read_and_erase(answer?).1
    }

    /// Refresh token to tokens. Exactly one request, never repeated.
    pub async fn refresh(
        &self,
        http: &IdpClient,
        token: &RefreshToken,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.secret()),
        ];
        let (channel, request) = self.token_request(http, &grant).await?;
        let answer = channel.send_once(request).await;
        self.heard(&answer);
        let (status, tokens) = read_and_erase(answer.map_err(lost)?);
        // A success that cannot be read is one all the same.
        let tokens = match tokens {
            Err(error) if status.is_success() => return Err(lost(error)),
            // A gateway that got no answer does not know either.
            Err(_) if matches!(status.as_u16(), 502 | 504) => {
                return Err(OidcError::Lost(format!("status {}", status.as_u16())));
            }
            tokens => tokens?,
        };
        if let Some(newer) = &tokens.refresh_token
            && newer.secret() != token.secret()
        {
            self.note_rotation();
        }
        Ok(tokens)
    }

    /// RFC 7009.
    pub async fn revoke(
        &self,
        http: &IdpClient,
        token: &str,
        hint: &'static str,
    ) -> Result<Revoked, OidcError> {
        let known = self.known(http).await?;
        let Some(endpoint) = &known.metadata.revocation_endpoint else {
            return Ok(Revoked::NotOffered);
        };
        let form = [("token", token), ("token_type_hint", hint)];
        let request = request(self.settings(), endpoint, &form, &[])?;
        let channel = http.within(known.metadata.plain_http);
        let answer = channel.send(request).await?;
        // RFC 7009 §2.2: 200 for an unknown token, too.
        if answer.status().is_success() {
            return Ok(Revoked::Done);
        }
        Err(refusal(&answer))
    }

    /// The client's own token (RFC 6749 §4.4); an empty scope leaves the choice to the provider.
    pub(super) async fn client_credentials(
        &self,
        http: &IdpClient,
        scope: &str,
    ) -> Result<TokenResponse, OidcError> {
        let grant = [("grant_type", "client_credentials"), ("scope", scope)];
        let wanted = if scope.is_empty() { 1 } else { 2 };
        let grant = grant.get(..wanted).unwrap_or_default();
        let (channel, request) = self.token_request(http, grant).await?;
        let answer = channel.send(request).await;
        self.heard(&answer);
        read_and_erase(answer?).1
    }

    async fn token_request<'h>(
        &self,
        http: &'h IdpClient,
        grant: &[(&str, &str)],
    ) -> Result<(Channel<'h>, HttpRequest), OidcError> {
        let known = self.known(http).await?;
        let settings = self.settings();
        let endpoint = &known.metadata.token_endpoint;
        let request = request(settings, endpoint, grant, &settings.resources)?;
        Ok((http.within(known.metadata.plain_http), request))
    }
}

/// What became of a token that was to be revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// The provider has revoked it, or did not know it.
    Done,
    /// The provider has no revocation endpoint: the token lives on.
    NotOffered,
}

fn read_and_erase(mut answer: HttpResponse) -> (StatusCode, Result<TokenResponse, OidcError>) {
    let tokens = read(&answer);
    answer.body_mut().zeroize();
    (answer.status(), tokens)
}

/// What the provider said is no answer, so nobody knows what it did.
fn lost(error: OidcError) -> OidcError {
    match error {
        OidcError::Invalid(text) => OidcError::Lost(text),
        error => error,
    }
}

fn request(
    settings: &ClientSettings,
    endpoint: &Url,
    params: &[(&str, &str)],
    resources: &[Url],
) -> Result<HttpRequest, OidcError> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(params)
        .extend_pairs(resources.iter().map(|uri| ("resource", uri)));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    match settings.client_auth {
        ClientAuth::ClientSecretBasic => request = request.header(AUTHORIZATION, basic(settings)?),
        ClientAuth::ClientSecretPost => {
            form.append_pair("client_id", &settings.client_id)
                .append_pair("client_secret", settings.client_secret.secret());
        }
    }
    request
        .body(form.finish().into_bytes())
        .map_err(|_| OidcError::Invalid("no request can be made for the endpoint".to_owned()))
}

/// RFC 6749 §2.3.1: identifier and secret are form-urlencoded, each by itself, before Basic joins
/// them.
fn basic(settings: &ClientSettings) -> Result<HeaderValue, OidcError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let id = encode(&settings.client_id);
    let secret = Zeroizing::new(encode(settings.client_secret.secret()));
    let pair = Zeroizing::new(format!("{id}:{}", *secret));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| OidcError::Invalid("no header can be made of the credentials".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 6749 §5.1, and what providers and the draft oauth-refresh-token-expiration say of lifetimes. Members that are not
/// named here are ignored.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
    refresh_expires_in: Option<Value>,
    refresh_token_expires_in: Option<Value>,
    refresh_token_timeout: Option<Value>,
    authorization_expires_in: Option<Value>,
    refresh_token: Option<String>,
    scope: Option<String>,
    id_token: Option<String>,
}

fn read(answer: &HttpResponse) -> Result<TokenResponse, OidcError> {
    let invalid = |why: &str| OidcError::Invalid(format!("token response: {why}"));
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer));
    }
    // SECURITY: serde's message may quote a token, so it is dropped.
    let answer: Answer = serde_json::from_slice(answer.body())
        .map_err(|_| invalid("not JSON with the members of RFC 6749 §5.1"))?;
    // RFC 6749 §5.1: case does not matter.
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err(invalid("token_type is not Bearer"));
    }
    // RFC 6749 §A.12; it must also be a header value.
    if answer.access_token.is_empty() || !answer.access_token.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(invalid("access_token is empty or not visible ASCII"));
    }
    let expires_in = match &answer.expires_in {
        None => DEFAULT_LIFETIME,
        Some(value) => seconds(value).ok_or_else(|| invalid("expires_in is not a lifetime"))?,
    };
    let refresh_lifetimes = [
        answer.refresh_expires_in.as_ref(),
        answer.refresh_token_expires_in.as_ref(),
        answer.refresh_token_timeout.as_ref(),
    ];
    Ok(TokenResponse {
        refresh_expires_in: refresh_lifetimes.into_iter().filter_map(stated).min(),
        authorization_expires_in: stated(answer.authorization_expires_in.as_ref()),
        access_token: AccessToken::new(answer.access_token),
        refresh_token: answer
            .refresh_token
            .filter(|token| !token.is_empty())
            .map(RefreshToken::new),
        id_token: answer.id_token.filter(|token| !token.is_empty()),
        expires_in,
        scope: answer.scope,
    })
}

/// A lifetime that a session can do without. Keycloak writes 0 for a token without an end.
fn stated(value: Option<&Value>) -> Option<Duration> {
    seconds(value?).filter(|lifetime| !lifetime.is_zero())
}

/// A number; some providers write it as a string.
fn seconds(value: &Value) -> Option<Duration> {
    let secs = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(secs.trunc()).ok()
}

/// What an answer that is no success means.
fn refusal(answer: &HttpResponse) -> OidcError {
    #[derive(Deserialize)]
    struct ErrorAnswer {
        error: String,
    }
    let status = answer.status().as_u16();
    if is_outage(status) {
        return OidcError::Unavailable(format!("status {status}"));
    }
    let error = serde_json::from_slice(answer.body()).map(|answer: ErrorAnswer| answer.error);
    match error.as_deref() {
        // RFC 6749 §4.1.2.1 has these for the other endpoint; some providers answer them here.
        Ok("temporarily_unavailable" | "server_error") => {
            OidcError::Unavailable(format!("status {status}"))
        }
        Ok(error) if (400..500).contains(&status) && ERROR_CODES.contains(&error) => {
            OidcError::Rejected(error.to_owned())
        }
        _ => OidcError::Invalid(format!(
            "status {status} without an error code of RFC 6749 §5.2"
        )),
    }
}
