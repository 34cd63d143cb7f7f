//! The provider's pages: plain HTML, readable without script. Whatever a request said is escaped.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use url::Url;

use super::USERS;
use super::params::Params;
use crate::page::escape;

/// Sends the form of [`form_post`]. The script is a file of its own, so the content policy allows no inline script.
const SUBMIT_SCRIPT: &str = "document.getElementById('form-post').submit();\n";

pub(super) async fn stylesheet() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .body(include_str!("idp.css"))
}

pub(super) async fn submit_script() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/javascript; charset=utf-8")
        .body(SUBMIT_SCRIPT)
}

pub(super) async fn welcome() -> HttpResponse {
    let body = "<h1>Nothing to do here</h1>\
        <p class=\"lead\">This identity provider signs people in for applications on this machine. Begin at the application.</p>";
    page(StatusCode::OK, "Welcome", body, None)
}

/// Asks for name and password. `login` is the form's handle on the authorization request.
pub(super) fn login(
    login: &str,
    username: &str,
    redirect_uri: &str,
    problem: Option<&str>,
) -> HttpResponse {
    let application = Url::parse(redirect_uri)
        .map(|uri| uri.origin().ascii_serialization())
        .unwrap_or_default();
    let alert = problem.map_or_else(String::new, |problem| {
        format!("<p class=\"alert\" role=\"alert\">{}</p>", escape(problem))
    });
    let (focus_name, focus_password) = match username {
        "" => (" autofocus", ""),
        _ => ("", " autofocus"),
    };
    let mut accounts = String::new();
    for user in &USERS {
        // Writing to a String cannot fail.
        let _ = write!(
            accounts,
            "<li><code>{}</code> with the password <code>{}</code></li>",
            user.username, user.password
        );
    }
    let body = format!(
        "<h1>Sign in</h1>\
         <p class=\"lead\">to continue to <strong>{application}</strong></p>{alert}\
         <form method=\"post\" action=\"/login\">\
         <input type=\"hidden\" name=\"login\" value=\"{login}\">\
         <label for=\"username\">User name</label>\
         <input id=\"username\" name=\"username\" value=\"{username}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\"{focus_name}>\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\"{focus_password}>\
         <div class=\"actions\">\
         <button id=\"sign-in\" type=\"submit\">Sign in</button>\
         <button id=\"cancel\" type=\"submit\" name=\"cancel\" value=\"1\" class=\"quiet\">Cancel</button>\
         </div></form>\
         <div class=\"accounts\"><p>Accounts of this demo</p><ul>{accounts}</ul></div>",
        application = escape(&application),
        login = escape(login),
        username = escape(username),
    );
    let status = match problem {
        None => StatusCode::OK,
        Some(_) => StatusCode::FORBIDDEN,
    };
    page(status, "Sign in", &body, Some(&application))
}

/// OAuth 2.0 Form Post Response Mode §2.
pub(super) fn form_post(action: &str, params: &[(&str, String)]) -> HttpResponse {
    let mut fields = String::new();
    for (name, value) in params {
        // Writing to a String cannot fail.
        let _ = write!(
            fields,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            escape(name),
            escape(value)
        );
    }
    let application = Url::parse(action)
        .map(|uri| uri.origin().ascii_serialization())
        .unwrap_or_default();
    let body = format!(
        "<h1>One moment</h1><form id=\"form-post\" method=\"post\" action=\"{}\">{fields}\
         <noscript><button type=\"submit\">Continue</button></noscript></form>\
         <script src=\"/submit.js\"></script>",
        escape(action)
    );
    page(StatusCode::OK, "One moment", &body, Some(&application))
}

/// Asks the person to confirm a request that does not prove where it came from.
pub(super) fn confirm_logout(sid: &str, params: &Params) -> HttpResponse {
    let mut fields = String::new();
    for name in ["client_id", "post_logout_redirect_uri", "state"] {
        if let Some(value) = params.one(name) {
            // Writing to a String cannot fail.
            let _ = write!(
                fields,
                "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                escape(value)
            );
        }
    }
    let application = params
        .one("post_logout_redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .map(|uri| uri.origin().ascii_serialization());
    let body = format!(
        "<h1>Sign out?</h1><p class=\"lead\">An application asks to end your session at this identity provider.</p>\
         <form method=\"post\" action=\"/end_session\">{fields}\
         <input type=\"hidden\" name=\"confirm\" value=\"{}\">\
         <div class=\"actions\"><button id=\"sign-out\" type=\"submit\">Sign out</button></div></form>",
        escape(sid)
    );
    page(StatusCode::OK, "Sign out", &body, application.as_deref())
}

pub(super) fn signed_out() -> HttpResponse {
    let body = "<h1>You are signed out</h1><p class=\"lead\">Your session at this identity provider is over. You may close this page.</p>";
    page(StatusCode::OK, "Signed out", body, None)
}

/// A page for a mistake that must not be answered by a redirect.
pub(super) fn error(message: &str) -> HttpResponse {
    let body = format!(
        "<h1>That did not work</h1><p class=\"alert\" role=\"alert\">{}</p>",
        escape(message)
    );
    page(StatusCode::BAD_REQUEST, "Error", &body, None)
}

fn page(status: StatusCode, title: &str, body: &str, form_target: Option<&str>) -> HttpResponse {
    // Browsers apply form-action to the redirect that answers a form, too: the application must be in it.
    let target = form_target
        .filter(|origin| origin.starts_with("http"))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self' {target}"
    );
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        // The path holds state and nonce; the origin may go along, so that `Origin` is no `null`.
        .insert_header((header::REFERRER_POLICY, "strict-origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type("text/html; charset=utf-8")
        .body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title} · demo identity provider</title>\
             <link rel=\"stylesheet\" href=\"/idp.css\">\
             <body><main><p class=\"brand\">demo identity provider</p>{body}</main></body></html>"
        ))
}
