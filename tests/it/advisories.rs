//! What went wrong elsewhere, and does not here: one test for each advisory that concerns paths, headers and redirects.
//!
//! Others have their tests where they belong: cached cookies (CVE-2025-48947, CVE-2025-64762) in
//! `proxy::a_cacheable_answer_loses_that_when_it_carries_our_cookie`, results of another session's refresh
//! (CVE-2026-40155) in `refresh`, session fixation (CVE-2021-41246) in `login::a_new_login_is_a_new_session`, what is sealed
//! (CVE-2023-35941, CVE-2026-47775) in the vectors and `session`.

use std::time::{Duration, Instant};

use crate::support::{Initiator, Request, Response, TestBff};

fn anonymous(bff: &TestBff, target: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::new("GET", target)
        .header("host", "shop.test")
        .header("x-csrf", "1");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send(bff.addr)
}

#[test]
fn cve_2026_40575_no_header_names_the_path_that_policy_looks_at() {
    // GHSA-7x63-xv5r-3p2x
    let bff = TestBff::spawn();
    for name in [
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
        "x-envoy-original-path",
    ] {
        let answer = anonymous(&bff, "/api/echo", &[(name, "/api/public")]);
        assert_eq!(answer.problem(), "login-required", "{name}");
        assert_eq!(
            anonymous(&bff, "/api/public", &[(name, "/api/echo")]).status,
            200
        );
    }
    let paths = bff.api.requests().into_iter().map(|seen| seen.path);
    assert!(paths.into_iter().all(|path| path == "/v1"));
}

