//! Calls in the client's own name (RFC 6749 §4.4).

use std::time::Duration;

use sealgate::demo::idp::{EndpointFault, Fault, Faults, TokenFault};

use crate::support::{Request, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

const ROUTES: &str = r#"
[frontend.shop.route.catalogue]
path = "/api/catalogue"
upstream = "api"
token = "client"
[frontend.shop.route.stock]
path = "/api/stock"
upstream = "api"
token = "client"
require_scopes = ["stock.read", "stock.list"]
[frontend.shop.route.either]
path = "/api/either"
upstream = "api"
token = "user_or_client"
[frontend.shop.route.members]
path = "/api/members"
upstream = "api"
token = "client"
require_claims = { roles = ["buyer"] }
[frontend.shop.route.mixed]
path = "/api/mixed"
token = "client"
[frontend.shop.route.mixed.part.catalogue]
upstream = "api"
path = "/catalogue"
[frontend.shop.route.mixed.part.mine]
upstream = "api"
path = "/mine"
token = "user_or_client"
"#;

fn bff() -> TestBff {
    TestBff::with(|setup| setup.tables = ROUTES.to_owned())
}

fn ask(bff: &TestBff, path: &str) -> Response {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .send(bff.addr)
}

fn claims(answer: &Response) -> serde_json::Value {
    answer.json()["authorization"]["token_claims"].clone()
}

#[test]
fn a_client_route_needs_no_session_and_is_called_with_the_clients_token() {
    let bff = bff();
    let answer = ask(&bff, "/api/catalogue/x");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(claims(&answer)["sub"], "shop");
    assert_eq!(claims(&answer)["scope"], "");
    assert!(answer.headers("set-cookie").is_empty());
    assert!(answer.header("cache-control").is_some());
    // Signed in or not: the same token, and the session stays out of it.
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/api/catalogue/x");
    assert_eq!(claims(&answer)["sub"], "shop");
    assert_eq!(bff.token_calls("client_credentials"), 1);
    // A14: the proof of origin is asked for as everywhere.
    let bare = Request::new("GET", "/api/catalogue")
        .header("host", "shop.test")
        .send(bff.addr);
    assert_eq!(bare.problem(), "cross-site-request");
}

#[test]
fn its_scope_is_what_the_route_requires() {
    // A28
    let bff = bff();
    let answer = ask(&bff, "/api/stock");
    assert_eq!(claims(&answer)["scope"], "stock.read stock.list");
    assert_eq!(claims(&ask(&bff, "/api/catalogue"))["scope"], "");
    assert_eq!(bff.token_calls("client_credentials"), 2);
    bff.clock.advance(SECOND * 250);
    bff.idp
        .faults()
        .inject(1, TokenFault::With("scope", "stock.read".into()));
    let answer = ask(&bff, "/api/stock");
    assert_eq!(answer.problem(), "insufficient-scope");
    assert!(answer.text().contains("stock.list"), "{}", answer.text());
}

#[test]
fn it_is_kept_until_shortly_before_its_end_and_fetched_once_for_all() {
    let bff = bff();
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    let addr = bff.addr;
    let threads: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                Request::new("GET", "/api/catalogue")
                    .header("host", "shop.test")
                    .header("x-csrf", "1")
                    .send(addr)
                    .status
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 200);
    }
    assert_eq!(bff.token_calls("client_credentials"), 1);
    // Lifetime 300 s: a minute before its end it is replaced.
    bff.clock.advance(SECOND * 239);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
    assert_eq!(bff.token_calls("client_credentials"), 1);
    bff.clock.advance(SECOND);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
    assert_eq!(bff.token_calls("client_credentials"), 2);
}

