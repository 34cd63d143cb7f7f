//! A hostile page on another origin: the demo's attacks come from it.
//!
//! It is on the application's site (`localhost`, another port), so a browser sends the application's cookies with its
//! requests. It is therefore sealgate that refuses them, not `SameSite`.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, ServiceConfig, get};

use super::super::witness::Witness;
use super::{Received, Shared};

const PAGE: &str = include_str!("elsewhere.html");
const SCRIPT: &str = include_str!("elsewhere.js");
const STYLE: &str = include_str!("../spa/app.css");

/// What the demo's API knows about the application in front of it.
#[derive(Clone)]
pub(in crate::demo) struct Stage {
    /// `http://localhost:PORT`
    pub(in crate::demo) origin: String,
    pub(in crate::demo) witness: Witness,
}

/// The paths of this page; all others answer with the request.
pub(super) fn services(services: &mut ServiceConfig) {
    services
        .route("/elsewhere", get().to(page))
        .route(
            "/elsewhere.css",
            get().to(async || asset("text/css", STYLE)),
        )
        .route(
            "/elsewhere.js",
            get().to(async || asset("text/javascript", SCRIPT)),
        )
        .route("/witness", get().to(witness));
}

/// The page may only run its own script, and contact the application.
async fn page(stage: Data<Stage>) -> HttpResponse {
    let app = &stage.origin;
    let socket = app.replacen("http", "ws", 1);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {socket}; form-action {app}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE.replace("${origin}", app))
}

fn asset(media_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(format!("{media_type}; charset=utf-8"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

/// For the application's page, through sealgate.
async fn witness(stage: Data<Stage>, api: Data<Shared>) -> HttpResponse {
    let is_forged = |received: &&Received| matches!(received.path.as_str(), "/forged" | "/ws");
    let forged = api.received().iter().filter(is_forged).count();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(stage.witness.report(forged))
}
