//! What the upstream hears, and what the client hears of it.

use std::rc::Rc;

use super::{Log, OK};
use crate::proxy::testing::{RawUpstream, Setup, Talk};

#[actix_web::test]
async fn the_upstream_hears_one_plain_request() {
    // A18, A21, D3, D7, D9, D10, D12, D16, D17, B54
    let heard = Log::default();
    let log = Rc::clone(&heard);
    let upstream = RawUpstream::start(move |mut talk, _| {
        let heard = Rc::clone(&log);
        async move {
            while let Some(head) = talk.head().await {
                heard.borrow_mut().push(head);
                talk.say(OK).await;
            }
        }
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    let own = upstream.addr;
    for (line, expect) in [
        (
            "GET /api/orders/7?a=%2B+%20&b&c=%zz HTTP/1.1",
            "GET /v1/7?a=%2B+%20&b&c=%zz HTTP/1.1",
        ),
        ("GET /api/orders HTTP/1.1", "GET /v1 HTTP/1.1"),
        ("GET /api/orders? HTTP/1.1", "GET /v1? HTTP/1.1"),
        ("GET /api/orders/ HTTP/1.1", "GET /v1/ HTTP/1.1"),
        ("GET /api/orders/%C3%BC HTTP/1.1", "GET /v1/%C3%BC HTTP/1.1"),
        (
            "GET http://evil.test/api/orders/7 HTTP/1.1",
            "GET /v1/7 HTTP/1.1",
        ),
        ("OPTIONS /api/orders/7 HTTP/1.1", "OPTIONS /v1/7 HTTP/1.1"),
        ("POST /api/orders/7 HTTP/1.1", "POST /v1/7 HTTP/1.1"),
    ] {
        // D2 (CVE-2025-48865): `Connection` takes away what the client sent, and nothing of ours.
        let spoofs = "Authorization: Bearer spoofed\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\n\
                      Connection: Authorization, via\r\n\
                      X-Forwarded-Host: evil.test\r\nX-CSRF: 1\r\nX-Stays: 1\r\nAccept-Encoding: gzip";
        Talk::ask(front.addr, &format!("{line}\r\n{spoofs}")).await;
        let head = heard.borrow_mut().pop().expect(line);
        let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
        assert_eq!(lines.remove(0), expect);
        lines.sort_unstable();
        let host = format!("host: {own}");
        let mut expect = vec![
            "accept-encoding: gzip",
            "authorization: Bearer token-of-the-user",
            "forwarded: for=127.0.0.1;host=\"shop.example.com\";proto=https",
            &host,
            "via: 1.1 sealgate",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example.com",
            "x-forwarded-proto: https",
            "x-stays: 1",
        ];
        if line.starts_with("POST") {
            expect.insert(2, "content-length: 0");
        }
        assert_eq!(lines, expect, "{line}");
    }
    front.stop().await;
}

#[actix_web::test]
async fn what_has_no_one_reading_is_refused_before_the_upstream() {
    // A19, D8, D10, D11, D12, D17
    let upstream = RawUpstream::start(|mut talk, _| async move {
        talk.say(OK).await;
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    for head in [
        "GET /api/orders/../admin HTTP/1.1",
        "GET /api/orders/%2e%2e/admin HTTP/1.1",
        "GET /api/orders/..%2fadmin HTTP/1.1",
        "GET /api/orders//x HTTP/1.1",
        "GET /api/orders/;x HTTP/1.1",
        "GET /api/orders/%00 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "TRACE /api/orders HTTP/1.1",
        "GET /api/orders?x=1&access%5Ftoken=y HTTP/1.1",
        "GET /api/orders HTTP/1.1\r\nVia: 1.1 a, 1.1 sealgate",
        "GET /api/orders HTTP/1.1\r\nUpgrade: websocket",
    ] {
        let answer = Talk::ask(front.addr, head).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
    }
    assert_eq!(upstream.connections(), 0);
    front.stop().await;
}

#[actix_web::test]
async fn a_refused_upgrade_swallows_no_request_behind_it() {
    // D8
    let upstream = RawUpstream::start(|_, _| async {}).await;
    let front = Setup::to(upstream.addr).start();
    let mut client = Talk::to(front.addr).await;
    client
        .say(
            "POST /api/orders HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
             Content-Length: 5\r\n\r\nhelloGET /api/orders/2 HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .await;
    let answer = client.rest().await.to_lowercase();
    assert!(answer.starts_with("http/1.1 400 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("http/1.1 ").count(), 1, "{answer}");
    assert_eq!(upstream.connections(), 0);
    front.stop().await;
}

#[actix_web::test]
async fn answers_without_body_have_none_and_keep_their_length() {
    // D22
    for (request, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n",
            Some("content-length: 42\r\n"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 42\r\n\r\n",
            Some("content-length: 42\r\n"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some("content-length: 0\r\n"),
        ),
    ] {
        let upstream = RawUpstream::start(move |mut talk, _| async move {
            while talk.head().await.is_some() {
                talk.say(answer).await;
            }
        })
        .await;
        let front = Setup::to(upstream.addr).start();
        for _ in 0..2 {
            let got = Talk::ask(front.addr, &format!("{request} /api/orders HTTP/1.1")).await;
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            let head = format!("{head}\r\n");
            assert!(head.starts_with(&answer[..15]), "{request} {answer}: {got}");
            assert_eq!(body, "", "{request} {answer}");
            assert_eq!(
                head.lines().find(|line| line.starts_with("content-length")),
                length.map(str::trim_end),
                "{request} {answer}: {got}"
            );
        }
        assert_eq!(upstream.connections(), 1, "{request} {answer}");
        front.stop().await;
    }
}

#[actix_web::test]
async fn answers_pass_as_they_are_and_redirects_are_not_followed() {
    // D14, D34, D41
    let upstream = RawUpstream::start(|mut talk, _| async move {
        let host = talk.head().await.unwrap();
        let host = host
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap()
            .to_owned();
        talk.say(&format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/v1/8?x\r\nContent-Encoding: gzip\r\n\
             Content-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\nSet-Cookie: a=b\r\n\
             Content-Length: 8\r\n\r\nnot gzip"
        ))
        .await;
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    let answer = Talk::ask(front.addr, "GET /api/orders/7 HTTP/1.1").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 302 Found"), "{answer}");
    assert_eq!(body, "not gzip");
    for line in [
        "location: /api/orders/8?x",
        "content-encoding: gzip",
        "cache-control: no-store",
        "content-security-policy: sandbox; default-src 'none'",
        "x-content-type-options: nosniff",
        "vary: cookie",
    ] {
        assert!(head.lines().any(|got| got == line), "{line} in {head}");
    }
    assert!(
        !head.contains("access-control") && !head.contains("set-cookie"),
        "{head}"
    );
    assert_eq!(upstream.connections(), 1);
    front.stop().await;
}
