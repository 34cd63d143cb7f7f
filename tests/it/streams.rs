//! Bodies that are carried while they grow: events, uploads, downloads; and what ends them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use sealgate::demo::idp::TokenFault;
use serde_json::json;

use crate::support::process::Server;
use crate::support::upstream::RawUpstream;
use crate::support::{Browser, Site, TestBff};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A request on a connection of its own, to be read by hand.
struct Stream {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Stream {
    fn open(addr: std::net::SocketAddr, head: &str, cookies: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\ncookie: {cookies}\r\n"
        )
        .unwrap();
        Self {
            stream,
            heard: Vec::new(),
        }
    }

    fn get(addr: std::net::SocketAddr, browser: &Browser, path: &str) -> Self {
        let mut stream = Self::open(addr, &format!("GET {path}"), &browser.api_cookie_line(path));
        stream.say("\r\n");
        stream
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `mark` has come.
    #[track_caller]
    fn until(&mut self, mark: &str) {
        while !self
            .heard
            .windows(mark.len())
            .any(|window| window == mark.as_bytes())
        {
            let mut more = [0; 4096];
            let n = self.stream.read(&mut more).unwrap_or(0);
            let heard = String::from_utf8_lossy(&self.heard);
            assert!(n > 0, "no {mark:?} in {heard}");
            self.heard.extend_from_slice(&more[..n]);
        }
    }

    /// Everything to the end.
    fn rest(mut self) -> String {
        let _ = self.stream.read_to_end(&mut self.heard);
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

fn bff_for(upstream: &RawUpstream, more: &str) -> TestBff {
    let tables = upstream.route(more);
    TestBff::with(|setup| setup.tables = tables)
}

/// An upstream with an event stream that says one thing and then waits, and tells when its reader has gone.
fn events() -> (RawUpstream, mpsc::Receiver<()>) {
    let (gone, has_gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say(EVENTS);
            talk.say("9\r\ndata: 1\n\n\r\n");
            while !talk.hear().is_empty() {}
            let _ = gone.lock().unwrap().send(());
        }
    });
    (upstream, has_gone)
}

#[test]
fn the_first_event_arrives_before_the_second_is_sent() {
    // D31
    let (read, was_read) = mpsc::channel::<()>();
    let was_read = Mutex::new(was_read);
    let sent_at = Arc::new(Mutex::new(None));
    let sent = Arc::clone(&sent_at);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say(EVENTS);
            *sent.lock().unwrap() = Some(Instant::now());
            talk.say("9\r\ndata: 1\n\n\r\n");
            if was_read.lock().unwrap().recv().is_ok() {
                talk.say("9\r\ndata: 2\n\n\r\n0\r\n\r\n");
            }
        }
    });
    let bff = bff_for(&upstream, "");
    let browser = bff.signed_in();
    let mut stream = Stream::get(bff.addr, &browser, "/raw");
    stream.until("data: 1\n\n");
    let took = sent_at.lock().unwrap().unwrap().elapsed();
    println!("the first event took {took:?}");
    read.send(()).unwrap();
    stream.until("data: 2\n\n\r\n0\r\n\r\n");
    let head = String::from_utf8_lossy(&stream.heard).into_owned();
    assert!(!head.contains("content-encoding"), "{head}");
}

#[test]
fn a_chunk_of_an_upload_arrives_before_the_next_is_sent() {
    // D19, D31
    let upstream = RawUpstream::start(|mut talk| {
        let head = talk.head().unwrap();
        assert!(head.contains("transfer-encoding: chunked"));
        talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut body = Vec::new();
        for word in ["one", "two", "three"] {
            while !body.ends_with(format!("{word}\r\n").as_bytes()) {
                body.extend(talk.hear());
            }
            talk.say(&format!("{:x}\r\n{word}\r\n", word.len()));
        }
        talk.say("0\r\n\r\n");
    });
    let bff = bff_for(&upstream, "");
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/raw");
    let mut stream = Stream::open(bff.addr, "POST /raw", &cookies);
    stream.say("transfer-encoding: chunked\r\n\r\n");
    for word in ["one", "two", "three"] {
        stream.say(&format!("{:x}\r\n{word}\r\n", word.len()));
        stream.until(&format!("\r\n{word}\r\n"));
    }
    stream.say("0\r\n\r\n");
    stream.until("\r\n0\r\n\r\n");
}

