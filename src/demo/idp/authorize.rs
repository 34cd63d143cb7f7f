//! `/authorize`: who may have an answer at all, and who has to type a password first
//! (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2).

use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::params::{Params, cookie};
use super::request::{ACR_PASSWORD, ACR_STEP_UP, AuthorizationRequest, ResponseMode};
use super::store::SignOn;
use super::{PushedRequests, Shared, answer, login, pages, request_object};

pub(super) async fn by_query(request: HttpRequest, idp: Data<Shared>) -> HttpResponse {
    authorize(&request, request.query_string().as_bytes(), &idp)
}

/// OpenID Connect Core §3.1.2.1 has both methods.
pub(super) async fn by_form(request: HttpRequest, body: Bytes, idp: Data<Shared>) -> HttpResponse {
    authorize(&request, &body, &idp)
}

fn authorize(request: &HttpRequest, params: &[u8], idp: &Shared) -> HttpResponse {
    idp.observed().authorize += 1;
    let Ok(carried) = Params::parse(params) else {
        return pages::error("A parameter comes twice.");
    };
    idp.observed().carried.push(carried.names());
    let params = match carried.one("request_uri") {
        // RFC 9126 §4: nothing else that the browser carries counts.
        Some(reference) => {
            let client_id = carried.one("client_id");
            let pushed = idp.store().take_pushed(reference, client_id, idp.now());
            let Some(pushed) = pushed else {
                return pages::error("This request_uri is unknown, was used, or is too old.");
            };
            pushed
        }
        None if idp.options.pushed == PushedRequests::Required => {
            return pages::error("Authorization requests must be pushed here.");
        }
        None => match request_object::unwrap(carried, idp) {
            Ok(params) => params,
            Err(refusal) => return pages::error(refusal),
        },
    };
    let asked = match AuthorizationRequest::parse(&params, idp) {
        Ok(asked) => asked,
        Err(refusal) => return pages::error(refusal),
    };
    if let Err((error, description)) = asked.check(&params) {
        return answer::error(idp, &asked, error, description);
    }
    let now = idp.now();
    let signed_on = idp
        .store()
        .signed_on(cookie(request, login::SESSION_COOKIE), now)
        .filter(|sign_on| asked.is_satisfied_by(sign_on, now.since(sign_on.auth_time)))
        .cloned();
    match signed_on {
        Some(sign_on) => answer::grant(idp, asked, sign_on),
        None if asked.wants("none") => {
            answer::error(idp, &asked, "login_required", "nobody is signed in")
        }
        None => login::ask(request, idp, asked),
    }
}

impl AuthorizationRequest {
    /// What must be right before anything is sent to the redirect URI (RFC 6749 §4.1.2.1).
    pub(super) fn parse(params: &Params, idp: &Shared) -> Result<Self, &'static str> {
        let client_id = params.one("client_id").ok_or("client_id is missing.")?;
        let store = idp.store();
        let client = store
            .clients
            .get(client_id)
            .ok_or("Nobody knows this client_id.")?;
        let redirect_uri = params
            .one("redirect_uri")
            .ok_or("redirect_uri is missing.")?;
        if !client
            .redirect_uris
            .iter()
            .any(|known| known == redirect_uri)
        {
            return Err("This redirect_uri is not registered for the client.");
        }
        let response_mode = match params.one("response_mode") {
            None | Some("query") => ResponseMode::Query,
            Some("form_post") => ResponseMode::FormPost,
            Some("jwt" | "query.jwt") => ResponseMode::Jwt,
            Some(_) => return Err("response_mode must be query, form_post or jwt."),
        };
        Ok(Self {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            response_mode,
            state: params.owned("state"),
            login_hint: params.owned("login_hint"),
            acr: params.one("acr_values").and_then(known_acr),
            nonce: params.owned("nonce"),
            scope: params.owned("scope").unwrap_or_default(),
            resources: params.all("resource").map(str::to_owned).collect(),
            code_challenge: params.owned("code_challenge").unwrap_or_default(),
            dpop_jkt: params.owned("dpop_jkt"),
            prompt: params
                .one("prompt")
                .map(|prompt| prompt.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
            max_age: params
                .one("max_age")
                .and_then(|secs| secs.parse().ok())
                .map(Duration::from_secs),
        })
    }

    /// The rest. The client is told of mistakes here.
    pub(super) fn check(&self, params: &Params) -> Result<(), (&'static str, &'static str)> {
        let invalid = |description| Err(("invalid_request", description));
        if params.one("request").is_some() {
            return Err(("request_not_supported", "no request objects here"));
        }
        if params.one("request_uri").is_some() {
            return Err(("request_uri_not_supported", "no request objects here"));
        }
        if params.one("response_type") != Some("code") {
            return Err(("unsupported_response_type", "response_type must be code"));
        }
        if !self.scope.split(' ').any(|scope| scope == "openid") {
            return Err(("invalid_scope", "scope must contain openid"));
        }
        if params.one("code_challenge_method") != Some("S256") {
            return invalid("code_challenge_method must be S256");
        }
        // BASE64URL of a SHA-256, no padding (RFC 7636 §4.2).
        let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if self.code_challenge.len() != 43 || !self.code_challenge.bytes().all(base64url) {
            return invalid("code_challenge is not a SHA-256 in base64url");
        }
        if self.wants("none") && self.prompt.len() > 1 {
            return invalid("prompt=none stands alone");
        }
        if params.one("max_age").is_some() && self.max_age.is_none() {
            return invalid("max_age is not a number");
        }
        Ok(())
    }

    fn wants(&self, prompt: &str) -> bool {
        self.prompt.iter().any(|wanted| wanted == prompt)
    }

    /// Whether an earlier login suffices.
    fn is_satisfied_by(&self, sign_on: &SignOn, age: Duration) -> bool {
        !self.wants("login")
            && !self.wants("select_account")
            && self
                .max_age
                .is_none_or(|max_age| age <= max_age && !max_age.is_zero())
            && self
                .acr
                .is_none_or(|acr| acr == sign_on.acr || acr == ACR_PASSWORD)
    }
}

/// The first class of `acr_values` that we have; others are voluntary (OpenID Connect Core §3.1.2.1).
fn known_acr(acr_values: &str) -> Option<&'static str> {
    acr_values.split(' ').find_map(|value| {
        [ACR_PASSWORD, ACR_STEP_UP]
            .into_iter()
            .find(|acr| *acr == value)
    })
}
