//! The transport against a server that does what servers should not.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::RefreshToken;
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use super::super::egress::Egress;
use super::super::http::PlainHttp;
use super::super::{IdpClient, OidcError, Provider, TokenResponse};
use super::hostile::{Hostile, Reply, SigningKey};
use super::{assert_invalid, assert_lost, assert_unavailable, client, provider, run};

async fn idp() -> Hostile {
    Hostile::start(&[&SigningKey::new("k1")]).await
}

fn tokens(access_token: &str) -> Value {
    json!({"access_token": access_token, "token_type": "Bearer"})
}

async fn refresh(provider: &Provider, http: &IdpClient) -> Result<TokenResponse, OidcError> {
    let token = RefreshToken::new("rt".to_owned());
    provider.refresh(http, &token).await
}

#[test]
fn an_interim_answer_never_hands_one_users_tokens_to_another() {
    // B23, F14
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        provider.discover(&http).await.unwrap();
        for interim in ["103 Early Hints", "102 Processing", "100 Continue"] {
            // Apart, so that the real answer comes when somebody may have taken the first for it.
            let mut reply = Reply::raw(format!("HTTP/1.1 {interim}\r\n\r\n"));
            let real = Reply::json(200, &tokens("alices")).after(Duration::from_millis(50));
            reply.parts.extend(real.parts);
            idp.reply("/token", reply);
            let alices = refresh(&provider, &http).await.unwrap();
            assert_eq!(alices.access_token.secret(), "alices", "{interim}");
            idp.reply("/token", Reply::json(200, &tokens("bobs")));
            for _ in 0..3 {
                let bobs = refresh(&provider, &http).await.unwrap();
                assert_eq!(bobs.access_token.secret(), "bobs");
            }
        }
    });
}

#[test]
fn every_call_has_a_connection_of_its_own() {
    run(async {
        let idp = idp().await;
        idp.reply("/token", Reply::json(200, &tokens("at")));
        let (provider, _) = provider(&idp);
        let http = client();
        for _ in 0..4 {
            refresh(&provider, &http).await.unwrap();
        }
        let mut connections: Vec<_> = idp.heard("/token").iter().map(|h| h.connection).collect();
        connections.dedup();
        assert_eq!(connections.len(), 4);
        let heard = &idp.heard("/token")[0];
        assert_eq!(heard.header("connection"), Some("close"));
        assert_eq!(heard.header("accept-encoding"), Some("identity"));
        assert_eq!(heard.header("cookie"), None);
    });
}

#[test]
fn a_slow_head_and_a_slow_body_both_end_in_time() {
    // B40
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        provider.discover(&client()).await.unwrap();
        let http = IdpClient::new(&Egress::default(), Duration::from_millis(300));
        let sound = Reply::json(200, &tokens("at"));
        idp.reply("/token", sound.after(Duration::from_secs(20)));
        let begun = Instant::now();
        assert_lost(refresh(&provider, &http).await, "slow head");
        let mut drip = Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        drip.parts
            .extend((0..1000).map(|_| (Duration::from_millis(50), b" ".to_vec())));
        idp.reply("/token", drip);
        assert_lost(refresh(&provider, &http).await, "slow body");
        assert!(begun.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn an_answer_of_two_mebibytes_is_refused() {
    // B33
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        let mut answer = tokens("at");
        answer["padding"] = json!("x".repeat(2 * 1024 * 1024));
        let sized = Reply::json(200, &answer);
        idp.reply("/token", sized);
        assert_lost(refresh(&provider, &http).await, "announced");
        let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{answer}");
        idp.reply("/token", Reply::raw(endless).and_close());
        assert_lost(refresh(&provider, &http).await, "not announced");
        idp.reply("/token", Reply::json(200, &tokens("at")));
        refresh(&provider, &http).await.unwrap();
    });
}

#[test]
fn redirects_are_not_followed() {
    // B39
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        provider.discover(&http).await.unwrap();
        idp.reply("/elsewhere", Reply::json(200, &tokens("at")));
        for status in [301, 302, 303, 307, 308] {
            let redirect = format!(
                "HTTP/1.1 {status} X\r\nlocation: {}/elsewhere\r\ncontent-length: 0\r\n\r\n",
                idp.issuer
            );
            idp.reply("/token", Reply::raw(redirect.clone()));
            assert_invalid(refresh(&provider, &http).await, &redirect);
            idp.reply("/.well-known/openid-configuration", Reply::raw(redirect));
            let (another, _) = super::provider(&idp);
            assert_invalid(another.discover(&http).await, "discovery");
        }
        assert!(idp.heard("/elsewhere").is_empty());
    });
}

#[test]
fn a_compressed_answer_is_refused_not_inflated() {
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let body = tokens("at").to_string();
        for coding in ["gzip", "br", "zstd", "deflate"] {
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            idp.reply("/token", Reply::raw(reply));
            assert_lost(refresh(&provider, &client()).await, coding);
        }
    });
}

