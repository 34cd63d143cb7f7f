//! Which frontend, which route, which method: and nothing a client says changes where a request goes.

use crate::support::{Request, TestBff, http, other_frontend};

const ROUTES: &str = r#"
[frontend.other.route.public]
path = "/other/public"
upstream = "api"
token = "none"
[frontend.shop.route.nested]
path = "/api/public/nested"
upstream = "api"
token = "user"
[frontend.shop.route.reading]
path = "/api/reading"
upstream = "api"
token = "none"
methods = ["GET"]
body_limit = "1KiB"
strip_prefix = false
"#;

fn bff() -> TestBff {
    TestBff::with(|setup| setup.tables = other_frontend(ROUTES))
}

fn get(bff: &TestBff, host: &str, target: &str) -> http::Response {
    Request::new("GET", target)
        .header("host", host)
        .header("x-csrf", "1")
        .send(bff.addr)
}

#[test]
fn frontends_are_told_apart_by_host_alone() {
    // D9, A18
    let bff = bff();
    assert_eq!(get(&bff, "shop.test", "/api/public").status, 200);
    assert_eq!(get(&bff, "SHOP.test:443", "/api/public").status, 200);
    assert_eq!(get(&bff, "other.test", "/other/public").status, 200);
    assert_eq!(
        get(&bff, "other.test", "/api/public").problem(),
        "not-found"
    );
    assert_eq!(
        get(&bff, "evil.test", "/api/public").problem(),
        "unknown-frontend"
    );
    assert_eq!(
        get(&bff, "shop.test.evil.test", "/api/public").problem(),
        "unknown-frontend"
    );
    let spoofed = Request::new("GET", "/other/public")
        .header("host", "shop.test")
        .header("x-forwarded-host", "other.test")
        .header("forwarded", "host=other.test")
        .header("x-csrf", "1")
        .send(bff.addr);
    assert_eq!(spoofed.problem(), "not-found");
}

#[test]
fn there_is_exactly_one_host() {
    // D9, D10
    let bff = bff();
    let two = Request::new("GET", "/api/public")
        .header("host", "shop.test")
        .header("host", "other.test")
        .header("x-csrf", "1")
        .send(bff.addr);
    assert_eq!(two.status, 400);
    let none = Request::new("GET", "/api/public")
        .header("x-csrf", "1")
        .send(bff.addr);
    assert_eq!(none.status, 400);
    let absolute = get(&bff, "shop.test", "http://evil.test/api/public");
    assert_eq!(absolute.status, 400);
    let own = get(&bff, "shop.test", "http://shop.test/api/public");
    assert_eq!(own.status, 200);
    assert_eq!(bff.api_calls(), 1);
}

#[test]
fn the_longest_path_wins_and_ends_at_a_segment() {
    let bff = bff();
    assert_eq!(
        get(&bff, "shop.test", "/api/public/nested/x").problem(),
        "login-required"
    );
    assert_eq!(get(&bff, "shop.test", "/api/public/nestedx").status, 200);
    assert_eq!(
        get(&bff, "shop.test", "/api/publicx").problem(),
        "not-found"
    );
    assert_eq!(get(&bff, "shop.test", "/api/reading/a").status, 200);
    let paths: Vec<String> = bff
        .api
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert_eq!(paths, ["/v1/nestedx", "/v1/api/reading/a"]);
}

#[test]
fn a_path_with_two_readings_reaches_nobody() {
    // D11, A19
    let bff = bff();
    for path in [
        "/api/public/../echo",
        "/api/public/%2e%2e/echo",
        "/api/public/..%2fadmin",
        "/api/public/%2E%2E%5cadmin",
        "/api//public",
        "/api/public/;x",
        "/api/public/%00",
        "/api/public/%252e%252e",
        "/api/public/%25u002e",
        "/api/public/%c0%ae%c0%ae/echo",
        "/api/public/x%3Bx",
        "/api/public/neste%64",
        "/api/public/.",
        "/api/public\\x",
    ] {
        let answer = get(&bff, "shop.test", path);
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn a_path_with_one_reading_passes_as_it_was_written() {
    // P14, oauth2-proxy#844: what encodeURIComponent makes of names with a percent sign
    let bff = bff();
    let below = [
        "/100%25",
        "/100%25%20off",
        "/50%25-60%25/x",
        "/a%20b%26c%3Dd%3F%23",
        "/%C3%BC%E2%82%AC",
        "/a+b,c:d@e!$&'()*",
        "/x%2B%2C%3A%40",
    ];
    for path in below {
        let answer = get(&bff, "shop.test", &format!("/api/public{path}"));
        assert_eq!(answer.status, 200, "{path}");
    }
    let seen = bff.api.requests().into_iter().map(|seen| seen.path);
    let expected = below.map(|path| format!("/v1{path}"));
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn only_listed_methods_pass() {
    // A20, D10
    let bff = bff();
    for method in ["POST", "DELETE", "HEAD"] {
        let answer = Request::new(method, "/api/reading")
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .send(bff.addr);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    for method in ["TRACE", "CONNECT"] {
        let target = if method == "CONNECT" {
            "shop.test:443"
        } else {
            "/api/public"
        };
        let answer = Request::new(method, target)
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .send(bff.addr);
        assert!(
            (400..500).contains(&answer.status),
            "{method}: {}",
            answer.status
        );
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn a_body_over_the_limit_is_413() {
    // D19
    let bff = TestBff::with(|setup| {
        setup.tables = other_frontend(ROUTES).replace("methods = [\"GET\"]", "");
    });
    let post = |bytes: usize| {
        Request::new("POST", "/api/reading")
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .body(vec![b'x'; bytes])
            .send(bff.addr)
    };
    assert_eq!(post(1024).status, 200);
    assert_eq!(post(1025).problem(), "body-too-large");
    let chunked = format!(
        "POST /api/reading HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x800)
    );
    let answer = http::Response::parse(&http::raw(bff.addr, chunked.as_bytes()), "POST");
    assert_eq!(answer.problem(), "body-too-large");
}

#[test]
fn a_user_or_none_route_serves_both() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    assert_eq!(browser.fetch("GET", "/api/maybe").status, 200);
    assert!(bff.api.requests()[0].header("authorization").is_none());
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/maybe").status, 200);
    assert!(bff.api.requests()[1].header("authorization").is_some());
    assert_eq!(browser.fetch("GET", "/api/public").status, 200);
    assert!(
        bff.api.requests()[2].header("authorization").is_none(),
        "none means none"
    );
}
