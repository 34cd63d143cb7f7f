//! The login page and its form.
//!
//! # Invariants
//! - A password counts only from the browser that began the request: the form's handle must meet the cookie
//!   that came with the page, and `Origin`, where present, must be ours. So nobody can be logged in as somebody
//!   else from a foreign page.

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::params::{Params, cookie};
use super::request::{ACR_PASSWORD, AuthorizationRequest};
use super::store::SignOn;
use super::{Shared, answer, mint, pages, users};

/// Who is signed in. The name is special because cookies do not know ports, and other programs run on 127.0.0.1.
pub(super) const SESSION_COOKIE: &str = "demo-idp-session";
/// Which browser a login page was sent to.
const BROWSER_COOKIE: &str = "demo-idp-browser";

/// Shows the login page.
pub(super) fn ask(
    request: &HttpRequest,
    idp: &Shared,
    asked: AuthorizationRequest,
) -> HttpResponse {
    // The same cookie for all tabs, else an older page would stop working.
    let browser = cookie(request, BROWSER_COOKIE)
        .filter(|value| value.len() == 22)
        .map_or_else(|| mint::random_text(16), str::to_owned);
    let hint = asked.login_hint.clone().unwrap_or_default();
    let redirect_uri = asked.redirect_uri.clone();
    let login = idp.store().begin_login(asked, &browser, idp.now());
    let mut page = pages::login(&login, &hint, &redirect_uri, None);
    set_cookie(&mut page, BROWSER_COOKIE, &browser, "");
    page
}

pub(super) async fn login(request: HttpRequest, body: Bytes, idp: Data<Shared>) -> HttpResponse {
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| origin.as_bytes() != idp.issuer.as_bytes()) {
        return pages::error("This form was sent from another page.");
    }
    let Ok(params) = Params::parse(&body) else {
        return pages::error("A field comes twice.");
    };
    let id = params.one("login").unwrap_or_default();
    let browser = cookie(&request, BROWSER_COOKIE);
    let Some(asked) = idp.store().login(id, browser, idp.now()) else {
        return pages::error("This login was not begun in this browser, or it is too old.");
    };
    if params.one("cancel").is_some() {
        idp.store().end_login(id);
        return answer::error(&idp, &asked, "access_denied", "the user cancelled");
    }
    let username = params.one("username").unwrap_or_default();
    let password = params.one("password").unwrap_or_default();
    let Some(user) = users::authenticate(username, password) else {
        let message = "That name and password do not belong together.";
        return pages::login(id, username, &asked.redirect_uri, Some(message));
    };
    let sign_on = SignOn {
        user,
        sid: mint::random_text(16),
        auth_time: idp.now(),
        acr: asked.acr.unwrap_or(ACR_PASSWORD).to_owned(),
    };
    let session = {
        let mut store = idp.store();
        store.end_login(id);
        store.sign_on(sign_on.clone())
    };
    let mut response = answer::grant(&idp, asked, sign_on);
    set_cookie(&mut response, SESSION_COOKIE, &session, "");
    response
}

/// No `Secure`: the provider speaks plain HTTP on loopback. `Lax`, since clients send browsers here by link.
pub(super) fn set_cookie(response: &mut HttpResponse, name: &str, value: &str, more: &str) {
    let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{more}");
    if let Ok(line) = header::HeaderValue::from_str(&line) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}