#[test]
fn an_answer_that_is_not_http_is_lost_and_what_is_not_there_is_unavailable() {
    // B40
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        provider.discover(&http).await.unwrap();
        for garbage in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 999999 X\r\n\r\n"] {
            idp.reply("/token", Reply::raw(garbage).and_close());
            assert_lost(refresh(&provider, &http).await, garbage);
        }
        idp.reply("/jwks", Reply::raw("SSH-2.0-OpenSSH\r\n\r\n").and_close());
        let (another, _) = super::provider(&idp);
        assert_invalid(
            another.discover(&http).await,
            "not HTTP, where nothing is spent",
        );
        idp.keys(&[&SigningKey::new("k1")]);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        idp.metadata(|document| document["token_endpoint"] = json!(nobody));
        let (provider, _) = super::provider(&idp);
        assert_unavailable(refresh(&provider, &http).await, "refused connection");
    });
}

#[test]
fn errors_hold_no_token_and_no_secret() {
    // F14
    run(async {
        let idp = idp().await;
        let (provider, _) = provider(&idp);
        let http = client();
        for reply in [
            Reply::text(200, "application/json", "{\"access_token\": canary-at}"),
            Reply::text(500, "text/plain", "canary-at"),
            Reply::raw("canary-at canary-at\r\n\r\n").and_close(),
            Reply::raw("HTTP/1.1 103 canary-at\r\n\r\n").and_close(),
        ] {
            idp.reply("/token", reply);
            let token = RefreshToken::new("canary-rt".to_owned());
            let error = provider.refresh(&http, &token).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        assert!(!format!("{provider:?}").contains("canary"));
    });
}

#[test]
fn plain_http_is_for_loopback_under_a_loopback_issuer() {
    // B39
    run(async {
        let get = |uri: &str| http::Request::get(uri).body(Vec::new()).unwrap();
        let idp = idp().await;
        let client = client();
        let uri = format!("{}/jwks", idp.issuer);
        let sent = client.within(PlainHttp::OnLoopback).send(get(&uri)).await;
        assert_eq!(sent.unwrap().status(), 200);
        let refused = client.within(PlainHttp::Never).send(get(&uri)).await;
        assert_invalid(refused, "an https issuer's endpoint over http");
        let remote = get("http://id.example.com/");
        let refused = client.within(PlainHttp::OnLoopback).send(remote).await;
        assert_invalid(refused, "http to another machine");
        assert_eq!(idp.heard("/jwks").len(), 1);
    });
}

/// Answers `hi` as `localhost`, so many times.
struct TlsServer {
    uri: String,
    roots: std::path::PathBuf,
    thread: std::thread::JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl TlsServer {
    fn start(times: usize) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let roots = dir.path().join("roots.pem");
        std::fs::write(&roots, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            for _ in 0..times {
                let (mut tcp, _) = listener.accept().unwrap();
                let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
                if stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                        .unwrap();
                    assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
                }
            }
        });
        Self {
            uri: format!("https://localhost:{port}/"),
            roots,
            thread,
            dir,
        }
    }
}

#[test]
fn a_private_authority_is_trusted_if_its_root_is_given_and_not_else() {
    // Documented at http.rs: SSL_CERT_FILE.
    let server = TlsServer::start(3);
    run(async {
        let limit = Duration::from_secs(5);
        let get = || http::Request::get(&server.uri).body(Vec::new()).unwrap();
        let trusting = |roots| IdpClient::trusting(roots, Egress::default(), limit);
        let answer = trusting(Some(&server.roots))
            .within(PlainHttp::Never)
            .send(get())
            .await;
        assert_eq!(answer.unwrap().body(), b"hi");
        let missing = server.dir.path().join("missing.pem");
        for not_trusting in [trusting(None), trusting(Some(&missing))] {
            let refused = not_trusting.within(PlainHttp::Never).send(get()).await;
            assert_unavailable(refused, "an unknown authority");
        }
    });
    server.thread.join().unwrap();
}

#[test]
fn an_https_call_goes_through_the_tunnel_of_a_proxy_and_tls_reaches_to_its_end() {
    // RFC 9110 §9.3.6
    let server = TlsServer::start(1);
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = proxy.local_addr().unwrap();
    let relay = std::thread::spawn(move || {
        let (mut client, _) = proxy.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let mut server = std::net::TcpStream::connect(target).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let copying = std::thread::spawn(move || std::io::copy(&mut up, &mut down));
        std::io::copy(&mut server, &mut client).unwrap();
        client.shutdown(std::net::Shutdown::Both).unwrap();
        let _ = copying.join();
        head
    });
    run(async {
        let variable =
            |name: &str| (name == "https_proxy").then(|| format!("http://user:canary@{at}"));
        let limit = Duration::from_secs(5);
        let client = IdpClient::trusting(Some(&server.roots), Egress::read(variable), limit);
        let get = http::Request::get(&server.uri).body(Vec::new()).unwrap();
        let answer = client.within(PlainHttp::Never).send(get).await;
        assert_eq!(answer.unwrap().body(), b"hi");
    });
    let head = relay.join().unwrap();
    let authority = server
        .uri
        .trim_start_matches("https://")
        .trim_end_matches('/');
    assert!(
        head.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")),
        "{head}"
    );
    let shown = "proxy-authorization: basic dxnlcjpjyw5hcnk=\r\n";
    assert!(head.to_lowercase().contains(shown), "{head}");
    server.thread.join().unwrap();
}
