//! The page in which a silent login ends: it tells its parent, of our own origin only, how it went.
//!
//! Nobody sees it, unless somebody opens it by hand; then it says what it is.

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::frontend::Frontend;
use crate::page;

pub(super) fn page(frontend: &Frontend, is_logged_in: bool) -> HttpResponse {
    // An origin has no character that would need escaping inside a JavaScript string.
    let script = format!(
        "window.parent.postMessage({{source:\"bff-silent-login\",isLoggedIn:{is_logged_in}}},\"{}\");",
        frontend.origin
    );
    let outcome = if is_logged_in {
        "You are signed in"
    } else {
        "You are not signed in"
    };
    let body = format!(
        "<main><h1>{outcome}</h1><p>The application asks here in the background whether you are.</p>\
         <p class=\"ways\"><a class=\"first\" href=\"/\">Back to the application</a></p></main>\
         <script>{script}</script>"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            page::policy("'self'", Some(&script)),
        ))
        .body(page::document("Silent login", &body))
}
