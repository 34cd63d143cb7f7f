//! The page in which a silent login ends: it tells its parent, of our own origin only, how it went.

use actix_web::HttpResponse;
use actix_web::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::frontend::Frontend;

pub(super) fn page(frontend: &Frontend, is_logged_in: bool) -> HttpResponse {
    // An origin has no character that would need escaping inside a JavaScript string.
    let script = format!(
        "window.parent.postMessage({{source:\"bff-silent-login\",isLoggedIn:{is_logged_in}}},\"{}\");",
        frontend.origin
    );
    let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            format!(
                "default-src 'none'; script-src 'sha256-{hash}'; frame-ancestors 'self'; base-uri 'none'"
            ),
        ))
        .body(format!("<!doctype html><title>Silent login</title><script>{script}</script>"))
}
