//! Messages with more than one reading, byte by byte, against the program itself: `tests/corpus/*.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Request, Response, Site, http};

const ROUTES: &str = r#"
[frontend.shop.route.open]
path = "/open"
upstream = "api"
token = "none"
[frontend.shop.route.ws]
path = "/ws"
upstream = "api"
token = "none"
websocket = true
[frontend.shop.assets]
dir = "dist"
fallback = "index.html"
"#;

const NEXT: &str =
    "GET /open/next HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\nconnection: close\r\n\r\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    bytes: String,
    status: Option<u16>,
    #[serde(default = "one")]
    answers: usize,
    #[serde(default)]
    upstream: Vec<String>,
}

fn one() -> usize {
    1
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> BTreeMap<String, T> {
    toml::from_str(text).unwrap()
}

/// The statuses of all answers on a connection. A body of ours never looks like a status line.
fn statuses(answers: &str) -> Vec<u16> {
    answers
        .match_indices("HTTP/1.")
        .map(|(at, _)| answers[at + 9..at + 12].parse().unwrap())
        .collect()
}

#[test]
fn no_request_of_the_corpus_has_two_readings() {
    // D6, D8, D9, D10
    let corpus: BTreeMap<String, Asked> = read(include_str!("../corpus/requests.toml"));
    assert!(corpus.len() > 50, "only {}", corpus.len());
    let site = Site::with(ORIGIN, "", ROUTES);
    site.place.write("dist/index.html", "<!doctype html>");
    let server = site.serve_as(|command| {
        command.env("RUST_LOG", "info");
    });
    site.signed_in(&server);
    let mut wrong = Vec::new();
    for (name, asked) in corpus {
        site.api.forget();
        let answer = http::raw(server.addr, asked.bytes.replace("{next}", NEXT).as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let statuses = statuses(&answer);
        let seen: Vec<_> = site.api.requests().into_iter().map(|r| r.path).collect();
        let is_right = statuses.first() == asked.status.as_ref()
            && statuses.len() == asked.answers
            && seen == asked.upstream;
        if !is_right {
            wrong.push(format!("{name}: {statuses:?}, upstream {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    bytes: String,
    status: u16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    cut: bool,
    #[serde(default = "yes")]
    closes: bool,
}

fn yes() -> bool {
    true
}

#[test]
fn no_answer_of_the_corpus_becomes_another() {
    // D30, D32, D33
    let corpus: BTreeMap<String, Answered> = read(include_str!("../corpus/answers.toml"));
    assert!(corpus.len() > 25, "only {}", corpus.len());
    let corpus = Arc::new(corpus);
    let says = Arc::clone(&corpus);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            let name = head.split(' ').nth(1).unwrap().trim_start_matches("/base/");
            let Some(answer) = says.get(name) else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhonest");
                continue;
            };
            talk.say(&answer.bytes);
            if answer.closes {
                return;
            }
        }
    });
    let tables = upstream
        .route("")
        .replace("token = \"user\"", "token = \"none\"");
    let site = Site::with(ORIGIN, "", &tables);
    let server = site.serve_as(|command| {
        command.env("RUST_LOG", "info");
    });
    site.signed_in(&server);
    let get = |path: &str| -> Response {
        Request::new("GET", path)
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .send(server.addr)
    };
    let mut wrong = Vec::new();
    for (name, expected) in &*corpus {
        let answer = get(&format!("/raw/{name}"));
        let is_right = answer.status == expected.status
            && (answer.status == 502 || answer.text() == expected.body)
            && answer.complete != expected.cut
            && answer.header("set-cookie").is_none()
            && answer.header("x-trailer").is_none();
        if !is_right {
            let text = String::from_utf8_lossy(&answer.raw).into_owned();
            wrong.push(format!("{name}: {text:?}"));
        }
        for _ in 0..2 {
            let after = get("/raw/honest").text();
            if after != "honest" {
                wrong.push(format!("after {name}: {after:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
