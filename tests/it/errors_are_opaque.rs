//! Whatever goes wrong: the answer names a code, and the log has the cause.

use std::fmt::Write as _;
use std::net::TcpListener;

use sealgate::demo::idp::{
    AuthorizationFault, DiscoveryFault, EndpointFault, Fault, Faults, TokenFault,
};

use crate::support::http::raw;
use crate::support::process::Server;
use crate::support::{ORIGIN, Request, Site};

const CANARY: &str = "canary-of-a-neighbour-83c2";

/// What no answer may hold, beside the paths and addresses of the very process.
const FORBIDDEN: [&str; 14] = [
    CANARY,
    "panicked",
    "RUST_BACKTRACE",
    ".rs:",
    "src/",
    "os error",
    "onnection refused",
    "rror sending",
    "hyper",
    "awc",
    "rustls",
    "actix",
    "127.0.0.1",
    "sealgate.toml",
];

struct Scene {
    site: Site,
    server: Server,
}

impl Scene {
    #[track_caller]
    fn assert_opaque(&self, what: &str, answer: &[u8]) {
        let answer = String::from_utf8_lossy(answer);
        let place = self.site.place.path("").display().to_string();
        for word in FORBIDDEN.into_iter().chain([place.trim_end_matches('/')]) {
            assert!(!answer.contains(word), "{what}: {word:?} in\n{answer}");
        }
    }
}

/// Upstreams that fail in every way a network knows.
fn scene() -> Scene {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let garbage = TcpListener::bind("127.0.0.1:0").unwrap();
    let garbage_addr = garbage.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in garbage.incoming().flatten() {
            use std::io::{Read as _, Write as _};
            let (mut reader, mut writer) = (&stream, &stream);
            let _ = reader.read(&mut [0; 1024]);
            let _ = writer.write_all(format!("{CANARY} is no status line\r\n\r\n").as_bytes());
        }
    });
    let mut tables = String::new();
    for (name, url) in [
        ("closed", format!("http://{closed}")),
        ("garbage", format!("http://{garbage_addr}")),
        ("tls", format!("https://{garbage_addr}")),
        ("nowhere", format!("http://{CANARY}.invalid")),
    ] {
        let _ = write!(
            tables,
            "[upstream.{name}]\nurl = \"{url}\"\ntimeout = \"2s\"\n\
             [frontend.shop.route.{name}]\npath = \"/{name}\"\nupstream = \"{name}\"\ntoken = \"none\"\n"
        );
    }
    tables += "[frontend.shop.route.slow]\npath = \"/slow\"\nupstream = \"api\"\n\
               strip_prefix = false\ntoken = \"none\"\ntimeout = \"100ms\"\n\
               [frontend.shop.route.small]\npath = \"/small\"\nupstream = \"api\"\n\
               token = \"none\"\nbody_limit = \"1KiB\"\n";
    let site = Site::with(ORIGIN, "", &tables);
    let server = site.serve();
    Scene { site, server }
}

#[test]
fn a_failing_upstream_is_named_by_a_code_alone() {
    let scene = scene();
    let mut browser = scene.site.browser(&scene.server);
    for (path, status, code) in [
        ("/closed/x", 502, "upstream-unavailable"),
        ("/garbage/x", 502, "upstream-unavailable"),
        ("/tls/x", 502, "upstream-unavailable"),
        ("/nowhere/x", 502, "upstream-unavailable"),
        ("/slow?ms=3000", 504, "upstream-timeout"),
    ] {
        let answer = browser.fetch("GET", path);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, code),
            "{path}"
        );
        scene.assert_opaque(path, &answer.raw);
    }
    // The operator is told more.
    let log = scene.server.process.stderr.text();
    assert!(
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("closed")),
        "{log}"
    );
}

