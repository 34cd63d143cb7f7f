//! The app's files, below one directory.
//!
//! `server::pipeline` calls [`serve`] for what is neither endpoint nor API route; no cookie has been opened then.
//! `path` says which file a path means, `file` reads it.
//!
//! # Invariants
//! - Nothing outside the directory is served, whatever a path or a symbolic link says; nor dot-files, nor listings.
//! - The fallback answers navigations only: a script, an image, a probe or a mistyped API call gets 404. It is a public file
//!   like any other, so a cache that keeps it for `/account/x.css` gives nothing away (web cache deception).
//! - Only names that carry a hash of their content are kept without asking again.
//!
//! # Spec
//! RFC 9110 §8.8.3 (`ETag`) and §13.1.2 (`If-None-Match`), RFC 8246 (`immutable`), CSP Level 3.

mod file;
mod path;

use std::path::{Path, PathBuf};

use actix_web::body::{BoxBody, MessageBody as _, SizedStream};
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EntityTag, HeaderName, HeaderValue,
    IfNoneMatch, REFERRER_POLICY, TryIntoHeaderValue as _, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;

use crate::frontend::AssetsSettings;
use crate::guard::is_navigation;
use crate::problem::Problem;

use file::Opened;
use path::Wanted;

/// On every file: what it may load, who may frame it, what it tells others (F10, F11).
const SECURITY: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "browsing-topics=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// What a page may load; `frame-src` comes behind it.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; frame-ancestors 'none'; form-action 'self'; frame-src 'self'";

/// Serves one path of the app by `GET` and `HEAD`; `Frontend::resolve` lets no other method through.
///
/// `framed` are the origins that a page may frame beside its own: a silent login leads through the identity provider.
pub async fn serve(
    request: &HttpRequest,
    assets: &AssetsSettings,
    framed: &[String],
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::parse(request.uri().path()).ok_or(Problem::NotFound)?;
    let fallback = assets
        .fallback
        .clone()
        .filter(|_| wanted.may_fall_back && is_navigation(request.headers()));
    let dir = assets.dir.clone();
    let found = web::block(move || find(&dir, &wanted.file, fallback.as_deref())).await;
    let found = found.map_err(|_| Problem::Internal)??;
    Ok(answer(request, framed, found))
}

/// A file that answers a request.
struct Found {
    path: PathBuf,
    opened: Opened,
    /// Whether it stands in for one that is not there.
    is_fallback: bool,
}

/// The file that is wanted, else the fallback. Blocks.
fn find(dir: &Path, wanted: &Path, fallback: Option<&str>) -> Result<Found, Problem> {
    let root = dir.canonicalize().map_err(|error| {
        log::error!("assets.dir {} cannot be read: {error}", dir.display());
        Problem::Internal
    })?;
    let file = path::inside(&root, wanted);
    let is_fallback = file.is_none();
    let path = file
        .or_else(|| path::inside(&root, Path::new(fallback?)))
        .ok_or(Problem::NotFound)?;
    match file::open(&path) {
        Ok(opened) => Ok(Found {
            path,
            opened,
            is_fallback,
        }),
        Err(error) => {
            log::warn!("the file {} cannot be read: {error}", path.display());
            Err(Problem::NotFound)
        }
    }
}

