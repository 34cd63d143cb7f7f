//! The operator's view: health, metrics, and that the public cannot see them.

use crate::support::{Request, TestBff};

fn admin(bff: &TestBff, path: &str) -> crate::support::Response {
    Request::new("GET", path)
        .header("host", "admin")
        .send(bff.admin)
}

#[test]
fn health_and_metrics_have_a_listener_of_their_own() {
    // F13
    let bff = TestBff::spawn();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(admin(&bff, path).status, 200, "{path}");
        let public = Request::new("GET", path)
            .header("host", "shop.test")
            .send(bff.addr);
        assert_eq!(public.problem(), "not-found", "{path}");
    }
}

#[test]
fn what_happened_is_counted() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    browser.fetch("GET", "/api/root/status/404");
    browser.fetch("GET", "/api/echo/x");
    bff.browser().fetch("GET", "/api/echo/x");
    bff.clock.advance(std::time::Duration::from_secs(290));
    browser.fetch("GET", "/api/echo/x");
    let text = admin(&bff, "/metrics").text();
    for line in [
        "sealgate_requests_total{frontend=\"shop\",route=\"root\",outcome=\"4xx\"} 1",
        "sealgate_requests_total{frontend=\"shop\",route=\"echo\",outcome=\"2xx\"} 2",
        "sealgate_requests_total{frontend=\"shop\",route=\"echo\",outcome=\"login-required\"} 1",
        "sealgate_logins_total{frontend=\"shop\",result=\"started\"} 1",
        "sealgate_logins_total{frontend=\"shop\",result=\"ok\"} 1",
        "sealgate_refresh_total{result=\"ok\"} 1",
        "sealgate_session_open_total{result=\"anonymous\"}",
        "sealgate_session_open_total{result=\"ok\"} 3",
        "sealgate_open_total{kid=\"",
        "sealgate_keyring_keys 1",
        "sealgate_keyring_primary_age_seconds 290",
        "sealgate_keyring_fingerprint_info{fingerprint=\"",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
}