#[test]
fn an_answer_that_is_over_ends_the_upload_and_both_connections() {
    // D7, D19
    let (rest, heard) = mpsc::channel();
    let rest = Mutex::new(rest);
    let upstream = RawUpstream::start(move |mut talk| {
        let mut body = Vec::new();
        if talk.head().is_some_and(|head| head.starts_with("POST")) {
            while !body.ends_with(b"one\r\n") {
                body.extend(talk.hear());
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            let _ = rest.lock().unwrap().send(talk.hear());
        }
    });
    let bff = bff_for(&upstream, "");
    let cookies = bff.signed_in().api_cookie_line("/raw");
    let mut stream = Stream::open(bff.addr, "POST /raw", &cookies);
    stream.say("transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    stream.until("\r\n\r\nok");
    let rest = heard.recv_timeout(Duration::from_secs(8)).expect("an end");
    assert!(rest.is_empty(), "not completed: {rest:?}");
    let left = stream.stream.read_to_end(&mut stream.heard);
    let is_open = left.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_open, "the client's connection ends");
    assert!(stream.heard.ends_with(b"\r\n\r\nok"), "and nothing more");
}

#[test]
fn a_client_that_leaves_ends_the_stream_at_the_upstream() {
    // D31
    let (upstream, has_gone) = events();
    let bff = bff_for(&upstream, "");
    let browser = bff.signed_in();
    let mut stream = Stream::get(bff.addr, &browser, "/raw");
    stream.until("data: 1\n\n");
    let left_at = Instant::now();
    drop(stream);
    has_gone
        .recv_timeout(Duration::from_secs(5))
        .expect("cancelled");
    println!("cancelled after {:?}", left_at.elapsed());
}

#[test]
fn an_event_stream_ends_with_its_session() {
    // D37: at the absolute end, at logout; and only its own
    for by_logout in [false, true] {
        let (upstream, has_gone) = events();
        let bff = bff_for(&upstream, "");
        let mut browser = bff.signed_in();
        let mut stream = Stream::get(bff.addr, &browser, "/raw");
        stream.until("data: 1\n\n");
        let other = bff.signed_in();
        let mut others = Stream::get(bff.addr, &other, "/raw");
        others.until("data: 1\n\n");
        if by_logout {
            assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
        } else {
            bff.clock.advance(Duration::from_secs(8 * 3600));
        }
        stream.until("0\r\n\r\n");
        has_gone
            .recv_timeout(Duration::from_secs(5))
            .expect("cancelled");
        if by_logout {
            let another = has_gone.recv_timeout(Duration::from_millis(200));
            assert!(another.is_err(), "the other session's goes on");
        }
    }
}

#[test]
fn an_event_stream_ends_at_an_end_that_a_later_refresh_has_brought_nearer() {
    // D37, B69
    let (upstream, has_gone) = events();
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    let mut stream = Stream::get(bff.addr, &browser, "/raw");
    stream.until("data: 1\n\n");
    bring_end_nearer(&bff, &mut browser);
    assert_ends_at_nearer_end(&bff, &mut stream, &has_gone);
}

/// A refresh of the same session, after which it ends in 600 s.
fn bring_end_nearer(bff: &TestBff, browser: &mut Browser) {
    bff.clock.advance(Duration::from_secs(310));
    let sooner = TokenFault::With("authorization_expires_in", json!(600));
    bff.idp.faults().inject(1, sooner);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}

fn assert_ends_at_nearer_end(bff: &TestBff, stream: &mut Stream, has_gone: &mpsc::Receiver<()>) {
    bff.clock.advance(Duration::from_secs(599));
    let early = has_gone.recv_timeout(Duration::from_millis(200));
    assert!(early.is_err(), "it has a second left");
    bff.clock.advance(Duration::from_secs(1));
    stream.until("0\r\n\r\n");
    has_gone
        .recv_timeout(Duration::from_secs(5))
        .expect("cancelled");
}

#[test]
fn an_event_stream_ends_at_an_end_that_was_brought_nearer_before_its_upstream_answered() {
    // D37, B69
    let (asked, is_asked) = mpsc::channel();
    let (refreshed, is_refreshed) = mpsc::channel();
    let (gone, has_gone) = mpsc::channel();
    let ends = Mutex::new((asked, is_refreshed, gone));
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            let (asked, is_refreshed, gone) = &*ends.lock().unwrap();
            asked.send(()).unwrap();
            is_refreshed.recv().unwrap();
            talk.say(EVENTS);
            talk.say("9\r\ndata: 1\n\n\r\n");
            while !talk.hear().is_empty() {}
            let _ = gone.send(());
        }
    });
    let tables = upstream.route("").replace("\"1s\"", "\"10s\"");
    let tables = tables.replace("\"2s\"", "\"20s\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    let head = "GET /raw";
    let mut stream = Stream::open(bff.addr, head, &browser.api_cookie_line("/raw"));
    stream.say("accept: text/event-stream\r\n\r\n");
    is_asked.recv_timeout(Duration::from_secs(5)).unwrap();
    bring_end_nearer(&bff, &mut browser);
    refreshed.send(()).unwrap();
    stream.until("data: 1\n\n");
    assert_ends_at_nearer_end(&bff, &mut stream, &has_gone);
}

