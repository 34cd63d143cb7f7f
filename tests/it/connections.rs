//! The connections themselves, before and beside the requests on them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use socket2::Socket;

use crate::support::process::{Process, Server, eventually};
use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Response, Site, TestBff, http};
use crate::tls;
use crate::websocket::{SWITCHED, raw_handshake, read_until};

/// The process's own end of a connection from `client`.
fn accepted(process: &Process, client: SocketAddr) -> Option<Socket> {
    let pid = Pid::from_raw(i32::try_from(process.id()).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a running process");
    let fds = std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("its descriptors");
    let copies = fds.filter_map(|entry| {
        let fd = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let copy: OwnedFd = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).ok()?;
        Some(Socket::from(copy))
    });
    let mut copies = copies.filter(|socket| {
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        peer == Some(client)
    });
    copies.next()
}

#[test]
fn answers_leave_at_once_on_every_listener() {
    // T1: with Nagle's algorithm the last segment of an answer waits for a delayed acknowledgement, 40 ms and more.
    let plain = Site::with(ORIGIN, "", "");
    let (encrypted, _) = tls::site();
    for (site, name) in [(plain, "plain"), (encrypted, "TLS")] {
        let server = site.serve();
        for (listener, addr) in [("public", server.addr), ("admin", server.admin)] {
            let connection = TcpStream::connect(addr).unwrap();
            let client = connection.local_addr().unwrap();
            eventually(&format!("TCP_NODELAY, {name}, {listener}"), || {
                let socket = accepted(&server.process, client)?;
                socket.tcp_nodelay().unwrap().then_some(())
            });
        }
    }
}

/// A GET that anybody may send, and what more its head says.
fn get(method: &str, path: &str, version: &str, more: &str) -> String {
    format!("{method} {path} {version}\r\nhost: shop.test\r\nx-csrf: 1\r\n{more}\r\n")
}

/// The answers on a connection, in order, to requests with these methods.
fn answers(mut bytes: &[u8], methods: &[&str]) -> Vec<Response> {
    let mut answers = Vec::new();
    for method in methods {
        if bytes.is_empty() {
            break;
        }
        let (answer, rest) = Response::first(bytes, method);
        answers.push(answer);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "{:?}", String::from_utf8_lossy(bytes));
    answers
}

#[test]
fn pipelined_requests_are_answered_each_in_its_own_form() {
    // C: with one state for the connection, a HEAD behind a GET took the GET's body away.
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let has_body = !head.starts_with("HEAD");
            if head.contains("/chunks") {
                talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                talk.say(if has_body {
                    "5\r\nhello\r\n0\r\n\r\n"
                } else {
                    ""
                });
            } else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
                talk.say(if has_body { "hello" } else { "" });
            }
        }
    });
    let tables = upstream.route("").replace("\"user\"", "\"none\"");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let close = "connection: close\r\n";
    for path in ["/raw/length", "/raw/chunks"] {
        for (first, second) in [("GET", "HEAD"), ("HEAD", "GET"), ("GET", "GET")] {
            let both = get(first, path, "HTTP/1.1", "") + &get(second, path, "HTTP/1.1", close);
            let both = http::raw(bff.addr, both.as_bytes());
            let both = answers(&both, &[first, second]);
            assert_eq!(both.len(), 2, "{first} {second} {path}");
            for (answer, method) in both.iter().zip([first, second]) {
                let body = if method == "GET" { "hello" } else { "" };
                assert_eq!(answer.text(), body, "{method} of {first} {second} {path}");
                assert!(answer.complete, "{method} of {first} {second} {path}");
            }
        }
        let both = get("GET", path, "HTTP/1.1", "") + &get("GET", path, "HTTP/1.0", "");
        let both = http::raw(bff.addr, both.as_bytes());
        let both = String::from_utf8_lossy(&both).into_owned();
        let (first, second) = both.split_at(both.rfind("HTTP/1.").unwrap());
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        assert!(!first.contains("connection: close"), "{first}");
        // L: HTTP/1.0 has no chunks.
        assert!(!second.contains("chunked"), "{second}");
        assert!(second.ends_with("\r\n\r\nhello"), "{second}");
    }
}

