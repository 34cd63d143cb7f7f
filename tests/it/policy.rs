//! Who may use a route: scopes, claims, and paths that belong to one user.

use serde_json::json;

use crate::support::{Browser, Request, Response, TestBff, other_frontend};

/// `{route}` stands for `frontend.shop.route`.
const ROUTES: &str = r#"
[{route}.reading]
path = "/api/reading"
upstream = "api"
require_scopes = ["openid", "profile"]
[{route}.writing]
path = "/api/writing"
upstream = "api"
require_scopes = ["openid", "orders.write", "orders.admin"]
[{route}.admin]
path = "/api/admin"
upstream = "api"
require_claims = { roles = ["root", "admin"], acr = ["urn:demo:password"] }
[{route}.root]
path = "/api/superuser"
upstream = "api"
require_claims = { roles = ["root", "BUYER", "buyer,admin"] }
[{route}.missing]
path = "/api/nobody"
upstream = "api"
require_claims = { department = ["", "null", "sales"] }
[{route}.users]
path = "/api/users"
upstream = "api"
[{route}.own]
path = "/api/users/{sub}"
upstream = "api"
[{route}.help]
path = "/api/users/help"
upstream = "api"
[{route}.mail]
path = "/api/mail/{email}/box"
upstream = "api"
strip_prefix = false
[{route}.roles]
path = "/api/roles/{roles}/{sid}"
upstream = "api"
token = "user_or_none"
[{route}.tokenless]
path = "/api/tokenless/{sub}"
upstream = "api"
token = "none"
[{route}.numbers]
path = "/api/numbers"
upstream = "api"
require_claims = { auth_time = ["1795262400"] }
"#;

const ALICE: &str = "8f2c1d7e-alice";

fn bff() -> TestBff {
    TestBff::with(|setup| {
        setup.tables = ROUTES.replace("{route}.root]", "{route}.superuser]");
        setup.tables = setup.tables.replace("{route}", "frontend.shop.route");
    })
}

fn code(browser: &mut Browser, path: &str) -> (u16, String) {
    let answer = browser.fetch("GET", path);
    let code = match answer.status {
        200 => String::new(),
        _ => answer.problem(),
    };
    (answer.status, code)
}

/// Without the tidying that URL parsers do.
fn fetch_raw(bff: &TestBff, browser: &Browser, target: &str) -> Response {
    Request::new("GET", target)
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/api/users"))
        .send(bff.addr)
}

#[test]
fn a_route_takes_only_sessions_with_all_its_scopes() {
    // A28
    let bff = bff();
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/reading/x").status, 200);
    let answer = browser.fetch("GET", "/api/writing/x");
    assert_eq!(
        (answer.status, &*answer.problem()),
        (403, "insufficient-scope")
    );
    assert_eq!(
        answer.json()["detail"],
        json!("missing scope: orders.write orders.admin")
    );
    assert_eq!(bff.api_calls(), 1);
    let mut anonymous = bff.browser();
    assert_eq!(
        code(&mut anonymous, "/api/reading").1,
        "login-required",
        "who, before what"
    );
}

#[test]
fn a_route_takes_only_sessions_with_one_of_the_values_of_each_claim() {
    let bff = bff();
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/admin/x").status, 200);
    assert_eq!(browser.fetch("GET", "/api/numbers").status, 200);
    for path in ["/api/superuser", "/api/nobody"] {
        let answer = browser.fetch("GET", path);
        assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
        assert!(!answer.text().contains("admin"), "no value is told");
    }
    let mut bob = bff.browser();
    let page = bob.navigate("/bff/login", crate::support::Initiator::SameOrigin);
    bff.fill_in(&mut bob, &page, "bob", "builder");
    let answer = bob.fetch("GET", "/api/admin/x");
    assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
    assert!(answer.text().contains("roles"), "{}", answer.text());
    assert_eq!(bff.api_calls(), 2);
}

#[test]
fn a_required_claim_is_kept_but_not_shown() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let user = browser.fetch("GET", "/bff/user").text();
    let session = browser.fetch("GET", "/bff/session").text();
    for shown in [&user, &session] {
        assert!(shown.contains("Alice Liddell"), "{shown}");
        for hidden in ["roles", "buyer", "urn:demo:password", "auth_time"] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
    }
}

