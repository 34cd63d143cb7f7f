//! What crosses between a client and an API, seen from both ends: bytes, framing, caches, certificates.

use std::net::TcpListener;

use crate::support::upstream::{RawUpstream, Talk, tls_upstream};
use crate::support::{Browser, ORIGIN, Request, Response, Site, TestBff, http};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn bff_for(upstream: &RawUpstream, more: &str) -> TestBff {
    let tables = upstream.route(more);
    TestBff::with(|setup| setup.tables = tables)
}

/// One request as it stands, but for Host, proof of origin and cookies.
fn ask(bff: &TestBff, browser: &Browser, lines: &str, body: &str) -> Response {
    let cookies = browser.api_cookie_line("/api/echo");
    let (line, headers) = lines.split_once("\r\n").unwrap_or((lines, ""));
    let end = if headers.is_empty() { "" } else { "\r\n" };
    let request = format!(
        "{line}\r\nhost: shop.test\r\nx-csrf: 1\r\nconnection: close\r\ncookie: {cookies}\r\n{headers}{end}\r\n{body}"
    );
    let method = line.split(' ').next().unwrap();
    Response::parse(&http::raw(bff.addr, request.as_bytes()), method)
}

#[test]
fn no_part_of_a_request_chooses_where_it_goes() {
    // A18
    let decoy = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say(OK);
    });
    let evil = decoy.addr;
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    for (lines, status) in [
        (format!("GET //{evil}/api/echo HTTP/1.1"), 400),
        (format!("GET ///{evil} HTTP/1.1"), 400),
        (format!("GET /api/echo//{evil}/x HTTP/1.1"), 400),
        (format!("GET /api/echo/%2f%2f{evil}/x HTTP/1.1"), 400),
        (format!("GET /api/echo/..//{evil}/x HTTP/1.1"), 400),
        (format!("GET /api/echo\\{evil} HTTP/1.1"), 400),
        (format!("GET /api/echo/%5c{evil} HTTP/1.1"), 400),
        (format!("GET http://{evil}/api/echo HTTP/1.1"), 400),
        (format!("GET http://x@{evil}/api/echo HTTP/1.1"), 400),
        (format!("GET @{evil}/api/echo HTTP/1.1"), 400),
        (format!("GET /api/echo@{evil} HTTP/1.1"), 404),
        (format!("GET /api/echo:80@{evil}/x HTTP/1.1"), 404),
        (format!("GET /api/echo/@{evil} HTTP/1.1"), 200),
        (format!("GET /api/echo/x@{evil}/ HTTP/1.1"), 200),
        (format!("GET /api/echo?@{evil} HTTP/1.1"), 200),
        (format!("GET /api/echo?url=http://{evil}/ HTTP/1.1"), 200),
        (
            format!("GET /api/echo HTTP/1.1\r\nx-forwarded-host: {evil}\r\nforwarded: host={evil}"),
            200,
        ),
        (
            format!(
                "GET /api/echo HTTP/1.1\r\nx-original-url: http://{evil}/\r\nx-rewrite-url: //{evil}"
            ),
            200,
        ),
    ] {
        let before = bff.api_calls();
        let answer = ask(&bff, &browser, &lines, "");
        assert_eq!(answer.status, status, "{lines}");
        let came = bff.api_calls() - before;
        assert_eq!(came, usize::from(status == 200), "{lines}");
    }
    let host = Request::new("GET", "/api/echo")
        .header("host", &evil.to_string())
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/api/echo"));
    assert_eq!(host.send(bff.addr).problem(), "unknown-frontend");
    assert_eq!(decoy.connections(), 0);
}

#[test]
fn a_query_crosses_byte_for_byte_and_brings_no_token() {
    // D12
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    for query in [
        "a=%2B+%20&b",
        "b&a&b",
        "",
        "%zz=%",
        // What browsers leave as it is in a query.
        "x=//@evil.test;y=[]{}|^`'\\~",
        "a?b?c",
        "access_tokens=1",
    ] {
        let answer = ask(
            &bff,
            &browser,
            &format!("GET /api/echo/x?{query} HTTP/1.1"),
            "",
        );
        assert_eq!(answer.status, 200, "{query}");
        let seen = bff.api.requests().pop().unwrap();
        assert_eq!((&*seen.path, &*seen.query), ("/v1/x", query));
    }
    let calls = bff.api_calls();
    for query in ["access_token=x", "a=1&access%5ftoken=x"] {
        let answer = ask(
            &bff,
            &browser,
            &format!("GET /api/echo?{query} HTTP/1.1"),
            "",
        );
        assert_eq!(answer.problem(), "bad-request", "{query}");
    }
    assert_eq!(bff.api_calls(), calls);
}

