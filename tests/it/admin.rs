//! The operator's view: health, metrics, and that the public cannot see them.

use crate::support::http::raw;
use crate::support::{Request, Response, TestBff, logs};

fn admin(bff: &TestBff, path: &str) -> crate::support::Response {
    Request::new("GET", path)
        .header("host", "localhost")
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

#[test]
fn counters_are_born_at_zero_and_none_is_of_what_is_not_there() {
    // N14
    let bff = TestBff::spawn();
    let text = admin(&bff, "/metrics").text();
    for line in [
        "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"verification\"} 0",
        "sealgate_session_open_total{result=\"rejected\"} 0",
        "sealgate_refresh_total{result=\"conflict\"} 0",
        "sealgate_requests_total{frontend=\"shop\",route=\"echo\",outcome=\"upstream-unavailable\"} 0",
        "sealgate_requests_total{frontend=\"shop\",route=\"callback\",outcome=\"login-failed\"} 0",
        "sealgate_keyring_reload_total{result=\"rejected\"} 0",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    assert!(text.contains("sealgate_open_total{kid=\""), "{text}");
    assert!(!text.contains("coordination"), "{text}");
    bff.signed_in();
    let text = admin(&bff, "/metrics").text();
    for bound in [3072, 5120, 6144, 7168] {
        let bucket = format!("sealgate_session_bytes_bucket{{le=\"{bound}.0\",");
        assert!(text.contains(&bucket), "no {bucket} in\n{text}");
    }
}

#[test]
fn head_is_answered_as_get_and_nothing_else_is() {
    // N15
    let bff = TestBff::spawn();
    for path in ["/livez", "/readyz", "/metrics"] {
        let head = Request::new("HEAD", path)
            .header("host", "localhost")
            .send(bff.admin);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let post = Request::new("POST", path)
            .header("host", "localhost")
            .send(bff.admin);
        assert_eq!(
            (post.status, post.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
    assert_eq!(admin(&bff, "/nothing").status, 404);
}

#[test]
fn a_name_that_somebody_pointed_here_is_not_answered() {
    // K: DNS rebinding.
    let bff = TestBff::with(|setup| {
        setup.server = "admin_hosts = [\"Sealgate.Internal\"]".to_owned();
    });
    let ask = |host: &str| {
        Request::new("GET", "/metrics")
            .header("host", host)
            .send(bff.admin)
    };
    for host in [
        "localhost",
        "LOCALHOST:9090",
        "127.0.0.1:9090",
        "10.244.1.7:9090",
        "[::1]:9090",
        "sealgate.internal",
        "SEALGATE.internal:9090",
    ] {
        assert_eq!(ask(host).status, 200, "{host}");
    }
    for host in [
        "evil.test",
        "evil.test:9090",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "127.0.0.1@evil.test",
        "shop.test",
        "internal",
        "",
    ] {
        let answer = ask(host);
        assert_eq!(answer.status, 421, "{host}");
        assert!(
            answer.text().contains("server.admin_hosts"),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("sealgate_"), "{}", answer.text());
    }
    let exchange = |head: &str| {
        let bytes = raw(
            bff.admin,
            format!("{head}connection: close\r\n\r\n").as_bytes(),
        );
        Response::parse(&bytes, "GET").status
    };
    assert_eq!(exchange("GET /livez HTTP/1.0\r\n"), 200, "a simple probe");
    assert_eq!(exchange("GET /livez HTTP/1.1\r\n"), 400);
    let two = "GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: evil.test\r\n";
    assert_eq!(exchange(two), 400);
    let other = "GET http://evil.test/livez HTTP/1.1\r\nhost: localhost\r\n";
    assert_eq!(exchange(other), 421);
}

#[test]
fn a_host_that_no_frontend_has_is_named_and_told_of_once_a_minute() {
    // B6, N9: next.js PR 17557
    let bff = TestBff::spawn();
    let begun = logs::install();
    let ask = |host: &str| {
        Request::new("GET", "/bff/user")
            .header("host", host)
            .send(bff.addr)
    };
    let lines = |host: &str| {
        logs::search(begun, |log| {
            let told =
                |line: &&str| line.starts_with("WARN ") && line.contains(&format!(" host={host}"));
            log.lines().filter(told).count()
        })
    };
    for _ in 0..3 {
        let answer = ask("inner.b6.test:8080");
        assert_eq!(answer.problem(), "unknown-frontend");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("inner.b6.test:8080"), "{detail}");
    }
    assert_eq!(lines("inner.b6.test:8080"), 1);
    bff.clock.advance(std::time::Duration::from_secs(60));
    ask("inner.b6.test:8080");
    assert_eq!(lines("inner.b6.test:8080"), 2);
    // What is no host is not repeated, and a crowd of hosts does not fill the log.
    let long = format!("{}.wx.test", "a".repeat(300));
    for host in ["<script>wx", "a wx", "wx\u{e9}", &long] {
        let answer = ask(host);
        assert!(!answer.text().contains("wx"), "{host}: {}", answer.text());
    }
    for n in 0..100 {
        ask(&format!("n{n}.b6.test"));
    }
    let told: usize = (0..100).map(|n| lines(&format!("n{n}.b6.test"))).sum();
    assert_eq!(told, 15, "with the one before sixteen a minute");
}
