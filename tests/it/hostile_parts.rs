//! APIs that misbehave, as parts of a composed route. The failure has the code of the contract, and nothing else suffers:
//! neither the part beside it nor the next request.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestBff;
use crate::support::upstream::{RawUpstream, Talk};

/// More than any part may take.
const FLOOD: usize = 64 << 20;

/// A way to misbehave: its name, what the API does with the connection, and what becomes of the part.
struct Case {
    kind: &'static str,
    serve: fn(&mut Talk),
    expect: Result<Value, Value>,
}

impl Case {
    fn fails(kind: &'static str, code: &str, status: Option<u16>, serve: fn(&mut Talk)) -> Self {
        let mut failure = json!({ "code": code });
        if let Some(status) = status {
            failure["status"] = json!(status);
        }
        Self {
            kind,
            serve,
            expect: Err(failure),
        }
    }

    fn says(kind: &'static str, value: Value, serve: fn(&mut Talk)) -> Self {
        Self {
            kind,
            serve,
            expect: Ok(value),
        }
    }

    fn unavailable(kind: &'static str, serve: fn(&mut Talk)) -> Self {
        Self::fails(kind, "upstream-unavailable", Some(502), serve)
    }

    fn too_large(kind: &'static str, serve: fn(&mut Talk)) -> Self {
        Self::fails(kind, "too-large", None, serve)
    }

    fn not_json(kind: &'static str, serve: fn(&mut Talk)) -> Self {
        Self::fails(kind, "not-json", None, serve)
    }
}

fn flood(talk: &mut Talk) {
    let taken = talk.flood(FLOOD, Duration::from_secs(10));
    assert!(taken < FLOOD, "all of it was read");
}

/// What ends by itself.
fn at_once() -> Vec<Case> {
    vec![
        Case::unavailable("cut-at-once", |_| {}),
        Case::unavailable("cut-in-the-head", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-le");
        }),
        Case::unavailable("cut-in-the-body", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n1");
        }),
        Case::unavailable("cut-before-the-body", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n");
        }),
        Case::unavailable("cut-in-a-chunk", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n1");
        }),
        Case::unavailable("cut-before-the-last-chunk", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n");
        }),
        Case::unavailable("bad-chunk", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n1\r\n0\r\n\r\n");
        }),
        Case::unavailable("chunk-of-2-to-the-64", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n1");
        }),
        Case::unavailable("two-lengths", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12");
        }),
        Case::unavailable("length-beside-chunked", |talk| {
            // RFC 9112 §6.3: a message that is framed twice ought to be an error.
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n");
            talk.say("1\r\n1\r\n0\r\n\r\n");
        }),
        Case::unavailable("length-below-0", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n1");
        }),
        Case::unavailable("length-of-2-to-the-64", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n1");
        }),
        Case::unavailable("chunked-inside-gzip", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n");
            talk.say("1\r\n1\r\n0\r\n\r\n");
        }),
        Case::unavailable("unasked-101", |talk| {
            talk.say(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n1",
            );
        }),
        Case::unavailable("long-header", |talk| {
            talk.say("HTTP/1.1 200 OK\r\nx: ");
            flood(talk);
        }),
        Case::unavailable("many-headers", |talk| {
            let lines = "x: y\r\n".repeat(5000);
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\n{lines}content-length: 1\r\n\r\n1"
            ));
        }),
        Case::unavailable("another-protocol", |talk| {
            talk.say("SSH-2.0-OpenSSH\r\n\r\n");
        }),
        Case::unavailable("folded-header", |talk| {
            talk.say("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 1\r\n\r\n1");
        }),
        Case::too_large("announced-to-be-endless", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551\r\n\r\n");
            flood(talk);
        }),
        Case::too_large("endless-until-the-end", |talk| {
            talk.say("HTTP/1.1 200 OK\r\n\r\n");
            flood(talk);
        }),
        Case::too_large("endless-chunk", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\n");
            flood(talk);
        }),
        Case::too_large("endless-chunks", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            while talk.try_say("1\r\n \r\n") {}
        }),
        Case::not_json("compressed-unasked", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n");
            talk.send(&[0x1f, 0x8b]);
        }),
        Case::not_json("two-values", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n1 2");
        }),
        Case::fails("only-304", "upstream-status", Some(304), |talk| {
            talk.say("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 9\r\n\r\n");
        }),
        Case::fails("partial", "upstream-status", Some(500), |talk| {
            // The body of a failure is nobody's: it may be cut.
            talk.say("HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\n1");
        }),
        Case::says("1xx-before", json!(1), |talk| {
            talk.say("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
            talk.say("HTTP/1.1 102 Processing\r\n\r\n");
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
        }),
        Case::says("keeps-on-talking", json!(1), |talk| {
            // What comes behind an answer never becomes the next one's. In one piece: if it came later, it could meet the next
            // request on its way, and nobody could tell it from an early answer.
            talk.say(
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1\
                 HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\"poison\"",
            );
        }),
        Case::says("keeps-a-204", Value::Null, |talk| {
            talk.say("HTTP/1.1 204 No Content\r\n\r\n");
        }),
        Case::says("trailers", json!(1), |talk| {
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n");
            talk.say("cache-control: public\r\nset-cookie: a=b\r\n\r\n");
        }),
    ]
}

