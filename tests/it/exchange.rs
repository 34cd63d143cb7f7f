//! A token for each API: the user's is exchanged before it goes along.

use std::time::Duration;

use sealgate::demo::idp::{Fault, Secret, TokenFault};
use serde_json::{Value, json};

use crate::support::json_api::{Canned, JsonApi};
use crate::support::{Browser, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ON_BEHALF_OF: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const ROUTES: &str = r#"
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "api"
require_scopes = ["orders.read"]
exchange = { audience = "https://orders.internal", scopes = ["orders.read"] }
[frontend.shop.route.stock]
path = "/api/stock"
upstream = "api"
exchange = { resource = "https://stock.internal" }
[frontend.shop.route.bills]
path = "/api/bills"
upstream = "api"
audience = "https://bills.internal"
[frontend.shop.route.graph]
path = "/api/graph"
upstream = "api"
exchange = { grant = "on-behalf-of", scopes = ["api://orders/.default"] }
[frontend.shop.route.nowhere]
path = "/api/nowhere"
upstream = "api"
exchange = { audience = "unknown" }
[frontend.shop.route.forbidden]
path = "/api/forbidden"
upstream = "api"
exchange = { audience = "forbidden" }
[frontend.shop.route.narrow]
path = "/api/narrow"
upstream = "api"
require_scopes = ["orders.write"]
exchange = { audience = "https://orders.internal", scopes = ["orders.read"] }
[frontend.shop.route.maybe-orders]
path = "/api/maybe-orders"
upstream = "api"
token = "user_or_none"
exchange = { audience = "https://orders.internal" }
"#;

fn bff() -> TestBff {
    TestBff::with(|setup| setup.tables = ROUTES.to_owned())
}

fn claims(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["authorization"]["token_claims"].clone()
}

fn problem(browser: &mut Browser, path: &str) -> (u16, String) {
    let answer = browser.fetch("GET", path);
    (answer.status, answer.problem())
}

#[test]
fn an_api_gets_a_token_that_is_good_for_it_alone() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let orders = claims(&browser.fetch("GET", "/api/orders/7"));
    assert_eq!(
        (&orders["aud"], &orders["scope"]),
        (&json!("https://orders.internal"), &json!("orders.read"))
    );
    let stock = claims(&browser.fetch("GET", "/api/stock"));
    assert_eq!(stock["aud"], "https://stock.internal");
    let bills = claims(&browser.fetch("GET", "/api/bills"));
    assert_eq!(bills["aud"], "https://bills.internal", "by the short form");
    assert_eq!(
        claims(&browser.fetch("GET", "/api/echo/x"))["aud"],
        "demo-api",
        "others get the user's own"
    );
    let graph = claims(&browser.fetch("POST", "/api/graph"));
    assert_eq!(graph["scope"], "api://orders/.default");
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls(ON_BEHALF_OF)),
        (3, 1)
    );
    let anonymous = claims_or_null(&bff.browser().fetch("GET", "/api/maybe-orders"));
    assert_eq!(
        anonymous,
        Value::Null,
        "without a user nothing is exchanged"
    );
}

fn claims_or_null(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["authorization"]["token_claims"].clone()
}

#[test]
fn one_exchange_serves_a_session_until_its_token_ends() {
    let bff = bff();
    let (mut one, mut other) = (bff.signed_in(), bff.signed_in());
    for browser in [&mut one, &mut other] {
        for path in ["/api/orders", "/api/orders/2", "/api/stock"] {
            assert_eq!(browser.fetch("GET", path).status, 200);
        }
    }
    assert_eq!(bff.token_calls(EXCHANGE), 4, "two sessions, two APIs");
    let cached = "sealgate_exchange_total{frontend=\"shop\",result=\"cached\"}";
    assert_eq!(bff.metric(cached), 2);
    // 300 s of life, of which the last 30 are not used. The user's own is refreshed a minute ahead, which gives a new key.
    bff.clock.advance(SECOND * 200);
    assert_eq!(one.fetch("GET", "/api/orders").status, 200);
    assert_eq!(bff.token_calls(EXCHANGE), 4);
    bff.clock.advance(SECOND * 80);
    assert_eq!(one.fetch("GET", "/api/orders").status, 200);
    assert_eq!(bff.token_calls(EXCHANGE), 5);
}

