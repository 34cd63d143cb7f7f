//! The forms of the app's files: compressed, in part, with other headers, and with the scripts of a page.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::support::process::Place;
use crate::support::{Request, TestBff, http};

struct Site {
    bff: TestBff,
    dir: tempfile::TempDir,
}

impl Site {
    /// The files, and more in the table `assets`.
    fn with(files: &[(&str, &[u8])], more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let line = format!(
            "assets = {{ dir = {:?}{more} }}",
            dir.path().to_str().unwrap()
        );
        let bff = TestBff::with(|setup| setup.frontend = line);
        Self { bff, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> http::Response {
        self.ask("GET", path, headers)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> http::Response {
        let request = Request::new(method, path).header("host", "shop.test");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        request.send(self.bff.addr)
    }
}

fn script(lines: usize) -> Vec<u8> {
    let lines = (0..lines).map(|n| format!("export const value{n} = {n} * 2;\n"));
    lines.collect::<Vec<_>>().concat().into_bytes()
}

fn decoded(answer: &http::Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    match answer.header("content-encoding") {
        Some("br") => drop(
            brotli::Decompressor::new(&answer.body[..], 4096)
                .read_to_end(&mut bytes)
                .unwrap(),
        ),
        Some("zstd") => bytes = zstd::decode_all(&answer.body[..]).unwrap(),
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut bytes)
                .unwrap(),
        ),
        Some(other) => panic!("{other}"),
        None => bytes.clone_from(&answer.body),
    }
    bytes
}

#[test]
fn text_is_compressed_for_those_who_take_it() {
    let text = script(300);
    let noise: Vec<u8> = (0..5000u32)
        .map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect();
    let site = Site::with(
        &[
            ("app.js", &text),
            ("tiny.js", &[b' '; 1024]),
            ("small.js", &[b' '; 1025]),
            ("photo.png", &noise),
        ],
        "",
    );
    let small = site.get("/small.js", &[("accept-encoding", "br")]);
    assert_eq!(small.header("content-encoding"), Some("br"));
    let mut tags = Vec::new();
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("zstd, gzip", Some("zstd")),
        ("gzip", Some("gzip")),
        ("br;q=0.1, gzip;q=0.9", Some("gzip")),
        ("identity", None),
        ("br;q=0", None),
    ] {
        let answer = site.get("/app.js", &[("accept-encoding", accept)]);
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, coding),
            "{accept}"
        );
        assert_eq!(decoded(&answer), text, "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{accept}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
        let tag = answer.header("etag").unwrap().to_owned();
        // Each form has its own, and is known again by it, and by no other.
        for known in tags.iter().filter(|known| **known != tag).chain([&tag]) {
            let again = site.get(
                "/app.js",
                &[("accept-encoding", accept), ("if-none-match", known)],
            );
            assert_eq!(
                again.status == 304,
                *known == tag,
                "{accept}: {known} for {tag}"
            );
            assert_eq!(again.header("etag"), Some(&*tag));
            assert_eq!(again.header("vary"), Some("Accept-Encoding"));
        }
        let head = site.ask("HEAD", "/app.js", &[("accept-encoding", accept)]);
        assert_eq!(
            head.header("content-length"),
            Some(&*answer.body.len().to_string())
        );
        assert_eq!(head.header("content-encoding"), coding);
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
    // What gains nothing, and what nobody asked to be compressed.
    for (path, accept) in [("/tiny.js", "br"), ("/photo.png", "br")] {
        let answer = site.get(path, &[("accept-encoding", accept)]);
        assert_eq!(
            (answer.header("content-encoding"), answer.header("vary")),
            (None, None),
            "{path}"
        );
    }
    assert_eq!(site.get("/app.js", &[]).header("content-encoding"), None);
}

#[test]
fn what_lies_beside_a_file_is_served_in_its_place() {
    let text = script(300);
    let site = Site::with(
        &[
            ("app.js", &text),
            ("app.js.br", b"as brotli"),
            ("app.js.gz", b"as gzip"),
            ("logo.png", b"png"),
            ("logo.png.zst", b"z"),
        ],
        "",
    );
    for (path, accept, coding, body) in [
        ("/app.js", "gzip, br", Some("br"), &b"as brotli"[..]),
        ("/app.js", "gzip", Some("gzip"), b"as gzip"),
        ("/logo.png", "zstd, br", Some("zstd"), b"z"),
        ("/logo.png", "br", None, b"png"),
    ] {
        let answer = site.get(path, &[("accept-encoding", accept)]);
        assert_eq!(
            (answer.header("content-encoding"), &answer.body[..]),
            (coding, body),
            "{path} {accept}"
        );
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    }
    // A link beside a file is no way out of the directory either.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "outside").unwrap();
    fs::write(site.path("other.js"), "bare").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), site.path("other.js.br")).unwrap();
    let answer = site.get("/other.js", &[("accept-encoding", "br")]);
    assert_eq!(
        (answer.header("content-encoding"), answer.text().as_str()),
        (None, "bare")
    );
    // Another build: the old form is not of this file.
    let newer = script(301);
    let path = site.path("app.js");
    fs::write(&path, &newer).unwrap();
    let later = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(later)
        .unwrap();
    let answer = site.get("/app.js", &[("accept-encoding", "br")]);
    assert_eq!(decoded(&answer), newer);
}

