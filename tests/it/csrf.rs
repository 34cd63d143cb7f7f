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
