//! The back channel: code and refresh token to tokens, and revocation.
//!
//! # Invariants
//! - Every request carries client authentication, and secrets are in a header or a body, never in a
//!   URL.
//! - One call, one request: a refresh that is repeated after a lost answer may end the session (RFC
//!   9700 §4.14.2).
//! - Of an error answer only a code that the specifications define is kept; its description is at most logged, at DEBUG.
//! - Of an answer only the members that are used are judged, and an error names the one that was not understood.
//!
//! # Spec
//! RFC 6749 §2.3.1, §4.1.3, §5, §6; RFC 7009; RFC 7636 §4.5; RFC 8707 §2.2.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use openidconnect::{AccessToken, HttpRequest, HttpResponse, PkceCodeVerifier, RefreshToken};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::{Zeroize, Zeroizing};

use super::http::{Channel, is_outage};
use super::members::{Members, NotUnderstood, Unreadable};
use super::refusal::{known_code, quotable, speaks_of_the_request};
use super::{ClientAuth, ClientSettings, IdpClient, OidcError, Provider, TokenResponse};

/// The shortest lifetime of an access token that is believed: a token that had none at all would be replaced by each
/// request.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5);

/// Parameters of a token request that a provider's words must not repeat in a log.
const SECRET_PARAMS: [&str; 4] = ["code", "code_verifier", "refresh_token", "token"];

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
        self.read_and_erase(answer?, &grant)
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
        let answer = answer.map_err(lost)?;
        let status = answer.status().as_u16();
        let is_page = is_page(&answer);
        let tokens = match self.read_and_erase(answer, &grant) {
            // A gateway that got no answer does not know either.
            Err(_) if matches!(status, 502 | 504) => {
                return Err(OidcError::Lost(format!("status {status}")));
            }
            // A server in between that refuses everybody is an outage, whatever status it says.
            Err(OidcError::Invalid(text)) if is_page => {
                return Err(OidcError::Unavailable(format!("{text}, on a page")));
            }
            Err(OidcError::Invalid(text)) if speaks_of_the_request(status) => {
                return Err(OidcError::Rejected(text));
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
        Err(self.refusal(&answer, &form))
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
        self.read_and_erase(answer?, grant)
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

/// What came is no HTTP, so nobody knows what the provider did.
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

/// RFC 6749 §5.1, and what providers and the draft oauth-refresh-token-expiration say of lifetimes.
fn tokens(mut answer: Members, settings: &ClientSettings) -> Result<TokenResponse, NotUnderstood> {
    let pass_over = |member: NotUnderstood| {
        let issuer = &settings.issuer;
        log::warn!("{issuer:?}: token response: {member}, and passed over");
    };
    // RFC 6749 §5.1: case does not matter. Some providers leave it out, and there is one kind of token here.
    let token_type = answer.take_text("token_type")?;
    if !token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(NotUnderstood("token_type"));
    }
    // RFC 6749 §A.12; it must also be a header value.
    let access_token = answer.take_text("access_token")?;
    let access_token = access_token.filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    // What is written in another way than a lifetime is as good as not said.
    let lifetime = |name| answer.lifetime(name).map_err(pass_over).ok().flatten();
    // Keycloak writes 0 for a token without an end.
    let stated = |name| lifetime(name).filter(|lifetime| !lifetime.is_zero());
    let expires_in = lifetime("expires_in").unwrap_or(settings.expires_in);
    let refresh_expires_in = [
        "refresh_expires_in",
        "refresh_token_expires_in",
        "refresh_token_timeout",
    ];
    let refresh_expires_in = refresh_expires_in.into_iter().filter_map(stated).min();
    let authorization_expires_in = stated("authorization_expires_in");
    // A scope that cannot be read grants nothing that a route may require.
    let scope = answer.words("scope").map_err(pass_over);
    let scope = scope.unwrap_or_else(|()| Some(String::new()));
    let refresh_token = answer.take_text("refresh_token");
    let refresh_token = refresh_token.map_err(pass_over).ok().flatten();
    Ok(TokenResponse {
        access_token: AccessToken::new(access_token.ok_or(NotUnderstood("access_token"))?),
        refresh_token: refresh_token.map(RefreshToken::new),
        id_token: answer.take_text("id_token")?,
        expires_in: expires_in.max(SHORTEST_LIFETIME),
        refresh_expires_in,
        authorization_expires_in,
        scope,
    })
}

/// Whether a server in between answered with a page for people.
fn is_page(answer: &HttpResponse) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    content_type.is_some_and(|kind| kind.trim_start().starts_with("text/html"))
}

impl Provider {
    fn read_and_erase(
        &self,
        mut answer: HttpResponse,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, OidcError> {
        let tokens = self.read(&answer, grant);
        answer.body_mut().zeroize();
        tokens
    }

    fn read(
        &self,
        answer: &HttpResponse,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, OidcError> {
        if !answer.status().is_success() {
            return Err(self.refusal(answer, grant));
        }
        let unusable = |why: &dyn Display| OidcError::Unusable(format!("token response: {why}"));
        let members = match Members::parse(answer.body()) {
            Ok(members) => members,
            // RFC 9110 §15.3.5: after a 204 there is nothing to be cut off.
            Err(Unreadable::CutOff) if answer.status() != StatusCode::NO_CONTENT => {
                return Err(OidcError::Lost("token response: it is cut off".to_owned()));
            }
            Err(Unreadable::NoObject) if is_page(answer) => {
                return Err(OidcError::Lost("token response: it is a page".to_owned()));
            }
            Err(_) => return Err(unusable(&"it is no JSON object")),
        };
        // Some say 200 and mean an error.
        if members.has("error") && !members.has("access_token") {
            return Err(self.refusal(answer, grant));
        }
        tokens(members, self.settings()).map_err(|member| unusable(&member))
    }

    /// What an answer that is no success means.
    fn refusal(&self, answer: &HttpResponse, sent: &[(&str, &str)]) -> OidcError {
        let status = answer.status().as_u16();
        let mut members = Members::parse(answer.body()).ok();
        let mut text = |name| members.as_mut()?.take_text(name).ok()?;
        let code = text("error").map(|code| known_code(&code));
        if let Some(words) = text("error_description") {
            let sent = sent.iter().filter(|(name, _)| SECRET_PARAMS.contains(name));
            let secret = self.settings().client_secret.secret().as_str();
            let secrets: Vec<&str> = sent.map(|(_, value)| *value).chain([secret]).collect();
            let issuer = &self.settings().issuer;
            log::debug!("{issuer:?} says: {}", quotable(&words, &secrets));
        }
        let said = code.map_or(String::new(), |code| format!(", {code}"));
        match code {
            _ if is_outage(status) => OidcError::Unavailable(format!("status {status}{said}")),
            // RFC 6749 §4.1.2.1 has these for the other endpoint; some providers answer them here.
            Some("temporarily_unavailable" | "server_error" | "slow_down") => {
                OidcError::Unavailable(format!("status {status}{said}"))
            }
            Some(code) if matches!(status, 200..=299 | 400..=499) => {
                OidcError::Rejected(code.to_owned())
            }
            _ => OidcError::Invalid(format!(
                "status {status} without an error code of RFC 6749 §5.2"
            )),
        }
    }
}