#[test]
fn a_file_that_changes_is_the_new_one_at_once() {
    let site = Site::with(
        &[("index.html", b"one"), ("a/x.txt", b"old")],
        ", fallback = \"index.html\"",
    );
    let navigation = [("sec-fetch-mode", "navigate")];
    for text in ["two", "three", "four"] {
        assert_eq!(site.get("/orders/7", &navigation).status, 200);
        fs::write(site.path("index.html"), text).unwrap();
        assert_eq!(site.get("/", &[]).text(), text);
        assert_eq!(site.get("/orders/7", &navigation).text(), text);
    }
    // A release as a link that is exchanged.
    fs::create_dir(site.path("b")).unwrap();
    fs::write(site.path("b/x.txt"), "new").unwrap();
    std::os::unix::fs::symlink("a", site.path("current")).unwrap();
    assert_eq!(site.get("/current/x.txt", &[]).text(), "old");
    std::os::unix::fs::symlink("b", site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("current")).unwrap();
    assert_eq!(site.get("/current/x.txt", &[]).text(), "new");
    // What was remembered is no way out of the directory.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.txt"), "outside").unwrap();
    std::os::unix::fs::symlink(outside.path(), site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("current")).unwrap();
    assert_eq!(site.get("/current/x.txt", &[]).status, 404);
    fs::remove_file(site.path("b/x.txt")).unwrap();
    assert_eq!(site.get("/b/x.txt", &[]).status, 404);
}

#[test]
fn a_part_is_served_to_who_asks_for_one() {
    let text: Vec<u8> = (0..300 * 1024u32)
        .map(|n| b'a' + u8::try_from(n % 26).unwrap())
        .collect();
    let site = Site::with(&[("small.txt", &text[..2000]), ("large.txt", &text)], "");
    for (path, len) in [("/small.txt", 2000), ("/large.txt", text.len())] {
        let whole = site.get(path, &[]);
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        let tag = whole.header("etag").unwrap();
        let modified = whole.header("last-modified").unwrap();
        for (range, bounds) in [
            ("bytes=0-9", 0..10),
            ("bytes=1990-", 1990..len),
            ("bytes=-5", len - 5..len),
            ("bytes=10-999999999", 10..len),
            // Names of units are case-insensitive, and no number is too large (RFC 9110 §14.1, §14.1.2).
            ("BYTES=0-9", 0..10),
            ("bytes=10-99999999999999999999", 10..len),
        ] {
            // Whatever codings the client takes.
            let answer = site.get(path, &[("range", range), ("accept-encoding", "br, gzip")]);
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (206, None),
                "{path} {range}"
            );
            let told = format!("bytes {}-{}/{len}", bounds.start, bounds.end - 1);
            assert_eq!(answer.header("content-range"), Some(&*told));
            assert!(answer.body == text[bounds], "{path} {range}");
            assert_eq!(answer.header("etag"), Some(tag));
        }
        for range in [
            "bytes=999999999-",
            "bytes=99999999999999999999-",
            "bytes=-0",
        ] {
            let beyond = site.get(path, &[("range", range)]);
            let told = format!("bytes */{len}");
            assert_eq!(
                (beyond.status, beyond.header("content-range")),
                (416, Some(&*told)),
                "{range}"
            );
        }
        for (name, value, part) in [
            ("if-range", tag, true),
            ("if-range", modified, true),
            ("if-range", "\"other\"", false),
            ("if-range", "Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("if-range", "nonsense", false),
        ] {
            let answer = site.get(path, &[("range", "bytes=0-9"), (name, value)]);
            assert_eq!(answer.status == 206, part, "{value}");
        }
        for range in [
            "bytes=0-1,5-6",
            "lines=0-9",
            "bytes=x",
            "bytes=9-1",
            "bytes",
        ] {
            let answer = site.get(path, &[("range", range)]);
            assert_eq!((answer.status, answer.body.len()), (200, len), "{range}");
        }
        let head = site.ask("HEAD", path, &[("range", "bytes=0-9")]);
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(&*len.to_string()))
        );
        assert_eq!(
            site.get(path, &[("range", "bytes=0-9"), ("if-none-match", tag)])
                .status,
            304
        );
    }
}

#[test]
fn a_date_counts_where_there_is_no_tag() {
    let site = Site::with(&[("a.txt", b"a")], "");
    let modified = site
        .get("/a.txt", &[])
        .header("last-modified")
        .unwrap()
        .to_owned();
    for (headers, status) in [
        (vec![("if-modified-since", &*modified)], 304),
        (
            vec![("if-modified-since", "Thu, 01 Jan 1970 00:00:01 GMT")],
            200,
        ),
        (vec![("if-modified-since", "nonsense")], 200),
        (
            vec![
                ("if-modified-since", &*modified),
                ("if-none-match", "\"other\""),
            ],
            200,
        ),
    ] {
        assert_eq!(site.get("/a.txt", &headers).status, status, "{headers:?}");
    }
    // Images built reproducibly have dates that say nothing.
    let file = fs::File::options()
        .write(true)
        .open(site.path("a.txt"))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(site.get("/a.txt", &[]).header("last-modified"), None);
}