#[test]
fn nothing_runs_behind_a_close() {
    // C
    let bff = TestBff::spawn();
    let close = get("GET", "/api/public", "HTTP/1.1", "connection: close\r\n");
    for first in [close, get("GET", "/api/public", "HTTP/1.0", "")] {
        let before = bff.api_calls();
        let both = first + &get("GET", "/api/public", "HTTP/1.1", "");
        let both = http::raw(bff.addr, both.as_bytes());
        assert_eq!(answers(&both, &["GET"]).len(), 1);
        assert_eq!(bff.api_calls(), before + 1);
    }
}

#[test]
fn a_client_is_told_to_send_its_body_only_when_it_is_wanted() {
    // R: `100 Continue` came before 403, 413 and 421.
    let bff = TestBff::spawn();
    let post = |path: &str, more: &str| {
        let more = format!("content-length: 5\r\nexpect: 100-continue\r\n{more}");
        get("POST", path, "HTTP/1.1", &more)
    };
    let evil = "origin: https://evil.test\r\n";
    let too_long = post("/api/public", "").replace(": 5", ": 99999999");
    let foreign = post("/api/public", "").replace("shop.test", "evil.test");
    for (request, status) in [
        (post("/api/public", evil), 403),
        (too_long, 413),
        (foreign, 421),
        (post("/api/echo", ""), 401),
        (post("/nowhere", ""), 404),
    ] {
        let bytes = http::raw(bff.addr, request.as_bytes());
        let answer = Response::parse(&bytes, "POST");
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("connection"), Some("close"), "{request}");
    }
    let mut stream = TcpStream::connect(bff.addr).unwrap();
    stream
        .write_all(post("/api/public", "").as_bytes())
        .unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn trailers_are_read_as_strictly_as_headers() {
    // M
    let bff = TestBff::spawn();
    let chunked = get(
        "POST",
        "/api/public",
        "HTTP/1.1",
        "transfer-encoding: chunked\r\n",
    );
    for (trailer, is_good) in [
        ("x-a: b\r\n", true),
        ("", true),
        ("x-a\0: b\r\n", false),
        ("x-a: b\0\r\n", false),
        ("nonsense\r\n", false),
        ("x a: b\r\n", false),
        (": b\r\n", false),
    ] {
        let request = format!("{chunked}5\r\nhello\r\n0\r\n{trailer}\r\n");
        let close = get("GET", "/api/public", "HTTP/1.1", "connection: close\r\n");
        let bytes = http::raw(bff.addr, (request + &close).as_bytes());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if is_good {
            assert_eq!(
                text.matches("HTTP/1.1 200").count(),
                2,
                "{trailer:?}: {text}"
            );
        } else {
            assert!(!text.contains("HTTP/1.1 200"), "{trailer:?}: {text}");
        }
    }
}

#[test]
fn a_target_of_another_protocol_is_refused() {
    // R
    let bff = TestBff::spawn();
    for (target, status) in [
        ("http://shop.test/api/public", 200),
        ("https://shop.test/api/public", 200),
        ("ftp://shop.test/api/public", 400),
        ("ws://shop.test/api/public", 400),
        ("javascript://shop.test/api/public", 400),
        ("/api/public#x", 400),
        ("http://shop.test/api/public#x", 400),
        ("http://shop.test@evil.test/api/public", 400),
    ] {
        let request = get("GET", target, "HTTP/1.1", "connection: close\r\n");
        let answer = http::raw(bff.addr, request.as_bytes());
        assert_eq!(Response::parse(&answer, "GET").status, status, "{target}");
    }
}

