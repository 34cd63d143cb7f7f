//! Session cookies as a browser keeps, loses and mangles them.

use std::time::Duration;

use crate::support::{Browser, Initiator, Request, Response, TestBff, other_frontend};

const BIG: &str = "max_bytes = \"16KiB\"";

fn call_with(bff: &TestBff, cookies: &str) -> Response {
    Request::new("GET", "/api/echo/x")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", cookies)
        .send(bff.addr)
}

fn chunks(browser: &Browser) -> Vec<String> {
    let ours = |name: &String| {
        name == "__Host-Http-shop"
            || name
                .strip_prefix("__Host-Http-shop.")
                .is_some_and(|n| n.parse::<u8>().is_ok())
    };
    browser.cookie_names().into_iter().filter(ours).collect()
}

#[test]
fn a_session_that_shrinks_and_grows_never_loses_itself() {
    // C5, C6, C7: 3 → 2 → 1 → 3 → 1 chunks in a cookie jar
    let bff = TestBff::with(|setup| setup.session = BIG.to_owned());
    bff.idp.faults().pad_tokens(8500);
    let mut browser = bff.signed_in();
    assert_eq!(chunks(&browser).len(), 3);
    for (padding, want) in [(4500, 2), (0, 1), (8500, 3), (0, 1), (4500, 2)] {
        bff.idp.faults().pad_tokens(padding);
        bff.clock.advance(Duration::from_secs(290));
        assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
        assert_eq!(
            chunks(&browser).len(),
            want,
            "after a refresh with {padding} bytes more"
        );
        assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    }
}

#[test]
fn surplus_chunks_of_an_older_session_are_never_joined_and_soon_deleted() {
    // C6, C9; the callback, a cross-site navigation, cannot see them
    let bff = TestBff::with(|setup| setup.session = BIG.to_owned());
    bff.idp.faults().pad_tokens(8500);
    let mut browser = bff.signed_in();
    assert_eq!(chunks(&browser).len(), 3);
    bff.idp.faults().pad_tokens(0);
    bff.log_in(&mut browser, "/bff/login");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    assert_eq!(chunks(&browser), ["__Host-Http-shop"]);
}

#[test]
fn torn_mixed_and_mangled_cookies_are_a_plain_401() {
    // C5, C9, C10, E11
    let bff = TestBff::with(|setup| setup.session = BIG.to_owned());
    bff.idp.faults().pad_tokens(8500);
    let one = bff.signed_in();
    let other = bff.signed_in();
    let value = |browser: &Browser, name: &str| browser.cookie(name).unwrap().value.clone();
    let names = [
        "__Host-Http-shop",
        "__Host-Http-shop.1",
        "__Host-Http-shop.2",
    ];
    let [a, b, c] = names.map(|name| value(&one, name));
    let [_, other_b, _] = names.map(|name| value(&other, name));
    let line = |parts: &[(&str, &str)]| {
        parts
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let [n0, n1, n2] = names;
    let good = line(&[(n0, &a), (n1, &b), (n2, &c)]);
    assert_eq!(call_with(&bff, &good).status, 200);
    assert_eq!(
        call_with(&bff, &line(&[(n2, &c), (n0, &a), (n1, &b)])).status,
        200,
        "order is nothing"
    );
    let mut flipped = a.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let huge = "A".repeat(30_000);
    for (name, cookies) in [
        ("dropped last", line(&[(n0, &a), (n1, &b)])),
        ("dropped middle", line(&[(n0, &a), (n2, &c)])),
        ("dropped first", line(&[(n1, &b), (n2, &c)])),
        ("swapped", line(&[(n0, &a), (n1, &c), (n2, &b)])),
        ("spliced", line(&[(n0, &a), (n1, &other_b), (n2, &c)])),
        ("flipped", line(&[(n0, &flipped), (n1, &b), (n2, &c)])),
        (
            "cut short",
            line(&[(n0, &a[..a.len() - 1]), (n1, &b), (n2, &c)]),
        ),
        ("duplicated", format!("{n0}={a}; {good}")),
        ("duplicated after", format!("{good}; {n0}=x")),
        ("empty", line(&[(n0, "")])),
        ("no base64", line(&[(n0, "%41=;")])),
        ("garbage", line(&[(n0, &huge)])),
        ("other case", good.replace("__Host", "__host")),
        (
            "quoted",
            line(&[(n0, &format!("\"{a}\"")), (n1, &b), (n2, &c)]),
        ),
    ] {
        let answer = call_with(&bff, &cookies);
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "login-required"),
            "{name}"
        );
    }
    assert_eq!(bff.api_calls(), 2);
}

