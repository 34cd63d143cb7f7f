//! The way to an API and back, against upstreams that misbehave.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::upstream::{RawUpstream, Talk};
use crate::support::{Browser, Request, TestBff, http};

fn bff_for(upstream: &RawUpstream, more: &str) -> TestBff {
    let tables = upstream.route(more);
    TestBff::with(move |setup| {
        setup.tables = tables;
    })
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

fn answer(talk: &mut Talk, body: &str) {
    talk.say(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
}

#[test]
fn a_1xx_hands_nobody_another_users_answer() {
    // awc would: alice gets the 103, and bob, next on her connection, her private answer.
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let user = header(&head, "x-who").unwrap_or_default();
            talk.say("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
            std::thread::sleep(Duration::from_millis(20));
            answer(&mut talk, &format!("private to {user}"));
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    for user in ["alice", "bob", "carol", "alice", "bob", "carol"] {
        let request = Request::new("GET", "/raw")
            .header("x-csrf", "1")
            .header("x-who", user);
        let response = browser.send(request);
        assert_eq!(
            (response.status, response.text()),
            (200, format!("private to {user}"))
        );
    }
}

#[test]
fn a_truncated_answer_is_never_completed() {
    // D30
    let upstream = RawUpstream::start(|mut talk| {
        if let Some(head) = talk.head() {
            if head.starts_with("GET /base/chunked") {
                talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
            } else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello");
            }
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    for path in ["/raw/chunked", "/raw/length"] {
        let response = browser.fetch("GET", path);
        assert!(!response.complete, "{path}: the connection is cut");
        assert_eq!(response.text(), "hello");
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_arrives() {
    let upstream = RawUpstream::start(|mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let bff = bff_for(&upstream, "body_limit = \"64MiB\"");
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/raw");
    let mut stream = TcpStream::connect(bff.addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    write!(
        stream,
        "POST /raw HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\ncontent-length: 50000000\r\n\r\n"
    )
    .unwrap();
    let begun = Instant::now();
    let _ = stream.write_all(&vec![b'x'; 100_000]);
    let mut seen = [0; 12];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"HTTP/1.1 413");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it does not wait for the rest of the body"
    );
}

#[test]
fn a_stale_connection_is_retried_once_for_a_get_and_never_for_a_post() {
    // D20
    let upstream = RawUpstream::start(|mut talk| {
        // Answers once a connection, promises to keep it, and closes it when the next request comes.
        if talk.head().is_some() {
            let number = talk.number;
            answer(&mut talk, &format!("connection {number}"));
            talk.head();
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    for _ in 0..20 {
        assert_eq!(browser.fetch("GET", "/raw").status, 200);
    }
    let before = upstream.connections();
    let mut refused = 0;
    for _ in 0..4 {
        let post = browser.send(Request::new("POST", "/raw").header("x-csrf", "1").body("x"));
        assert!(matches!(post.status, 200 | 502), "{}", post.status);
        refused += usize::from(post.status == 502);
    }
    assert!(
        upstream.connections() - before <= 4,
        "no POST was sent twice"
    );
    assert!(refused > 0, "the test met a stale connection");
}

#[test]
fn open_streams_hold_nobody_up() {
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /base/stream") {
                talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n.\r\n");
                // Until the client is gone.
                talk.head();
                return;
            }
            answer(&mut talk, "quick");
        }
    });
    // Streams last for the whole test, and a busy machine may take its time.
    let tables = upstream.route("");
    let tables = tables
        .replace("\"1s\"", "\"60s\"")
        .replace("\"2s\"", "\"60s\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/raw");
    let streams: Vec<TcpStream> = (0..120)
        .map(|_| {
            let mut stream = TcpStream::connect(bff.addr).unwrap();
            write!(stream, "GET /raw/stream HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(browser.fetch("GET", "/raw").text(), "quick");
    drop(streams);
}

#[test]
fn what_a_client_says_about_itself_does_not_pass() {
    // D1, D2, D3, D4, D5, D16, A21, B54
    let bff = TestBff::with(|setup| {
        setup.tables = r#"
[frontend.shop.route.cookies]
path = "/api/cookies"
upstream = "api"
token = "user"
cookies = ["theme"]
strip_headers = ["X-Acme-User", "x-corp-*"]
"#
        .to_owned();
    });
    let browser = bff.signed_in();
    let cookies = format!("theme=dark; {}; other=1", browser.api_cookie_line("/api"));
    let mut request = Request::new("GET", "/api/cookies")
        .header("host", "shop.test")
        .header("cookie", &cookies)
        .header("x-csrf", "1")
        .header("x-mine", "stays");
    for (name, value) in [
        ("authorization", "Basic Zm9vOmJhcg=="),
        ("proxy-authorization", "Basic x"),
        ("dpop", "x"),
        ("forwarded", "for=1.2.3.4;host=evil.test"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-user", "root"),
        ("x_forwarded_user", "root"),
        ("X_Forwarded-For", "1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("x-user-id", "1"),
        ("proxy", "http://evil.test"),
        ("x-accel-mapping", "/=/etc/"),
        ("x-sendfile-type", "X-Accel-Redirect"),
        ("x-middleware-subrequest", "middleware"),
        // N: what other proxies say of their users
        ("ssl-client-verify", "SUCCESS"),
        ("oidc-claim-sub", "root"),
        ("x-auth-subject", "root"),
        ("x-authentik-username", "root"),
        ("cf-access-authenticated-user-email", "root@evil.test"),
        ("tailscale-user-login", "root"),
        ("x-ms-token-aad-id-token", "x"),
        ("x-goog-iap-jwt-assertion", "x"),
        ("x-acme-user", "root"),
        ("X-Corp-Role", "admin"),
        ("x-named", "hop"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        (
            "connection",
            "x-named, authorization, x-forwarded-for, forwarded",
        ),
    ] {
        request = request.header(name, value);
    }
    assert_eq!(request.send(bff.addr).status, 200);
    let seen = bff.api.requests().pop().unwrap();
    let authorization = seen
        .header("authorization")
        .expect("exactly one Authorization");
    assert!(authorization.starts_with("Bearer "));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert!(
        seen.header("forwarded")
            .is_some_and(|value| !value.contains("evil"))
    );
    assert_eq!(seen.header("cookie"), Some("theme=dark"));
    assert_eq!(seen.header("x-mine"), Some("stays"));
    for name in [
        "proxy-authorization",
        "dpop",
        "x-forwarded-user",
        "x_forwarded_user",
        "x_forwarded-for",
        "x-real-ip",
        "x-user-id",
        "proxy",
        "x-accel-mapping",
        "x-sendfile-type",
        "x-middleware-subrequest",
        "ssl-client-verify",
        "oidc-claim-sub",
        "x-auth-subject",
        "x-authentik-username",
        "cf-access-authenticated-user-email",
        "tailscale-user-login",
        "x-ms-token-aad-id-token",
        "x-goog-iap-jwt-assertion",
        "x-acme-user",
        "x-corp-role",
        "x-named",
        "te",
        "keep-alive",
        "proxy-connection",
        "x-csrf",
    ] {
        assert!(
            seen.headers.iter().all(|(key, _)| key != name),
            "{name} passed"
        );
    }
    assert!(
        !seen.header("host").unwrap().contains("shop.test"),
        "the upstream gets its own Host"
    );
}

#[test]
fn what_an_upstream_says_to_the_browser_is_ours_to_judge() {
    // A17, D25, D26, D28, D34, D40, B57
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let host = header(&head, "host").unwrap_or_default();
            talk.say(&format!(
                "HTTP/1.1 302 Found\r\nset-cookie: __Host-Http-shop=evil; Path=/\r\nset-cookie: sealgate-shop=evil\r\n\
                 set-cookie: theme=dark; Path=/\r\nset-cookie: wide=1; Domain=test\r\nset-cookie: other=1\r\n\
                 access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n\
                 clear-site-data: \"cookies\"\r\nstrict-transport-security: max-age=0\r\nalt-svc: h3\r\n\
                 service-worker-allowed: /\r\nwww-authenticate: Basic\r\nserver: internal/1.0\r\nx-powered-by: php\r\n\
                 connection: x-hop\r\nx-hop: 1\r\nx-mine: stays\r\ncontent-type: text/html\r\n\
                 location: http://{host}/base/elsewhere?x=1\r\ncontent-length: 2\r\n\r\nok"
            ));
        }
    });
    let bff = bff_for(&upstream, "set_cookies = [\"theme\", \"wide\"]");
    let mut browser = bff.signed_in();
    let response = browser.fetch("GET", "/raw");
    assert_eq!(response.status, 302, "redirects are not followed (D14)");
    assert_eq!(response.header("location"), Some("/raw/elsewhere?x=1"));
    let cookies = response.headers("set-cookie");
    assert!(
        cookies.iter().any(|line| line.starts_with("theme=dark")),
        "{cookies:?}"
    );
    assert!(
        cookies
            .iter()
            .all(|line| !line.contains("evil") && !line.contains("other")),
        "{cookies:?}"
    );
    assert!(
        cookies
            .iter()
            .all(|line| !line.to_ascii_lowercase().contains("domain")),
        "{cookies:?}"
    );
    for (name, _) in &response.headers {
        assert!(!name.starts_with("access-control-"), "{name}");
        assert!(
            ![
                "clear-site-data",
                "alt-svc",
                "service-worker-allowed",
                "www-authenticate",
                "server",
                "x-powered-by",
                "x-hop"
            ]
            .contains(&name.as_str()),
            "{name}"
        );
    }
    assert_eq!(
        response
            .header("strict-transport-security")
            .unwrap()
            .split(';')
            .next(),
        Some("max-age=31536000")
    );
    assert_eq!(response.header("x-mine"), Some("stays"));
    assert_eq!(
        response.header("cache-control"),
        Some("no-store"),
        "private answers are never shared"
    );
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert!(
        response
            .header("content-security-policy")
            .unwrap()
            .contains("sandbox"),
        "D40"
    );
}

#[test]
fn an_api_gives_our_origin_nothing_to_load_keep_or_try() {
    // R: what a browser would do for later pages of ours
    const NAMES: [&str; 8] = [
        "speculation-rules",
        "use-as-dictionary",
        "secure-session-registration",
        "secure-session-challenge",
        "origin-trial",
        "accept-ch",
        "critical-ch",
        "supports-loading-mode",
    ];
    let upstream = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            let lines = NAMES.map(|name| format!("{name}: x\r\n")).concat();
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\n{lines}x-mine: stays\r\ncontent-length: 2\r\n\r\nok"
            ));
        }
    });
    let bff = bff_for(&upstream, "");
    let answer = bff.signed_in().fetch("GET", "/raw");
    assert_eq!(answer.header("x-mine"), Some("stays"));
    for name in NAMES {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn a_304_leaves_what_the_browser_has_as_it_is() {
    // R, RFC 9111 §4.3.4: its headers replace those that were stored, so a policy in it would be the stored answer's
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            if header(&head, "if-none-match").is_some() {
                talk.say(
                    "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-type: text/html\r\n\
                     content-security-policy: img-src *\r\n\r\n",
                );
            } else {
                talk.say(
                    "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-type: text/html\r\n\
                     content-security-policy: img-src *\r\ncontent-length: 2\r\n\r\nok",
                );
            }
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    let first = browser.fetch("GET", "/raw");
    assert_eq!(
        first.headers("content-security-policy"),
        ["img-src *", "sandbox; default-src 'none'"],
        "D40"
    );
    let again = Request::new("GET", "/raw")
        .header("x-csrf", "1")
        .header("if-none-match", "\"1\"");
    let again = browser.send(again);
    assert_eq!((again.status, again.header("etag")), (304, Some("\"1\"")));
    assert_eq!(again.header("content-security-policy"), None);
    assert_eq!(again.header("content-type"), None);
}

#[test]
fn a_cacheable_answer_loses_that_when_it_carries_our_cookie() {
    // D27, C18
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let more = if head.contains("/whole") {
                ", No-Transform"
            } else {
                ""
            };
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\ncache-control: public, max-age=3600{more}\r\nexpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n\
                 etag: \"x\"\r\ncontent-length: 2\r\n\r\nok"
            ));
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    let plain = browser.fetch("GET", "/raw");
    assert!(
        !plain.header("cache-control").unwrap().contains("public"),
        "D28"
    );
    bff.clock.advance(Duration::from_secs(290));
    let refreshed = browser.fetch("GET", "/raw");
    assert!(!refreshed.headers("set-cookie").is_empty());
    assert_eq!(refreshed.headers("cache-control"), ["no-store"]);
    assert!(refreshed.header("expires").is_none());
    // Nothing else on the way may change it, as before.
    bff.clock.advance(Duration::from_secs(290));
    let whole = browser.fetch("GET", "/raw/whole");
    assert!(!whole.headers("set-cookie").is_empty());
    assert_eq!(
        whole.headers("cache-control"),
        ["no-store, no-transform"],
        "RFC 9111 §5.2.2.6"
    );
}

#[test]
fn a_streamed_answer_carries_the_session_cookie() {
    // D38: cookies are decided before the first byte
    let upstream = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
            for _ in 0..3 {
                talk.say("9\r\ndata: 1\n\n\r\n");
                std::thread::sleep(Duration::from_millis(20));
            }
            talk.say("0\r\n\r\n");
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    bff.clock.advance(Duration::from_secs(290));
    let response = browser.fetch("GET", "/raw");
    assert!(
        response
            .headers("set-cookie")
            .iter()
            .any(|line| line.starts_with("__Host-Http-shop="))
    );
    assert_eq!(response.text(), "data: 1\n\n".repeat(3));
}

#[test]
fn upstream_failures_have_their_own_answers() {
    // D35
    let silent = RawUpstream::start(|mut talk| {
        talk.head();
        std::thread::sleep(Duration::from_secs(3));
    });
    let bff = bff_for(&silent, "");
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/raw");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "upstream-timeout")
    );
    let garbage = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say("SSH-2.0-OpenSSH\r\n\r\n");
    });
    let bff = bff_for(&garbage, "");
    let mut browser: Browser = bff.signed_in();
    let answer = browser.fetch("GET", "/raw");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "upstream-unavailable")
    );
    let bff = TestBff::with(|setup| {
        setup.tables = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\n[frontend.shop.route.gone]\npath = \"/gone\"\n\
                        upstream = \"gone\"\ntoken = \"none\""
            .to_owned();
    });
    let answer = bff.browser().fetch("GET", "/gone");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "upstream-unavailable")
    );
    assert_eq!(
        bff.browser().fetch("GET", "/api/public").status,
        200,
        "other routes are unharmed"
    );
}