/// What only a time limit ends.
fn slow() -> Vec<Case> {
    let late = |kind, serve| Case::fails(kind, "upstream-timeout", Some(504), serve);
    let over = |kind, serve| Case::fails(kind, "deadline", Some(504), serve);
    vec![
        late("silence", |talk| while !talk.hear().is_empty() {}),
        late("head-bit-by-bit", |talk| {
            talk.say("HTTP/1.1 200 OK\r\nx: ");
            while talk.try_say("y") {
                std::thread::sleep(Duration::from_millis(20));
            }
        }),
        late("endless-1xx", |talk| {
            while talk.try_say("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n") {
                std::thread::sleep(Duration::from_millis(1));
            }
        }),
        over("body-bit-by-bit", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n");
            while talk.try_say(" ") {
                std::thread::sleep(Duration::from_millis(20));
            }
        }),
        over("body-that-stalls", |talk| {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1");
            while !talk.hear().is_empty() {}
        }),
    ]
}

/// `/api/home/…` can do without the part that misbehaves, `/api/strict/…` cannot.
fn start(cases: fn() -> Vec<Case>, deadline: &str, limit: &str) -> (RawUpstream, TestBff) {
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let kind = target.trim_start_matches('/');
            let Some(case) = cases().into_iter().find(|case| case.kind == kind) else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue");
                continue;
            };
            (case.serve)(&mut talk);
            if !kind.starts_with("keeps-") {
                return;
            }
        }
    });
    let part =
        format!("upstream = \"raw\"\npath = \"/{{path:kind}}\"\nmax_bytes = \"64KiB\"\n{limit}");
    let tables = format!(
        "[upstream.raw]\nurl = \"http://{}\"\ntimeout = \"20s\"\nidle_timeout = \"30s\"\n\
         [frontend.shop.route.home]\npath = \"/api/home/{{path:kind}}\"\ndeadline = \"{deadline}\"\n\
         [frontend.shop.route.home.part.fine]\nupstream = \"raw\"\npath = \"/fine\"\n\
         [frontend.shop.route.home.part.x]\n{part}\noptional = true\n\
         [frontend.shop.route.strict]\npath = \"/api/strict/{{path:kind}}\"\ndeadline = \"{deadline}\"\n\
         [frontend.shop.route.strict.part.x]\n{part}\n",
        upstream.addr
    );
    let bff = TestBff::with(|setup| setup.tables = tables);
    (upstream, bff)
}

/// What the routes answer, and what they answer next.
fn check(bff: &TestBff, case: &Case) {
    let kind = case.kind;
    let mut browser = bff.signed_in();
    let home = browser.fetch("GET", &format!("/api/home/{kind}"));
    let strict = browser.fetch("GET", &format!("/api/strict/{kind}"));
    let next = browser.fetch("GET", "/api/home/well");
    assert_eq!(home.status, 200, "{kind}: {}", home.text());
    assert!(home.complete && strict.complete, "{kind}");
    match &case.expect {
        Ok(value) => {
            assert_eq!(home.json(), json!({"fine": true, "x": value}), "{kind}");
            assert_eq!(strict.json(), json!({ "x": value }), "{kind}");
        }
        Err(failure) => {
            let expect = json!({"fine": true, "x": null, "_errors": {"x": failure}});
            assert_eq!(home.json(), expect, "{kind}");
            assert_eq!(home.header("sealgate-partial"), Some("x"), "{kind}");
            let status = if failure["status"] == 504 { 504 } else { 502 };
            assert_eq!(
                (strict.status, &*strict.problem()),
                (status, "part-failed"),
                "{kind}: {}",
                strict.text()
            );
            assert_eq!(strict.json()["part_status"], failure["status"], "{kind}");
        }
    }
    assert!(strict.headers("set-cookie").is_empty(), "{kind}");
    assert_eq!(next.json(), json!({"fine": true, "x": true}), "{kind}");
}

/// All at once, so that each could harm the others.
fn check_all(cases: fn() -> Vec<Case>, deadline: &str, limit: &str) {
    let (_upstream, bff) = start(cases, deadline, limit);
    std::thread::scope(|scope| {
        for case in cases() {
            let bff = &bff;
            scope.spawn(move || check(bff, &case));
        }
    });
}

#[test]
fn a_part_that_breaks_the_protocol_or_floods_harms_itself_alone() {
    check_all(at_once, "30s", "");
}

#[test]
fn a_part_that_takes_its_time_is_cut_at_the_first_limit() {
    check_all(slow, "2s", "timeout = \"500ms\"");
}

#[test]
fn a_part_that_stalls_is_a_matter_of_time() {
    let upstream = RawUpstream::start(|mut talk| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1");
            while !talk.hear().is_empty() {}
        }
    });
    let tables = format!(
        "[upstream.raw]\nurl = \"http://{}\"\nidle_timeout = \"200ms\"\n\
         [frontend.shop.route.home]\npath = \"/api/home\"\ndeadline = \"30s\"\n\
         [frontend.shop.route.home.part.x]\nupstream = \"raw\"\npath = \"/x\"\noptional = true\n",
        upstream.addr
    );
    let bff = TestBff::with(|setup| setup.tables = tables);
    let answer = bff.signed_in().fetch("GET", "/api/home");
    let failure = json!({"status": 504, "code": "upstream-timeout"});
    assert_eq!(answer.json()["_errors"]["x"], failure, "{}", answer.text());
}