#[test]
fn an_event_stream_of_a_route_without_session_does_not_end_with_one() {
    let (upstream, has_gone) = events();
    let tables = upstream
        .route("")
        .replace("token = \"user\"", "token = \"none\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    let mut stream = Stream::get(bff.addr, &browser, "/raw");
    stream.until("data: 1\n\n");
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    bff.clock.advance(Duration::from_secs(24 * 3600));
    assert!(has_gone.recv_timeout(Duration::from_millis(500)).is_err());
}

#[test]
fn event_streams_end_when_the_process_does() {
    let (upstream, _has_gone) = events();
    let site = Site::with(
        crate::support::ORIGIN,
        "shutdown_grace = \"20s\"",
        &upstream.route(""),
    );
    let mut server = site.serve();
    let browser = site.signed_in(&server);
    let mut stream = Stream::get(server.addr, &browser, "/raw");
    stream.until("data: 1\n\n");
    server.process.signal("TERM");
    assert!(stream.rest().ends_with("\r\n0\r\n\r\n"), "it ends whole");
    let outcome = server.process.outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// Most memory the process ever had, and what it has now, in KiB.
fn memory(server: &Server) -> (u64, u64) {
    let status = format!("/proc/{}/status", server.process.id());
    let status = std::fs::read_to_string(status).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("VmHWM:"), kib("VmRSS:"))
}

/// A system may be set to give them to every process: Debian's kernel is.
#[test]
#[cfg(target_os = "linux")]
fn the_process_takes_no_huge_pages() {
    let server = Site::new().serve();
    let status = format!("/proc/{}/status", server.process.id());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("THP_enabled:"));
    assert_eq!(line, Some("THP_enabled:\t0"));
}