#[test]
fn a_path_belongs_to_the_session_whose_claim_it_names() {
    let bff = bff();
    let mut browser = bff.signed_in();
    for (path, upstream) in [
        (&*format!("/api/users/{ALICE}"), "/v1"),
        (&*format!("/api/users/{ALICE}/orders/7"), "/v1/orders/7"),
        ("/api/users", "/v1"),
        ("/api/users/", "/v1/"),
        ("/api/users/help/x", "/v1/x"),
        (
            "/api/mail/alice%40example.com/box/1",
            "/v1/api/mail/alice%40example.com/box/1",
        ),
        (
            "/api/mail/alice@example.com/box",
            "/v1/api/mail/alice@example.com/box",
        ),
    ] {
        assert_eq!(browser.fetch("GET", path).status, 200, "{path}");
        let seen = bff.api.requests().pop().unwrap();
        assert_eq!(seen.path, upstream, "{path}");
    }
    let calls = bff.api_calls();
    for path in [
        "/api/users/41b7e09a-bob",
        "/api/users/41b7e09a-bob/orders",
        "/api/users/8F2C1D7E-alice",
        "/api/users/8f2c1d7e-alice%20",
        "/api/users/8f2c1d7e-alic",
        "/api/users/8f2c1d7e-alicex",
        "/api/users/{sub}",
        "/api/users/%7Bsub%7D",
        "/api/users/*",
        "/api/mail/bob%40example.com/box",
        "/api/roles/root/x",
    ] {
        assert_eq!(
            code(&mut browser, path),
            (403, "forbidden".to_owned()),
            "{path}"
        );
    }
    assert_eq!(bff.api_calls(), calls);
    let mut anonymous = bff.browser();
    for path in [
        &*format!("/api/users/{ALICE}"),
        "/api/roles/buyer/x",
        &*format!("/api/tokenless/{ALICE}"),
    ] {
        assert_eq!(
            code(&mut anonymous, path),
            (401, "login-required".to_owned()),
            "{path}"
        );
    }
    assert_eq!(bff.api_calls(), calls);
}

#[test]
fn a_claim_with_several_values_owns_several_paths_and_no_token_need_go_along() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let sid = browser.fetch("GET", "/bff/session").json()["claims"]["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    for role in ["buyer", "admin"] {
        let path = format!("/api/roles/{role}/{sid}");
        assert_eq!(browser.fetch("GET", &path).status, 200, "{path}");
    }
    let answer = browser.fetch("GET", &format!("/api/tokenless/{ALICE}/x"));
    assert_eq!(answer.status, 200);
    let seen = bff.api.requests().pop().unwrap();
    assert_eq!(seen.header("authorization"), None);
    assert!(
        answer.header("cache-control").is_some(),
        "D28: it is for one user"
    );
    assert_eq!(
        code(&mut browser, "/api/tokenless/41b7e09a-bob").0,
        403,
        "B41"
    );
}

#[test]
fn no_spelling_gets_past_a_segment() {
    // A19, D11
    let bff = bff();
    let browser = bff.signed_in();
    for id in [
        "..%2fadmin",
        "%2e%2e/",
        ";x",
        "%00",
        "8f2c1d7e-alice;x",
        "8f2c1d7e-alice%00",
        "8f2c1d7e-alice%2f..%2f41b7e09a-bob",
        "8f2c1d7e-alice/../41b7e09a-bob",
        "8f2c1d7e-alice%252f",
        "8f2c1d7e%2dalice",
        "/8f2c1d7e-alice",
        "8f2c1d7e-alice\\x",
    ] {
        let answer = fetch_raw(&bff, &browser, &format!("/api/users/{id}"));
        assert_eq!(answer.status, 400, "{id}");
    }
    // What follows `?` is no part of the path.
    assert_eq!(
        fetch_raw(&bff, &browser, "/api/users/?8f2c1d7e-alice").status,
        200
    );
    let seen = bff.api.requests().pop().unwrap();
    assert_eq!((&*seen.path, &*seen.query), ("/v1/", "8f2c1d7e-alice"));
    let other = fetch_raw(&bff, &browser, "/api/users/41b7e09a-bob?/8f2c1d7e-alice");
    assert_eq!(other.problem(), "forbidden");
    assert_eq!(bff.api_calls(), 1);
}

#[test]
fn a_redirect_of_the_upstream_leads_back_to_the_users_own_path() {
    // D34
    let upstream = crate::support::upstream::RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 303 See Other\r\nLocation: /base/8\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let bff = TestBff::with(|setup| {
        setup.tables = upstream.route("").replace("/raw\"", "/raw/{email}/x\"");
    });
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/raw/alice%40example.com/x/7");
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.header("location"),
        Some("/raw/alice%40example.com/x/8")
    );
}

#[test]
fn a_session_of_one_frontend_is_nothing_to_another() {
    // B41
    let bff = TestBff::with(|setup| {
        setup.tables = other_frontend(
            r#"
[frontend.other.route.user]
path = "/api/echo"
upstream = "api"
[frontend.other.route.maybe]
path = "/api/maybe"
upstream = "api"
token = "user_or_none"
"#,
        );
    });
    let browser = bff.signed_in();
    let line = browser.api_cookie_line("/api/echo");
    let as_theirs = line.replace("__Host-Http-shop", "__Host-Http-other");
    for cookies in [&line, &as_theirs, &format!("{line}; {as_theirs}")] {
        let ask = |path: &str| {
            Request::new("GET", path)
                .header("host", "other.test")
                .header("x-csrf", "1")
                .header("cookie", cookies)
                .send(bff.addr)
        };
        assert_eq!(ask("/api/echo").problem(), "login-required");
        assert_eq!(ask("/api/maybe").status, 200);
        let seen = bff.api.requests().pop().unwrap();
        assert_eq!(seen.header("authorization"), None);
    }
}
