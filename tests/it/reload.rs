//! A configuration that changes while the process runs: SIGHUP, or files that are looked at.

use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, StreamOwned};
use sealgate::demo::api::Api;

use crate::support::process::{Place, Server, eventually};
use crate::support::site::SECRET;
use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Request, Site};
use crate::tls;

const CONFIG: &str = "sealgate.toml";

/// A route of `shop`.
fn route(name: &str, more: &str) -> String {
    format!(
        "[frontend.shop.route.{name}]\npath = \"/{name}\"\nupstream = \"api\"\ntoken = \"user\"\n{more}\n"
    )
}

fn read(place: &Place) -> String {
    std::fs::read_to_string(place.path(CONFIG)).unwrap()
}

/// Puts another configuration in place at once, so that nobody reads half of it.
fn put(place: &Place, text: &str) {
    let next = place.write("next.toml", text);
    std::fs::rename(next, place.path(CONFIG)).unwrap();
}

fn append(place: &Place, text: &str) {
    put(place, &format!("{}\n{text}\n", read(place)));
}

fn replace(place: &Place, from: &str, to: &str) {
    let text = read(place);
    assert!(text.contains(from), "{from} in {text}");
    put(place, &text.replace(from, to));
}

fn counter(result: &str) -> String {
    format!("sealgate_config_reload_total{{result=\"{result}\"}}")
}

/// Waits until a reload has come to this result, once `change` is made.
#[track_caller]
fn awaiting(server: &Server, result: &str, change: impl FnOnce()) {
    let counter = counter(result);
    let before = server.metric(&counter);
    change();
    eventually(&counter, || {
        (server.metric(&counter) > before).then_some(())
    });
}

#[track_caller]
fn hang_up(server: &Server, result: &str) {
    awaiting(server, result, || server.process.signal("HUP"));
}

#[test]
fn a_new_route_serves_the_session_that_began_before_it() {
    let site = Site::new();
    let server = site.serve();
    let text = server.admin("/metrics").text();
    for result in ["ok", "unchanged", "rejected"] {
        let zero = format!("{} 0", counter(result));
        assert!(text.lines().any(|line| line == zero), "{zero}");
    }
    let mut browser = site.signed_in(&server);
    assert_eq!(browser.fetch("GET", "/orders").status, 404);
    append(&site.place, &route("orders", ""));
    hang_up(&server, "ok");
    server.process.wait_for_log("configuration reloaded");
    assert_eq!(browser.fetch("GET", "/orders").status, 200);
    let begun = "sealgate_requests_total{frontend=\"shop\",route=\"orders\",outcome=\"5xx\"} 0";
    assert!(server.admin("/metrics").text().contains(begun));
    hang_up(&server, "unchanged");
    replace(&site.place, "path = \"/orders\"", "path = \"/purchases\"");
    hang_up(&server, "ok");
    assert_eq!(browser.fetch("GET", "/orders").status, 404);
    assert_eq!(browser.fetch("GET", "/purchases").status, 200);
}

#[test]
fn a_configuration_with_mistakes_changes_nothing_and_each_is_told() {
    let site = Site::with(ORIGIN, "reload_interval = \"1s\"", "");
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let good = read(&site.place);
    let bad = route("orders", "timeot = \"1s\"\nrequire_scopes = [\"a b\"]");
    append(
        &site.place,
        &format!("{bad}[upstream.more]\nurl = \"orders\""),
    );
    awaiting(&server, "rejected", || {});
    let lines = [
        "configuration not reloaded, the old one stays: there are 3 mistakes in the configuration: (1) ",
        "timeot",
        "require_scopes",
        "upstream.more.url",
    ];
    for words in lines {
        server.process.wait_for_log(words);
    }
    assert_eq!(browser.fetch("GET", "/orders").status, 404);
    assert_eq!(browser.fetch("GET", "/api/me").status, 200);
    // It counts as long as it is so, and is told once.
    awaiting(&server, "rejected", || {});
    let log = server.process.stderr.text();
    let told = |words: &str| {
        let mut lines = log.lines().filter(|line| line.contains(lines[0]));
        (
            lines.clone().count(),
            lines.any(|line| line.contains(words)),
        )
    };
    for words in &lines[1..] {
        assert_eq!(told(words), (1, true), "{words}: {log}");
    }
    // What is said at a start is said here, in the same words.
    let check = site.place.run(&["-c", CONFIG, "--check"]);
    let mut words = check
        .stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let head = words.next().expect("a head");
    assert!(
        head.ends_with("there are 3 mistakes in the configuration:"),
        "{head}"
    );
    assert_eq!(words.clone().count(), 6, "{}", check.stderr);
    for words in words {
        assert!(told(words).1, "{words}: {log}");
    }
    put(&site.place, "[frontend.shop");
    server.process.wait_for_log("this is not TOML");
    std::fs::remove_file(site.place.path(CONFIG)).unwrap();
    server.process.wait_for_log("cannot be opened");
    awaiting(&server, "unchanged", || put(&site.place, &good));
    assert_eq!(server.metric(&counter("ok")), 0);
    append(&site.place, &route("orders", ""));
    eventually("the mistakes are corrected", || {
        (browser.fetch("GET", "/orders").status == 200).then_some(())
    });
}

