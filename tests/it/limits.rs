//! How much one session, or one client address, may ask for.

use std::time::Duration;

use crate::support::native::{NATIVE, form};
use crate::support::{Browser, Initiator, Request, Response, TestBff};

fn limited(more: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.server = "trusted_proxies = [\"127.0.0.0/8\"]".to_owned();
        setup.tables = format!(
            r#"
[frontend.shop.route.limited]
path = "/api/limited"
upstream = "api"
{more}
"#
        );
    })
}

/// An anonymous request of a client behind the proxy that the test is.
fn from(bff: &TestBff, address: &str) -> Response {
    Request::new("GET", "/api/limited")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("x-forwarded-for", address)
        .send(bff.addr)
}

fn statuses(browser: &mut Browser, n: usize) -> Vec<u16> {
    let ask = |_| browser.fetch("GET", "/api/limited").status;
    (0..n).map(ask).collect()
}

#[test]
fn a_session_has_its_own_burst_and_then_the_rate() {
    // A30
    let bff = limited("rate_limit = { per_second = 0.1, burst = 3 }");
    let mut one = bff.signed_in();
    let mut other = bff.signed_in();
    assert_eq!(statuses(&mut one, 4), [200, 200, 200, 429]);
    assert_eq!(bff.api_calls(), 3, "nothing is sent upstream");
    assert_eq!(statuses(&mut other, 2), [200, 200]);
    let answer = one.fetch("GET", "/api/limited");
    assert_eq!(answer.problem(), "rate-limited");
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert_eq!(one.fetch("GET", "/api/echo").status, 200, "other routes");
    bff.clock.advance(Duration::from_secs(10));
    assert_eq!(statuses(&mut one, 2), [200, 429]);
    let metrics = Request::new("GET", "/metrics")
        .header("host", "localhost")
        .send(bff.admin)
        .text();
    assert!(metrics.contains("outcome=\"rate-limited\""), "{metrics}");
}

#[test]
fn a_limited_session_costs_the_identity_provider_nothing() {
    let bff = limited("rate_limit = { per_second = 0.001, burst = 1 }");
    let mut browser = bff.signed_in();
    assert_eq!(statuses(&mut browser, 1), [200]);
    bff.clock.advance(Duration::from_secs(301));
    assert_eq!(statuses(&mut browser, 3), [429; 3]);
    assert_eq!(bff.token_calls("refresh_token"), 0);
    let mut anonymous = bff.browser();
    assert_eq!(statuses(&mut anonymous, 3), [401; 3], "nothing is spent");
}

#[test]
fn an_address_is_counted_behind_trusted_proxies_and_ipv6_by_its_network() {
    let bff = limited(
        "token = \"none\"\nrate_limit = { per_second = 0.01, burst = 2, by = \"address\" }",
    );
    for (address, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("198.51.100.9, 192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::ffff", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(from(&bff, address).status, status, "{address}");
    }
    assert_eq!(bff.api_calls(), 6);
}

#[test]
fn nobody_chooses_an_address_where_no_proxy_is_trusted() {
    // D16
    let bff = TestBff::with(|setup| {
        setup.tables =
            "[frontend.shop.route.limited]\npath = \"/api/limited\"\nupstream = \"api\"\n\
            token = \"none\"\nrate_limit = { per_second = 0.01, burst = 1, by = \"address\" }\n"
                .to_owned();
    });
    assert_eq!(from(&bff, "192.0.2.1").status, 200);
    assert_eq!(from(&bff, "192.0.2.2").status, 429);
}

#[test]
fn a_refused_request_of_another_site_spends_nothing() {
    let bff = limited(
        "token = \"none\"\nrate_limit = { per_second = 0.01, burst = 1, by = \"address\" }",
    );
    for _ in 0..3 {
        let answer = Request::new("GET", "/api/limited")
            .header("host", "shop.test")
            .header("sec-fetch-site", "cross-site")
            .header("x-forwarded-for", "192.0.2.1")
            .send(bff.addr);
        assert_eq!(answer.problem(), "cross-site-request");
    }
    assert_eq!(from(&bff, "192.0.2.1").status, 200);
}

#[test]
fn where_nobody_must_be_signed_in_the_anonymous_are_counted_by_address() {
    let bff = limited("token = \"user_or_none\"\nrate_limit = { per_second = 0.01, burst = 1 }");
    assert_eq!(from(&bff, "192.0.2.1").status, 200);
    assert_eq!(from(&bff, "192.0.2.1").status, 429);
    let mut browser = bff.signed_in();
    assert_eq!(statuses(&mut browser, 2), [200, 429]);
}

#[test]
fn logins_of_one_address_can_be_limited() {
    // F17
    let bff = TestBff::with(|setup| {
        setup.frontend = "login_rate_limit = { per_second = 0.01, burst = 4 }".to_owned();
    });
    let mut browser = bff.signed_in();
    // A login is two of them: its beginning and its callback.
    for status in [302, 302, 429] {
        let answer = Request::new("GET", "/bff/login")
            .header("host", "shop.test")
            .send(bff.addr);
        assert_eq!(answer.status, status);
    }
    let page = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(page.response.status, 429);
    assert!(page.response.header("retry-after").is_some());
    assert!(page.response.text().contains("rate-limited"));
    assert_eq!(
        browser.fetch("GET", "/bff/user").status,
        200,
        "who is signed in stays so"
    );
    bff.clock.advance(Duration::from_secs(200));
    let answer = Request::new("GET", "/bff/login")
        .header("host", "shop.test")
        .send(bff.addr);
    assert_eq!(answer.status, 302);
}

#[test]
fn an_apps_token_calls_count_as_its_logins_do() {
    let bff = TestBff::with(|setup| {
        setup.frontend = "login_rate_limit = { per_second = 0.01, burst = 4 }".to_owned();
        setup.tables = NATIVE.to_owned();
    });
    let mut app = bff.app();
    // A login's beginning and its callback, a call without a nonce, and one with.
    let tokens = app.sign_in(&bff);
    let refused = app.refresh(&tokens.refresh);
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
    bff.clock.advance(Duration::from_secs(100));
    assert_eq!(app.refresh(&tokens.refresh).status, 200);
}

#[test]
fn an_app_that_signs_out_costs_the_provider_few_calls_and_is_signed_out_always() {
    let bff = TestBff::with(|setup| {
        setup.frontend = "login_rate_limit = { per_second = 0.01, burst = 9 }".to_owned();
        setup.tables = NATIVE.to_owned();
    });
    let mut app = bff.app();
    // A login takes four of the nine at most.
    let tokens = app.sign_in(&bff);
    let other = app.sign_in(&bff);
    let body = form(&[("token", &tokens.refresh)]);
    assert_eq!(app.post("revoke", &body).status, 200);
    let mut again = (0..9).map(|_| app.post("revoke", &body).status);
    assert!(again.any(|status| status == 429), "the limit is reached");
    let at_provider = bff.revoked().len();
    assert!(at_provider > 0);
    let refused = app.post("revoke", &form(&[("token", &other.refresh)]));
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        bff.revoked().len(),
        at_provider,
        "the provider hears nothing of it"
    );
    let failed = "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"rate\"}";
    assert_eq!(bff.metric(failed), 0, "it was no login");
    bff.clock.advance(Duration::from_secs(200));
    let refresh = app.refresh(&other.refresh);
    assert_eq!(refresh.json()["error"], "invalid_grant", "it is over here");
    assert_eq!(app.post("revoke", &body).status, 200);
}