#[test]
fn the_policy_allows_what_the_page_itself_says() {
    let page = b"<!doctype html><base href=\"/app/\"><link rel=stylesheet href=s.css media=print onload=\"this.media='all'\">\
                 <script>doSomething();</script><style>p{}</style><script src=/app.js></script>";
    let site = Site::with(
        &[("index.html", page), ("app.js", b"1")],
        ", fallback = \"index.html\"",
    );
    for path in ["/", "/deep/link"] {
        let answer = site.get(path, &[("sec-fetch-mode", "navigate")]);
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "script-src 'self' 'unsafe-hashes' '",
            "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='",
            "style-src 'self' 'unsafe-inline';",
            "base-uri 'self';",
        ] {
            assert!(policy.contains(part), "{path}: no {part} in {policy}");
        }
        assert_eq!(policy.matches("sha256-").count(), 2, "{policy}");
    }
    let other = site.get("/app.js", &[]);
    assert!(
        !other
            .header("content-security-policy")
            .unwrap()
            .contains("sha256")
    );
}

#[test]
fn the_address_of_a_static_page_needs_no_ending() {
    // Next.js exports and SvelteKit's prerendered pages; their links have no ending.
    let site = Site::with(
        &[
            ("index.html", b"home"),
            ("orders.html", b"<script>page(1)</script>orders"),
            ("orders/part.txt", b"part"),
            ("orders/7.html", b"seven"),
            ("exact", b"the file itself"),
            ("exact.html", b"not this"),
            ("kept/index.html", b"kept"),
        ],
        ", fallback = \"index.html\"",
    );
    let page = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];
    // Twice: what has been served is remembered.
    for _ in 0..2 {
        for (path, expect) in [
            ("/orders?page=2", "<script>page(1)</script>orders"),
            ("/orders.html", "<script>page(1)</script>orders"),
            ("/orders/7", "seven"),
            ("/orders/part.txt", "part"),
            ("/exact", "the file itself"),
            ("/kept/", "kept"),
            ("/orders/8", "home"),
            ("/orders/", "home"),
        ] {
            let answer = site.get(path, &page);
            assert_eq!((answer.status, &*answer.text()), (200, expect), "{path}");
        }
    }
    let answer = site.get("/orders", &page);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("vary"), None, "it is no fallback");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self' 'sha256-"), "{policy}");
    // Routers fetch pages, too.
    assert_eq!(
        site.get("/orders", &[("sec-fetch-mode", "cors")]).status,
        200
    );
    assert_eq!(
        site.get("/orders/8", &[("sec-fetch-mode", "cors")]).status,
        404
    );
    assert_eq!(site.get("/.env", &page).status, 404);
    assert_eq!(site.get("/orders/.env", &page).status, 404);
}

#[test]
fn headers_are_replaced_and_removed_by_name() {
    // N5
    let more = ", headers = { \"Content-Security-Policy\" = \"default-src *\", \"permissions-policy\" = \"\", \"x-own\" = \"1\" }";
    let site = Site::with(&[("a.txt", b"a")], more);
    let answer = site.get("/a.txt", &[]);
    assert_eq!(answer.headers("content-security-policy"), ["default-src *"]);
    assert_eq!(answer.header("permissions-policy"), None);
    assert_eq!(answer.header("x-own"), Some("1"));
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
}

#[test]
fn headers_that_belong_to_the_answer_are_refused() {
    let place = Place::new();
    place.write("dist/index.html", "x");
    for (name, words) in [
        ("content-length", "knows what it sends"),
        ("Content-Encoding", "knows what it sends"),
        ("etag", "knows what it sends"),
        ("set-cookie", "knows what it sends"),
        ("strict-transport-security", "hsts"),
        ("not a name", "not a header"),
    ] {
        let text = format!(
            "[upstream.api]\nurl = \"http://127.0.0.1:1\"\n[frontend.shop]\norigin = \"https://shop.test\"\n\
             assets = {{ dir = \"dist\", headers = {{ {name:?} = \"x\" }} }}\n\
             [frontend.shop.oidc]\nissuer = \"https://id.test\"\nclient_id = \"shop\"\nclient_secret = {{ env = \"S\" }}\n"
        );
        place.write("sealgate.toml", &text);
        let mut command = place.sealgate(&["--check", "-c", "sealgate.toml"]);
        command.env("S", "secret");
        let outcome = crate::support::process::Process::spawn(command).outcome();
        assert_eq!(outcome.code, Some(78), "{name}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(words) && outcome.stderr.contains("assets.headers"),
            "{name}: {}",
            outcome.stderr
        );
    }
}