#[test]
fn a_secret_is_replaced_as_kubernetes_does_it() {
    // P35
    let site = Site::with(ORIGIN, "reload_interval = \"1s\"", "");
    let place = &site.place;
    place.write("mounted/..one/shop", SECRET);
    place.write("mounted/..two/shop", "canary-of-the-next-secret-77d0");
    symlink("..one", place.path("mounted/..data")).unwrap();
    symlink("..data/shop", place.path("mounted/shop")).unwrap();
    replace(place, "shop.secret", "mounted/shop");
    let server = site.serve();
    let _first = site.signed_in(&server);
    let discoveries = site.idp.observed().discovery;
    let (callback, landing) = (
        format!("{ORIGIN}/bff/callback"),
        format!("{ORIGIN}/bff/logged-out"),
    );
    let next = "canary-of-the-next-secret-77d0";
    site.idp.add_client("shop", next, &[&callback], &[&landing]);
    awaiting(&server, "ok", || {
        symlink("..two", place.path("mounted/..new")).unwrap();
        std::fs::rename(place.path("mounted/..new"), place.path("mounted/..data")).unwrap();
    });
    let _second = site.signed_in(&server);
    let again = site.idp.observed().discovery;
    assert_eq!(again, discoveries, "the provider is known already");
}

#[test]
fn what_does_not_change_keeps_its_limits() {
    let site = Site::with(
        ORIGIN,
        "",
        &route("orders", "rate_limit = { per_second = 0.001, burst = 3 }"),
    );
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let mut status = || browser.fetch("GET", "/orders").status;
    assert_eq!((status(), status()), (200, 200));
    append(&site.place, &route("more", ""));
    hang_up(&server, "ok");
    assert_eq!((status(), status()), (200, 429));
    replace(&site.place, "burst = 3", "burst = 4");
    hang_up(&server, "ok");
    assert_eq!(status(), 200, "it is another limit now");
}

#[test]
fn requests_go_to_where_an_upstream_is_now() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let before = site.api.requests().len();
    let other = Api::start().unwrap();
    replace(&site.place, &site.api.url(), &other.url());
    hang_up(&server, "ok");
    assert_eq!(browser.fetch("GET", "/api/me").status, 200);
    assert_eq!(
        (site.api.requests().len(), other.requests().len()),
        (before, 1)
    );
}

#[test]
fn a_stream_outlives_the_frontend_that_it_began_with() {
    let (speak, spoken) = mpsc::channel::<()>();
    let spoken = Mutex::new(spoken);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
            talk.say("9\r\ndata: 1\n\n\r\n");
            if spoken.lock().unwrap().recv().is_ok() {
                talk.say("9\r\ndata: 2\n\n\r\n0\r\n\r\n");
            }
        }
    });
    let tables = format!(
        "[upstream.raw]\nurl = \"http://{}\"\n[frontend.shop.route.raw]\npath = \"/raw\"\nupstream = \"raw\"\n\
         token = \"user\"",
        upstream.addr
    );
    let site = Site::with(ORIGIN, "", &tables);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let events = Request::new("GET", "/raw")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/raw"));
    let mut stream = events.begin(server.addr);
    let mut heard = String::new();
    let mut until = |mark: &str, stream: &mut TcpStream| {
        let mut more = [0; 4096];
        while !heard.contains(mark) {
            let read = std::io::Read::read(stream, &mut more).unwrap();
            assert!(read > 0, "no {mark:?} in {heard}");
            heard.push_str(&String::from_utf8_lossy(&more[..read]));
        }
    };
    until("data: 1", &mut stream);
    for name in ["frontend.shop]", "frontend.shop."] {
        let other = name.replace("shop", "other");
        replace(&site.place, name, &other);
    }
    replace(&site.place, ORIGIN, "https://other.test");
    hang_up(&server, "ok");
    assert_eq!(browser.fetch("GET", "/api/me").status, 421);
    speak.send(()).unwrap();
    until("data: 2", &mut stream);
}

