//! Calls that are not a mirror of the client's request: what goes out, and what comes back.

use std::rc::Rc;
use std::time::Duration;

use http::request::Builder;
use http::{HeaderValue, StatusCode};

use super::{Log, OK};
use crate::names::{Origin, UpstreamName};
use crate::problem::Problem;
use crate::proxy::testing::{RawUpstream, Setup, Talk};
use crate::proxy::{Answer, Called, Challenge, Get, Proxy, ReadError};
use crate::telemetry::{RequestId, RequestScope, TraceContext};
use crate::token::Permit;

/// `GET /7?x=1` for a client that sent `request`.
async fn get(setup: &Setup, request: Builder) -> Result<Called<Answer>, Problem> {
    let proxy = Proxy {
        upstreams: &setup.upstreams(),
        request: &request.into(),
        client: "192.0.2.1".parse().unwrap(),
        origin: &Origin::parse("https://shop.example.com").unwrap(),
        csrf_header: "x-csrf",
    };
    let target = Get {
        upstream: &UpstreamName::parse("orders").unwrap(),
        path: "/7",
        query: Some("x=1"),
        cookies: &["theme".to_owned()],
        timeout: setup.clone().forward().timeout,
    };
    let permit = Permit::given(setup.token.map(HeaderValue::from_static), true);
    proxy.get(&permit, target).await
}

/// An upstream that says the same to everybody.
async fn saying(text: &'static str) -> RawUpstream {
    RawUpstream::start(move |mut talk: Talk, _| async move {
        talk.head().await;
        talk.say(text).await;
    })
    .await
}

#[actix_web::test]
async fn a_get_carries_what_a_forwarded_get_carries_of_the_client_and_the_trace_and_no_more() {
    let heard = Log::default();
    let log = Rc::clone(&heard);
    let upstream = RawUpstream::start(move |mut talk, _| {
        let heard = Rc::clone(&log);
        async move {
            let head = talk.head().await.unwrap();
            heard.borrow_mut().push(head);
            talk.say(OK).await;
        }
    })
    .await;
    let mut request = http::Request::post("/api/home?y=2");
    for (name, value) in [
        ("accept", "text/html"),
        ("accept-language", "de"),
        ("authorization", "Bearer spoofed"),
        ("connection", "tracestate"),
        ("content-length", "7"),
        ("cookie", "theme=dark; other=1; __Host-Http-shop=sealed"),
        ("if-none-match", "\"1\""),
        ("range", "bytes=0-1"),
        ("traceparent", "00-1-2-01"),
        ("tracestate", "hop=by-hop"),
        ("user-agent", "x"),
        ("via", "2 cdn"),
        ("x-anything", "1"),
        ("x-csrf", "1"),
        ("x-forwarded-for", "203.0.113.9"),
    ] {
        request = request.header(name, value);
    }
    // The trace is that of the request's scope, whatever the client's own headers say by now.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::of(Some(parent), None, (7, 8));
    let scope = RequestScope::begin(RequestId::made(9), trace);
    let setup = Setup::to(upstream.addr);
    let called = scope.around(get(&setup, request)).await.unwrap();
    let Called::Answer(answer) = called else {
        panic!("no 401")
    };
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.read(2).await.unwrap(), "ok");
    let head = heard.borrow_mut().pop().unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /v1/7?x=1 HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept-language: de",
            "accept: application/json",
            "authorization: Bearer token-of-the-user",
            "cookie: theme=dark",
            "forwarded: for=192.0.2.1;host=\"shop.example.com\";proto=https",
            &format!("host: {}", upstream.addr),
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000008-01",
            "via: 2 cdn, 1.1 sealgate",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: shop.example.com",
            "x-forwarded-proto: https",
            "x-request-id: 0000000000000009",
        ]
    );
}

#[actix_web::test]
async fn a_body_is_read_whole_or_not_at_all() {
    for (says, expect) in [
        ("Content-Length: 5\r\n\r\nhello", Ok("hello")),
        ("Content-Length: 0\r\n\r\n", Ok("")),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            Ok("hello"),
        ),
        (
            "Content-Length: 6\r\n\r\nhello!",
            Err("the upstream's answer is too large"),
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n",
            Err("the upstream's answer is too large"),
        ),
        (
            "Content-Length: 5\r\n\r\nhel",
            Err("the upstream's answer broke off"),
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
            Err("the upstream's answer broke off"),
        ),
    ] {
        let says = format!("HTTP/1.1 200 OK\r\n{says}");
        let upstream = saying(says.leak()).await;
        let called = get(&Setup::to(upstream.addr), http::Request::get("/")).await;
        let read = called.unwrap().into_answer().read(5).await;
        let read = read.map_err(|error: ReadError| error.to_string());
        match expect {
            Ok(text) => assert_eq!(read.unwrap(), text),
            Err(why) => assert_eq!(read.unwrap_err(), why),
        }
    }
}

#[actix_web::test]
async fn a_body_takes_no_more_memory_than_its_announced_length() {
    let upstream = RawUpstream::start(|mut talk, _| async move {
        let half = "x".repeat(50_000);
        talk.head().await;
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            .await;
        talk.say(&half).await;
        talk.say(&half).await;
        talk.rest().await;
    })
    .await;
    let called = get(&Setup::to(upstream.addr), http::Request::get("/")).await;
    let body = called.unwrap().into_answer().read(1 << 20).await.unwrap();
    let buffer = body.try_into_mut().unwrap();
    assert_eq!((buffer.len(), buffer.capacity()), (100_000, 100_000));
}

#[actix_web::test]
async fn a_401_is_told_by_its_type_and_keeps_its_body() {
    let upstream = saying(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n\
         WWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno",
    )
    .await;
    let called = get(&Setup::to(upstream.addr), http::Request::get("/")).await;
    let Ok(Called::Unauthorized(Challenge(lines), answer)) = called else {
        panic!("{called:?}")
    };
    assert_eq!(lines, ["Bearer error=\"invalid_token\"", "Basic"]);
    assert_eq!(answer.read(9).await.unwrap(), "no");
}

#[actix_web::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let upstream = RawUpstream::start(|mut talk, _| async move {
        talk.rest().await;
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.forward().timeout = Some(Duration::from_millis(100));
    let outcome = get(&setup, http::Request::get("/")).await;
    assert_eq!(outcome.unwrap_err().code(), "upstream-timeout");
}
