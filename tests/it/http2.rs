//! HTTP/2 on the public listener, spoken by hyper's client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::process::Server;
use crate::tls;

type Client = SendRequest<Full<Bytes>>;

async fn connect(server: &Server, client: &ClientConfig) -> Client {
    let mut client = client.clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    let name = "shop.test".try_into().unwrap();
    let tls = TlsConnector::from(Arc::new(client));
    let tls = tls.connect(name, tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(tls);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://shop.test{path}"))
        .header("x-csrf", "1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

async fn read(answer: Response<Incoming>) -> (StatusCode, serde_json::Value) {
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let story = async { tokio::time::timeout(Duration::from_secs(60), story).await };
    runtime.block_on(story).expect("an end");
}

#[test]
fn an_api_is_called_over_http_2() {
    let (site, client) = tls::site();
    let server = site.serve();
    let mut browser = site.browser(&server);
    browser.speak_tls(Arc::clone(&client));
    browser.log_in("/bff/login");
    let line = browser.api_cookie_line("/api/x");
    run(async {
        let mut sender = connect(&server, &client).await;
        // RFC 9113 §8.2.3: cookies may come in as many fields as there are.
        let cookies: Vec<_> = line.split("; ").map(|pair| ("cookie", pair)).collect();
        let answer = sender.send_request(request(Method::GET, "/api/x?y=1", &cookies));
        let answer = answer.await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        for name in ["connection", "transfer-encoding", "keep-alive"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let (status, seen) = read(answer).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(seen["path"], "/x");
        assert_eq!(seen["headers"]["x-forwarded-host"], "shop.test");
        assert_eq!(seen["headers"]["via"], "2 sealgate");
        assert!(!seen["authorization"].is_null());
        // A body without a length, and one that is not there.
        let mut post = request(Method::POST, "/api/x", &cookies);
        *post.body_mut() = Full::new(Bytes::from_static(b"hello"));
        let (status, seen) = read(sender.send_request(post).await.unwrap()).await;
        assert_eq!((status, &seen["body_bytes"]), (StatusCode::OK, &5.into()));
        let post = request(Method::POST, "/api/x", &cookies);
        let (_, seen) = read(sender.send_request(post).await.unwrap()).await;
        assert_eq!(seen["headers"]["content-length"], "0");
        let delete = request(Method::DELETE, "/api/x", &cookies);
        let (_, seen) = read(sender.send_request(delete).await.unwrap()).await;
        assert!(seen["headers"]["transfer-encoding"].is_null(), "{seen}");
        // An answer to HEAD has no body, a refusal neither.
        for (path, status) in [
            ("/api/x", 200),
            ("/bff/session", 200),
            ("/nowhere", 404),
            ("/bff/login", 405),
        ] {
            let head = request(Method::HEAD, path, &cookies);
            let answer = sender.send_request(head).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(body.is_empty(), "{path}: {body:?}");
        }
        let mut get = request(Method::GET, "/api/x", &cookies);
        *get.body_mut() = Full::new(Bytes::from_static(b"hello"));
        get.headers_mut().remove("content-length");
        let answer = sender.send_request(get).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        // Many at once, on one connection.
        let many = (0..100).map(|n| {
            let path = format!("/api/slow?ms=50&n={n}");
            sender.send_request(request(Method::GET, &path, &cookies))
        });
        for answer in futures_util::future::join_all(many).await {
            assert_eq!(answer.unwrap().status(), StatusCode::OK);
        }
        // RFC 3986 §3.4: a query is ASCII. Another must not reach an API as it came.
        let raw = request(Method::GET, "/api/x?name=Müller", &cookies);
        let (status, problem) = read(sender.send_request(raw).await.unwrap()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert_eq!(problem["code"], "bad-request");
        // Refusals are answers of one stream; the connection goes on.
        let evil = request(Method::POST, "/api/x", &[("origin", "https://evil.test")]);
        let (status, problem) = read(sender.send_request(evil).await.unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(problem["code"], "cross-site-request");
        let get = request(Method::GET, "/bff/session", &cookies);
        let (_, session) = read(sender.send_request(get).await.unwrap()).await;
        assert_eq!(session["active"], true);
    });
}

#[test]
fn a_stream_that_nobody_reads_ends_whatever_others_do() {
    // A: HTTP/2 has windows of its own, and TCP sees nothing of it.
    let (site, client) = tls::site();
    let config = std::fs::read_to_string(site.place.path("sealgate.toml")).unwrap();
    let config = config.replace("[upstream.api]", "[upstream.api]\nidle_timeout = \"1s\"");
    site.place.write("sealgate.toml", &config);
    let server = site.serve();
    let mut browser = site.browser(&server);
    browser.speak_tls(Arc::clone(&client));
    browser.log_in("/bff/login");
    let line = browser.api_cookie_line("/api/big");
    run(async {
        let mut sender = connect(&server, &client).await;
        let big = request(Method::GET, "/api/big?bytes=50000000", &[("cookie", &line)]);
        let unread = sender.send_request(big).await.unwrap();
        assert_eq!(unread.status(), StatusCode::OK);
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let other = request(Method::GET, "/bff/session", &[("cookie", &line)]);
            let other = sender.send_request(other).await.unwrap();
            assert_eq!(other.status(), StatusCode::OK);
        }
        let end = unread.into_body().collect().await;
        assert!(end.is_err(), "it was reset");
    });
}

#[test]
fn the_authority_selects_the_frontend() {
    // RFC 9113 §8.3.1
    let (site, client) = tls::site();
    let server = site.serve();
    run(async {
        let mut sender = connect(&server, &client).await;
        for (authority, host, status) in [
            ("shop.test", None, 200),
            ("shop.test", Some("shop.test"), 200),
            ("evil.test", None, 421),
            ("shop.test", Some("evil.test"), 400),
            ("evil.test", Some("shop.test"), 400),
        ] {
            let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
            let mut request = request(Method::GET, "/bff/session", &headers);
            *request.uri_mut() = format!("https://{authority}/bff/session").parse().unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{authority} {host:?}");
        }
        // Extended CONNECT is not offered, and nothing is tunnelled.
        let mut tunnel = request(Method::CONNECT, "/", &[]);
        *tunnel.uri_mut() = "shop.test:443".parse().unwrap();
        let refused = sender.send_request(tunnel).await;
        assert!(refused.is_err() || refused.unwrap().status().is_client_error());
    });
}

#[test]
fn the_end_of_the_process_ends_its_connections_in_order() {
    let (site, client) = tls::site();
    let mut server = site.serve();
    let mut browser = site.browser(&server);
    browser.speak_tls(Arc::clone(&client));
    browser.log_in("/bff/login");
    let line = browser.api_cookie_line("/api/slow");
    run(async {
        let mut sender = connect(&server, &client).await;
        let _idle = connect(&server, &client).await;
        let slow = request(Method::GET, "/api/slow?ms=1000", &[("cookie", &line)]);
        let slow = tokio::spawn(sender.send_request(slow));
        while site.api.requests().iter().all(|seen| seen.path != "/slow") {
            tokio::task::yield_now().await;
        }
        server.process.signal("TERM");
        let (status, seen) = read(slow.await.unwrap().unwrap()).await;
        assert_eq!((status, &seen["waited_ms"]), (StatusCode::OK, &1000.into()));
    });
    server.assert_ends_soon();
}