#[test]
fn a_provider_that_is_down_is_503_once_the_token_has_ended_and_is_not_pestered() {
    // B40
    let bff = bff();
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
    bff.idp.faults().inject(
        Faults::ALWAYS,
        TokenFault::Answer {
            status: 503,
            body: String::new(),
        },
    );
    bff.clock.advance(SECOND * 290);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200, "it lives");
    bff.clock.advance(SECOND * 60);
    let calls = bff.api_calls();
    for _ in 0..5 {
        let answer = ask(&bff, "/api/catalogue");
        assert_eq!(answer.problem(), "identity-provider-unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(bff.api_calls(), calls);
    assert!(
        bff.token_calls("client_credentials") <= 3,
        "none for some seconds after a failure"
    );
    bff.idp.faults().clear();
    bff.clock.advance(SECOND * 60);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
}

#[test]
fn a_provider_that_was_never_there_is_503_too() {
    let bff = TestBff::with(|setup| {
        setup.tables = ROUTES.to_owned();
        setup.provider_is_down = true;
    });
    let answer = ask(&bff, "/api/catalogue");
    assert_eq!(answer.problem(), "identity-provider-unavailable");
    bff.idp.faults().clear();
    bff.clock.advance(SECOND * 60);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
    bff.idp.faults().inject(
        Faults::ALWAYS,
        Fault::Discovery(sealgate::demo::idp::DiscoveryFault::Endpoint(
            EndpointFault::Down,
        )),
    );
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
}

#[test]
fn a_refused_client_is_our_fault_and_tells_nobody_why() {
    let bff = bff();
    bff.idp.faults().inject(
        1,
        TokenFault::Answer {
            status: 400,
            body: "{\"error\":\"unauthorized_client\"}".to_owned(),
        },
    );
    let answer = ask(&bff, "/api/catalogue");
    assert_eq!((answer.status, &*answer.problem()), (500, "internal"));
    assert!(!answer.text().contains("unauthorized_client"));
    assert_eq!(bff.api_calls(), 0);
    bff.clock.advance(SECOND * 60);
    assert_eq!(ask(&bff, "/api/catalogue").status, 200);
}

#[test]
fn a_user_or_client_route_prefers_the_user() {
    let bff = bff();
    assert_eq!(claims(&ask(&bff, "/api/either"))["sub"], "shop");
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(claims(&answer)["sub"], "8f2c1d7e-alice");
    // The session's refresh token is gone, and so is its access token. What came as a user's request is refused once, and
    // with the cookies gone it is the client's turn (F23).
    bff.idp
        .faults()
        .inject(Faults::ALWAYS, TokenFault::InvalidGrant);
    bff.clock.advance(SECOND * 301);
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(answer.problem(), "login-required");
    bff.idp.faults().clear();
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(claims(&answer)["sub"], "shop", "{}", answer.text());
}

#[test]
fn a_session_that_does_not_open_never_goes_out_as_the_client() {
    // O: the replica may lag behind the key ring, and the session be somebody's
    let bff = bff();
    let mut browser = bff.signed_in();
    let name = "__Host-Http-shop";
    let stranger = TestBff::spawn().signed_in().cookie(name).unwrap().clone();
    for path in ["/api/either", "/api/maybe"] {
        let answer = Request::new("GET", path)
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .header("cookie", &format!("{name}={}", stranger.value))
            .send(bff.addr);
        assert_eq!((answer.status, &*answer.problem()), (401, "login-required"));
        assert_eq!(answer.json()["login_url"], "/bff/login", "{path}");
        assert!(answer.headers("set-cookie").is_empty(), "E19 {path}");
    }
    assert_eq!(bff.api_calls(), 0);
    assert_eq!(bff.token_calls("client_credentials"), 0);

    // One that nobody can open is cleared away, and said to be; then it is the client's turn.
    let cookie = browser.jar.iter_mut().find(|cookie| cookie.name == name);
    let value = &mut cookie.unwrap().value;
    let at = value.len() - 9;
    let other = if value.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    value.replace_range(at..=at, other);
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(answer.problem(), "login-required");
    assert!(browser.cookie(name).is_none());
    assert_eq!(bff.api_calls(), 0);
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(claims(&answer)["sub"], "shop");
}

#[test]
fn a_part_never_goes_out_as_the_client_for_a_session_that_does_not_open() {
    // The same for a part whose token is not that of its route
    let bff = bff();
    let name = "__Host-Http-shop";
    let stranger = TestBff::spawn().signed_in().cookie(name).unwrap().clone();
    let nobody = ask(&bff, "/api/mixed");
    let token = &nobody.json()["mine"]["authorization"]["token_claims"];
    assert_eq!(token["sub"], "shop", "{}", nobody.text());
    let calls = bff.api_calls();
    let answer = Request::new("GET", "/api/mixed")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &format!("{name}={}", stranger.value))
        .send(bff.addr);
    assert_eq!(answer.problem(), "login-required");
    assert_eq!(bff.api_calls(), calls);
}

#[test]
fn a_session_that_is_over_never_goes_out_as_the_client() {
    // O, F23: a user's form must not be sent in the client's name because it took half an hour to fill in
    let bff = bff();
    let mut browser = bff.signed_in();
    bff.clock.advance(SECOND * 1_801);
    let answer = browser.fetch("GET", "/api/either");
    assert_eq!(answer.problem(), "login-required");
    assert!(browser.cookie("__Host-Http-shop").is_none());
    assert_eq!(bff.api_calls(), 0);
    assert_eq!(claims(&browser.fetch("GET", "/api/either"))["sub"], "shop");
}

#[test]
fn a_client_route_can_require_a_session_all_the_same() {
    let bff = bff();
    assert_eq!(ask(&bff, "/api/members").problem(), "login-required");
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/api/members");
    assert_eq!(claims(&answer)["sub"], "shop");
}
