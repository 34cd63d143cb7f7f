//! The single-page app's files.

use sealgate::demo::idp::{DiscoveryFault, Faults};
use serde_json::json;

use crate::support::{Request, Setup, TestBff, http};

const FILES: [(&str, &str); 10] = [
    ("index.html", "<!doctype html><title>app</title>"),
    ("app.3f9c2b1a.js", "console.log(1)"),
    ("plain.js", "console.log(2)"),
    ("sub/page.html", "<p>sub</p>"),
    (".env", "SECRET=1"),
    (".well-known/security.txt", "Contact: mailto:a@b"),
    ("sub/.git/config", "[core]"),
    ("..2026_11_26/mounted.txt", "mounted"),
    ("..2026_11_26/.env", "SECRET=2"),
    ("..secret", "SECRET=3"),
];

struct Site {
    bff: TestBff,
    _dir: tempfile::TempDir,
}

fn site() -> Site {
    site_with(|_| {})
}

fn site_with(change: impl FnOnce(&mut Setup)) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("dist");
    for (name, text) in FILES {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(dir.path().join("outside.txt"), "outside").unwrap();
    for (target, link) in [
        ("../outside.txt", "link.txt"),
        (".env", "env.txt"),
        ("sub/.git/config", "git.txt"),
        // As Kubernetes mounts a ConfigMap.
        ("..2026_11_26", "..data"),
        ("..data/mounted.txt", "mounted.txt"),
        ("..data/.env", "mounted-env.txt"),
        ("..secret", "two-dots.txt"),
    ] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let line = format!(
        "assets = {{ dir = \"{}\", fallback = \"index.html\" }}",
        root.display()
    );
    Site {
        bff: TestBff::with(move |setup| {
            setup.frontend = line;
            change(setup);
        }),
        _dir: dir,
    }
}

fn get(site: &Site, path: &str) -> http::Response {
    navigate(site, path, "*/*")
}

fn navigate(site: &Site, path: &str, accept: &str) -> http::Response {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("accept", accept)
        .send(site.bff.addr)
}

#[test]
fn files_come_with_their_type_and_security_headers() {
    // F9, F10, F11
    let site = site();
    let page = get(&site, "/");
    assert_eq!((page.status, page.text().as_str()), (200, FILES[0].1));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    assert!(
        page.header("referrer-policy").is_some() && page.header("permissions-policy").is_some()
    );
    assert!(
        page.header("strict-transport-security")
            .unwrap()
            .contains("max-age=31536000")
    );
    assert!(page.headers("set-cookie").is_empty());
    let script = get(&site, "/plain.js");
    assert!(
        script
            .header("content-type")
            .unwrap()
            .starts_with("text/javascript")
    );
}

