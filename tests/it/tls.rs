//! TLS on the public listener.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::process::{Process, chmod};
use crate::support::{ORIGIN, Request, Site};

const TLS: &str = "tls = { cert = \"tls.crt\", key = \"tls.key\" }";

/// A configuration with certificate and key, and a client that trusts the certificate.
pub fn site() -> (Site, Arc<ClientConfig>) {
    site_with("")
}

/// The same with more tables.
pub fn site_with(tables: &str) -> (Site, Arc<ClientConfig>) {
    let site = Site::with(ORIGIN, TLS, tables);
    let certified = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    site.place.write("tls.crt", &pem);
    site.place
        .write("tls.key", &certified.signing_key.serialize_pem());
    let client = client_of(&site, rustls::ALL_VERSIONS);
    (site, client)
}

/// A client that trusts the certificate, and speaks these versions of TLS.
pub fn client_of(
    site: &Site,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let pem = std::fs::read(site.place.path("tls.crt")).unwrap();
    client(&CertificateDer::from_pem_slice(&pem).unwrap(), versions)
}

/// A client that trusts this certificate.
pub fn client_trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    client(certificate, rustls::ALL_VERSIONS)
}

fn client(
    certificate: &CertificateDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(client)
}

#[test]
fn a_login_over_tls() {
    let (site, client) = site();
    let server = site.serve();
    let mut browser = site.browser(&server);
    browser.speak_tls(client);
    browser.log_in("/bff/login?returnUrl=/bff/session");
    let answer = browser.fetch("GET", "/bff/session");
    assert_eq!(answer.json()["active"], true);
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    // D35
    let hsts = answer.header("strict-transport-security").unwrap();
    assert!(hsts.starts_with("max-age="), "{hsts}");
    let names = browser.cookie_names();
    assert!(names.contains(&"__Host-Http-shop".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("__")), "{names:?}");
    assert!(
        browser
            .jar
            .iter()
            .filter(|cookie| cookie.name.starts_with("__"))
            .all(|cookie| cookie.secure)
    );
    // Health checks need no certificate, and whoever speaks plain HTTP to TLS gets no answer.
    assert_eq!(server.admin("/livez").status, 200);
    let plain = Request::new("GET", "/bff/session").header("host", "shop.test");
    assert!(!String::from_utf8_lossy(&plain.exchange(server.addr)).starts_with("HTTP"));
}

#[test]
fn clients_that_offer_http_1_0_by_its_name_are_served() {
    // `curl --http1.0` offers nothing else (RFC 7301 §6)
    let (site, client) = site();
    let server = site.serve();
    let mut offers_1_0 = ClientConfig::clone(&client);
    offers_1_0.alpn_protocols = vec![b"http/1.0".to_vec()];
    let answer = Request::new("GET", "/bff/session")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .send_tls(server.addr, "shop.test", &Arc::new(offers_1_0));
    assert_eq!(answer.status, 200);
}

#[test]
fn idle_connections_delay_no_shutdown() {
    let (site, client) = site();
    let mut server = site.serve();
    let tcp = TcpStream::connect(server.addr).unwrap();
    let client = ClientConnection::new(client, "shop.test".try_into().unwrap()).unwrap();
    server.assert_idle_connections_delay_nothing(StreamOwned::new(client, tcp));
}

#[test]
fn a_pair_that_does_not_fit_is_refused_before_any_socket() {
    let (site, _) = site();
    let serve = || Process::spawn(site.sealgate(&[])).outcome();
    let check = || Process::spawn(site.sealgate(&["--check"])).outcome();
    let other = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    site.place
        .write("tls.key", &other.signing_key.serialize_pem());
    for outcome in [serve(), check()] {
        outcome.assert_refused(78, &["server.tls (sealgate.toml:", "tls.crt", "tls.key"]);
    }
    site.place.write("tls.key", "no key\n");
    for outcome in [serve(), check()] {
        outcome.assert_refused(78, &["server.tls", "tls.key"]);
    }
    std::fs::remove_file(site.place.path("tls.crt")).unwrap();
    serve().assert_refused(78, &["server.tls", "tls.crt"]);
}

#[test]
fn a_certificate_that_no_browser_takes_is_warned_about() {
    // N6
    let (site, _) = site();
    let pair = |names: &[&str], from: i32, until: i32| {
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = rcgen::CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        site.place.write("tls.crt", &cert.pem());
        site.place.write("tls.key", &key.serialize_pem());
    };
    let warnings = || {
        let outcome = Process::spawn(site.sealgate(&["--check"])).outcome();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stderr
    };
    let (expired, early) = (
        "expired at 2020-01-01T00:00:00Z",
        "valid only from 2090-01-01",
    );
    for (names, from, until, words) in [
        (&["shop.test"][..], 2020, 2090, &[][..]),
        (&["other.test", "shop.test"], 2020, 2090, &[]),
        (&["shop.test"], 2010, 2020, &[expired]),
        (&["shop.test"], 2090, 2091, &[early]),
        (
            &["other.test", "a.shop.test"],
            2020,
            2060,
            &["is not for https://shop.test"],
        ),
        (
            &["other.test"],
            2010,
            2020,
            &[expired, "is not for https://shop.test"],
        ),
    ] {
        pair(names, from, until);
        let said = warnings();
        assert_eq!(
            said.matches("warning: server.tls").count(),
            words.len(),
            "{said}"
        );
        for word in words {
            assert!(said.contains(word), "no {word} in {said}");
        }
    }
    // Others may read the key.
    pair(&["shop.test"], 2020, 2090);
    chmod(&site.place.path("tls.key"), 0o644);
    let said = warnings();
    assert!(
        said.contains("server.tls.key") && said.contains("0644"),
        "{said}"
    );
    let server = site.serve();
    server.process.wait_for_log("tls.key has mode 0644");
}
