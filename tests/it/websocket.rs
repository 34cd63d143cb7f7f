//! WebSocket through the front door: from the handshake to the close frame.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::process::eventually;
use crate::support::upstream::RawUpstream;
use crate::support::{Browser, ORIGIN, Site, TestBff, http};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

const ROUTES: &str = r#"
[frontend.shop.route.ws]
path = "/ws"
upstream = "root"
token = "user"
strip_prefix = false
websocket = true
[frontend.shop.route.open]
path = "/open"
upstream = "root"
token = "none"
websocket = true
"#;

fn bff() -> TestBff {
    TestBff::with(|setup| setup.tables = ROUTES.to_owned())
}

/// The handshake a browser makes.
fn handshake(path: &str, cookies: &str) -> Request {
    let mut request = format!("ws://shop.test{path}")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", ORIGIN.parse().unwrap());
    if !cookies.is_empty() {
        headers.insert("cookie", cookies.parse().unwrap());
    }
    request
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(addr: SocketAddr, request: Request) -> Result<(Socket, Response), Error> {
    let stream = TcpStream::connect(addr).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await
}

async fn signed_in(bff: &TestBff, browser: &Browser) -> Socket {
    let request = handshake("/ws", &browser.api_cookie_line("/ws"));
    connect(bff.addr, request).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Option<Message> {
    let next = tokio::time::timeout(PATIENCE, socket.next()).await;
    next.expect("in time").and_then(Result::ok)
}

/// The close frame, when nothing else comes before.
async fn closed(socket: &mut Socket) -> (u16, String) {
    match next(socket).await {
        Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("no close frame, but {other:?}"),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn run(test: impl Future<Output = ()>) {
    runtime().block_on(test);
}

/// A handshake by hand.
pub fn raw_handshake(path: &str, cookies: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: shop.test\r\norigin: https://shop.test\r\ncookie: {cookies}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// What an upstream says that takes any handshake.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A connection to a raw upstream, after the 101.
pub fn switched(bff: &TestBff) -> std::net::TcpStream {
    let cookies = bff.signed_in().api_cookie_line("/raw");
    let mut stream = std::net::TcpStream::connect(bff.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(raw_handshake("/raw", &cookies).as_bytes())
        .unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    stream
}

pub fn read_until(stream: &mut std::net::TcpStream, mark: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(mark) {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    heard
}

pub fn read_rest(stream: &mut std::net::TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

#[test]
fn messages_come_back_as_they_went() {
    // The echo cases of Autobahn's test suite that a tunnel could spoil: sizes at the edges of the length forms,
    // text and binary, fragments with a ping between them, empty messages.
    let bff = bff();
    let browser = bff.signed_in();
    run(async {
        let mut socket = signed_in(&bff, &browser).await;
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20] {
            for message in [
                Message::text("ü".repeat(size / 2)),
                Message::binary(vec![0x88; size]),
            ] {
                socket.send(message.clone()).await.unwrap();
                assert_eq!(next(&mut socket).await, Some(message), "{size} bytes");
            }
        }
        for payload in [&b""[..], b"ping", &[0xff; 125]] {
            let payload = Bytes::copy_from_slice(payload);
            socket.send(Message::Ping(payload.clone())).await.unwrap();
            assert_eq!(next(&mut socket).await, Some(Message::Pong(payload)));
        }
        let fragment = |opcode, is_last, text: &'static str| {
            Message::Frame(Frame::message(text, OpCode::Data(opcode), is_last))
        };
        for message in [
            fragment(Data::Text, false, "one "),
            fragment(Data::Continue, false, "two "),
            Message::Ping(Bytes::from_static(b"between")),
            fragment(Data::Continue, true, "three"),
        ] {
            socket.send(message).await.unwrap();
        }
        let pong = next(&mut socket).await;
        assert_eq!(pong, Some(Message::Pong(Bytes::from_static(b"between"))));
        assert_eq!(
            next(&mut socket).await,
            Some(Message::text("one two three"))
        );
        for n in 0..200 {
            socket.feed(Message::text(format!("{n}"))).await.unwrap();
        }
        socket.flush().await.unwrap();
        for n in 0..200 {
            assert_eq!(next(&mut socket).await, Some(Message::text(format!("{n}"))));
        }
    });
}

#[test]
fn close_codes_and_reasons_pass_both_ways() {
    let bff = bff();
    let browser = bff.signed_in();
    run(async {
        let mut ending = Vec::new();
        for code in [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999] {
            let mut socket = signed_in(&bff, &browser).await;
            let reason = CloseFrame {
                code: CloseCode::from(code),
                reason: "done".into(),
            };
            socket.send(Message::Close(Some(reason))).await.unwrap();
            assert_eq!(closed(&mut socket).await, (code, "done".to_owned()));
            ending.push(socket);
        }
        for mut socket in ending {
            assert!(next(&mut socket).await.is_none(), "and the connection ends");
        }
        let mut socket = signed_in(&bff, &browser).await;
        socket.send(Message::Close(None)).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::Close(None)));
    });
    eventually("the API has no connection left", || {
        (bff.api.open_sockets() == 0).then_some(())
    });
}

#[test]
fn the_handshake_carries_what_any_request_carries_and_no_more() {
    // D1, D3, D5, D36, D37
    let bff = bff();
    let browser = bff.signed_in();
    run(async {
        let mut request = handshake("/ws?x=%2B", &browser.api_cookie_line("/ws"));
        let headers = request.headers_mut();
        for (name, value) in [
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("authorization", "Bearer spoofed"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-mine", "stays"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let (_socket, response) = connect(bff.addr, request).await.unwrap();
        let answered = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(answered("sec-websocket-protocol"), Some("chat"));
        assert_eq!(answered("sec-websocket-extensions"), None);
        assert_eq!(answered("transfer-encoding"), None);
    });
    let seen = bff.api.requests().pop().unwrap();
    assert_eq!((seen.path.as_str(), seen.query.as_str()), ("/ws", "x=%2B"));
    assert!(
        seen.header("authorization")
            .unwrap()
            .starts_with("Bearer ey")
    );
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("connection"), Some("upgrade"));
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(
        seen.header("sec-websocket-protocol"),
        Some("chat, superchat")
    );
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    assert_eq!(seen.header("x-mine"), Some("stays"));
    for name in ["cookie", "sec-websocket-extensions", "content-length"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[test]
fn only_the_own_pages_open_one_and_only_with_a_session() {
    // D36
    let bff = bff();
    let browser = bff.signed_in();
    let cookies = browser.api_cookie_line("/ws");
    run(async {
        for (origin, path, cookies, status, code) in [
            (
                Some("https://evil.test"),
                "/ws",
                cookies.as_str(),
                403,
                "cross-site-request",
            ),
            (
                Some("https://sub.shop.test"),
                "/ws",
                &cookies,
                403,
                "cross-site-request",
            ),
            (
                Some("http://shop.test"),
                "/ws",
                &cookies,
                403,
                "cross-site-request",
            ),
            (Some("null"), "/ws", &cookies, 403, "cross-site-request"),
            (None, "/ws", &cookies, 403, "cross-site-request"),
            (
                Some("https://evil.test"),
                "/open/ws",
                "",
                403,
                "cross-site-request",
            ),
            (Some(ORIGIN), "/ws", "", 401, "login-required"),
            (
                Some(ORIGIN),
                "/api/root/ws",
                &cookies,
                403,
                "cross-site-request",
            ),
        ] {
            let mut request = handshake(path, cookies);
            request.headers_mut().remove("origin");
            if let Some(origin) = origin {
                request
                    .headers_mut()
                    .insert("origin", origin.parse().unwrap());
            }
            let Err(Error::Http(refusal)) = connect(bff.addr, request).await else {
                panic!("{origin:?} {path} is not refused");
            };
            assert_eq!(refusal.status(), status, "{origin:?} {path}");
            assert_eq!(refusal.headers()["connection"], "close");
            let body = String::from_utf8(refusal.into_body().unwrap()).unwrap();
            assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
        }
        assert_eq!(bff.api_calls(), 0, "nothing was sent upstream");
        let (mut socket, _) = connect(bff.addr, handshake("/open/ws", "")).await.unwrap();
        socket.send(Message::text("x")).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text("x")));
    });
    assert_eq!(bff.api.requests()[0].header("authorization"), None);
}

#[test]
fn a_handshake_with_two_readings_is_refused_and_its_connection_closed() {
    // D8
    let bff = bff();
    let good = [
        "GET /open/ws HTTP/1.1",
        "host: shop.test",
        "origin: https://shop.test",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let with = |at: usize, line: &'static str| {
        let mut lines = good.to_vec();
        lines[at] = line;
        lines
    };
    let and = |line: &'static str| [&good[..], &[line]].concat();
    for (what, lines, status) in [
        ("another method", with(0, "POST /open/ws HTTP/1.1"), 400),
        ("HTTP/1.0", with(0, "GET /open/ws HTTP/1.0"), 400),
        (
            "Connection without upgrade",
            with(3, "connection: keep-alive"),
            400,
        ),
        (
            "Connection says close",
            with(3, "connection: upgrade, close"),
            400,
        ),
        (
            "more than one protocol",
            with(4, "upgrade: websocket, h2c"),
            400,
        ),
        ("two Upgrade lines", and("upgrade: h2c"), 400),
        ("a length", and("content-length: 5"), 400),
        ("chunks", and("transfer-encoding: chunked"), 400),
        ("no key", with(6, "x: y"), 400),
        ("a short key", with(6, "sec-websocket-key: AAAA"), 400),
        (
            "two keys",
            and("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
            400,
        ),
        ("version 8", with(5, "sec-websocket-version: 8"), 426),
        ("no version", with(5, "x: y"), 426),
    ] {
        let mut request = lines.join("\r\n") + "\r\n";
        if !what.contains("upgrade") && status == 400 {
            request += "x-csrf: 1\r\n";
        }
        request += "\r\n";
        // Of this one nobody doubts that it has no body: what follows it is a request.
        if what != "more than one protocol" {
            request += "GET /open/smuggled HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n";
        }
        let answer = http::raw(bff.addr, request.as_bytes());
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}"))
                || text.starts_with(&format!("HTTP/1.0 {status}")),
            "{what}: {text}"
        );
        assert_eq!(
            text.matches("HTTP/1.").count(),
            1,
            "{what}: one answer, then closed: {text}"
        );
        if status == 426 {
            assert!(
                text.contains("sec-websocket-version: 13\r\n"),
                "RFC 6455 §4.4: {text}"
            );
            assert!(text.contains("\"code\":\"bad-request\""), "{text}");
        }
    }
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn an_upgrade_to_anything_else_is_an_ordinary_request() {
    // RFC 9110 §7.8: a server may ignore it; nothing of it goes on.
    let bff = bff();
    let request = "GET /open/x HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\nconnection: upgrade, http2-settings, close\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let answer = http::Response::parse(&http::raw(bff.addr, request.as_bytes()), "GET");
    assert_eq!(answer.status, 200);
    let seen = bff.api.requests().pop().unwrap();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[test]
fn an_upstreams_refusal_is_an_ordinary_answer() {
    let upstream = RawUpstream::start(|mut talk| {
        while let Some(head) = talk.head() {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/base/length" => "HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope",
                "/base/chunks" => {
                    "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n"
                }
                "/base/none" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/base/other" => {
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
                }
                "/base/unproven" => {
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
                }
                "/base/extension" => {
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
                }
                _ => return,
            };
            talk.say(answer);
        }
    });
    let tables = upstream.route("websocket = true");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let cookies = bff.signed_in().api_cookie_line("/raw");
    for (path, status, body) in [
        ("/raw/length", 403, "nope"),
        ("/raw/chunks", 404, "nope"),
        ("/raw/none", 204, ""),
        ("/raw/other", 502, "upstream-unavailable"),
        ("/raw/extension", 502, "upstream-unavailable"),
        ("/raw/unproven", 502, "upstream-unavailable"),
        ("/raw/hang-up", 502, "upstream-unavailable"),
    ] {
        let request = raw_handshake(path, &cookies);
        // The whole of it, until the connection ends, and no second answer.
        let answer = http::raw(bff.addr, request.as_bytes());
        let answer = http::Response::parse(&answer, "GET");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        assert!(answer.complete, "{path}");
        assert_eq!(answer.header("upgrade"), None, "{path}");
        if status == 502 {
            assert_eq!(answer.problem(), body, "{path}");
        } else {
            assert_eq!(answer.text(), body, "{path}");
        }
    }
}

#[test]
fn a_refresh_that_is_due_comes_before_the_101_and_its_cookies_with_it() {
    // D38
    let bff = bff();
    let browser = bff.signed_in();
    bff.clock.advance(Duration::from_secs(290));
    let before = bff.token_calls("refresh_token");
    run(async {
        let request = handshake("/ws", &browser.api_cookie_line("/ws"));
        let (mut socket, response) = connect(bff.addr, request).await.unwrap();
        let cookies = response.headers().get_all("set-cookie");
        assert!(
            cookies
                .iter()
                .any(|line| line.to_str().unwrap().starts_with("__Host-Http-shop="))
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
        socket.send(Message::text("x")).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text("x")));
    });
    assert_eq!(bff.token_calls("refresh_token"), before + 1);
}

#[test]
fn it_ends_with_its_session() {
    // D37, interface: 1008 at the absolute end
    let bff = TestBff::with(|setup| {
        setup.tables = ROUTES.to_owned();
        setup.session = "absolute_timeout = \"1h\"".to_owned();
    });
    let browser = bff.signed_in();
    run(async {
        let mut socket = signed_in(&bff, &browser).await;
        let (mut open, _) = connect(bff.addr, handshake("/open/ws", "")).await.unwrap();
        bff.clock.advance(Duration::from_secs(3599));
        socket.send(Message::text("x")).await.unwrap();
        assert_eq!(
            next(&mut socket).await,
            Some(Message::text("x")),
            "not before its time"
        );
        bff.clock.advance(Duration::from_secs(1));
        assert_eq!(
            closed(&mut socket).await,
            (1008, "the session is over".to_owned())
        );
        assert!(next(&mut socket).await.is_none());
        open.send(Message::text("x")).await.unwrap();
        assert_eq!(
            next(&mut open).await,
            Some(Message::text("x")),
            "nobody's session, nobody's end"
        );
    });
    eventually("the API's connection has ended too", || {
        (bff.api.open_sockets() <= 1).then_some(())
    });
}

#[test]
fn it_ends_at_the_logout_of_its_session_and_of_no_other() {
    // interface §3
    let bff = bff();
    let mut browser = bff.signed_in();
    let other = bff.signed_in();
    run(async {
        let mut socket = signed_in(&bff, &browser).await;
        let mut stays = signed_in(&bff, &other).await;
        assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
        assert_eq!(closed(&mut socket).await.0, 1008);
        stays.send(Message::text("x")).await.unwrap();
        assert_eq!(next(&mut stays).await, Some(Message::text("x")));
    });
    eventually("the API's connection has ended too", || {
        (bff.api.open_sockets() <= 1).then_some(())
    });
}

#[test]
fn it_ends_at_logout_even_if_its_client_reads_nothing() {
    let upstream = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say(SWITCHED);
        talk.say("\u{2}\u{7f}\0\0\0\0\u{40}\0\0\0");
        talk.flood(1 << 30, Duration::from_secs(5));
    });
    let tables = upstream.route("websocket = true");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut browser = bff.signed_in();
    let mut socket = std::net::TcpStream::connect(bff.addr).unwrap();
    let cookies = browser.api_cookie_line("/raw");
    socket
        .write_all(raw_handshake("/raw", &cookies).as_bytes())
        .unwrap();
    read_until(&mut socket, b"\r\n\r\n");
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    // What is in the sockets may still come; the gigabyte does not.
    std::thread::sleep(Duration::from_millis(1500));
    let rest = read_rest(&mut socket).len();
    assert!(rest < 64 << 20, "{rest} bytes came after the logout");
}

#[test]
fn it_ends_when_nothing_is_said_either_way() {
    // D37
    let upstream = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say(SWITCHED);
        talk.head();
    });
    let tables = upstream.route("websocket = true");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let mut socket = switched(&bff);
    let begun = Instant::now();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(500));
        socket.write_all(b"\x89\x80....").unwrap();
    }
    assert_eq!(read_rest(&mut socket), b"\x88\x06\x03\xe9idle");
    assert!(
        begun.elapsed() >= Duration::from_secs(4),
        "what the client says counts"
    );
}

