//! Upstreams that cannot be reached, trusted or understood.

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, rt, web};
use url::Url;

use crate::proxy::testing::{RawUpstream, Setup, Talk};

#[actix_web::test]
async fn an_upstream_that_says_nothing_in_time_is_a_timeout() {
    // D35
    let upstream = RawUpstream::start(|mut talk, _| async move {
        talk.rest().await;
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.forward().timeout = Some(Duration::from_millis(100));
    let front = setup.start();
    for head in [
        "GET /api/orders HTTP/1.1",
        "POST /api/orders HTTP/1.1\r\nContent-Length: 0",
    ] {
        let answer = Talk::ask(front.addr, head).await;
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(answer.ends_with("upstream-timeout"), "{answer}");
    }
    let mut client = Talk::to(front.addr).await;
    client
        .say("POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        .await;
    let answer = client.until("upstream-timeout").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    front.stop().await;
}

#[actix_web::test]
async fn an_upstream_that_speaks_no_http_is_unavailable() {
    // D30, D35
    for (says, why) in [
        ("", "closes at once"),
        ("SSH-2.0-x\r\n\r\n", "another protocol"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "two lengths",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no length"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "a coding nobody asked for",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "an upgrade",
        ),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "a folded line"),
    ] {
        let upstream = RawUpstream::start(move |mut talk, _| async move {
            talk.head().await;
            talk.say(says).await;
        })
        .await;
        let front = Setup::to(upstream.addr).start();
        let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{why}: {answer}");
        assert!(answer.ends_with("upstream-unavailable"), "{why}: {answer}");
        front.stop().await;
    }
    let refused = "127.0.0.1:1".parse().unwrap();
    let front = Setup::to(refused).start();
    let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    front.stop().await;
}

#[actix_web::test]
async fn tls_is_verified_against_the_configured_roots_only() {
    // D15
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let upstream = HttpServer::new(|| {
        App::new().default_service(web::to(|| async { HttpResponse::Ok().body("over TLS") }))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(0)
    .bind_rustls_0_23("127.0.0.1:0", tls)
    .unwrap();
    let addr = upstream.addrs()[0];
    let upstream = upstream.run();
    let handle = upstream.handle();
    rt::spawn(upstream);

    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, own.cert.pem()).unwrap();
    let ca = crate::tls::trust_anchors(&ca).unwrap();
    for (host, ca, expect) in [
        ("127.0.0.1", Some(ca.clone()), "over TLS"),
        ("127.0.0.1", None, "upstream-unavailable"),
        ("localhost", Some(ca), "upstream-unavailable"),
    ] {
        let mut setup = Setup::to(addr);
        setup.settings.url = Url::parse(&format!("https://{host}:{}", addr.port())).unwrap();
        setup.settings.ca = ca;
        let front = setup.start();
        let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        assert!(answer.ends_with(expect), "{host}: {answer}");
        front.stop().await;
    }
    handle.stop(false).await;
}
