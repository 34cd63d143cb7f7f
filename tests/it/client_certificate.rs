//! A client that shows a certificate (RFC 8705): `client_auth = "tls_client_auth"`, `"self_signed_tls_client_auth"` and `client_cert`.
//!
//! TLS ends in front of the demo's provider, where only the one certificate is let through, at the addresses of
//! `mtls_endpoint_aliases`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use sealgate::demo::idp::{DiscoveryFault, Faults};
use serde_json::json;

use crate::support::process::Server;
use crate::support::{Initiator, ORIGIN, Site};

type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

fn certified(name: &str) -> Certified {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// What ends TLS, and the requests that it let through.
struct Gate {
    site: Site,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// Lets `client` through, and nobody else. `lines` say how sealgate authenticates.
    fn before(client: &Certified, lines: &str) -> Self {
        let site = Site::with(ORIGIN, "", "");
        let config = std::fs::read_to_string(site.place.path("sealgate.toml")).unwrap();
        let secret = "client_secret = { file = \"shop.secret\" }";
        assert!(config.contains(secret));
        site.place
            .write("sealgate.toml", &config.replace(secret, lines));
        site.idp.trust_certificate("shop");
        let server = certified("localhost");
        site.place.write("roots.pem", &server.cert.pem());
        let config = Arc::new(tls(&server, client));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let aliases = json!({
            "token_endpoint": format!("{at}/token"),
            "revocation_endpoint": format!("{at}/revoke"),
            "userinfo_endpoint": format!("{at}/userinfo"),
        });
        let aliases = DiscoveryFault::With("mtls_endpoint_aliases", aliases);
        site.idp.faults().inject(Faults::ALWAYS, aliases);
        let provider = site.idp.issuer().replace("http://", "");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hearing = Arc::clone(&heard);
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let passed = pass_on(tcp, &config, &provider);
                hearing.lock().unwrap().extend(passed);
            }
        });
        Self { site, heard }
    }

    fn serve(&self) -> Server {
        let roots = self.site.place.path("roots.pem");
        self.site.serve_as(|command| {
            command.env("SSL_CERT_FILE", roots);
        })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn tls(server: &Certified, client: &Certified) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut known = RootCertStore::empty();
    known.add(client.cert.der().clone()).unwrap();
    let known = WebPkiClientVerifier::builder_with_provider(Arc::new(known), Arc::clone(&provider));
    let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(known.build().unwrap())
        .with_single_cert(vec![server.cert.der().clone()], key)
        .unwrap()
}

/// One request to the provider, and its answer back. `None` if the handshake failed.
fn pass_on(mut tcp: TcpStream, config: &Arc<ServerConfig>, provider: &str) -> Option<String> {
    let limit = Some(Duration::from_secs(10));
    tcp.set_read_timeout(limit).ok()?;
    let mut connection = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut stream = rustls::Stream::new(&mut connection, &mut tcp);
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&chunk[..n]);
    }
    let mut upstream = TcpStream::connect(provider).ok()?;
    upstream.set_read_timeout(limit).ok()?;
    upstream.write_all(&request).ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).ok()?;
    stream.write_all(&answer).ok()?;
    connection.send_close_notify();
    connection.write_tls(&mut tcp).ok()?;
    String::from_utf8(request).ok()
}

#[test]
fn both_methods_sign_in_and_revoke_by_the_aliases_and_without_a_secret() {
    // B48, RFC 8705 §2, §5
    for (method, cert) in [
        (
            "tls_client_auth",
            "client_cert = { cert = \"client.crt\", key = \"client.key\" }",
        ),
        (
            "self_signed_tls_client_auth",
            "client_cert = { file = \"client.pem\" }",
        ),
        (
            "tls_client_auth",
            "client_cert = { file = \"client.crt\" }\nclient_key = { file = \"client.key\" }",
        ),
    ] {
        let client = certified("shop");
        let gate = Gate::before(&client, &format!("client_auth = \"{method}\"\n{cert}"));
        let (pem, key) = (client.cert.pem(), client.signing_key.serialize_pem());
        gate.site.place.write("client.crt", &pem);
        gate.site.place.write("client.key", &key);
        gate.site.place.write("client.pem", &format!("{pem}{key}"));
        let server = gate.serve();
        let mut browser = gate.site.signed_in(&server);
        assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
        let passed = gate.heard();
        let paths: Vec<&str> = passed
            .iter()
            .filter_map(|one| one.split(' ').nth(1))
            .collect();
        assert_eq!(paths.first(), Some(&"/token"), "{paths:?}");
        assert!(paths.contains(&"/revoke"), "{paths:?}");
        for request in passed.iter().filter(|one| one.starts_with("POST ")) {
            let (head, form) = request.split_once("\r\n\r\n").unwrap();
            assert!(form.contains("client_id=shop"), "{form}");
            assert!(!form.contains("client_secret") && !form.contains("client_assertion"));
            assert!(
                !head.to_ascii_lowercase().contains("authorization:"),
                "{head}"
            );
        }
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_published() {
    // RFC 8705 §2.2.2, RFC 7517 §4.7
    let key = "client_key = { file = \"client.key\" }";
    for (method, more, published) in [
        ("self_signed_tls_client_auth", "", true),
        ("self_signed_tls_client_auth", key, true),
        ("tls_client_auth", "", false),
    ] {
        let client = certified("shop");
        let lines = format!(
            "client_auth = \"{method}\"\nclient_cert = {{ cert = \"client.crt\", key = \"client.key\" }}\n{more}"
        );
        let gate = Gate::before(&client, &lines);
        let place = &gate.site.place;
        place.write("client.crt", &client.cert.pem());
        place.write("client.key", &client.signing_key.serialize_pem());
        let server = gate.serve();
        let answer = gate.site.browser(&server).fetch("GET", "/bff/jwks");
        if !published {
            assert_eq!(answer.status, 404, "{method}");
            continue;
        }
        let jwks = answer.json();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 1, "{jwks}");
        let jwk = &jwks["keys"][0];
        let der = STANDARD.encode(client.cert.der());
        assert_eq!(jwk["x5c"], json!([der]));
        // SEC 1 §2.3.3
        let point = client.signing_key.public_key_raw();
        let (x, y) = point[1..].split_at(32);
        let coordinates = [x, y].map(|half| json!(URL_SAFE_NO_PAD.encode(half)));
        assert_eq!([&jwk["x"], &jwk["y"]].map(Clone::clone), coordinates);
        let rest = ["kty", "crv", "use"].map(|name| jwk[name].as_str().unwrap());
        assert_eq!(rest, ["EC", "P-256", "sig"]);
        assert!(jwk.get("d").is_none() && jwk["kid"].is_string(), "{jwk}");
        let signs = (!more.is_empty()).then_some("ES256");
        assert_eq!(jwk["alg"].as_str(), signs, "a key that signs says how");
    }
}

#[test]
fn another_certificate_signs_nobody_in() {
    let lines = "client_auth = \"tls_client_auth\"\nclient_cert = { file = \"client.pem\" }";
    let gate = Gate::before(&certified("shop"), lines);
    let other = certified("shop");
    let (pem, key) = (other.cert.pem(), other.signing_key.serialize_pem());
    gate.site.place.write("client.pem", &format!("{pem}{key}"));
    let server = gate.serve();
    let mut browser = gate.site.browser(&server);
    let visit = browser.log_in("/bff/login");
    assert_eq!(visit.response.status, 503, "{}", visit.response.text());
    assert_eq!(gate.heard(), Vec::<String>::new());
    let user = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(user.response.status, 503);
}