#[test]
fn it_ends_when_the_process_does() {
    // 1001, so that the client turns to another replica
    let bff = bff();
    let browser = bff.signed_in();
    let mut socket = None;
    let runtime = runtime();
    runtime.block_on(async { socket = Some(signed_in(&bff, &browser).await) });
    let ending = std::thread::spawn(move || drop(bff));
    runtime.block_on(async {
        let mut socket = socket.unwrap();
        assert_eq!(closed(&mut socket).await, (1001, "going away".to_owned()));
    });
    ending.join().unwrap();
}

#[test]
fn a_close_frame_never_lands_inside_a_frame_of_the_upstream() {
    // RFC 6455 §5.4; the end of a session does not wait for an upstream that does not finish.
    for (finishes, expect) in [
        (true, &b"world\x88\x15\x03\xf0the session is over"[..]),
        (false, b""),
    ] {
        let upstream = RawUpstream::start(move |mut talk| {
            talk.head();
            talk.say(SWITCHED);
            talk.say("\x01\x0ahello");
            // The client says so when the session is over.
            talk.head();
            if finishes {
                talk.say("world\x00\x01!");
            }
            talk.head();
        });
        let tables = upstream.route("websocket = true");
        let bff = TestBff::with(|setup| setup.tables = tables);
        let mut socket = switched(&bff);
        read_until(&mut socket, b"\x01\x0ahello");
        bff.clock.advance(Duration::from_secs(9 * 3600));
        std::thread::sleep(Duration::from_millis(100));
        socket.write_all(b"\r\n").unwrap();
        let rest = read_rest(&mut socket);
        assert_eq!(
            rest,
            expect,
            "{finishes}: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }
}

#[test]
fn tunnels_take_no_ordinary_requests_place() {
    // D42: of two connections one may be a tunnel; the next handshake is refused at once, ordinary requests never
    let tables = r#"
[upstream.few]
url = "UPSTREAM"
max_connections = 2
timeout = "8s"
[frontend.shop.route.few]
path = "/few"
upstream = "few"
token = "user"
websocket = true
"#;
    let api = sealgate::demo::api::Api::start().unwrap();
    let site = Site::with(ORIGIN, "", &tables.replace("UPSTREAM", &api.url()));
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let ask = |browser: &Browser| handshake("/few/ws", &browser.api_cookie_line("/few/ws"));
    run(async {
        let (mut first, _) = connect(server.addr, ask(&browser)).await.unwrap();
        let begun = Instant::now();
        let Err(Error::Http(refusal)) = connect(server.addr, ask(&browser)).await else {
            panic!("a second tunnel");
        };
        assert_eq!(refusal.status(), 504);
        assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits");
        let body = String::from_utf8(refusal.into_body().unwrap()).unwrap();
        assert!(body.contains("\"code\":\"upstream-timeout\""), "{body}");
        for _ in 0..3 {
            assert_eq!(browser.fetch("GET", "/few/x").status, 200);
        }
        // Both ordinary connections are there, too.
        let cookies = browser.api_cookie_line("/few");
        std::thread::scope(|scope| {
            let slow = [(); 2].map(|()| {
                let slow = http::Request::new("GET", "/few/slow?ms=1000")
                    .header("host", "shop.test")
                    .header("x-csrf", "1")
                    .header("cookie", &cookies);
                scope.spawn(move || slow.send(server.addr).status)
            });
            for slow in slow {
                assert_eq!(slow.join().unwrap(), 200);
            }
        });
        first.send(Message::text("x")).await.unwrap();
        assert_eq!(next(&mut first).await, Some(Message::text("x")));
        first.close(None).await.unwrap();
        while next(&mut first).await.is_some() {}
        drop(first);
    });
    eventually("its place is free again", || {
        let again = runtime().block_on(connect(server.addr, ask(&browser)));
        again.ok().map(drop)
    });
}