#[test]
fn many_requests_at_once_cause_one_exchange() {
    let bff = bff();
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/api/orders");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let request = crate::support::Request::new("GET", "/api/orders");
                let request = request.header("host", "shop.test").header("x-csrf", "1");
                let answer = request.header("cookie", &cookies).send(bff.addr);
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    assert_eq!(bff.token_calls(EXCHANGE), 1);
}

#[test]
fn what_the_provider_refuses_is_a_matter_of_scope_and_remembered() {
    let bff = bff();
    let mut browser = bff.signed_in();
    for _ in 0..3 {
        assert_eq!(
            problem(&mut browser, "/api/nowhere"),
            (403, "insufficient-scope".to_owned())
        );
    }
    assert_eq!(bff.token_calls(EXCHANGE), 1);
    bff.clock.advance(SECOND * 6);
    assert_eq!(problem(&mut browser, "/api/nowhere").0, 403);
    assert_eq!(bff.token_calls(EXCHANGE), 2);
    assert_eq!(
        problem(&mut browser, "/api/narrow"),
        (403, "insufficient-scope".to_owned())
    );
    assert_eq!(bff.api_calls(), 0);
    let refused = "sealgate_exchange_total{frontend=\"shop\",result=\"refused\"}";
    assert_eq!(bff.metric(refused), 4);
}

#[test]
fn a_token_that_is_not_taken_in_exchange_is_refreshed_once_whatever_the_method() {
    let bff = bff();
    let mut browser = bff.signed_in();
    bff.idp
        .faults()
        .inject(1, Fault::Token(TokenFault::InvalidGrant));
    let answer = browser.fetch("POST", "/api/orders");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls("refresh_token")),
        (2, 1)
    );
    assert!(
        !answer.headers("set-cookie").is_empty(),
        "the new tokens are the session's"
    );
    assert_eq!(browser.fetch("GET", "/api/orders").status, 200);
    assert_eq!(bff.token_calls(EXCHANGE), 2);
}

#[test]
fn a_provider_that_is_down_or_does_not_know_the_client_is_unavailable() {
    for fault in [
        TokenFault::Answer {
            status: 401,
            body: r#"{"error":"invalid_client"}"#.to_owned(),
        },
        TokenFault::Answer {
            status: 503,
            body: String::new(),
        },
        TokenFault::Answer {
            status: 200,
            body: r#"{"token_type":"N_A"}"#.to_owned(),
        },
    ] {
        let bff = bff();
        let mut browser = bff.signed_in();
        bff.idp.faults().inject(1, Fault::Token(fault));
        assert_eq!(
            problem(&mut browser, "/api/orders"),
            (503, "identity-provider-unavailable".to_owned())
        );
        assert_eq!(
            bff.api_calls(),
            0,
            "the user's own token never goes in its place"
        );
        assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    }
}

#[test]
fn an_exchanged_token_stays_out_of_cookies_and_ends_with_the_session() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/api/orders");
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers("set-cookie").is_empty(),
        "nothing of it is stored"
    );
    let out = browser.fetch("POST", "/bff/logout");
    assert!(out.status < 400, "{}", out.text());
    assert_eq!(browser.fetch("GET", "/api/orders").status, 401);
    assert!(bff.idp.minted_of(Secret::AccessToken).len() >= 2);
}

/// An API that answers 401 so often.
fn refusing(times: usize) -> (TestBff, JsonApi) {
    let api = JsonApi::start();
    let bff = TestBff::with(|setup| {
        setup.tables = format!(
            "{}[frontend.shop.route.json]\npath = \"/api/json\"\nupstream = \"json\"\nexchange = {{ audience = \"a\" }}\n\
             [frontend.shop.route.home]\npath = \"/api/home\"\n\
             [frontend.shop.route.home.part.plain]\nupstream = \"json\"\npath = \"/plain\"\n\
             [frontend.shop.route.home.part.orders]\nupstream = \"json\"\npath = \"/orders\"\nexchange = {{ audience = \"https://orders.internal\", scopes = [\"orders.read\"] }}\n",
            api.table("json", "")
        );
    });
    api.at("/x", Canned::status(401, "{}").times(times));
    api.at("/orders", Canned::status(401, "1").times(times));
    api.at("/plain", Canned::ok("2"));
    (bff, api)
}

