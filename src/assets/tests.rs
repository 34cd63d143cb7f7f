//! Which file answers a path, and with which headers.

use super::*;
use actix_web::body::{BodySize, to_bytes};
use http::header::CACHE_CONTROL;
use http::request::Builder;
use std::fs;

fn app() -> (tempfile::TempDir, AssetsSettings) {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("dist");
    for (name, content) in [
        ("dist/index.html", "<h1>app</h1>"),
        ("dist/app.3f9c2b1a.js", "1"),
        ("dist/_next/static/chunks/0d3k.js", "1"),
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
        headers: Vec::new(),
    };
    (dir, settings)
}

async fn get(settings: &AssetsSettings, request: Builder) -> Result<Answer, Problem> {
    let framed = ["https://id.example.com".to_owned()];
    let request = Request::from(request);
    let path = RequestPath::parse(request.uri().path()).map_err(|_| Problem::NotFound)?;
    serve(&request, path, settings, &framed).await
}

/// As a browser asks that says nothing of modes.
fn page(path: &str) -> Builder {
    let accept = ("accept", "text/html,*/*;q=0.8");
    http::Request::get(path).header(accept.0, accept.1)
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
            let mut request = http::Request::get(path).header("accept", accept);
            if let Some(mode) = mode {
                request = request.header("sec-fetch-mode", mode);
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
        (
            "/_next/static/chunks/0d3k.js",
            "public, max-age=31536000, immutable",
        ),
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
    let first = get(&settings, http::Request::get("/")).await.unwrap();
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
        let request = http::Request::get("/").header("if-none-match", sent.clone());
        let response = get(&settings, request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{sent}");
        assert_eq!(response.headers().get(ETAG).unwrap(), etag.as_str());
    }
    fs::write(settings.dir.join("index.html"), "<h1>new</h1>").unwrap();
    let request = http::Request::get("/").header("if-none-match", etag);
    assert_eq!(
        get(&settings, request).await.unwrap().status().as_u16(),
        200
    );
}

#[actix_web::test]
async fn head_tells_the_length_and_sends_nothing() {
    let (_dir, settings) = app();
    let request = http::Request::head("/");
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
    let response = get(&settings, http::Request::get("/large.txt"))
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
        let response = get(&settings, http::Request::get(path)).await.unwrap();
        for (name, part) in [
            ("content-security-policy", "default-src 'self'"),
            (
                "content-security-policy",
                "object-src 'none'; base-uri 'self'; frame-ancestors 'none'",
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

#[actix_web::test]
async fn a_file_that_was_served_needs_one_look_until_it_changes() {
    // T3: no thread, no link that is followed, no digest
    let (_dir, settings) = app();
    let name = settings.dir.join("noext");
    assert!(matches!(remembered::look(&name), Known::Unknown));
    get(&settings, http::Request::get("/noext")).await.unwrap();
    let Known::File(entry) = remembered::look(&name) else {
        panic!("it was served")
    };
    get(&settings, http::Request::get("/noext")).await.unwrap();
    let Known::File(again) = remembered::look(&name) else {
        panic!("it was served twice")
    };
    assert!(Arc::ptr_eq(&entry, &again), "it was not read again");
    fs::write(&name, "another length").unwrap();
    assert!(matches!(remembered::look(&name), Known::Unknown));
    // A name that leads nowhere needs no more.
    let nothing = settings.dir.join("nothing");
    assert!(matches!(remembered::look(&nothing), Known::Nothing));
}
