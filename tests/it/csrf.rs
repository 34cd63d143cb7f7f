//! Requests that other pages make a browser send.

use crate::support::{Request, TestBff};

#[test]
fn nothing_goes_upstream_without_proof_of_origin() {
    // A11, A12, A13
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = browser.send_bare(Request::new(method, "/api/echo"));
        assert_eq!(answer.status, 403, "{method} without header");
        let answer = browser.send_bare(
            Request::new(method, "/api/public")
                .header("x-csrf", "1")
                .header("origin", "https://evil.test"),
        );
        assert_eq!(answer.status, 403, "{method} with a foreign origin");
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let answer = browser.send_bare(
            Request::new("POST", "/api/echo")
                .header("content-type", content_type)
                .header("sec-fetch-site", "same-origin")
                .body("a=b"),
        );
        assert_eq!(answer.problem(), "cross-site-request", "{content_type}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let answer = browser.send_bare(
            Request::new("GET", "/api/echo")
                .header("x-csrf", "1")
                .header("sec-fetch-site", site),
        );
        assert_eq!(answer.problem(), "cross-site-request", "{site}");
    }
    for path in ["/bff/user", "/bff/session"] {
        assert_eq!(
            browser.send_bare(Request::new("GET", path)).problem(),
            "cross-site-request"
        );
    }
    assert_eq!(bff.api_calls(), 0);
    assert_eq!(bff.token_calls("refresh_token"), 0);
}

#[test]
fn our_own_pages_get_through() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let with_header = Request::new("GET", "/api/echo").header("x-csrf", "anything");
    assert_eq!(browser.send_bare(with_header).status, 200);
    let image = Request::new("GET", "/api/echo")
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "no-cors")
        .header("sec-fetch-dest", "image");
    assert_eq!(browser.send_bare(image).status, 200);
    let download = Request::new("GET", "/api/echo")
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    assert_eq!(browser.send_bare(download).status, 200, "D24");
    assert_eq!(
        browser
            .send(
                Request::new("POST", "/api/echo")
                    .header("X-CSRF", "1")
                    .body("{}")
            )
            .status,
        200
    );
}

#[test]
fn an_api_is_no_service_worker() {
    // D24: its script would answer for the pages of the origin
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for path in ["/api/echo/worker.js", "/api/public/worker.js"] {
        let answer = browser.send_bare(
            Request::new("GET", path)
                .header("service-worker", "script")
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "same-origin")
                .header("sec-fetch-dest", "serviceworker"),
        );
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.problem(), "forbidden");
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn an_api_serves_nothing_that_runs_in_the_pages_of_the_origin() {
    // Finding F: <iframe srcdoc="<script src=/api/upload.js>">
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let from = |browser: &mut crate::support::Browser, path: &str, dest: &str| {
        browser.send_bare(
            Request::new("GET", path)
                .header("x-csrf", "1")
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "no-cors")
                .header("sec-fetch-dest", dest),
        )
    };
    for dest in [
        "script",
        "style",
        "worker",
        "sharedworker",
        "serviceworker",
        "embed",
        "object",
        "audioworklet",
        "paintworklet",
        "xslt",
        "manifest",
    ] {
        for path in ["/api/echo/upload.js", "/api/public/upload.js"] {
            assert_eq!(
                from(&mut browser, path, dest).problem(),
                "forbidden",
                "{dest}"
            );
        }
    }
    assert_eq!(bff.api_calls(), 0);
    for dest in [
        "empty", "image", "audio", "video", "track", "font", "iframe", "document",
    ] {
        assert_eq!(
            from(&mut browser, "/api/echo/x", dest).status,
            200,
            "{dest}"
        );
    }
}

#[test]
fn a_person_gets_a_page_and_a_script_gets_json() {
    // B17, mako PR 870: a link to a download, and the session is over
    let bff = TestBff::spawn();
    let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let ask = |path: &str, accept: &str, site: &str, mode: Option<&str>| {
        let mut request = Request::new("GET", path)
            .header("host", "shop.test")
            .header("accept", accept)
            .header("sec-fetch-site", site);
        if let Some(mode) = mode {
            request = request.header("sec-fetch-mode", mode);
        }
        request.send(bff.addr)
    };
    for (path, site, status, code) in [
        ("/api/echo/report.pdf", "same-origin", 401, "login-required"),
        (
            "/api/echo/report.pdf",
            "cross-site",
            403,
            "cross-site-request",
        ),
        ("/api/public/x", "none", 403, "cross-site-request"),
        ("/bff/user", "none", 403, "cross-site-request"),
        ("/bff/login", "cross-site", 403, "cross-site-request"),
        ("/bff/logout?sid=x", "same-site", 403, "cross-site-request"),
        ("/bff/nothing", "same-origin", 404, "not-found"),
        ("/nothing", "same-origin", 404, "not-found"),
    ] {
        for mode in [Some("navigate"), None] {
            let page = ask(path, html, site, mode);
            assert_eq!(page.status, status, "{path} {mode:?}");
            assert_eq!(
                page.header("content-type"),
                Some("text/html; charset=utf-8"),
                "{path} {mode:?}"
            );
            assert!(
                page.text().contains(&format!("<code>{code}</code>")),
                "{}",
                page.text()
            );
            assert_eq!(page.header("cache-control"), Some("no-store"));
        }
        for (accept, mode) in [
            (html, Some("cors")),
            ("*/*", Some("cors")),
            ("application/json", Some("navigate")),
            ("application/json, text/html;q=0.5", Some("navigate")),
        ] {
            let answer = ask(path, accept, site, mode);
            assert_eq!(answer.status, status, "{path} {accept} {mode:?}");
            assert_eq!(answer.problem(), code, "{path} {accept} {mode:?}");
        }
    }
    let elsewhere = Request::new("GET", "/")
        .header("host", "elsewhere.test")
        .header("accept", html)
        .header("sec-fetch-mode", "navigate")
        .send(bff.addr);
    assert_eq!(elsewhere.status, 421);
    assert!(elsewhere.text().contains("<code>unknown-frontend</code>"));
}

#[test]
fn a_preflight_is_answered_here_and_grants_nothing() {
    // A17, D23
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for origin in ["https://evil.test", "https://sub.shop.test"] {
        let answer = browser.send_bare(
            Request::new("OPTIONS", "/api/echo")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "x-csrf"),
        );
        assert_eq!(answer.problem(), "cross-site-request");
        assert!(
            answer
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("access-control-"))
        );
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn the_name_of_the_header_can_be_chosen() {
    let bff = TestBff::with(|setup| setup.frontend = "csrf_header = \"X-My-App\"".to_owned());
    let mut browser = bff.signed_in();
    assert_eq!(
        browser
            .send_bare(Request::new("GET", "/api/echo").header("x-csrf", "1"))
            .status,
        403
    );
    assert_eq!(
        browser
            .send_bare(Request::new("GET", "/api/echo").header("x-my-app", "1"))
            .status,
        200
    );
}