#[test]
fn a_body_is_framed_anew_and_its_trailers_end_here() {
    // D7, D33
    let bff = TestBff::spawn();
    let browser = bff.signed_in();
    let all: String = (0_u8..=127).map(char::from).collect();
    let chunks = format!(
        "1;ext=\"a\"\r\n{}\r\n7f\r\n{}\r\n0\r\nauthorization: Bearer trailer\r\nx-trailer: 1\r\n\r\n",
        &all[..1],
        &all[1..]
    );
    let chunked = "\r\ntransfer-encoding: chunked\r\ntrailer: x-trailer\r\nte: trailers";
    let sized = format!("\r\ncontent-length: {}", all.len());
    for (framing, body, name, value) in [
        (chunked, &*chunks, "transfer-encoding", "chunked"),
        (&*sized, &*all, "content-length", "128"),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
            let lines = format!("{method} /api/echo HTTP/1.1{framing}");
            let answer = ask(&bff, &browser, &lines, body);
            assert_eq!(answer.status, 200, "{lines}");
            let seen = bff.api.requests().pop().unwrap();
            assert_eq!(seen.body, all.as_bytes(), "{lines}");
            assert_eq!(seen.header(name), Some(value), "{lines}");
            let framings = seen.headers.iter().filter(|(name, _)| {
                matches!(
                    &**name,
                    "transfer-encoding" | "content-length" | "trailer" | "te"
                )
            });
            assert_eq!(framings.count(), 1, "{lines}: {:?}", seen.headers);
            assert_eq!(seen.header("x-trailer"), None);
            assert_ne!(seen.header("authorization"), Some("Bearer trailer"));
        }
    }
}

#[test]
fn line_breaks_in_what_is_reflected_make_no_header() {
    // D13
    const BREAK: &str = "%0d%0aX-Injected:%201";
    let upstream = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            let location = format!("location: /base/{BREAK}?{BREAK}");
            talk.say(&format!(
                "HTTP/1.1 303 See Other\r\n{location}\r\ncontent-length: 0\r\n\r\n"
            ));
        }
    });
    let tables = upstream.route("");
    let bff = TestBff::with(|setup| {
        setup.tables = tables;
        setup.frontend = "error_page = \"/signin-error\"".to_owned();
    });
    let mut browser = bff.browser();
    let login = format!("/bff/login?returnUrl=/a{BREAK}&login_hint=x");
    let mut answers: Vec<Response> = Vec::new();
    let visit = browser.log_in(&login);
    answers.extend(visit.chain.into_iter().map(|(_, answer)| answer));
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    for path in [
        format!("/bff/login?prompt=login{BREAK}"),
        format!("/bff/login?acr_values={BREAK}"),
        format!("/bff/callback?state={BREAK}&code={BREAK}"),
        format!("/bff/callback?error={BREAK}&error_description={BREAK}&state=x"),
        format!("/bff/logged-out?state={BREAK}"),
        format!("/bff/logout?sid={BREAK}&returnUrl=/{BREAK}"),
        format!("/bff/user?slide={BREAK}"),
        format!("/nowhere/{BREAK}"),
        format!("/api/echo/{BREAK}"),
        format!("/api/echo?x={BREAK}"),
        format!("/raw?x={BREAK}"),
    ] {
        answers.push(ask(&bff, &browser, &format!("GET {path} HTTP/1.1"), ""));
    }
    for answer in &answers {
        let names = answer.headers.iter().map(|(name, _)| name);
        assert!(
            !names.into_iter().any(|name| name.contains("injected")),
            "{answer:?}"
        );
    }
    let location = answers.last().unwrap().header("location");
    assert!(location.is_some_and(|location| location.contains("%0d%0a")));
    for seen in bff.api.requests() {
        assert_eq!(seen.header("x-injected"), None);
    }
}