fn answer(request: &HttpRequest, framed: &[String], found: Found) -> HttpResponse {
    let Found {
        path,
        opened,
        is_fallback,
    } = found;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let etag = EntityTag::new_strong(opened.digest.clone());
    let is_known = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&etag)),
        None => false,
    };
    let mut response = if is_known {
        HttpResponse::NotModified().finish()
    } else {
        let body = body(opened, *request.method() == Method::HEAD);
        let mut response = HttpResponse::Ok().body(body);
        let content_type = HeaderValue::from_static(path::content_type(name));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    };
    let headers = response.headers_mut();
    if let Ok(etag) = etag.try_into_value() {
        headers.insert(ETAG, etag);
    }
    let control = if path::is_hashed(name) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    if is_fallback {
        headers.insert(VARY, HeaderValue::from_static("Accept, Sec-Fetch-Mode"));
    }
    if let Ok(policy) = HeaderValue::try_from([&[POLICY.to_owned()], framed].concat().join(" ")) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn body(opened: Opened, is_head: bool) -> BoxBody {
    if is_head {
        let nothing = stream::empty::<Result<Bytes, std::io::Error>>();
        SizedStream::new(opened.len, nothing).boxed()
    } else {
        match opened.content {
            file::Content::Whole(bytes) => bytes.boxed(),
            file::Content::Streamed(file) => {
                SizedStream::new(opened.len, file::stream(file, opened.len)).boxed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::{BodySize, to_bytes};
    use actix_web::test::TestRequest;
    use std::fs;

    fn app() -> (tempfile::TempDir, AssetsSettings) {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("dist");
        for (name, content) in [
            ("dist/index.html", "<h1>app</h1>"),
            ("dist/app.3f9c2b1a.js", "1"),
            ("dist/docs/index.html", "docs"),
            ("dist/docs/a b.txt", "space"),
            ("dist/noext", "noext"),
            ("dist/.env", "SECRET"),
            ("dist/.git/config", "SECRET"),
            ("dist/.well-known/security.txt", "contact"),
            ("outside.txt", "SECRET"),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("../outside.txt", app.join("link.txt")).unwrap();
        std::os::unix::fs::symlink("..", app.join("up")).unwrap();
        std::os::unix::fs::symlink("docs/index.html", app.join("inside.html")).unwrap();
        let settings = AssetsSettings {
            dir: app,
            fallback: Some("index.html".to_owned()),
        };
        (dir, settings)
    }

    async fn get(settings: &AssetsSettings, request: TestRequest) -> Result<HttpResponse, Problem> {
        let framed = ["https://id.example.com".to_owned()];
        serve(&request.to_http_request(), settings, &framed).await
    }

    /// As a browser asks that says nothing of modes.
    fn page(path: &str) -> TestRequest {
        let accept = ("accept", "text/html,*/*;q=0.8");
        TestRequest::get().uri(path).insert_header(accept)
    }

    async fn text(settings: &AssetsSettings, path: &str) -> Result<String, Problem> {
        let response = get(settings, page(path)).await?;
        let body = to_bytes(response.into_body()).await.unwrap();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn a_path_is_its_file_or_the_fallback_or_nothing() {
        // F12
        let (_dir, settings) = app();
        for (path, expect) in [
            ("/", Some("<h1>app</h1>")),
            ("/index.html", Some("<h1>app</h1>")),
            ("/app.3f9c2b1a.js?v=1", Some("1")),
            ("/docs/", Some("docs")),
            ("/docs/a%20b.txt", Some("space")),
            ("/noext", Some("noext")),
            ("/inside.html", Some("docs")),
            ("/.well-known/security.txt", Some("contact")),
            ("/orders/7", Some("<h1>app</h1>")),
            ("/orders/7/", Some("<h1>app</h1>")),
            ("/docs", Some("<h1>app</h1>")),
            ("/users/john.doe", Some("<h1>app</h1>")),
            ("/missing.js", Some("<h1>app</h1>")),
            ("/orders/x.css", Some("<h1>app</h1>")),
            ("/index.html/x.css", Some("<h1>app</h1>")),
            ("/.env", None),
            ("/.git/config", None),
            ("/.git/", None),
            ("/docs/.hidden", None),
            ("/.well-known/unknown", None),
            ("/link.txt", Some("<h1>app</h1>")),
            ("/up/outside.txt", Some("<h1>app</h1>")),
            ("/up/dist/.env", None),
            ("/../outside.txt", None),
            ("/%2e%2e/outside.txt", None),
            ("/..%2foutside.txt", None),
            ("/docs//index.html", None),
            ("/%ff.txt", None),
        ] {
            let got = text(&settings, path).await;
            assert_eq!(got.as_deref().ok(), expect, "{path}");
            assert!(got.is_ok() || got == Err(Problem::NotFound), "{path}");
        }
        let long = format!("/{}.js", "x".repeat(5000));
        assert_eq!(text(&settings, &long).await.unwrap(), "<h1>app</h1>");
    }

    #[actix_web::test]
    async fn the_fallback_answers_navigations_only() {
        // F12, N8, P26
        let (_dir, mut settings) = app();
        for path in ["/orders", "/users/john.doe", "/livez"] {
            for (mode, accept, served) in [
                (Some("navigate"), "*/*", true),
                (None, "text/html", true),
                (Some("cors"), "text/html", false),
                (Some("no-cors"), "*/*", false),
                (Some("same-origin"), "*/*", false),
                (None, "*/*", false),
            ] {
                let mut request = TestRequest::get()
                    .uri(path)
                    .insert_header(("accept", accept));
                if let Some(mode) = mode {
                    request = request.insert_header(("sec-fetch-mode", mode));
                }
                let got = get(&settings, request).await;
                assert_eq!(got.is_ok(), served, "{path} {mode:?} {accept}");
                if let Ok(response) = got {
                    let vary = response.headers().get(VARY).unwrap();
                    assert_eq!(vary, "Accept, Sec-Fetch-Mode");
                }
            }
        }
        let file = get(&settings, page("/noext")).await.unwrap();
        assert!(!file.headers().contains_key(VARY));
        settings.fallback = None;
        assert_eq!(text(&settings, "/orders").await, Err(Problem::NotFound));
        assert!(text(&settings, "/").await.is_ok());
    }

    #[actix_web::test]
    async fn only_hashed_names_are_kept_without_asking() {
        // F12
        let (_dir, settings) = app();
        for (path, expect) in [
            ("/", "no-cache"),
            ("/orders", "no-cache"),
            ("/noext", "no-cache"),
            ("/app.3f9c2b1a.js", "public, max-age=31536000, immutable"),
        ] {
            let response = get(&settings, page(path)).await.unwrap();
            assert_eq!(
                response.headers().get(CACHE_CONTROL).unwrap(),
                expect,
                "{path}"
            );
        }
    }

    #[actix_web::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let (_dir, settings) = app();
        let first = get(&settings, TestRequest::get().uri("/")).await.unwrap();
        let etag = first
            .headers()
            .get(ETAG)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert!(etag.starts_with('"') && etag.len() > 20, "strong: {etag}");
        for (sent, status) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (format!("\"x\", {etag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            ("nonsense".to_owned(), 200),
        ] {
            let request = TestRequest::get()
                .uri("/")
                .insert_header(("if-none-match", sent.clone()));
            let response = get(&settings, request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{sent}");
            assert_eq!(response.headers().get(ETAG).unwrap(), etag.as_str());
        }
        fs::write(settings.dir.join("index.html"), "<h1>new</h1>").unwrap();
        let request = TestRequest::get()
            .uri("/")
            .insert_header(("if-none-match", etag));
        assert_eq!(
            get(&settings, request).await.unwrap().status().as_u16(),
            200
        );
    }

    #[actix_web::test]
    async fn head_tells_the_length_and_sends_nothing() {
        let (_dir, settings) = app();
        let request = TestRequest::default().method(Method::HEAD).uri("/");
        let response = get(&settings, request).await.unwrap();
        assert_eq!(response.body().size(), BodySize::Sized(12));
        let body = to_bytes(response.into_body()).await.unwrap();
        assert!(body.is_empty());
    }

    #[actix_web::test]
    async fn a_large_file_is_streamed_whole() {
        let (_dir, settings) = app();
        let large: Vec<_> = (0..100_000).map(|n| n.to_string()).collect();
        let large = large.join(" ");
        fs::write(settings.dir.join("large.txt"), &large).unwrap();
        let response = get(&settings, TestRequest::get().uri("/large.txt"))
            .await
            .unwrap();
        assert_eq!(response.body().size(), BodySize::Sized(large.len() as u64));
        assert_eq!(text(&settings, "/large.txt").await.unwrap(), large);
    }

    #[actix_web::test]
    async fn every_file_bears_the_security_headers() {
        // F9, F10, F11
        let (_dir, settings) = app();
        for path in ["/", "/app.3f9c2b1a.js"] {
            let response = get(&settings, TestRequest::get().uri(path)).await.unwrap();
            for (name, part) in [
                ("content-security-policy", "default-src 'self'"),
                (
                    "content-security-policy",
                    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
                ),
                (
                    "content-security-policy",
                    "; frame-src 'self' https://id.example.com",
                ),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("permissions-policy", "geolocation=()"),
            ] {
                let value = response.headers().get(name).unwrap().to_str().unwrap();
                assert!(value.contains(part), "{path} {name}: {value}");
            }
        }
    }
}