#[test]
fn a_request_with_two_readings_is_refused_and_its_connection_closed() {
    // D6, D8
    let bff = TestBff::spawn();
    let smuggled = "GET /api/public/smuggled HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n";
    let length = smuggled.len();
    for (name, head) in [
        (
            "both framings",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n"),
        ),
        (
            "two lengths",
            format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n"),
        ),
        (
            "list of lengths",
            format!("content-length: 0, {length}\r\n\r\n"),
        ),
        ("signed length", "content-length: +0\r\n\r\n".to_owned()),
        (
            "not chunked last",
            "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "unknown coding",
            "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "space before colon",
            "content-length : 0\r\n\r\n".to_owned(),
        ),
        (
            "obsolete folding",
            "x-a: b\r\n content-length: 0\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        (
            "websocket with a body",
            format!(
                "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: {length}\r\n\r\n"
            ),
        ),
    ] {
        let request = format!(
            "POST /api/public HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n{head}{smuggled}"
        );
        let answer = http::raw(bff.addr, request.as_bytes());
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 400"), "{name}: {text}");
        assert_eq!(
            text.matches("HTTP/1.1 ").count(),
            1,
            "{name}: one answer, then closed: {text}"
        );
    }
    let old = "POST /api/public HTTP/1.0\r\nhost: shop.test\r\nx-csrf: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = String::from_utf8_lossy(&http::raw(bff.addr, old.as_bytes())).into_owned();
    assert!(answer.contains(" 400 "), "{answer}");
    assert!(
        bff.api
            .requests()
            .iter()
            .all(|seen| !seen.path.contains("smuggled"))
    );
}

