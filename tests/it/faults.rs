//! Upstreams that fail, each in its own way: the right status in bounded time, and nobody else harmed (D35, D42).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::upstream::{RawUpstream, Talk};
use crate::support::{ORIGIN, Request, Response, Site, TestBff, http};

/// Far more than any of them takes, far less than a default would be.
const BOUND: Duration = Duration::from_secs(8);

/// Half of what it announces.
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn drip(talk: &mut Talk, text: &str) {
    for byte in text.split_inclusive(|_: char| true) {
        if !talk.try_say(byte) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn each_fault_has_its_status_and_harms_no_other_route() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused_at = refused.local_addr().unwrap();
    drop(refused);
    let upstream = RawUpstream::start(|mut talk| {
        let Some(head) = talk.head() else { return };
        match head.split(' ').nth(1).unwrap() {
            "/closes" => {}
            "/resets" => talk.reset(),
            "/half-closes" => {
                talk.half_close();
                talk.head();
            }
            "/drips" => drip(&mut talk, &"HTTP/1.1 200 OK\r\nx: y\r\n".repeat(10)),
            "/hints" => {
                while talk.try_say("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n") {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            _ => std::thread::sleep(Duration::from_secs(3)),
        }
    });
    let mute = RawUpstream::start(|_talk| std::thread::sleep(Duration::from_secs(3)));
    let plain = RawUpstream::start(|mut talk| talk.say(OK));
    let addr = upstream.addr;
    let mut tables = String::new();
    for (name, url) in [
        ("refused", format!("http://{refused_at}")),
        ("closes", format!("http://{addr}/closes")),
        ("resets", format!("http://{addr}/resets")),
        ("half-closes", format!("http://{addr}/half-closes")),
        ("drips", format!("http://{addr}/drips")),
        ("hints", format!("http://{addr}/hints")),
        ("silent", format!("http://{addr}/silent")),
        ("mute-tls", format!("https://{}", mute.addr)),
        ("plain-tls", format!("https://{}", plain.addr)),
        ("nowhere", "http://no-such-host.invalid".to_owned()),
    ] {
        let table = format!(
            "[upstream.{name}]\nurl = \"{url}\"\ntimeout = \"1s\"\n\
             [frontend.shop.route.{name}]\npath = \"/{name}\"\nupstream = \"{name}\"\ntoken = \"none\"\n"
        );
        tables.push_str(&table);
    }
    let bff = TestBff::with(|setup| setup.tables = tables);
    for (name, statuses) in [
        ("refused", &[502][..]),
        ("closes", &[502]),
        ("resets", &[502]),
        ("half-closes", &[502]),
        ("drips", &[504]),
        ("hints", &[504]),
        ("silent", &[504]),
        ("mute-tls", &[504]),
        ("plain-tls", &[502]),
        // A resolver says no, or says nothing.
        ("nowhere", &[502, 504]),
    ] {
        let begun = Instant::now();
        let target = format!("/{name}");
        let addr = bff.addr;
        let failing = std::thread::spawn(move || {
            Request::new("GET", &target)
                .header("host", "shop.test")
                .header("x-csrf", "1")
                .send(addr)
        });
        let other = bff.browser().fetch("GET", "/api/public");
        assert_eq!(other.status, 200, "beside {name}");
        let answer = failing.join().unwrap();
        assert!(
            statuses.contains(&answer.status),
            "{name}: {}",
            answer.status
        );
        let code = if answer.status == 502 {
            "upstream-unavailable"
        } else {
            "upstream-timeout"
        };
        assert_eq!(answer.problem(), code, "{name}");
        assert!(begun.elapsed() < BOUND, "{name}: {:?}", begun.elapsed());
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
}

#[test]
fn a_fault_in_the_middle_of_an_answer_cuts_it_and_slowness_does_not() {
    // D30, D42
    let upstream = RawUpstream::start(|mut talk| {
        let Some(head) = talk.head() else { return };
        match head.split(' ').nth(1).unwrap() {
            "/base/stalls" => {
                talk.say(HALF);
                while !talk.hear().is_empty() {}
            }
            "/base/resets" => {
                talk.say(HALF);
                std::thread::sleep(Duration::from_millis(200));
                talk.reset();
            }
            "/base/closes" => talk.say("HTTP/1.1 200 OK\r\n\r\nhelloworld"),
            "/base/half-closes" => {
                talk.say("HTTP/1.1 200 OK\r\n\r\nhelloworld");
                talk.half_close();
                talk.head();
            }
            _ => {
                talk.say(HALF);
                // Longer in all than the 2 s for which nothing may come.
                std::thread::sleep(Duration::from_millis(1200));
                talk.say("wor");
                std::thread::sleep(Duration::from_millis(1200));
                talk.say("ld");
            }
        }
    });
    let tables = upstream.route("");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    for (path, complete) in [
        ("/raw/stalls", false),
        ("/raw/resets", false),
        ("/raw/closes", true),
        ("/raw/half-closes", true),
        ("/raw/slow", true),
    ] {
        let begun = Instant::now();
        let answer = browser.fetch("GET", path);
        let body = if complete { "helloworld" } else { "hello" };
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, body),
            "{path}"
        );
        assert_eq!(answer.complete, complete, "{path}");
        assert!(begun.elapsed() < BOUND, "{path}: {:?}", begun.elapsed());
    }
}

#[test]
fn an_upload_that_stalls_is_408_and_one_that_nobody_takes_is_504() {
    // D19
    let (ended, has_ended) = mpsc::channel();
    let ended = Mutex::new(ended);
    let upstream = RawUpstream::start(move |mut talk| {
        let Some(head) = talk.head() else { return };
        if head.starts_with("POST /base/deaf") {
            std::thread::sleep(Duration::from_secs(6));
            return;
        }
        let mut body = Vec::new();
        loop {
            match talk.hear() {
                more if more.is_empty() => break,
                more => body.extend(more),
            }
        }
        let _ = ended.lock().unwrap().send(body);
    });
    let tables = upstream.route("body_limit = \"1GiB\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let cookies = bff.signed_in().api_cookie_line("/raw");
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\ncontent-length: 500000000\r\n\r\n"
        )
    };
    let stalled = http::raw(bff.addr, format!("{}hello", head("/raw/stalls")).as_bytes());
    let stalled = Response::parse(&stalled, "POST");
    assert_eq!(
        (stalled.status, stalled.problem().as_str()),
        (408, "bad-request")
    );
    assert_eq!(stalled.header("connection"), Some("close"));
    let body = has_ended
        .recv_timeout(BOUND)
        .expect("the upstream's connection ends");
    assert_eq!(body, b"hello", "and nothing completes the body");

    let mut stream = TcpStream::connect(bff.addr).unwrap();
    stream.write_all(head("/raw/deaf").as_bytes()).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let piece = vec![b'x'; 1 << 20];
    while stream.write_all(&piece).is_ok() {}
    let mut answer = vec![0; 12];
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 504");
}

#[test]
fn when_all_connections_are_in_use_the_next_waits_and_no_other_upstream_suffers() {
    // D42
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let (come, has_come) = mpsc::channel();
    let come = Mutex::new(come);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /held") {
                come.lock().unwrap().send(()).unwrap();
                talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n.\r\n");
                let _ = may_go.lock().unwrap().recv_timeout(Duration::from_secs(8));
                talk.say("0\r\n\r\n");
            } else {
                talk.say(OK);
            }
        }
    });
    let tables = format!(
        "[upstream.few]\nurl = \"http://{}\"\nmax_connections = 2\ntimeout = \"1s\"\n\
         [frontend.shop.route.few]\npath = \"/few\"\nupstream = \"few\"\ntoken = \"none\"",
        upstream.addr
    );
    let site = Site::with(ORIGIN, "", &tables);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let addr = server.addr;
    let get = move |path: &str| {
        Request::new("GET", path)
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .send(addr)
    };
    let held: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(move || get("/few/held")))
        .collect();
    for _ in &held {
        has_come.recv_timeout(BOUND).unwrap();
    }
    let begun = Instant::now();
    let answer = get("/few/x");
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "upstream-timeout")
    );
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    assert_eq!(upstream.connections(), 2);
    // One that waits gets the connection that becomes free.
    let waiting = std::thread::spawn(move || get("/few/x"));
    go.send(()).unwrap();
    assert_eq!(waiting.join().unwrap().status, 200);
    go.send(()).unwrap();
    for held in held {
        let answer = held.join().unwrap();
        assert_eq!((answer.status, answer.complete), (200, true));
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_header_section_of_an_upstream_may_be_as_long_as_one_of_a_client() {
    // D13
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap();
            let kibibytes: usize = path.rsplit('/').next().unwrap().parse().unwrap();
            let padding = "x-padding: y\r\n".repeat(kibibytes * 1024 / 80 / 14);
            let line = format!(
                "x-long: {}\r\n",
                "z".repeat(kibibytes * 1024 - padding.len())
            );
            let head = format!("HTTP/1.1 200 OK\r\n{padding}{line}content-length: 0\r\n\r\n");
            if !talk.try_say(&head) {
                return;
            }
        }
    });
    let tables = upstream.route("");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/raw/40").status, 200);
    let answer = browser.fetch("GET", "/raw/60");
    assert_eq!(answer.status, 502);
    assert_eq!(answer.problem(), "upstream-unavailable");
    assert_eq!(
        browser.fetch("GET", "/raw/40").status,
        200,
        "and others go on"
    );
}