/// A certificate for `shop.test` that ends in this year.
fn certify(place: &Place, year: i32) -> CertificateDer<'static> {
    let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    place.write("tls.key", &key.serialize_pem());
    place.write("tls.crt", &cert.pem());
    cert.der().clone()
}

#[test]
fn a_renewed_certificate_is_shown_to_the_next_connection() {
    let (site, _) = tls::site();
    let first = certify(&site.place, 2090);
    let server = site.serve();
    let expires = "sealgate_tls_certificate_expires_seconds";
    assert_eq!(server.metric(expires), 3_786_912_000);
    let connect = || {
        let client = tls::client_of(&site, rustls::ALL_VERSIONS);
        let client = ClientConnection::new(client, "shop.test".try_into().unwrap()).unwrap();
        let mut tls = StreamOwned::new(client, TcpStream::connect(server.addr).unwrap());
        ask(&mut tls);
        tls
    };
    let shown = |tls: &StreamOwned<ClientConnection, TcpStream>| {
        tls.conn.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    };
    let mut kept = connect();
    assert_eq!(shown(&kept), first);
    let second = certify(&site.place, 2091);
    hang_up(&server, "ok");
    assert_eq!(server.metric(expires), 3_818_448_000);
    assert_eq!(shown(&connect()), second);
    ask(&mut kept);
    // A key that does not fit keeps the pair in use.
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    site.place.write("tls.key", &other);
    hang_up(&server, "rejected");
    server.process.wait_for_log("not a usable pair");
    assert_eq!(shown(&connect()), second);
}

/// One request and its answer, on a connection that stays open.
fn ask(tls: &mut (impl std::io::Read + std::io::Write)) {
    let request = b"GET /bff/session HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n";
    tls.write_all(request).unwrap();
    let mut answer = [0; 4096];
    let read = tls.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "answered");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_reloads() {
    let site = Site::with(ORIGIN, "trusted_proxies = []", "");
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    replace(&site.place, "workers = 1", "workers = 2");
    replace(
        &site.place,
        "admin_bind = \"127.0.0.1:0\"",
        "admin_bind = \"127.0.0.1:19099\"",
    );
    append(&site.place, &route("orders", ""));
    append(
        &site.place,
        "[coordination]\nurl = { env = \"STORE\" }\n[telemetry]\nlog_format = \"json\"",
    );
    hang_up(&server, "rejected");
    server.process.wait_for_log("STORE is not set");
    site.place.write("store", "redis://127.0.0.1:1");
    replace(&site.place, "{ env = \"STORE\" }", "{ file = \"store\" }");
    hang_up(&server, "ok");
    for key in [
        "server.workers",
        "server.admin_bind",
        "[coordination]",
        "telemetry.log_format",
    ] {
        let words = format!("{key} has changed, and that needs a restart");
        server.process.wait_for_log(&words);
    }
    let log = server.process.stderr.text();
    assert!(!log.contains("server.bind has changed"), "{log}");
    assert_eq!(browser.fetch("GET", "/orders").status, 200);
    assert_eq!(server.admin("/readyz").status, 200);
}

#[test]
fn a_hundred_reloads_under_load_fail_no_request() {
    let site = Site::new();
    let server = site.serve_as(|command| {
        command.env("SEALGATE__SERVER__WORKERS", "2");
        command.env("RUST_LOG", "info");
    });
    let browser = site.signed_in(&server);
    let cookies = browser.api_cookie_line("/api/me");
    let is_over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..3)
        .map(|_| {
            let (addr, cookies) = (server.addr, cookies.clone());
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut answered = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let request = Request::new("GET", "/api/me")
                        .header("host", "shop.test")
                        .header("x-csrf", "1")
                        .header("cookie", &cookies);
                    let answer = request.send(addr);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let good = read(&site.place);
    for n in 0..100 {
        // Now and then the connections cannot be kept.
        let most = if n % 3 == 0 { 100 } else { 200 };
        let of_api = format!(
            "[upstream.api]\ntimeout = \"{}s\"\nmax_connections = {most}",
            n + 5
        );
        let text = good.replace("[upstream.api]", &of_api);
        put(
            &site.place,
            &format!("{text}\n{}", route(&format!("more-{n}"), "")),
        );
        hang_up(&server, "ok");
    }
    is_over.store(true, Ordering::Relaxed);
    let answered: u32 = load.into_iter().map(|one| one.join().unwrap()).sum();
    println!("{answered} requests during 100 reloads");
    assert!(answered > 100, "{answered}");
    assert_eq!(server.metric(&counter("ok")), 100);
    assert_eq!(server.metric(&counter("rejected")), 0);
}