#[test]
fn an_api_that_refuses_an_exchanged_token_gets_one_more() {
    let (bff, api) = refusing(1);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/json/x").status, 200);
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls("refresh_token")),
        (2, 0)
    );
    assert_eq!(api.asked(), ["/x", "/x"]);
    let (bff, api) = refusing(usize::MAX);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/json/x").status, 401);
    assert_eq!((bff.token_calls(EXCHANGE), api.asked().len()), (2, 2));
}

#[test]
fn a_part_has_an_exchange_of_its_own() {
    let (bff, api) = refusing(1);
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/api/home");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"orders":1,"plain":2}"#)
    );
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls("refresh_token")),
        (2, 0)
    );
    let token = |target: &str| {
        let heads = api.heads();
        let head = heads
            .iter()
            .rfind(|head| head.starts_with(&format!("GET {target} ")))
            .unwrap();
        head.lines()
            .find(|line| line.to_ascii_lowercase().starts_with("authorization:"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(token("/orders"), token("/plain"));
}

#[test]
fn a_parts_exchange_that_is_refused_or_needs_a_refresh() {
    let (bff, _api) = refusing(0);
    let mut browser = bff.signed_in();
    bff.idp
        .faults()
        .inject(1, Fault::Token(TokenFault::InvalidGrant));
    assert_eq!(browser.fetch("GET", "/api/home").status, 200);
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls("refresh_token")),
        (2, 1)
    );
    let (bff, _api) = refusing(0);
    let mut browser = bff.signed_in();
    let refusal = TokenFault::Answer {
        status: 400,
        body: r#"{"error":"invalid_target"}"#.to_owned(),
    };
    bff.idp.faults().inject(1, Fault::Token(refusal));
    let answer = browser.fetch("GET", "/api/home");
    assert_eq!(
        (answer.status, &*answer.problem(), &answer.json()["part"]),
        (403, "insufficient-scope", &json!("orders"))
    );
}

#[test]
fn an_exchange_that_is_refused_for_good_costs_no_refresh_each_time() {
    let bff = bff();
    let mut browser = bff.signed_in();
    for _ in 0..3 {
        assert_eq!(
            problem(&mut browser, "/api/forbidden"),
            (401, "login-required".to_owned())
        );
    }
    assert_eq!(
        (bff.token_calls(EXCHANGE), bff.token_calls("refresh_token")),
        (4, 1)
    );
}

#[test]
fn scopes_are_those_of_the_token_that_a_part_goes_out_with() {
    let api = JsonApi::start();
    let parts = |scope: &str| {
        format!(
            "{}[frontend.shop.route.home]\npath = \"/api/home\"\nrequire_scopes = [\"orders.read\"]\n\
             [frontend.shop.route.home.part.orders]\nupstream = \"json\"\npath = \"/orders\"\nexchange = {{ audience = \"a\", scopes = [\"{scope}\"] }}\n",
            api.table("json", "")
        )
    };
    api.at("/orders", Canned::ok("1"));
    let good = TestBff::with(|setup| setup.tables = parts("orders.read"));
    let answer = good.signed_in().fetch("GET", "/api/home");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let narrow = TestBff::with(|setup| setup.tables = parts("orders.list"));
    let answer = narrow.signed_in().fetch("GET", "/api/home");
    assert_eq!(
        (answer.status, &*answer.problem(), &answer.json()["part"]),
        (403, "insufficient-scope", &json!("orders"))
    );
}

#[test]
fn a_part_whose_exchange_is_refused_for_good_leads_to_the_login() {
    let api = JsonApi::start();
    api.at("/orders", Canned::ok("1"));
    let bff = TestBff::with(|setup| {
        setup.tables = format!(
            "{}[frontend.shop.route.home]\npath = \"/api/home\"\n\
             [frontend.shop.route.home.part.orders]\nupstream = \"json\"\npath = \"/orders\"\nexchange = {{ audience = \"forbidden\" }}\n",
            api.table("json", "")
        );
    });
    let answer = bff.signed_in().fetch("GET", "/api/home");
    assert_eq!((answer.status, &*answer.problem()), (401, "login-required"));
    assert_eq!(answer.json()["login_url"], "/bff/login");
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(api.asked(), [""; 0]);
}
