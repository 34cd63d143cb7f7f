//! The provider's answer to an authorization request.

use serde_json::{Map, Value};

use super::failure::{failed, unavailable};
use super::form::{Params, Repeated, single};
use crate::oidc::{self, OidcError};
use crate::problem::{Caused, LoginFailure};
use crate::request::Ctx;

/// What came to the callback.
pub(super) struct Answer {
    /// Names the login that it belongs to. That login is over, whether or not the answer is believed.
    pub(super) state: Option<String>,
    /// What it says, or why it is not believed.
    pub(super) said: Result<AuthorizationResponse, Caused>,
}

impl Answer {
    /// An answer whose parameters stand there by themselves.
    pub(super) fn plain(params: &Params) -> Self {
        match AuthorizationResponse::parse(params) {
            Ok(response) => Self {
                state: response.state.clone(),
                said: Ok(response),
            },
            Err(Repeated) => Self::none(),
        }
    }

    /// An answer that the provider has signed (JARM). Other parameters do not count.
    pub(super) async fn signed(ctx: &Ctx<'_>, params: &Params) -> Self {
        let Ok(Some(raw)) = single(params, "response") else {
            return Self::none();
        };
        let provider = &ctx.frontend.provider;
        let verified = provider.verify_authorization_response(ctx.idp, &raw, ctx.client);
        let said = match verified.await {
            Ok(claims) => AuthorizationResponse::of_claims(&claims)
                .ok_or_else(|| failed(LoginFailure::InvalidResponse).into()),
            Err(error @ OidcError::Unavailable(_)) => Err(unavailable(&error)),
            Err(error) => Err(Caused::by(failed(LoginFailure::InvalidResponse), error)),
        };
        // Whoever knows a state may end its login, as in a plain answer.
        let state = oidc::unverified(&raw).and_then(|claims| text(&claims, "state").ok().flatten());
        Self { state, said }
    }

    /// There is no answer in it, or there are two.
    fn none() -> Self {
        Self {
            state: None,
            said: Err(failed(LoginFailure::InvalidResponse).into()),
        }
    }
}

/// Whether a `session_state` is worth its place in the session's cookie. Those of Keycloak and Duende have about 80 bytes.
fn is_fit(state: &str) -> bool {
    (1..=256).contains(&state.len())
}

/// A member that is there, but is not a text.
struct NoText;

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, NoText> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(NoText),
    }
}

/// An authorization response (RFC 6749 §4.1.2) in which every parameter stands once.
#[derive(Default)]
pub(super) struct AuthorizationResponse {
    pub(super) state: Option<String>,
    pub(super) iss: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
    /// OpenID Connect Session Management §2. No login fails because of it.
    pub(super) session_state: Option<String>,
}

impl AuthorizationResponse {
    fn parse(params: &Params) -> Result<Self, Repeated> {
        Ok(Self {
            state: single(params, "state")?,
            iss: single(params, "iss")?,
            code: single(params, "code")?,
            error: single(params, "error")?,
            error_description: single(params, "error_description")?,
            session_state: single(params, "session_state")
                .ok()
                .flatten()
                .filter(|state| is_fit(state)),
        })
    }

    fn of_claims(claims: &Map<String, Value>) -> Option<Self> {
        let text = |name| text(claims, name).ok();
        Some(Self {
            state: text("state")?,
            iss: text("iss")?,
            code: text("code")?,
            error: text("error")?,
            error_description: text("error_description")?,
            session_state: text("session_state")
                .flatten()
                .filter(|state| is_fit(state)),
        })
    }

    /// Whether it is a provider's answer, rather than our own second look at the same `state`.
    pub(super) const fn is_answer(&self) -> bool {
        self.code.is_some() || self.error.is_some()
    }
}