#[test]
fn hashed_files_are_immutable_and_pages_are_not() {
    // F12
    let site = site();
    assert!(
        get(&site, "/app.3f9c2b1a.js")
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    for path in ["/", "/index.html", "/plain.js"] {
        let cache = get(&site, path).header("cache-control").unwrap().to_owned();
        assert!(cache.contains("no-cache"), "{path}: {cache}");
    }
}

#[test]
fn only_the_path_below_the_served_directory_says_that_a_file_never_changes() {
    // RFC 8246: a wrong yes keeps an old file for a year
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("_next/static/_app/immutable");
    for name in [
        "index.html",
        "app.js",
        "app.3f9c2b1a.js",
        "_next/static/chunk.js",
        "_app/immutable/start.js",
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    // The names stay when the links lead elsewhere.
    for (target, link) in [
        ("app.3f9c2b1a.js", "latest.js"),
        ("_app/immutable", "current"),
    ] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let line = format!("assets = {{ dir = \"{}\" }}", root.display());
    let bff = TestBff::with(move |setup| setup.frontend = line);
    for (path, is_immutable) in [
        ("/", false),
        ("/app.js", false),
        ("/latest.js", false),
        ("/current/start.js", false),
        ("/app.3f9c2b1a.js", true),
        ("/_next/static/chunk.js", true),
        ("/_app/immutable/start.js", true),
    ] {
        let answer = Request::new("GET", path)
            .header("host", "shop.test")
            .send(bff.addr);
        assert_eq!(answer.status, 200, "{path}");
        let cache = answer.header("cache-control").unwrap();
        assert_eq!(cache.contains("immutable"), is_immutable, "{path}: {cache}");
    }
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let site = site();
    let first = get(&site, "/plain.js");
    let etag = first.header("etag").unwrap().to_owned();
    let again = Request::new("GET", "/plain.js")
        .header("host", "shop.test")
        .header("if-none-match", &etag)
        .send(site.bff.addr);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = Request::new("HEAD", "/plain.js")
        .header("host", "shop.test")
        .send(site.bff.addr);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("14"));
}

#[test]
fn the_apps_own_paths_are_its_first_page_and_missing_files_are_not() {
    // F12: web cache deception
    let site = site();
    // P26, nocodb#13217: a name with a dot may be a page's
    for path in [
        "/orders",
        "/orders/7",
        "/orders/7?x=1",
        "/users/john.doe",
        "/orders/x.js",
    ] {
        let page = navigate(&site, path, "text/html");
        assert_eq!(
            (page.status, page.text().as_str()),
            (200, FILES[0].1),
            "{path}"
        );
    }
    // N8: whoever does not navigate is told that there is nothing
    for path in [
        "/missing.css",
        "/orders/x.js",
        "/app.00000000.js",
        "/favicon.ico",
        "/api/typo",
        "/livez",
        "/orders",
    ] {
        assert_eq!(get(&site, path).problem(), "not-found", "{path}");
        for (mode, accept) in [
            ("cors", "*/*"),
            ("cors", "text/html"),
            ("no-cors", "text/css,*/*;q=0.1"),
        ] {
            let answer = Request::new("GET", path)
                .header("host", "shop.test")
                .header("accept", accept)
                .header("sec-fetch-mode", mode)
                .send(site.bff.addr);
            assert_eq!(answer.problem(), "not-found", "{path} {mode} {accept}");
        }
    }
    let page = Request::new("GET", "/users/john.doe")
        .header("host", "shop.test")
        .header("sec-fetch-mode", "navigate")
        .send(site.bff.addr);
    assert_eq!(page.text(), FILES[0].1);
    assert_eq!(page.header("vary"), Some("Accept, Sec-Fetch-Mode"));
    for path in ["/bff/x.css", "/.well-known/none", "/.none"] {
        assert_eq!(navigate(&site, path, "text/html").status, 404, "{path}");
    }
}

#[test]
fn a_page_may_frame_the_identity_provider() {
    // Finding G: without it a silent login is dead in an app that sealgate serves
    let site = site_with(|setup| setup.provider_is_down = true);
    let frames = || {
        let page = get(&site, "/");
        let policy = page.header("content-security-policy").unwrap().to_owned();
        policy.split("frame-src ").nth(1).unwrap().to_owned()
    };
    let issuer = site.bff.idp.issuer();
    assert_eq!(frames(), format!("'self' {issuer}"));
    // Its pages may stand elsewhere (Amazon Cognito).
    let faults = site.bff.idp.faults();
    faults.clear();
    let endpoint = json!("http://127.0.0.1:9/authorize");
    faults.inject(
        Faults::ALWAYS,
        DiscoveryFault::With("authorization_endpoint", endpoint),
    );
    let login = Request::new("GET", "/bff/silent-login").header("host", "shop.test");
    // A failure from before may still close the gate anew, for up to half a minute.
    let is_begun = (0..10).any(|_| {
        site.bff.clock.advance(std::time::Duration::from_secs(60));
        login.send(site.bff.addr).status == 302
    });
    assert!(is_begun, "the login does not begin");
    assert_eq!(frames(), format!("'self' {issuer} http://127.0.0.1:9"));
}

#[test]
fn nothing_outside_and_nothing_hidden_is_served() {
    // F12
    let site = site();
    for path in [
        "/.env",
        "/sub/.git/config",
        "/link.txt",
        // H: the same file by another name.
        "/env.txt",
        "/git.txt",
        "/mounted-env.txt",
        "/two-dots.txt",
        "/..data/mounted.txt",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/sub/..%5c..%5coutside.txt",
        "/index.html%00.js",
        "//outside.txt",
    ] {
        let answer = get(&site, path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(
            !answer.text().contains("outside") && !answer.text().contains("SECRET"),
            "{path}"
        );
    }
    assert_eq!(
        navigate(&site, "/sub/", "text/html").text(),
        FILES[0].1,
        "a directory is not listed"
    );
    assert_eq!(get(&site, "/.well-known/security.txt").status, 200);
    assert_eq!(get(&site, "/mounted.txt").text(), "mounted");
    for method in ["POST", "DELETE"] {
        let answer = Request::new(method, "/")
            .header("host", "shop.test")
            .send(site.bff.addr);
        assert_eq!(answer.problem(), "method-not-allowed");
    }
}

#[test]
fn apis_and_endpoints_go_before_files() {
    let site = site();
    let mut browser = site.bff.browser();
    assert_eq!(
        browser.fetch("GET", "/api/echo/x.css").problem(),
        "login-required"
    );
    assert_eq!(
        browser.fetch("GET", "/bff/user").problem(),
        "login-required"
    );
}