#[test]
fn cookies_of_another_frontend_purpose_or_ring_do_not_open() {
    // E1, E2, E3
    let bff = TestBff::with(|setup| {
        setup.tables = other_frontend(
            r#"
[frontend.other.route.echo]
path = "/api/echo"
upstream = "api"
token = "user"
"#,
        );
    });
    let browser = bff.signed_in();
    let session = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    let hint = browser.cookie("__Http-shop-hint").unwrap().value.clone();
    let elsewhere = Request::new("GET", "/api/echo/x")
        .header("host", "other.test")
        .header("x-csrf", "1")
        .header("cookie", &format!("__Host-Http-other={session}"))
        .send(bff.addr);
    assert_eq!(elsewhere.problem(), "login-required");
    let hint_as_session = call_with(&bff, &format!("__Host-Http-shop={hint}"));
    assert_eq!(hint_as_session.problem(), "login-required");
    let strangers = TestBff::spawn();
    let stranger = strangers
        .signed_in()
        .cookie("__Host-Http-shop")
        .unwrap()
        .value
        .clone();
    let unknown_key = call_with(&bff, &format!("__Host-Http-shop={stranger}"));
    assert_eq!(unknown_key.problem(), "login-required");
    assert!(
        unknown_key.headers("set-cookie").is_empty(),
        "E19: another replica may know the key"
    );
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn several_cookie_lines_are_one() {
    // C11
    let bff = TestBff::with(|setup| setup.session = BIG.to_owned());
    bff.idp.faults().pad_tokens(8500);
    let browser = bff.signed_in();
    let mut request = Request::new("GET", "/api/echo/x")
        .header("host", "shop.test")
        .header("x-csrf", "1");
    for crumb in browser.api_cookie_line("/api/echo").split("; ") {
        request = request.header("cookie", crumb).header("cookie", "other=1");
    }
    assert_eq!(request.send(bff.addr).status, 200);
}

#[test]
fn a_header_that_is_too_large_is_431_and_our_cookies_are_deleted() {
    // C22
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    let cookies = format!(
        "{}; junk={}",
        browser.api_cookie_line("/api/echo"),
        "x".repeat(100_000)
    );
    let answer = call_with(&bff, &cookies);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (431, "headers-too-large")
    );
    assert!(
        answer
            .headers("set-cookie")
            .iter()
            .any(|line| { line.starts_with("__Host-Http-shop=;") && line.contains("Max-Age=0") })
    );
}

#[test]
fn on_plain_http_loopback_the_cookies_lose_secure_and_prefix() {
    // C19
    let bff = TestBff::with(|setup| setup.origin = "http://localhost:8080".to_owned());
    let mut browser = bff.browser();
    bff.log_in(&mut browser, "/bff/login");
    assert_eq!(
        browser.cookie_names(),
        ["sealgate-shop", "sealgate-shop-hint"]
    );
    assert!(browser.jar.iter().all(|cookie| cookie.http_only));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
}

#[test]
fn a_thousand_requests_are_one_seal() {
    // E6: over 200 seconds, so that one `-seen` cookie is due (idle_timeout is half an hour) and no refresh
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let mut written = Vec::new();
    for count in 0..1000 {
        if count % 5 == 0 {
            bff.clock.advance(Duration::from_secs(1));
        }
        let answer = browser.fetch("GET", "/api/echo/x");
        assert_eq!(answer.status, 200);
        let lines = answer.headers("set-cookie");
        written.extend(lines.into_iter().map(str::to_owned));
    }
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(written[0].starts_with("__Host-Http-shop-seen="));
}

#[test]
fn logins_that_nobody_finishes_cost_no_session() {
    // C3, B8
    let bff = TestBff::spawn();
    bff.idp.faults().pad_tokens(3000);
    let mut browser = bff.signed_in();
    let long = "x".repeat(1000);
    for _ in 0..4 {
        browser.navigate(
            &format!("/bff/login?prompt=login&returnUrl=/{long}"),
            Initiator::SameOrigin,
        );
        let line = browser.api_cookie_line("/api/echo").len();
        assert!(line <= 8192, "{line}");
    }
    for secs in [290, 20, 70, 400] {
        bff.clock.advance(Duration::from_secs(secs));
        let answer = browser.fetch("GET", "/api/echo/x");
        assert_eq!(answer.status, 200, "after {secs} s: {}", answer.text());
    }
}