#[test]
fn ghsa_5hvv_m4w4_gf6v_no_user_agent_is_let_in() {
    let bff = TestBff::spawn();
    for agent in [
        "GoogleHC/1.0",
        "kube-probe/1.31",
        "ELB-HealthChecker/2.0",
        "Amazon-Route53-Health-Check-Service",
        "Envoy/HC",
        "sealgate",
    ] {
        let answer = anonymous(&bff, "/api/echo", &[("user-agent", agent)]);
        assert_eq!(answer.problem(), "login-required", "{agent}");
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn ghsa_pxq7_h93f_9jrg_a_fragment_leads_nowhere_else() {
    let bff = TestBff::spawn();
    for target in [
        "/api/echo#/api/public",
        "/api/echo%23/api/public",
        "/api/public%23/../echo",
        "/api/echo/x%23",
    ] {
        let answer = anonymous(&bff, target, &[]);
        assert!(
            [400, 401, 404].contains(&answer.status),
            "{target}: {}",
            answer.status
        );
    }
    // A request target has no fragment (RFC 9112 §3.2), and nobody must have to guess which part counts.
    assert_eq!(anonymous(&bff, "/api/public#/../echo", &[]).status, 400);
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn cve_2025_54576_the_query_opens_no_route() {
    // GHSA-7rh7-c77v-6434
    let bff = TestBff::spawn();
    for target in [
        "/api/echo?/api/public",
        "/api/echo?x=/api/public",
        "/api/echo?/../../api/public",
        "/api/echo?returnUrl=/bff/login",
    ] {
        assert_eq!(
            anonymous(&bff, target, &[]).problem(),
            "login-required",
            "{target}"
        );
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn cve_2025_64484_an_underscore_makes_no_header_ours() {
    // GHSA-vjrc-mh2v-45x6
    let bff = TestBff::spawn();
    let spoofs = [
        ("x_forwarded_for", "1.2.3.4"),
        ("X_Forwarded-User", "root"),
        ("x-forwarded_email", "root@shop.test"),
        ("x_auth_request_user", "root"),
        ("AUTHORIZATION_", "Bearer x"),
    ];
    assert_eq!(anonymous(&bff, "/api/public", &spoofs).status, 200);
    let seen = bff.api.requests().pop().unwrap();
    let passed: Vec<_> = seen
        .headers
        .iter()
        .filter(|(name, _)| name.contains('_'))
        .collect();
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn cve_2025_48865_connection_removes_nothing_that_we_add() {
    // And CVE-2026-62987, its incomplete fix: other cases, several lines, spaces.
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/api/echo");
    for lines in [
        &["authorization, x-forwarded-for, forwarded, via"][..],
        &["Authorization", "X-Forwarded-For", "FORWARDED"],
        &["\tauthorization\t,,x-forwarded-host , x-forwarded-proto"],
        &["close, authorization"],
    ] {
        let mut headers = vec![("cookie", cookies.as_str())];
        headers.extend(lines.iter().map(|line| ("connection", *line)));
        assert_eq!(anonymous(&bff, "/api/echo", &headers).status, 200);
        let seen = bff.api.requests().pop().unwrap();
        assert!(
            seen.header("authorization").unwrap().starts_with("Bearer "),
            "{lines:?}"
        );
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 sealgate"),
        ] {
            assert_eq!(seen.header(name), Some(value), "{lines:?}");
        }
        assert!(seen.header("forwarded").is_some(), "{lines:?}");
    }
}

#[test]
fn cve_2022_29226_a_bearer_token_of_the_clients_own_opens_nothing() {
    let bff = TestBff::spawn();
    for value in [
        "Bearer x",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic cm9vdDpyb290",
    ] {
        let answer = anonymous(&bff, "/api/echo", &[("authorization", value)]);
        assert_eq!(answer.problem(), "login-required", "{value}");
        assert_eq!(
            anonymous(&bff, "/api/maybe", &[("authorization", value)]).status,
            200
        );
        assert_eq!(
            bff.api.requests().pop().unwrap().header("authorization"),
            None
        );
    }
}

#[test]
fn ghsa_qqxw_j7px_5m6c_4mf2_a_login_returns_to_no_other_site() {
    // Open redirects of oauth2-proxy and others: `/\`, encoded white space, a host that only begins like ours.
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for address in [
        "//evil.test",
        "/\\evil.test",
        "/%5Cevil.test",
        "\\\\evil.test",
        "/%09/evil.test",
        "/%0a/evil.test",
        "/%0d%0aLocation:%20https://evil.test",
        "/%20/evil.test",
        "/%2f/evil.test",
        "/.//evil.test",
        "/x/..//evil.test",
        "https://evil.test",
        "https:evil.test",
        "https://shop.test.evil.test/",
        "https://shop.test@evil.test/",
        "javascript:alert(1)",
        "/@evil.test/..//evil.test",
    ] {
        let escaped: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
        for target in [
            format!("/bff/login?returnUrl={escaped}"),
            format!("/bff/login?returnUrl={address}"),
        ] {
            // A browser would not send some of these bytes; a client of another kind does.
            if target.contains('\\') {
                continue;
            }
            let visit = browser.navigate(&target, Initiator::SameOrigin);
            assert_eq!(
                visit.url.host_str(),
                Some("shop.test"),
                "{target}: {}",
                visit.url
            );
            let strayed = visit
                .chain
                .iter()
                .find(|(url, _)| url.host_str().is_some_and(|host| host.contains("evil")));
            assert!(strayed.is_none(), "{target}");
        }
    }
}

#[test]
fn cve_2022_23527_a_logout_returns_to_no_other_site() {
    let bff = TestBff::spawn();
    for address in [
        "//evil.test",
        "/%5Cevil.test",
        "https://evil.test",
        "/%09/evil.test",
    ] {
        let mut browser = bff.signed_in();
        let answer = browser.fetch("POST", "/bff/logout");
        let logout = answer.json()["logout_url"].as_str().unwrap().to_owned();
        let visit = browser.navigate(
            &format!("{logout}&returnUrl={address}"),
            Initiator::SameOrigin,
        );
        let strayed = visit
            .chain
            .iter()
            .find(|(url, _)| url.host_str().is_some_and(|host| host.contains("evil")));
        assert!(
            strayed.is_none() && !visit.url.as_str().contains("evil"),
            "{}",
            visit.url
        );
    }
}

#[test]
fn cve_2024_24814_no_cookie_says_how_many_there_are() {
    // A count that a client chooses would be work that a client chooses; here the count is sealed.
    let bff = TestBff::spawn();
    let many: Vec<_> = (1..1500)
        .map(|n| format!("__Host-Http-shop.{n}=AAAA"))
        .collect();
    for cookies in [
        "__Host-Http-shop=99999999:AAAA".to_owned(),
        "__Host-Http-shop=AAAA; __Host-Http-shop.99999999=AAAA".to_owned(),
        "__Host-Http-shop.18446744073709551616=AAAA".to_owned(),
        many.join("; "),
    ] {
        let begun = Instant::now();
        let answer = anonymous(&bff, "/api/echo", &[("cookie", &cookies)]);
        assert_eq!(answer.problem(), "login-required");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn cve_2023_28625_no_cookie_line_brings_the_process_down() {
    let bff = TestBff::with(|setup| {
        setup.tables =
            "[frontend.shop.route.kept]\npath = \"/kept\"\nupstream = \"api\"\ntoken = \"none\"\n\
                        cookies = [\"theme\"]"
                .to_owned();
    });
    for line in [
        "",
        ";",
        ";;;;",
        "=",
        "=;=;=",
        " ; = ; theme",
        "theme",
        "theme=;__Host-Http-shop",
        "__Host-Http-shop=; __Host-Http-shop.1=;",
        "theme=a;;;theme=b",
    ] {
        assert_eq!(
            anonymous(&bff, "/kept", &[("cookie", line)]).status,
            200,
            "{line:?}"
        );
        let answer = anonymous(&bff, "/api/echo", &[("cookie", line)]);
        assert_eq!(answer.problem(), "login-required", "{line:?}");
    }
}

#[test]
fn cve_2025_55162_a_logout_deletes_the_prefixed_cookies() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    assert!(browser.cookie("__Host-Http-shop").is_some());
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    let left = browser.cookie_names();
    assert!(
        left.iter()
            .all(|name| name.ends_with("-out") || name.ends_with("-hint")),
        "{left:?}"
    );
    assert_eq!(
        browser.fetch("GET", "/api/echo").problem(),
        "login-required"
    );
}
