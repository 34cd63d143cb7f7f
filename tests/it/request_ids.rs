//! The id that a client is given is on the log line that names the cause.

use sealgate::demo::idp::{Fault, Faults, TokenFault};

use crate::support::process::{Server, eventually};
use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Request, Site};

/// How lines name the id, the frontend and the route.
const FORMATS: [(&str, [&str; 3]); 2] = [
    ("text", ["id=", "frontend=shop", "route="]),
    (
        "json",
        ["\"id\":\"", "\"frontend\":\"shop\"", "\"route\":\""],
    ),
];

/// An upstream that breaks off, one that is gone, and a way to log.
fn site(format: &str) -> Site {
    let upstream = RawUpstream::start(|mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        }
    });
    let refusing = RawUpstream::start(|mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let tables = format!(
        r#"
[telemetry]
log_format = "{format}"
[upstream.half]
url = "http://{}"
[upstream.refusing]
url = "http://{}"
[upstream.gone]
url = "http://127.0.0.1:1"
[frontend.shop.route.half]
path = "/half"
upstream = "half"
token = "none"
[frontend.shop.route.gone]
path = "/gone"
upstream = "gone"
token = "none"
[frontend.shop.route.refusing]
path = "/refusing"
upstream = "refusing"
token = "user"
"#,
        upstream.addr, refusing.addr
    );
    Site::with(ORIGIN, "", &tables)
}

/// The first line with these words, once it is there.
#[track_caller]
fn line(server: &Server, words: &str) -> String {
    eventually(words, || {
        let log = server.process.stderr.text();
        let mut lines = log.lines().map(str::to_owned);
        lines.find(|line| line.contains(words))
    })
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("x-csrf", "1")
}

#[test]
fn the_line_that_names_the_cause_has_the_id_of_the_request() {
    for (format, [id, frontend, route]) in FORMATS {
        let is_of = |line: &str, request_id: &str, of_route: &str| {
            for field in [
                &*format!("{id}{request_id}"),
                frontend,
                &*format!("{route}{of_route}"),
            ] {
                assert!(line.contains(field), "no {field} in {line}");
            }
        };
        let site = site(format);
        let server = site.serve_as(|command| {
            command.env("RUST_LOG", "info");
        });
        // N4. A refused connection.
        let answer = get("/gone").send(server.addr);
        assert_eq!(answer.status, 502);
        let problem = answer.json();
        let instance = problem["instance"].as_str().unwrap();
        let cause = line(&server, "upstream gone: ");
        is_of(&cause, instance, "gone");
        // A body that breaks off, long after the head.
        let answer = get("/half").exchange(server.addr);
        let answer = String::from_utf8_lossy(&answer);
        let (_, rest) = answer.split_once("x-request-id: ").unwrap();
        let request_id = rest.lines().next().unwrap();
        let cause = line(&server, "broke off");
        is_of(&cause, request_id, "half");
        // A refresh after an API's 401, in a task of its own.
        let mut browser = site.signed_in(&server);
        let down = Fault::Token(TokenFault::DropConnection);
        site.idp.faults().inject(Faults::ALWAYS, down);
        let answer = browser.fetch("GET", "/refusing");
        assert_eq!(answer.status, 401);
        let request_id = answer.header("x-request-id").unwrap();
        let cause = line(&server, "refresh failed");
        is_of(&cause, request_id, "refusing");
        // A login whose code cannot be redeemed.
        let mut browser = site.browser(&server);
        let visit = browser.log_in("/bff/login");
        let page = visit.response.text();
        let cause = line(&server, "login failed");
        let instance = page.split("request <code>").nth(1).unwrap();
        let instance = instance.split('<').next().unwrap();
        is_of(&cause, instance, "callback");
        // What is about no request has no id.
        let ready = line(&server, "serving");
        assert!(!ready.contains(id), "{ready}");
    }
}