#[test]
fn conditions_ranges_and_codings_cross_as_if_nobody_were_between() {
    // D22, D41
    let gzip = "\u{1f}\u{8b} not really gzip";
    let table = [
        (
            "GET",
            "range: bytes=0-1",
            "206 Partial Content",
            "content-range: bytes 0-1/10\r\naccept-ranges: bytes",
            "ab",
        ),
        (
            "GET",
            "range: bytes=99-",
            "416 Range Not Satisfiable",
            "content-range: bytes */10",
            "",
        ),
        (
            "GET",
            "if-range: \"x\"\r\nrange: bytes=0-",
            "200 OK",
            "etag: \"y\"",
            "whole",
        ),
        (
            "GET",
            "if-none-match: \"x\", W/\"y\"",
            "304 Not Modified",
            "etag: \"x\"",
            "",
        ),
        (
            "GET",
            "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT",
            "200 OK",
            "last-modified: Sun, 06 Nov 2022 08:49:37 GMT",
            "new",
        ),
        (
            "PUT",
            "if-match: \"x\"",
            "412 Precondition Failed",
            "etag: \"z\"",
            "",
        ),
        (
            "DELETE",
            "if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT",
            "204 No Content",
            "etag: \"z\"",
            "",
        ),
        ("HEAD", "accept: */*", "200 OK", "etag: \"x\"", ""),
        ("OPTIONS", "accept: */*", "200 OK", "allow: GET, PUT", ""),
        (
            "GET",
            "accept-encoding: gzip",
            "200 OK",
            "content-encoding: gzip",
            gzip,
        ),
        (
            "GET",
            "accept-language: de",
            "200 OK",
            "content-language: de\r\nvary: accept-language",
            "ja",
        ),
    ];
    let upstream = RawUpstream::start(move |mut talk: Talk| {
        while let Some(head) = talk.head() {
            let n: usize = head.split(['/', ' ']).nth(3).unwrap().parse().unwrap();
            let (method, asked, status, headers, body) = table[n];
            let heard = asked
                .split("\r\n")
                .all(|line| head.contains(&format!("\r\n{line}\r\n")));
            let length = match status {
                _ if method == "HEAD" => "content-length: 1234\r\n".to_owned(),
                "204 No Content" | "304 Not Modified" => String::new(),
                _ => format!("content-length: {}\r\n", body.len()),
            };
            let status = if heard { status } else { "500 Not Heard" };
            talk.say(&format!(
                "HTTP/1.1 {status}\r\n{headers}\r\n{length}\r\n{body}"
            ));
        }
    });
    let bff = bff_for(&upstream, "");
    let browser = bff.signed_in();
    for (n, (method, asked, status, headers, body)) in table.into_iter().enumerate() {
        let lines = format!("{method} /raw/{n} HTTP/1.1\r\n{asked}");
        let answer = ask(&bff, &browser, &lines, "");
        assert_eq!(answer.status.to_string(), status[..3], "{lines}");
        assert_eq!(answer.text(), body, "{lines}");
        for (name, value) in headers
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
        {
            assert!(answer.headers(name).contains(&value), "{lines}: {name}");
        }
        if method == "HEAD" {
            assert_eq!(answer.header("content-length"), Some("1234"));
        }
        assert!(answer.complete, "{lines}");
    }
}

#[test]
fn what_is_one_users_is_in_no_shared_cache() {
    // D28
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let wanted = head
                .lines()
                .find_map(|line| line.strip_prefix("x-control: "));
            let control = match wanted {
                None | Some("none") => String::new(),
                Some(control) => format!("cache-control: {control}\r\n"),
            };
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\n{control}cdn-cache-control: max-age=60\r\nsurrogate-control: max-age=60\r\n\
                 content-length: 2\r\n\r\nok"
            ));
        }
    });
    let tables = upstream.route("").replace("\"user\"", "\"user_or_none\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let user = bff.signed_in();
    for browser in [&user, &bff.browser()] {
        for control in [
            "none",
            "public",
            "max-age=60",
            "s-maxage=60",
            "must-revalidate, max-age=9",
            "no-cache",
            "no-store",
        ] {
            let lines = format!("GET /raw HTTP/1.1\r\nx-control: {control}");
            let answer = ask(&bff, browser, &lines, "");
            let directives = answer.headers("cache-control").join(", ");
            let is_shared = !directives
                .split(", ")
                .any(|directive| matches!(directive, "private" | "no-store"));
            assert!(!is_shared, "{control}: {directives}");
            for directive in ["public", "s-maxage"] {
                assert!(!directives.contains(directive), "{control}: {directives}");
            }
            for name in ["cdn-cache-control", "surrogate-control"] {
                assert_eq!(answer.header(name), None, "{control}");
            }
            let vary = answer.headers("vary").join(", ");
            assert!(
                vary.to_ascii_lowercase().contains("cookie"),
                "{control}: {vary}"
            );
        }
    }
}

#[test]
fn our_own_answers_say_what_they_depend_on() {
    // D29
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let foreign = Request::new("GET", "/api/echo").header("origin", "https://evil.test");
    let answers = [
        ("refused", 403, browser.send_bare(foreign)),
        ("user", 200, browser.fetch("GET", "/bff/user")),
        ("session", 200, browser.fetch("GET", "/bff/session")),
        (
            "login",
            302,
            browser.send_bare(Request::new("GET", "/bff/login")),
        ),
        (
            "callback",
            400,
            browser.send_bare(Request::new("GET", "/bff/callback")),
        ),
        ("method", 405, browser.fetch("DELETE", "/bff/user")),
        ("nothing", 404, browser.fetch("GET", "/nothing")),
        ("anonymous", 401, bff.browser().fetch("GET", "/api/echo")),
        ("logout", 200, browser.fetch("POST", "/bff/logout")),
    ];
    for (what, status, answer) in answers {
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(
            answer.header("vary"),
            Some("Cookie, Origin, Sec-Fetch-Site"),
            "{what}"
        );
        assert_eq!(answer.headers("cache-control"), ["no-store"], "{what}");
    }
}