#[test]
fn a_large_upload_and_a_large_download_take_no_memory() {
    // D19
    const BYTES: usize = 256 << 20;
    let upstream = RawUpstream::start(|mut talk| {
        let Some(head) = talk.head() else { return };
        if head.starts_with("GET") {
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n"
            ));
            talk.flood(BYTES, Duration::from_secs(10));
            return;
        }
        let mut bytes = 0;
        while bytes < BYTES {
            match talk.hear().len() {
                0 => return,
                n => bytes += n,
            }
        }
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole");
    });
    let site = Site::with(
        crate::support::ORIGIN,
        "",
        &upstream.route("body_limit = \"1GiB\""),
    );
    let server = site.serve_as(|command| {
        command.env("RUST_LOG", "info");
    });
    let browser = site.signed_in(&server);
    let cookies = browser.api_cookie_line("/raw");
    let (_, before) = memory(&server);
    let mut upload = Stream::open(server.addr, "POST /raw", &cookies);
    upload.say(&format!("content-length: {BYTES}\r\n\r\n"));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..BYTES / piece.len() {
        upload.stream.write_all(&piece).unwrap();
    }
    upload.until("whole");
    let download = Stream::get(server.addr, &browser, "/raw");
    let mut left = BYTES;
    let mut stream = download.stream;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "{left} bytes are missing");
        left = left.saturating_sub(n);
    }
    let (peak, _) = memory(&server);
    println!("{before} KiB before, {peak} KiB at the most");
    assert!(
        peak < before + 32 * 1024,
        "from {before} KiB to {peak} KiB: {BYTES} bytes are not carried, they are kept"
    );
}

#[test]
fn a_slow_client_slows_the_upstream_down() {
    // D31: what neither side's socket holds is not held in between
    const MANY: usize = 512 << 20;
    let (taken, was_taken) = mpsc::channel();
    let taken = Mutex::new(taken);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {MANY}\r\n\r\n"
            ));
            let n = talk.flood(MANY, Duration::from_millis(500));
            let _ = taken.lock().unwrap().send(n);
        }
    });
    let bff = bff_for(&upstream, "");
    let browser = bff.signed_in();
    let mut stream = Stream::get(bff.addr, &browser, "/raw");
    stream.until("\r\n\r\n");
    let taken = was_taken.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(
        taken < 64 << 20,
        "{taken} bytes were taken for a client that reads nothing"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_stops_reading_is_timed_out() {
    // D42: `idle_timeout`, both ways
    let (gone, has_gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            // Ends when nobody is there any more; a slow reader would only slow it down.
            while talk.try_say(&chunk) {}
            let _ = gone.lock().unwrap().send(());
        }
    });
    let site = Site::with(crate::support::ORIGIN, "", &upstream.route(""));
    let server = site.serve_as(|command| {
        command
            .env("RUST_LOG", "info")
            .env("SEALGATE__UPSTREAM__API__IDLE_TIMEOUT", "1s");
    });
    let browser = site.signed_in(&server);
    let mut stream = Stream::get(server.addr, &browser, "/raw");
    stream.until("\r\n\r\n");
    let begun = Instant::now();
    has_gone
        .recv_timeout(Duration::from_secs(20))
        .expect("timed out");
    println!("timed out after {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(1));
}

#[test]
fn a_login_over_a_session_ends_its_streams_and_every_copy_of_it() {
    // B24, D37, F5
    let (upstream, has_gone) = events();
    let bff = bff_for(&upstream, "");
    let mut browser = bff.signed_in();
    let mut copy = bff.browser();
    copy.jar = browser.jar.clone();
    let mut replaced = Stream::get(bff.addr, &browser, "/raw");
    replaced.until("data: 1\n\n");
    let bystander = bff.signed_in();
    let mut others = Stream::get(bff.addr, &bystander, "/raw");
    others.until("data: 1\n\n");
    assert_eq!(copy.fetch("GET", "/api/echo").status, 200);
    browser.log_in("/bff/login");
    replaced.until("0\r\n\r\n");
    has_gone
        .recv_timeout(Duration::from_secs(5))
        .expect("cancelled");
    for path in ["/api/echo", "/bff/user"] {
        copy.jar.retain(|cookie| !cookie.name.ends_with("-out"));
        assert_eq!(copy.fetch("GET", path).problem(), "login-required");
        assert_eq!(browser.fetch("GET", path).status, 200, "the new one lives");
    }
    let another = has_gone.recv_timeout(Duration::from_millis(200));
    assert!(another.is_err(), "nobody else's stream ends");
}
