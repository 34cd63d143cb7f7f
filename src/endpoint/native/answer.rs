//! The provider's answer to an app's login: a sealed code goes to the app, or an error.
//!
//! # Invariants
//! - The browser is sent to no address but the one that `authorize` has checked and sealed.
//! - The attempt's cookie must be there, so an answer counts only in the browser in which the login was begun.
//! - The provider's code is not redeemed here. Whoever has the app's verifier redeems it.
//!
//! # Spec
//! RFC 6749 §4.1.2; RFC 9207 §2; RFC 9700 §4.12.

use actix_web::HttpResponse;
use actix_web::http::header;
use url::form_urlencoded::Serializer;

use crate::endpoint::authorization_response::AuthorizationResponse;
use crate::endpoint::failure;
use crate::frontend::Frontend;
use crate::oidc::{OidcError, known_code};
use crate::problem::{Caused, Problem};
use crate::request::Ctx;
use crate::session::{LoginAttempt, NativeCode, NativeLogin};
use crate::telemetry::metrics::LoginFailed;

/// An error that the app is told (RFC 6749 §4.1.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct AppError {
    error: &'static str,
    description: &'static str,
}

impl AppError {
    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self {
            error: "invalid_request",
            description,
        }
    }

    pub(super) const fn unsupported_response_type() -> Self {
        Self {
            error: "unsupported_response_type",
            description: "response_type must be code",
        }
    }

    /// RFC 9101 §10.1, OpenID Connect Core §3.1.2.6.
    pub(super) const fn no_request_objects(error: &'static str) -> Self {
        Self {
            error,
            description: "request objects are not supported",
        }
    }

    pub(super) const fn unavailable() -> Self {
        Self {
            error: "temporarily_unavailable",
            description: "the identity provider does not answer",
        }
    }

    pub(super) const fn server() -> Self {
        Self {
            error: "server_error",
            description: "the login could not be completed",
        }
    }

    pub(super) const fn interaction_required() -> Self {
        Self {
            error: "interaction_required",
            description: "prompt=none is for https redirect URIs: no other identifies an app",
        }
    }

    const fn denied(description: &'static str) -> Self {
        Self {
            error: "access_denied",
            description,
        }
    }

    /// What the provider's error means for the app. What is wrong between us and the provider is not the app's fault.
    fn of_provider(code: &str) -> Self {
        let error = match code {
            "access_denied" => return Self::denied("the login was cancelled or refused"),
            "temporarily_unavailable" => return Self::unavailable(),
            "login_required" => "login_required",
            "interaction_required" => "interaction_required",
            "consent_required" => "consent_required",
            "account_selection_required" => "account_selection_required",
            "unmet_authentication_requirements" => "unmet_authentication_requirements",
            _ => return Self::server(),
        };
        Self {
            error,
            description: "the identity provider needs the person",
        }
    }
}

/// Sends the browser back to the app. The attempt is over, whatever comes of it.
pub(super) async fn serve(
    ctx: &mut Ctx<'_>,
    response: Result<&AuthorizationResponse, &Caused>,
    login: NativeLogin,
    attempt: Option<LoginAttempt>,
) -> HttpResponse {
    let has_attempt = attempt.is_some();
    let code = match (response, attempt) {
        (Ok(response), Some(attempt)) => code(ctx, response, &login, attempt).await,
        (Err(caused), _) if caused.problem == Problem::IdentityProviderUnavailable => {
            Err((AppError::unavailable(), caused.cause.clone()))
        }
        (Err(caused), _) => Err((AppError::server(), caused.cause.clone())),
        (_, None) => Err((
            AppError::denied(
                "the login was not begun in this browser, took too long, or is already done",
            ),
            None,
        )),
    };
    if let Err((AppError { error, description }, cause)) = &code {
        let provider_error = response.ok().and_then(|said| said.error.as_deref());
        let reason = match (response, provider_error) {
            (Err(caused), _) => failure::reason(&caused.problem, None),
            (Ok(_), _) if !has_attempt => LoginFailed::State,
            (Ok(_), Some(error)) => failure::reason_of_error(error),
            (Ok(_), None) if *error == "temporarily_unavailable" => LoginFailed::Provider,
            (Ok(_), None) => LoginFailed::Verification,
        };
        let name = &ctx.frontend.name;
        ctx.bff.metrics.login_failed(name, reason);
        log::warn!(target: "sealgate::audit", error = *error,
            provider_error = provider_error.map_or("none", known_code);
            "an app's login failed: {}", cause.as_deref().unwrap_or(description));
    }
    let state = login.state.as_deref();
    let code = code.map_err(|(error, _)| error);
    to_app(ctx.frontend, &login.redirect_uri, state, &code)
}

/// The code for the app, or the error that it is told and what only the log is told.
async fn code(
    ctx: &Ctx<'_>,
    response: &AuthorizationResponse,
    login: &NativeLogin,
    attempt: LoginAttempt,
) -> Result<String, (AppError, Option<String>)> {
    let provider = &ctx.frontend.provider;
    // RFC 9207 §2.4: before anything else of the answer is believed, errors included.
    let checked = provider.check_iss(ctx.idp, response.iss.as_deref()).await;
    checked.map_err(|error| {
        let of_app = match error {
            OidcError::Unavailable(_) => AppError::unavailable(),
            _ => AppError::server(),
        };
        (of_app, Some(error.to_string()))
    })?;
    let code = match (&response.code, &response.error) {
        (Some(code), None) if !code.is_empty() => code.clone(),
        (None, Some(error)) => return Err((AppError::of_provider(error), None)),
        _ => return Err((AppError::server(), None)),
    };
    let code = NativeCode {
        login: login.clone(),
        code,
        random: attempt.state,
        nonce: attempt.nonce,
        verifier: attempt.verifier,
        max_age: attempt.max_age,
        acr_values: attempt.acr_values,
        issued_at: ctx.now,
        proof_key: attempt.proof_key,
    };
    let sealed = ctx.wallet.seal_native_code(&code);
    sealed.map_err(|error| (AppError::server(), Some(error.to_string())))
}

/// The redirect to the app, with a code or an error.
pub(super) fn to_app(
    frontend: &Frontend,
    redirect_uri: &str,
    state: Option<&str>,
    code: &Result<String, AppError>,
) -> HttpResponse {
    let mut query = Serializer::new(String::new());
    match code {
        Ok(code) => {
            query.append_pair("code", code);
        }
        Err(AppError { error, description }) => {
            query.append_pair("error", error);
            query.append_pair("error_description", description);
        }
    }
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &frontend.native_issuer());
    // RFC 6749 §3.1.2: a query that is there stays.
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    HttpResponse::SeeOther()
        .insert_header((
            header::LOCATION,
            format!("{redirect_uri}{joint}{}", query.finish()),
        ))
        .finish()
}