/// Reads until the other side closes.
fn until_closed(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_half_of_a_request_holds_a_connection_for_long() {
    // A: only the first head of a connection had a deadline.
    let (plain, (tls, client)) = (Site::new(), tls::site());
    let (plain, tls) = (plain.serve(), tls.serve());
    let first = get("GET", "/bff/session", "HTTP/1.1", "");
    let endless = get(
        "POST",
        "/bff/session",
        "HTTP/1.1",
        "transfer-encoding: chunked\r\n",
    );
    let connect = |addr| {
        let stream = TcpStream::connect(addr).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    };
    let mut waiting = Vec::new();
    for (name, sent) in [
        ("half of a request line", "GET /bff/ses".to_owned()),
        (
            "a head without an end",
            format!("{}x-a: b\r\n", first.trim_end()),
        ),
        ("a second head", format!("{first}G")),
        (
            "a refused request whose body never ends",
            format!("{endless}5\r\nhel"),
        ),
    ] {
        let mut stream = connect(plain.addr);
        stream.write_all(sent.as_bytes()).unwrap();
        waiting.push(std::thread::spawn(move || (name, until_closed(stream))));
        let session = ClientConnection::new(Arc::clone(&client), "shop.test".try_into().unwrap());
        let mut stream = StreamOwned::new(session.unwrap(), connect(tls.addr));
        stream.write_all(sent.as_bytes()).unwrap();
        waiting.push(std::thread::spawn(move || (name, until_closed(stream))));
    }
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(tls.addr);
        stream.write_all(sent).unwrap();
        waiting.push(std::thread::spawn(move || {
            ("half a handshake", until_closed(stream))
        }));
    }
    for waiting in waiting {
        let begun = std::time::Instant::now();
        let (name, heard) = waiting.join().unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{name}: still open"
        );
        match name {
            "a second head" => assert!(heard.starts_with("HTTP/1.1 200"), "{name}: {heard}"),
            "a refused request whose body never ends" => {
                assert!(heard.starts_with("HTTP/1.1 40"), "{name}: {heard}");
                assert!(heard.contains("connection: close"), "{name}: {heard}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_request_may_come_along_with_the_end_of_the_handshake() {
    let (site, client) = tls::site();
    let server = site.serve();
    let mut session = ClientConnection::new(client, "shop.test".try_into().unwrap()).unwrap();
    let mut tcp = TcpStream::connect(server.addr).unwrap();
    while session.is_handshaking() {
        while session.wants_write() {
            session.write_tls(&mut tcp).unwrap();
        }
        session.read_tls(&mut tcp).unwrap();
        session.process_new_packets().unwrap();
    }
    let request = get("GET", "/bff/session", "HTTP/1.1", "connection: close\r\n");
    session.writer().write_all(request.as_bytes()).unwrap();
    let mut both = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut both).unwrap();
    }
    tcp.write_all(&both).unwrap();
    let mut answer = String::new();
    let _ = StreamOwned::new(session, tcp).read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_hello_may_come_in_pieces() {
    let (site, client) = tls::site();
    let server = site.serve();
    let mut session = ClientConnection::new(client, "shop.test".try_into().unwrap()).unwrap();
    let mut tcp = TcpStream::connect(server.addr).unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    for piece in [&hello[..2], &hello[2..7], &hello[7..100], &hello[100..]] {
        tcp.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut stream = StreamOwned::new(session, tcp);
    let request = get("GET", "/bff/session", "HTTP/1.1", "connection: close\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_kept_connection_is_served_after_a_silence() {
    // T6: it holds no buffer meanwhile, and gets new ones.
    let (site, client) = tls::site();
    let server = site.serve();
    let session = ClientConnection::new(client, "shop.test".try_into().unwrap()).unwrap();
    let tcp = TcpStream::connect(server.addr).unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(1500)))
        .unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    let request = get("GET", "/bff/session", "HTTP/1.1", "");
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        let n = stream.read(&mut answer).unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
        let silence = stream.read(&mut answer).unwrap_err();
        assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_tls_session_resumes_at_every_replica() {
    // T4: tickets are sealed with the key ring, which is all that replicas share.
    let (site, client) = tls::site();
    let servers = [site.serve(), site.serve()];
    let shake_as = |client: &Arc<ClientConfig>, server: &Server| {
        let session = ClientConnection::new(Arc::clone(client), "shop.test".try_into().unwrap());
        let tcp = TcpStream::connect(server.addr).unwrap();
        let mut stream = StreamOwned::new(session.unwrap(), tcp);
        let request = get("GET", "/bff/session", "HTTP/1.1", "connection: close\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream.conn.handshake_kind().unwrap()
    };
    let shake = |server: &Server| shake_as(&client, server);
    assert_eq!(shake(&servers[0]), HandshakeKind::Full);
    for server in [&servers[1], &servers[0], &servers[1]] {
        assert_eq!(shake(server), HandshakeKind::Resumed);
    }
    // A ticket of TLS 1.2 would let the holder of the key ring read recorded traffic: there is none. What remains is
    // the memory of one process.
    let old = tls::client_of(&site, &[&rustls::version::TLS12]);
    for server in [&servers[0], &servers[1]] {
        assert_eq!(shake_as(&old, server), HandshakeKind::Full);
    }
    // The key is dropped, and so are the tickets sealed with it.
    let kid = site.place.kids("keys").pop().unwrap();
    site.place.rotate(&["--drop", &kid]);
    servers[0].reload("ok");
    assert_eq!(shake(&servers[0]), HandshakeKind::Full);
}

/// The program over HTTP and TLS, before an upstream that answers nothing.
struct Silent {
    _sites: [Site; 2],
    plain: Server,
    encrypted: Server,
    /// What trusts the certificate.
    client: Arc<ClientConfig>,
    /// Each request that has come to the upstream, and each that was given up.
    told: mpsc::Receiver<&'static str>,
    _upstream: RawUpstream,
}

fn silent() -> Silent {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            // At the end of a test nobody listens.
            let _ = tell.lock().unwrap().send("asked");
            while !talk.hear().is_empty() {}
            let _ = tell.lock().unwrap().send("given up");
        }
    });
    let tables = upstream.route("").replace("\"user\"", "\"none\"");
    let tables = tables
        .replace("\"1s\"", "\"1m\"")
        .replace("\"2s\"", "\"1m\"");
    let plain = Site::with(ORIGIN, "", &tables);
    let (encrypted, client) = tls::site_with(&tables);
    Silent {
        plain: plain.serve(),
        encrypted: encrypted.serve(),
        _sites: [plain, encrypted],
        client,
        told,
        _upstream: upstream,
    }
}

#[test]
fn requests_are_passed_on_however_many_wait_for_their_upstream() {
    const ALL: usize = 60;
    let Silent {
        plain,
        encrypted,
        client,
        told,
        ..
    } = silent();
    let request = get("GET", "/raw", "HTTP/1.1", "");
    let connect = |addr| TcpStream::connect(addr).unwrap();
    let mut kept: Vec<Box<dyn Write>> = Vec::new();
    for nth in 0..ALL {
        let mut stream: Box<dyn Write> = if nth % 2 == 0 {
            Box::new(connect(plain.addr))
        } else {
            let name = "shop.test".try_into().unwrap();
            let session = ClientConnection::new(Arc::clone(&client), name).unwrap();
            Box::new(StreamOwned::new(session, connect(encrypted.addr)))
        };
        stream.write_all(request.as_bytes()).unwrap();
        kept.push(stream);
    }
    for nth in 0..ALL {
        let next = told.recv_timeout(Duration::from_secs(10));
        assert_eq!(next, Ok("asked"), "{nth} were passed on");
    }
}

#[test]
fn a_client_that_leaves_is_noticed_behind_whatever_it_sent_ahead() {
    // D31: bytes of a next request hid that nobody waits for the answer any more.
    let Silent {
        plain,
        encrypted,
        client,
        told,
        ..
    } = silent();
    let next = || told.recv_timeout(Duration::from_secs(10));
    let first = get("GET", "/raw", "HTTP/1.1", "");
    for ahead in [
        String::new(),
        "G".to_owned(),
        first.clone(),
        first.repeat(20),
    ] {
        let what = format!("{} bytes ahead", ahead.len());
        for at_once in [true, false] {
            let (now, later) = if at_once {
                (first.clone() + &ahead, "")
            } else {
                (first.clone(), &*ahead)
            };
            let mut stream = TcpStream::connect(plain.addr).unwrap();
            stream.write_all(now.as_bytes()).unwrap();
            assert_eq!(next(), Ok("asked"), "{what}");
            stream.write_all(later.as_bytes()).unwrap();
            drop(stream);
            assert_eq!(next(), Ok("given up"), "{what}");
            let session =
                ClientConnection::new(Arc::clone(&client), "shop.test".try_into().unwrap());
            let tcp = TcpStream::connect(encrypted.addr).unwrap();
            let mut stream = StreamOwned::new(session.unwrap(), tcp);
            stream.write_all(now.as_bytes()).unwrap();
            assert_eq!(next(), Ok("asked"), "{what}, TLS");
            stream.write_all(later.as_bytes()).unwrap();
            drop(stream);
            assert_eq!(next(), Ok("given up"), "{what}, TLS");
        }
    }
}

#[test]
fn a_client_that_has_sent_its_last_byte_gets_its_answers() {
    // RFC 9293 §3.6: who closes its side of a connection may go on to read.
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let end: &[u8] = match head.to_ascii_lowercase() {
                head if head.contains("chunked") => b"0\r\n\r\n",
                head if head.starts_with("post") => b"words",
                _ => b"",
            };
            let mut body = Vec::new();
            while !body.ends_with(end) {
                body.extend(talk.hear());
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        }
    });
    let tables = upstream.route("").replace("\"user\"", "\"none\"");
    let plain = Site::with(ORIGIN, "", &tables);
    let (encrypted, client) = tls::site_with(&tables);
    let (plain, encrypted) = (plain.serve(), encrypted.serve());
    let ask = |path| get("GET", path, "HTTP/1.1", "");
    let post = get("POST", "/raw", "HTTP/1.1", "content-length: 5\r\n") + "words";
    let chunked = get("POST", "/raw", "HTTP/1.1", "transfer-encoding: chunked\r\n");
    for (sent, methods) in [
        (ask("/bff/session"), &["GET"][..]),
        (ask("/raw"), &["GET"]),
        (post.clone(), &["POST"]),
        (chunked + "5\r\nwords\r\n0\r\n\r\n", &["POST"]),
        (ask("/raw").repeat(3), &["GET"; 3]),
        (post + &ask("/raw"), &["POST", "GET"]),
    ] {
        let mut stream = TcpStream::connect(plain.addr).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        let statuses = |received: &[u8]| {
            let all = answers(received, methods).into_iter();
            all.map(|answer| answer.status).collect::<Vec<_>>()
        };
        let wanted = vec![200; methods.len()];
        assert_eq!(statuses(&received), wanted, "{sent}");
        let session = ClientConnection::new(Arc::clone(&client), "shop.test".try_into().unwrap());
        let tcp = TcpStream::connect(encrypted.addr).unwrap();
        let mut stream = StreamOwned::new(session.unwrap(), tcp);
        stream.write_all(sent.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        received.clear();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(statuses(&received), wanted, "{sent}, TLS");
    }
}

