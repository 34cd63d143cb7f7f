//! The two plain pages that sealgate shows to a person: a problem, and the frame of a silent login.
//!
//! Static text and escaped values only; nothing that came with a request is shown (B18).

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};

use crate::problem::Problem;

/// A page that says what went wrong, names the code, and offers to try again.
pub(super) fn problem(
    mut builder: HttpResponseBuilder,
    problem: &Problem,
    id: &str,
    base_path: &str,
) -> HttpResponse {
    let again = match problem {
        Problem::IdentityProviderUnavailable | Problem::LoginFailed(_) => {
            format!(
                "<p><a href=\"{}/login\">Sign in again</a></p>",
                escape(base_path)
            )
        }
        _ => String::new(),
    };
    let detail = problem
        .detail()
        .map(|text| format!("<p>{}</p>", escape(text)))
        .unwrap_or_default();
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\
         <body><h1>{title}</h1>{detail}{again}<p><a href=\"/\">Back to the application</a></p>\
         <p>Code: <code>{code}</code>, request: <code>{id}</code></p></body></html>",
        title = escape(problem.title()),
        code = problem.code(),
    );
    builder
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_LANGUAGE, "en"))
        .body(page)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
