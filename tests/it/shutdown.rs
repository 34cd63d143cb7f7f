//! The end of a process: readiness first, then the requests in flight, then the process.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::process::{Server, eventually};
use crate::support::upstream::RawUpstream;
use crate::support::{Browser, Request, Response, Site};
use crate::websocket::read_until;

/// A request that the API takes its time for, and has received.
fn slow(site: &Site, server: &Server, browser: &Browser, ms: u32) -> JoinHandle<Response> {
    let target = format!("/api/slow?ms={ms}");
    let request = Request::new("GET", &target)
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line(&target));
    let addr = server.addr;
    let answer = std::thread::spawn(move || request.send(addr));
    eventually("the API has it", || {
        site.api
            .requests()
            .iter()
            .any(|r| r.path == "/slow")
            .then_some(())
    });
    answer
}

/// Whether the last line of its own says this, at this level.
fn ends_with(log: &str, level: &str, words: &str) -> bool {
    let last = log.lines().rfind(|line| line.contains(" sealgate::app: "));
    last.is_some_and(|line| {
        line.contains(level) && line.contains("stopped") && line.ends_with(words)
    })
}

#[test]
fn readiness_fails_first_and_requests_in_flight_end() {
    // F12
    let site = Site::with(crate::support::ORIGIN, "", "");
    let mut server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__SHUTDOWN_DELAY", "2s");
    });
    let mut browser = site.signed_in(&server);
    let answer = slow(&site, &server, &browser, 3000);
    server.process.signal("TERM");
    eventually("unready", || {
        (server.admin("/readyz").status == 503).then_some(())
    });
    assert_eq!(server.admin("/livez").status, 200);
    assert_eq!(
        browser.fetch("GET", "/api/x").status,
        200,
        "balancers have not noticed yet"
    );
    let answer = answer.join().unwrap();
    assert_eq!((answer.status, answer.complete), (200, true));
    assert_eq!(answer.json()["waited_ms"], 3000);
    let outcome = server.process.outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        ends_with(&outcome.stderr, "INFO", "stopped cut=0"),
        "{}",
        outcome.stderr
    );
    assert!(TcpStream::connect(server.addr).is_err());
}

#[test]
fn kept_connections_end_with_an_answer_before_the_listener_closes() {
    // A connection that ends between two answers may take the next request with it.
    let site = Site::with(crate::support::ORIGIN, "", "");
    let mut server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__SHUTDOWN_DELAY", "1m");
    });
    let mut kept = TcpStream::connect(server.addr).unwrap();
    let mut ask = || {
        kept.write_all(b"GET /bff/user HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n")
            .unwrap();
        String::from_utf8(read_until(&mut kept, b"\r\n\r\n")).unwrap()
    };
    let before = ask();
    assert!(!before.contains("connection: close"), "{before}");
    server.process.signal("TERM");
    eventually("unready", || {
        (server.admin("/readyz").status == 503).then_some(())
    });
    let last = ask();
    assert!(last.contains("connection: close"), "{last}");
    kept.read_to_end(&mut Vec::new()).unwrap();
    assert!(server.process.has_ended().is_none());
}

#[test]
fn idle_connections_delay_nothing() {
    let site = Site::new();
    let mut server = site.serve();
    let kept = TcpStream::connect(server.addr).unwrap();
    server.assert_idle_connections_delay_nothing(kept);
}

#[test]
fn ctrl_c_waits_for_no_balancer_and_twice_for_nobody() {
    let site = Site::new();
    for twice in [false, true] {
        let mut server = site.serve_as(|command| {
            command.env("SEALGATE__SERVER__SHUTDOWN_DELAY", "1m");
        });
        let browser = site.signed_in(&server);
        if twice {
            drop(slow(&site, &server, &browser, 30_000));
        }
        server.process.signal("INT");
        if twice {
            server.process.wait_for_log("shutting down");
            server.process.signal("INT");
        }
        server.assert_ends_soon();
        let words = if twice { "cut=1" } else { "stopped cut=0" };
        let log = server.process.stderr.text();
        assert!(log.lines().any(|line| line.ends_with(words)), "{log}");
    }
}

#[test]
fn requests_in_flight_are_cut_when_the_grace_is_over() {
    let site = Site::new();
    let mut server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__SHUTDOWN_GRACE", "1s");
    });
    let browser = site.signed_in(&server);
    drop(slow(&site, &server, &browser, 30_000));
    let begun = Instant::now();
    server.process.signal("TERM");
    let outcome = server.process.outcome();
    assert_eq!(outcome.code, Some(0));
    // N15
    assert!(
        ends_with(&outcome.stderr, "WARN", "cut=1"),
        "{}",
        outcome.stderr
    );
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "cut after {took:?}");
    assert!(took < Duration::from_secs(6), "cut after {took:?}");
}

#[test]
fn signals_that_mean_something_elsewhere_end_nothing() {
    // N15
    let site = Site::new();
    let mut server = site.serve();
    for signal in ["USR1", "USR2"] {
        server.process.signal(signal);
    }
    let said = || {
        server
            .process
            .stderr
            .text()
            .matches("this signal does nothing")
            .count()
            == 2
    };
    eventually("both are heard", || said().then_some(()));
    assert!(server.process.has_ended().is_none());
    assert_eq!(server.admin("/livez").status, 200);
}

#[test]
fn a_download_that_is_not_done_is_cut_too() {
    // N15: its head was sent long ago.
    let site = Site::new();
    let mut server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__SHUTDOWN_GRACE", "1s");
    });
    let browser = site.signed_in(&server);
    let mut reader = TcpStream::connect(server.addr).unwrap();
    let target = "/api/big?bytes=1073741824";
    let cookies = browser.api_cookie_line(target);
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\n\r\n"
    );
    reader.write_all(head.as_bytes()).unwrap();
    let got = reader.read(&mut [0; 1024]).unwrap();
    assert!(got > 0, "it has begun");
    server.process.signal("TERM");
    let outcome = server.process.outcome();
    assert!(
        ends_with(&outcome.stderr, "WARN", "cut=1"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_answer_that_was_cut_never_looks_whole() {
    // RFC 9112 §8: an HTTP/1.0 answer without a length is whole when its connection ends in order. A reset is no such end.
    let upstream = RawUpstream::start(|mut talk| {
        while talk.head().is_some_and(|head| head.contains("/whole")) {
            talk.say(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            );
        }
        talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        while !talk.hear().is_empty() {}
    });
    let tables = upstream.route("").replace("\"user\"", "\"none\"");
    let tables = tables.replace("idle_timeout = \"2s\"", "idle_timeout = \"1m\"");
    let site = Site::with(crate::support::ORIGIN, "", &tables);
    for signal in ["TERM", "KILL"] {
        let mut server = site.serve_as(|command| {
            command.env("SEALGATE__SERVER__SHUTDOWN_GRACE", "1s");
        });
        let get = |path: &str| {
            let mut client = TcpStream::connect(server.addr).unwrap();
            let head = format!("GET {path} HTTP/1.0\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
            client
        };
        let mut whole = Vec::new();
        let end = get("/raw/whole").read_to_end(&mut whole);
        end.expect("a whole answer ends in order");
        assert!(whole.ends_with(b"\r\n\r\nhello"), "{whole:?}");
        let mut part = get("/raw/part");
        read_until(&mut part, b"\r\n\r\nhello");
        server.process.signal(signal);
        let end = part
            .read_to_end(&mut Vec::new())
            .map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{signal}");
        server.process.outcome();
    }
}