#[test]
fn a_tunnel_ends_with_its_session_whatever_its_client_reads() {
    let upstream = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say(SWITCHED);
        talk.say("\u{2}\u{7f}\0\0\0\0\u{40}\0\0\0");
        talk.flood(1 << 30, Duration::from_secs(5));
    });
    let site = Site::with(ORIGIN, "", &upstream.route("websocket = true"));
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let mut stream = TcpStream::connect(server.addr).unwrap();
    let cookies = browser.api_cookie_line("/raw");
    stream
        .write_all(raw_handshake("/raw", &cookies).as_bytes())
        .unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    let client = stream.local_addr().unwrap();
    assert!(accepted(&server.process, client).is_some());
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    eventually("the connection is gone", || {
        accepted(&server.process, client).is_none().then_some(())
    });
}

#[test]
fn a_head_has_a_longest_length() {
    let bff = TestBff::spawn();
    let head = |bytes: usize| {
        let head = get("GET", "/bff/session", "HTTP/1.1", "connection: close\r\n");
        let more = "x".repeat(bytes - head.len() - "x-long: \r\n".len());
        get(
            "GET",
            "/bff/session",
            "HTTP/1.1",
            &format!("connection: close\r\nx-long: {more}\r\n"),
        )
    };
    // 48 KiB of names and values have an answer of ours, 64 KiB of bytes one of the parser's; nothing longer is kept.
    for (bytes, status) in [
        (48 << 10, 200),
        (50 << 10, 431),
        (63 << 10, 431),
        (66 << 10, 431),
        (1 << 20, 431),
    ] {
        let answer = http::raw(bff.addr, head(bytes).as_bytes());
        let answer = Response::parse(&answer, "GET");
        assert_eq!(answer.status, status, "{bytes}");
        if (50 << 10..64 << 10).contains(&bytes) {
            assert_eq!(answer.problem(), "headers-too-large");
        }
    }
    // Nor a head without an end: the answer does not wait for it.
    let mut stream = TcpStream::connect(bff.addr).unwrap();
    let endless = head(70 << 10);
    stream.write_all(endless.trim_end().as_bytes()).unwrap();
    let answer = until_closed(stream);
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
