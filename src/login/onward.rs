//! A page of our own that goes on by itself.
//!
//! # Why
//! A navigation that another site has caused brings no `SameSite=Strict` cookies, through all its redirects: not the answer of
//! the identity provider, nor a link of another site. What this page goes on to is a navigation of our own origin, and
//! brings them (RFC 6265bis §5.2).

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::names::ReturnTo;
use crate::page;

/// The page. It takes no place in the browser's history, so Back does not lead to it.
pub fn onward(to: &ReturnTo) -> HttpResponse {
    let href = page::escape(to.as_str());
    let body = format!(
        "<main><h1>One moment</h1><p>The application opens.</p>\
         <p class=\"ways\"><a class=\"first\" href=\"{href}\">Go on</a></p></main>"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::REFRESH, format!("0;url={}", to.as_str())))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            page::policy("'none'", None),
        ))
        .body(page::document("One moment", &body))
}
