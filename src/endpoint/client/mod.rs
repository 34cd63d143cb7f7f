//! `GET /bff/client.js`: the client module, an ES module without dependencies, and its types at `client.d.ts`.
//!
//! It is made for the frontend that serves it: it knows the header against CSRF, and finds the endpoints by its own address.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::message::names_tag;
use crate::request::Ctx;

const MODULE: &str = include_str!("client.js");
const TYPES: &str = include_str!("client.d.ts");

pub(super) fn module(ctx: &Ctx<'_>) -> HttpResponse {
    // The name of a header is a token (RFC 9110 §5.1): nothing in it ends a string.
    let text = MODULE.replace("{csrf_header}", &ctx.frontend.csrf_header);
    file(ctx, "text/javascript; charset=utf-8", text)
}

pub(super) fn types(ctx: &Ctx<'_>) -> HttpResponse {
    file(
        ctx,
        "application/typescript; charset=utf-8",
        TYPES.to_owned(),
    )
}

fn file(ctx: &Ctx<'_>, media_type: &str, text: String) -> HttpResponse {
    let mut digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&text));
    digest.truncate(16);
    let etag = format!("\"{digest}\"");
    let known = names_tag(ctx.request.headers(), &etag) == Some(true);
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, etag));
    if known {
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, media_type)).body(text)
}
