//! Clients that would keep an API to themselves: places at an upstream are for requests that are there (D42).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::process::{Server, eventually};
use crate::support::upstream::{RawUpstream, Talk};
use crate::support::{ORIGIN, Request, Site};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// `/few` is for everybody, `/mine` for who is signed in; both lead to one upstream with four places.
fn site(upstream: SocketAddr) -> Site {
    let tables = format!(
        r#"
[upstream.few]
url = "http://{upstream}"
max_connections = 4
timeout = "8s"
[frontend.shop.route.few]
path = "/few"
upstream = "few"
token = "none"
[frontend.shop.route.mine]
path = "/mine"
upstream = "few"
token = "user"
"#
    );
    // The tests' browser comes from 127.0.0.1.
    Site::with(ORIGIN, "trusted_proxies = [\"127.0.0.1/32\"]", &tables)
}

/// A request of the client with this address, as a trusted proxy passes it on.
fn begin(server: &Server, client: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).unwrap();
    let (line, rest) = request.split_once("\r\n").unwrap();
    let head =
        format!("{line}\r\nhost: shop.test\r\nx-csrf: 1\r\nx-forwarded-for: {client}\r\n{rest}");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The beginning of what comes back, if any comes in this time.
fn status(stream: &mut TcpStream, patience: Duration) -> Option<String> {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[9..]).into_owned())
}

fn answer_all(mut talk: Talk) {
    while talk.head().is_some() {
        talk.say(OK);
    }
}

#[test]
fn bodies_that_do_not_come_take_no_place() {
    // B: 1,024 such requests, and whoever was signed in got 504
    let upstream = RawUpstream::start(answer_all);
    let site = site(upstream.addr);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    for framing in ["content-length: 1", "transfer-encoding: chunked"] {
        let request = format!("POST /few HTTP/1.1\r\n{framing}\r\n\r\n");
        let stalled: Vec<_> = (0..16)
            .map(|n| begin(&server, &format!("192.0.2.{n}"), &request))
            .collect();
        assert_eq!(browser.fetch("GET", "/mine").status, 200, "{framing}");
        let sent = Request::new("POST", "/mine")
            .header("x-csrf", "1")
            .body("x");
        assert_eq!(browser.send(sent).status, 200, "{framing}");
        drop(stalled);
    }
    // What is known to be empty waits for nothing.
    let empty = "POST /few HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut empty = begin(&server, "192.0.2.1", empty);
    assert_eq!(
        status(&mut empty, Duration::from_secs(8)).as_deref(),
        Some("200")
    );
}

#[test]
fn a_client_that_holds_every_place_with_half_a_body_gives_one_up() {
    // B, with one byte more
    let heads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heads);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("POST") {
                count.fetch_add(1, Ordering::SeqCst);
                talk.hear();
                talk.hear();
                return;
            }
            talk.say(OK);
        }
    });
    let site = site(upstream.addr);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let half = "POST /few HTTP/1.1\r\ncontent-length: 9\r\n\r\nx";
    let mut greedy: Vec<_> = (0..4).map(|_| begin(&server, "192.0.2.1", half)).collect();
    eventually("all places are taken", || {
        (heads.load(Ordering::SeqCst) == 4).then_some(())
    });
    assert_eq!(browser.fetch("GET", "/mine").status, 200);
    let refused = greedy
        .iter_mut()
        .filter_map(|stream| status(stream, Duration::from_millis(300)));
    assert_eq!(refused.collect::<Vec<_>>(), ["429"], "one was enough");
}

#[test]
fn while_others_wait_who_holds_over_a_quarter_is_refused() {
    // B
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let (come, has_come) = mpsc::channel();
    let come = Mutex::new(come);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /held") {
                come.lock().unwrap().send(()).unwrap();
                let _ = may_go.lock().unwrap().recv_timeout(Duration::from_secs(9));
            }
            talk.say(OK);
        }
    });
    let site = site(upstream.addr);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let held: Vec<_> = (0..4)
        .map(|_| begin(&server, "192.0.2.1", "GET /few/held HTTP/1.1\r\n\r\n"))
        .collect();
    for _ in &held {
        has_come.recv_timeout(Duration::from_secs(8)).unwrap();
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| browser.fetch("GET", "/mine"));
        // Before the other one waits, this one does.
        eventually("refused", || {
            let mut one_more = begin(&server, "192.0.2.1", "GET /few HTTP/1.1\r\n\r\n");
            (status(&mut one_more, Duration::from_millis(300))? == "429").then_some(())
        });
        assert!(!waiting.is_finished());
        go.send(()).unwrap();
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for mut held in held {
        let answer = status(&mut held, Duration::from_secs(8));
        assert_eq!(answer.as_deref(), Some("200"), "what it has, it keeps");
    }
}

#[test]
fn who_does_not_read_loses_its_place_when_others_need_it() {
    // B, the other way round; all of them have the address of whoever waits
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /large") {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n");
                count.fetch_add(1, Ordering::SeqCst);
                talk.flood(1 << 30, Duration::from_secs(30));
                return;
            }
            talk.say(OK);
        }
    });
    let site = site(upstream.addr);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let unread: Vec<_> = (0..4)
        .map(|_| begin(&server, "127.0.0.1", "GET /few/large HTTP/1.1\r\n\r\n"))
        .collect();
    eventually("all places are taken", || {
        (begun.load(Ordering::SeqCst) == 4).then_some(())
    });
    assert_eq!(browser.fetch("GET", "/mine").status, 200);
    drop(unread);
}

#[test]
fn who_sends_a_byte_now_and_then_loses_its_place_when_others_need_it() {
    // B, slowly; all of them have the address of whoever waits
    let heads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heads);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            if head.starts_with("POST") {
                count.fetch_add(1, Ordering::SeqCst);
                while !talk.hear().is_empty() {}
                return;
            }
            talk.say(OK);
        }
    });
    let site = site(upstream.addr);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let slow = "POST /few HTTP/1.1\r\ncontent-length: 900\r\n\r\nx";
    let mut slow: Vec<_> = (0..4).map(|_| begin(&server, "127.0.0.1", slow)).collect();
    eventually("all places are taken", || {
        (heads.load(Ordering::SeqCst) == 4).then_some(())
    });
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while over.load(Ordering::SeqCst) == 0 {
                for stream in &mut slow {
                    let _ = stream.write_all(b"x");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let answer = browser.fetch("GET", "/mine");
        over.store(1, Ordering::SeqCst);
        assert_eq!(answer.status, 200);
    });
}
