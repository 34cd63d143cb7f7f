//! The answer of a token endpoint: tokens, or an error code.
//!
//! # Invariants
//! - Only the members that are used are judged, and an error names the one that was not understood.
//! - Of an error answer we keep only a code that the specifications define. Its description goes at most to the log, at DEBUG.
//! - The bytes of an answer are erased after they were read.
//!
//! # Spec
//! RFC 6749 §5.1, §5.2; the draft oauth-refresh-token-expiration.

use std::fmt::{self, Display};
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use openidconnect::{AccessToken, HttpResponse, RefreshToken};
use zeroize::Zeroize;

use super::error_code::{known_code, quotable};
use super::http::is_outage;
use super::members::{Members, NotUnderstood, Unreadable};
use super::{Claims, ClientSettings, Dpop, OidcError, TokenType};
use crate::clock::UnixTime;
use crate::keyring::Kid;

/// The shortest lifetime of an access token that is believed. Each request would replace a token without any.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5);

/// Parameters of a request that a provider's words must not repeat in a log.
const SECRET_PARAMS: [&str; 6] = [
    "assertion",
    "code",
    "code_verifier",
    "refresh_token",
    "subject_token",
    "token",
];

/// A token endpoint's answer.
pub struct TokenResponse {
    /// The access token; visible ASCII, so that it fits a header.
    pub access_token: AccessToken,
    /// How it is used.
    pub token_type: TokenType,
    /// A new refresh token, if one came.
    pub refresh_token: Option<RefreshToken>,
    /// The raw ID token, if one came. Not verified yet.
    pub id_token: Option<String>,
    /// Lifetime of the access token: at least five seconds, and the configuration's if the provider does not say.
    pub expires_in: Duration,
    /// Lifetime of the refresh token, if the provider says: the smallest of `refresh_expires_in`,
    /// `refresh_token_expires_in` and `refresh_token_timeout`. A refresh may begin it anew.
    pub refresh_expires_in: Option<Duration>,
    /// What is left of the authorization itself, if the provider says. A refresh does not prolong it.
    pub authorization_expires_in: Option<Duration>,
    /// The granted scope, if the answer names it. Else it is what was asked for (RFC 6749 §5.1), or what it was (§6).
    pub scope: Option<String>,
}

impl TokenResponse {
    /// When the provider wants the session to be over at the latest: when the authorization ends, or at `session_expiry` among
    /// the ID token's claims.
    pub fn session_ends_by(&self, asked_at: UnixTime, claims: Option<&Claims>) -> Option<UnixTime> {
        let authorization = self.authorization_expires_in;
        let authorization = authorization.map(|lifetime| asked_at.plus(lifetime));
        let session = claims.and_then(|claims| claims.session_expiry);
        authorization.into_iter().chain(session).min()
    }
}

impl fmt::Debug for TokenResponse {
    // SECURITY: the raw ID token is a plain `String`, so this cannot be derived.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("refresh_token", &self.refresh_token.is_some())
            .field("id_token", &self.id_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What an answer to a token request says. `proven` is the key of the proof that went with the request.
pub(super) fn read_and_erase(
    settings: &ClientSettings,
    mut answer: HttpResponse,
    grant: &[(&str, &str)],
    proven: Option<Kid>,
) -> Result<TokenResponse, OidcError> {
    let tokens = read(settings, &answer, grant, proven);
    answer.body_mut().zeroize();
    tokens
}

fn read(
    settings: &ClientSettings,
    answer: &HttpResponse,
    grant: &[(&str, &str)],
    proven: Option<Kid>,
) -> Result<TokenResponse, OidcError> {
    if !answer.status().is_success() {
        return Err(refusal(settings, answer, grant));
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
        return Err(refusal(settings, answer, grant));
    }
    tokens(members, settings, proven).map_err(|member| unusable(&member))
}

/// What an answer that is not a success means. `sent` are the parameters of the request.
pub(super) fn refusal(
    settings: &ClientSettings,
    answer: &HttpResponse,
    sent: &[(&str, &str)],
) -> OidcError {
    let status = answer.status().as_u16();
    let mut members = Members::parse(answer.body()).ok();
    let mut text = |name| members.as_mut()?.take_text(name).ok()?;
    let code = text("error").map(|code| known_code(&code));
    if let Some(words) = text("error_description") {
        let sent = sent.iter().filter(|(name, _)| SECRET_PARAMS.contains(name));
        let secret = settings.client_auth.secret();
        let secrets: Vec<&str> = sent
            .map(|(_, value)| *value)
            .chain(secret.map(|secret| secret.secret().as_str()))
            .collect();
        let issuer = &settings.issuer;
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

/// The members that are used. RFC 6749 §5.1, and what providers and the draft say of lifetimes.
fn tokens(
    mut answer: Members,
    settings: &ClientSettings,
    proven: Option<Kid>,
) -> Result<TokenResponse, NotUnderstood> {
    let pass_over = |member: NotUnderstood| {
        let issuer = &settings.issuer;
        log::warn!("{issuer:?}: token response: {member}, and passed over");
    };
    let token_type = token_type(answer.take_text("token_type")?.as_deref(), settings, proven);
    let token_type = token_type.ok_or(NotUnderstood("token_type"))?;
    // RFC 6749 §A.12; it must also be a header value.
    let access_token = answer.take_text("access_token")?;
    let access_token = access_token.filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    // A lifetime that cannot be read counts as not said.
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
        token_type,
        access_token: AccessToken::new(access_token.ok_or(NotUnderstood("access_token"))?),
        refresh_token: refresh_token.map(RefreshToken::new),
        id_token: answer.take_text("id_token")?,
        expires_in: expires_in.max(SHORTEST_LIFETIME),
        refresh_expires_in,
        authorization_expires_in,
        scope,
    })
}

/// How the token of an answer is used. RFC 6749 §5.1: case does not matter. Some providers leave it out, and mean a bearer token.
///
/// RFC 9449 §5: a provider may give a bearer token although a proof came along.
fn token_type(
    said: Option<&str>,
    settings: &ClientSettings,
    proven: Option<Kid>,
) -> Option<TokenType> {
    let said = said.unwrap_or("bearer");
    match proven {
        Some(kid) if said.eq_ignore_ascii_case("dpop") => Some(TokenType::Dpop(kid)),
        _ if settings.dpop == Dpop::Always => None,
        _ => said
            .eq_ignore_ascii_case("bearer")
            .then_some(TokenType::Bearer),
    }
}

/// Whether a server in between answered with a page for people.
pub(super) fn is_page(answer: &HttpResponse) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    content_type.is_some_and(|kind| kind.trim_start().starts_with("text/html"))
}