#[test]
fn a_content_type_with_two_readings_is_neutralised() {
    // D40: browsers take the last type of a list
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let types = header(&head, "x-types")
                .unwrap_or_default()
                .replace('|', "\r\ncontent-type: ");
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {types}\r\ncontent-length: 2\r\n\r\nok"
            ));
        }
    });
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    for (types, inert) in [
        ("application/json", true),
        ("image/png", true),
        ("text/html", false),
        ("image/png, text/html", false),
        ("application/json;x=1, text/html", false),
        ("text/plain;charset=utf-8, text/html", false),
        ("application/json|text/html", false),
    ] {
        let request = Request::new("GET", "/raw")
            .header("x-csrf", "1")
            .header("x-types", types);
        let response = browser.send(request);
        let sandboxed = response
            .headers("content-security-policy")
            .iter()
            .any(|policy| policy.contains("sandbox"));
        assert_eq!(sandboxed, !inert, "{types}");
    }
}

#[test]
fn an_expectation_is_met_or_refused_here_and_goes_no_further() {
    // D18
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    let ask = |expect: &str, cookies: &str, body: &str| {
        let head = format!(
            "POST /api/echo HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\nexpect: {expect}\r\n\
             content-length: 5\r\nconnection: close\r\n\r\n{body}"
        );
        let answer = http::raw(bff.addr, head.as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (interim, last) = answer.rsplit_once("HTTP/1.1 ").unwrap();
        (interim.to_owned(), last[..3].to_owned())
    };
    let cookies = browser.api_cookie_line("/api/echo");
    let (interim, last) = ask("100-continue", &cookies, "hello");
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(last, "200");
    let seen = bff.api.requests().pop().unwrap();
    assert_eq!(
        (seen.header("expect"), seen.body.as_slice()),
        (None, &b"hello"[..])
    );
    // Nobody waits for the body of a request that is refused anyway.
    assert_eq!(ask("100-continue", "", "").1, "401");
    assert_eq!(ask("200-ok", &cookies, "hello").1, "417");
    assert_eq!(bff.api_calls(), 1);
}

#[test]
fn who_is_not_signed_in_is_told_so_whatever_asks() {
    // D39: never a redirect to the provider that a fetch would follow; D29: and no cache mixes the answers up
    let bff = TestBff::spawn();
    for (mode, dest, accept) in [
        ("cors", "empty", "application/json"),
        ("same-origin", "empty", "*/*"),
        ("no-cors", "image", "image/*"),
        ("navigate", "document", "text/html"),
    ] {
        let answer = Request::new("GET", "/api/echo")
            .header("host", "shop.test")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("accept", accept)
            .send(bff.addr);
        assert_eq!(answer.status, 401, "{mode}");
        if mode == "navigate" {
            // B17, mako PR 870: a person is told so by a page.
            let page = answer.header("content-type").unwrap_or_default();
            assert!(page.starts_with("text/html"), "{page}");
        } else {
            assert_eq!(answer.problem(), "login-required");
            assert_eq!(answer.json()["login_url"], "/bff/login");
        }
        assert_eq!(answer.header("location"), None);
        assert_eq!(
            answer.header("vary"),
            Some("Cookie, Origin, Sec-Fetch-Site")
        );
    }
}