#[test]
fn requests_that_nobody_expects_get_plain_answers() {
    let scene = scene();
    let long = "x".repeat(60_000);
    let get = |target: &str| Request::new("GET", target).header("x-csrf", "1");
    let shop = |target: &str| get(target).header("host", "shop.test");
    for (request, status) in [
        (get("/").header("host", "evil.test"), 421),
        (get("/"), 400),
        (shop("/").header("host", "evil.test"), 400),
        (shop("/%00"), 400),
        (shop("/api/..%2f..%2fetc/passwd"), 400),
        (shop("/../../etc/passwd"), 400),
        (shop("/nothing"), 404),
        (shop("/bff/nothing"), 404),
        (shop("/bff/user"), 401),
        (
            shop("/bff/callback?code=x&state=y&error_description=%3Cscript%3E"),
            400,
        ),
        (shop("/bff/callback?code=x&code=y"), 400),
        (shop("/bff/logout?sid=wrong"), 400),
        (
            shop("/bff/user").header("cookie", "__Host-Http-shop=AAAA; __Host-Http-shop.1=%%%"),
            401,
        ),
        (
            shop("/api/x").header("cookie", &format!("__Host-Http-shop={long}")),
            431,
        ),
        (
            Request::new("GET", "/api/x").header("host", "shop.test"),
            403,
        ),
        (
            Request::new("DELETE", "/bff/user")
                .header("host", "shop.test")
                .header("x-csrf", "1"),
            405,
        ),
        (
            Request::new("POST", "/small/x")
                .header("host", "shop.test")
                .header("x-csrf", "1")
                .body(&*long),
            413,
        ),
    ] {
        let what = format!("{} {}", request.method, request.target);
        let answer = request.send(scene.server.addr);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        scene.assert_opaque(&what, &answer.raw);
        assert!(
            !answer.text().contains("<script>"),
            "{what}: nothing is reflected"
        );
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello"[..],
        b"GET / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: shop.test\r\n\r\n",
        b"POST /small HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n",
        b"\r\n\r\n\r\nnonsense\r\n\r\n",
    ] {
        let answer = raw(scene.server.addr, bytes);
        let what = String::from_utf8_lossy(bytes).into_owned();
        scene.assert_opaque(&what, &answer);
        let is_server_error = answer.starts_with(b"HTTP/1.1 5");
        assert!(!is_server_error, "{what}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(scene.server.admin("/livez").status, 200);
}

#[test]
fn the_identity_providers_words_stay_in_the_log() {
    let scene = scene();
    let answer = |status, body: String| Fault::Token(TokenFault::Answer { status, body });
    let oauth_error = format!("{{\"error\":\"invalid_grant\",\"error_description\":\"{CANARY}\"}}");
    for (fault, status, code) in [
        (answer(400, oauth_error), 400, "login-failed"),
        (
            answer(500, CANARY.to_owned()),
            503,
            "identity-provider-unavailable",
        ),
        (answer(200, CANARY.to_owned()), 400, "login-failed"),
        (
            Fault::Token(TokenFault::DropConnection),
            503,
            "identity-provider-unavailable",
        ),
        (
            Fault::Authorization(AuthorizationFault::Error(CANARY)),
            400,
            "login-failed",
        ),
        (
            Fault::Authorization(AuthorizationFault::Error("login_required")),
            400,
            "login-failed",
        ),
    ] {
        let what = format!("{fault:?}");
        scene.site.idp.faults().inject(1, fault);
        let mut browser = scene.site.browser(&scene.server);
        let visit = browser.log_in("/bff/login");
        assert_eq!(visit.url.path(), "/bff/callback", "{what}");
        assert_eq!(
            visit.response.status,
            status,
            "{what}: {}",
            visit.response.text()
        );
        assert!(visit.response.text().contains(code), "{what}");
        scene.assert_opaque(&what, &visit.response.raw);
    }
    let log = scene.server.process.stderr.text();
    assert!(log.contains("invalid_grant"), "{log}");
}

#[test]
fn a_provider_that_is_down_is_no_stack_of_errors() {
    let scene = scene();
    let down = Fault::Discovery(DiscoveryFault::Endpoint(EndpointFault::Down));
    scene.site.idp.faults().inject(Faults::ALWAYS, down);
    let server = scene.site.serve();
    let scene = Scene { server, ..scene };
    let mut browser = scene.site.browser(&scene.server);
    let answer = browser
        .navigate("/bff/login", crate::support::Initiator::SameOrigin)
        .response;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("identity-provider-unavailable"),
        "{}",
        answer.text()
    );
    scene.assert_opaque("login", &answer.raw);
    assert_eq!(
        scene.server.admin("/readyz").status,
        200,
        "B40: live sessions go on"
    );
}
