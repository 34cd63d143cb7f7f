//! The client module, and the events that it listens to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Browser, Initiator, Request, TestBff};

/// A stream of events that is read by hand.
struct Events {
    stream: TcpStream,
    heard: String,
}

impl Events {
    fn open(bff: &TestBff, browser: &Browser) -> Self {
        let mut stream = TcpStream::connect(bff.addr).unwrap();
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        let cookies = browser.api_cookie_line("/bff/events");
        // As an EventSource asks: it cannot set a header.
        write!(
            stream,
            "GET /bff/events HTTP/1.1\r\nhost: shop.test\r\naccept: text/event-stream\r\nsec-fetch-site: same-origin\r\n\
             sec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\ncookie: {cookies}\r\n\r\n"
        )
        .unwrap();
        let mut events = Self {
            stream,
            heard: String::new(),
        };
        events.until(": listening\n\n");
        events
    }

    fn more(&mut self) -> bool {
        let mut more = [0; 4096];
        let n = self.stream.read(&mut more).unwrap_or(0);
        self.heard.push_str(&String::from_utf8_lossy(&more[..n]));
        n > 0
    }

    #[track_caller]
    fn until(&mut self, mark: &str) {
        while !self.heard.contains(mark) {
            assert!(self.more(), "no {mark:?} in {}", self.heard);
        }
    }

    /// The data of an event, once it has come.
    #[track_caller]
    fn event(&mut self, name: &str) -> Value {
        let mark = format!("event: {name}\ndata: ");
        self.until(&mark);
        let (_, rest) = self.heard.split_once(&mark).unwrap();
        let rest = rest.to_owned();
        if !rest.contains("\n\n") {
            self.until("\n\n");
        }
        let data = rest.split("\n\n").next().unwrap();
        serde_json::from_str(data).unwrap()
    }

    /// Everything to the end, which is the last chunk.
    #[track_caller]
    fn end(mut self) -> String {
        self.until("\r\n0\r\n\r\n");
        self.heard
    }
}

fn seconds(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn the_module_is_for_the_frontend_that_serves_it() {
    let bff = TestBff::with(|setup| setup.frontend = "csrf_header = \"X-Own\"".to_owned());
    let get = |path: &str| Request::new("GET", path).header("host", "shop.test");
    let answer = get("/bff/client.js").send(bff.addr);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    let module = answer.text();
    assert!(module.contains("'x-own': '1'") && !module.contains("{csrf_header}"));
    for name in [
        "user",
        "session",
        "login",
        "logout",
        "api",
        "onSessionEnd",
        "connect",
    ] {
        assert!(module.contains(&format!("function {name}(")), "{name}");
    }
    // It is kept, and asked for anew.
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let etag = answer.header("etag").unwrap();
    let again = get("/bff/client.js")
        .header("if-none-match", etag)
        .send(bff.addr);
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    let head = Request::new("HEAD", "/bff/client.js")
        .header("host", "shop.test")
        .send(bff.addr);
    assert_eq!((head.status, head.header("etag")), (200, Some(etag)));
    let len = module.len().to_string();
    assert_eq!(head.header("content-length"), Some(&*len));
    let types = get("/bff/client.d.ts").send(bff.addr);
    assert_eq!(types.status, 200);
    assert!(
        types
            .text()
            .contains("export function user(): Promise<Claim[] | null>")
    );
    assert_ne!(types.header("etag").unwrap(), etag);
}

#[test]
fn nobody_hears_of_nobodys_session() {
    let bff = TestBff::spawn();
    let ask = |site: &str| {
        Request::new("GET", "/bff/events")
            .header("host", "shop.test")
            .header("sec-fetch-site", site)
            .send(bff.addr)
    };
    assert_eq!(
        (
            ask("same-origin").status,
            ask("same-origin").problem().as_str()
        ),
        (401, "login-required")
    );
    assert_eq!(ask("cross-site").status, 403);
}

#[test]
fn a_page_hears_of_refresh_and_end() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let mut events = Events::open(&bff, &browser);
    // Who compresses on the way would hold events back.
    let answer = events.heard.to_ascii_lowercase();
    assert!(
        answer.contains("\r\ncache-control: no-store, no-transform\r\n"),
        "{answer}"
    );
    // Tokens that are due are refreshed by another request of the browser.
    bff.clock.advance(Duration::from_secs(301));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    let refreshed = events.event("refreshed");
    assert!(
        seconds(&refreshed["ends_at"]) > seconds(&refreshed["at"]),
        "{refreshed}"
    );
    // A logout.
    let out = browser.fetch("POST", "/bff/logout");
    assert_eq!(out.status, 200);
    let heard = events.end();
    assert!(heard.contains("event: ended\n"), "{heard}");
    assert!(!heard.contains("event: ending\n"), "{heard}");
}

#[test]
fn a_page_is_warned_a_minute_before_the_end_and_told_of_it() {
    let session = "absolute_timeout = \"1h\"\nidle_timeout = \"30m\"\n";
    let bff = TestBff::with(|setup| setup.session = session.to_owned());
    let mut browser = bff.signed_in();
    let mut events = Events::open(&bff, &browser);
    // Listening is no activity: the idle end comes near.
    bff.clock.advance(Duration::from_secs(29 * 60 + 1));
    let ending = events.event("ending");
    assert_eq!(
        seconds(&ending["ends_at"]) - seconds(&ending["at"]),
        59,
        "{ending}"
    );
    // The user comes back, and the end moves.
    events.heard.clear();
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    let came_back_at = seconds(&ending["at"]);
    bff.clock.advance(Duration::from_secs(29 * 60));
    let ending = events.event("ending");
    assert_eq!(seconds(&ending["ends_at"]), came_back_at + 30 * 60);
    bff.clock.advance(Duration::from_secs(60));
    assert!(events.end().contains("event: ended\n"));
}

#[test]
fn another_account_in_the_same_browser_replaces_the_session() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let events = Events::open(&bff, &browser);
    // The same account: the page goes on.
    browser.log_in("/bff/login?prompt=login");
    let heard = events.end();
    assert!(
        heard.contains("event: refreshed\n") && !heard.contains("event: replaced\n"),
        "{heard}"
    );
    let mut events = Events::open(&bff, &browser);
    let page = browser.navigate("/bff/login?prompt=login", Initiator::SameOrigin);
    browser.fill_in(&page, "bob", "builder");
    assert!(events.event("replaced")["at"].is_u64());
    assert!(events.end().contains("event: replaced\n"));
}