#[test]
fn the_way_to_an_api_keeps_no_cookies_and_takes_no_proxy() {
    // D14
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let has_cookie = head.to_ascii_lowercase().contains("\r\ncookie:");
            let body = if has_cookie { "kept" } else { "none" };
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\ncontent-length: 4\r\n\r\n{body}"
            ));
        }
    });
    let proxy = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy");
    });
    let site = Site::with(ORIGIN, "", &upstream.route("cookies = [\"a\"]"));
    let server = site.serve_as(|command| {
        for name in [
            "http_proxy",
            "HTTP_PROXY",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env(name, format!("http://{}", proxy.addr));
        }
        // Calls to providers follow these variables. The one here is left out by its port, and the APIs are not.
        let provider = site.idp.issuer().trim_start_matches("http://");
        command.env_remove("NO_PROXY").env("no_proxy", provider);
    });
    let mut browser = site.signed_in(&server);
    for _ in 0..3 {
        assert_eq!(browser.fetch("GET", "/raw").text(), "none");
    }
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn an_apis_certificate_is_verified() {
    // D15
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let addr = tls_upstream(&own.cert, &own.signing_key);
    let mut tables = String::new();
    for (name, host, ca) in [
        ("trusted", "127.0.0.1", "ca = \"own.pem\""),
        ("self-signed", "127.0.0.1", ""),
        ("other-ca", "127.0.0.1", "ca = \"other.pem\""),
        ("other-name", "localhost", "ca = \"own.pem\""),
    ] {
        let table = format!(
            "[upstream.{name}]\nurl = \"https://{host}:{}\"\n{ca}\n\
             [frontend.shop.route.{name}]\npath = \"/{name}\"\nupstream = \"{name}\"\ntoken = \"user\"\n",
            addr.port()
        );
        tables.push_str(&table);
    }
    let site = Site::with(ORIGIN, "", &tables);
    site.place.write("own.pem", &own.cert.pem());
    site.place.write("other.pem", &other.cert.pem());
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    assert_eq!(browser.fetch("GET", "/trusted").text(), "ok");
    for path in ["/self-signed", "/other-ca", "/other-name"] {
        let answer = browser.fetch("GET", path);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (502, "upstream-unavailable"),
            "{path}"
        );
    }
}

#[test]
fn a_gateway_that_points_at_itself_stops() {
    // D17
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let origin = format!("http://localhost:{}", addr.port());
    let tables = format!(
        "[upstream.myself]\nurl = \"{origin}/loop\"\n\
         [frontend.shop.route.loop]\npath = \"/loop\"\nupstream = \"myself\"\ntoken = \"none\""
    );
    let site = Site::with(&origin, "", &tables);
    let server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__BIND", addr.to_string());
    });
    site.signed_in(&server);
    let answer = Request::new("GET", "/loop/x")
        .header("host", &format!("localhost:{}", addr.port()))
        .header("sec-fetch-site", "same-origin")
        .send(server.addr);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("a proxy loop"), "{}", answer.text());
    let count = |outcome: &str| {
        let labels = format!("frontend=\"shop\",route=\"loop\",outcome=\"{outcome}\"");
        server.metric(&format!("sealgate_requests_total{{{labels}}}"))
    };
    assert_eq!((count("bad-request"), count("4xx")), (1, 1));
}

#[test]
fn an_api_hears_of_the_client_from_trusted_hops_only() {
    // D16: nothing of what the client, or anybody before the last trusted hop, says about itself
    for (trusted, expect) in [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.7")] {
        let bff = TestBff::with(|setup| {
            setup.server = format!(
                "trusted_proxies = [{}]",
                match trusted {
                    "" => String::new(),
                    net => format!("\"{net}\""),
                }
            );
        });
        let browser = bff.signed_in();
        let lines = "GET /api/echo HTTP/1.1\r\nx-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 6.6.6.7, 203.0.113.7\r\n\
                     x-forwarded-host: evil.test\r\nx-forwarded-proto: http\r\nx-real-ip: 6.6.6.6";
        assert_eq!(ask(&bff, &browser, lines, "").status, 200);
        let seen = bff.api.requests().pop().unwrap();
        let all = |name: &str| {
            let lines = seen.headers.iter().filter(|(key, _)| key == name);
            lines.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(all("x-forwarded-for"), [expect]);
        assert_eq!(all("x-forwarded-host"), ["shop.test"]);
        assert_eq!(all("x-forwarded-proto"), ["https"]);
        let forwarded = format!("for={expect};host=\"shop.test\";proto=https");
        assert_eq!(all("forwarded"), [forwarded]);
        assert_eq!(all("x-real-ip"), Vec::<String>::new());
    }
}
