//! The access log, and the ids by which lines of several programs are joined.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Process, Server, eventually};
use crate::support::upstream::RawUpstream;
use crate::support::{Browser, ORIGIN, Request, Site};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// An API that hands out the heads of its requests, and where they come.
fn listening() -> (RawUpstream, mpsc::Receiver<String>) {
    let (heads, received) = mpsc::channel();
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
            let _ = heads.send(head.to_ascii_lowercase());
        }
    });
    (upstream, received)
}

fn next(heads: &mpsc::Receiver<String>) -> String {
    heads.recv_timeout(Duration::from_secs(10)).expect("a call")
}

/// The value of a header in a head of lower-case text.
fn header<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .filter(|field| field.0 == name)
        .map(|field| field.1)
        .collect()
}

/// The lines of the access log, as JSON, that are about this path.
fn lines_about(server: &Server, path: &str) -> Vec<Value> {
    let mut lines = lines_of(server, "sealgate::access");
    lines.retain(|line| line["path"] == path);
    lines
}

/// The lines with this target, as JSON.
fn lines_of(server: &Server, target: &str) -> Vec<Value> {
    let log = server.process.stderr.text();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == target)
        .collect()
}

#[track_caller]
fn line_about(server: &Server, path: &str) -> Value {
    eventually(path, || lines_about(server, path).into_iter().next())
}

/// A claim of whoever is signed in.
fn claim(browser: &mut Browser, name: &str) -> String {
    let claims = browser.fetch("GET", "/bff/user").json();
    let mut claims = claims.as_array().unwrap().iter();
    let claim = claims.find(|claim| claim["type"] == name).unwrap();
    claim["value"].as_str().unwrap().to_owned()
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("x-csrf", "1")
}

fn public(upstream: &RawUpstream) -> String {
    format!(
        "[upstream.raw]\nurl = \"http://{}\"\n[frontend.shop.route.raw]\npath = \"/raw\"\nupstream = \"raw\"\ntoken = \"none\"\n",
        upstream.addr
    )
}

#[test]
fn a_trusted_proxy_names_the_request_and_a_client_does_not() {
    let (upstream, heads) = listening();
    for (server, believed) in [("trusted_proxies = [\"127.0.0.0/8\"]", true), ("", false)] {
        let site = Site::with(ORIGIN, server, &public(&upstream));
        let server = site.serve();
        let answer = get("/raw")
            .header("x-request-id", "edge/7+a=b:c.d_e-F")
            .send(server.addr);
        let told = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(told == "edge/7+a=b:c.d_e-F", believed, "{told}");
        // The API is told the same, once, and the log.
        assert_eq!(
            header(&next(&heads), "x-request-id"),
            [told.to_ascii_lowercase()]
        );
        let field = format!("id={told}");
        let field = if believed {
            format!("id=\"{told}\"")
        } else {
            field
        };
        eventually(&field, || {
            server.process.stderr.text().contains(&field).then_some(())
        });
        // What is no id is not taken over, whoever says it.
        let long = "x".repeat(129);
        for bad in ["a b", "", "<b>", "a,b", &long] {
            let answer = get("/raw").header("x-request-id", bad).send(server.addr);
            let told = answer.header("x-request-id").unwrap();
            assert_eq!(told.len(), 16, "{bad} became {told}");
            assert_eq!(header(&next(&heads), "x-request-id"), [told]);
        }
        let twice = get("/raw")
            .header("x-request-id", "one")
            .header("x-request-id", "two");
        assert_eq!(
            twice
                .send(server.addr)
                .header("x-request-id")
                .unwrap()
                .len(),
            16
        );
        next(&heads);
    }
}

#[test]
fn a_trace_goes_on_at_the_api() {
    let (upstream, heads) = listening();
    let site = Site::with(ORIGIN, "", &public(&upstream));
    let server = site.serve();
    let told = |request: Request| {
        assert_eq!(request.send(server.addr).status, 200);
        let head = next(&heads);
        let parents = header(&head, "traceparent");
        let states = header(&head, "tracestate").join("|");
        assert_eq!(parents.len(), 1, "{head}");
        (parents[0].to_owned(), states)
    };
    let (parent, state) = told(
        get("/raw")
            .header("traceparent", PARENT)
            .header("tracestate", "a=1")
            .header("tracestate", "b=2"),
    );
    assert!(
        parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"),
        "{parent}"
    );
    assert!(
        !parent.contains("00f067aa0ba902b7"),
        "we are the parent: {parent}"
    );
    assert_eq!(state, "a=1,b=2");
    let field = format!("trace={TRACE}");
    eventually(&field, || {
        server.process.stderr.text().contains(&field).then_some(())
    });
    // Without a trace, and with what is none, one begins here.
    let invalid = get("/raw")
        .header("traceparent", &PARENT.replace('4', "g"))
        .header("tracestate", "a=1");
    for request in [
        get("/raw"),
        invalid,
        get("/raw")
            .header("traceparent", PARENT)
            .header("traceparent", PARENT),
    ] {
        let (parent, state) = told(request);
        assert_eq!(
            (parent.len(), &parent[..3], state.as_str()),
            (55, "00-", "")
        );
        assert!(!parent.contains(TRACE), "{parent}");
    }
}

#[test]
fn the_identity_provider_is_told_both() {
    let (provider, heads) = listening();
    let tables = format!(
        "[frontend.shop.oidc.endpoints]\nrevocation = \"http://{}/revoke\"\n",
        provider.addr
    );
    let site = Site::with(ORIGIN, "", &tables);
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let logout = claim(&mut browser, "bff:logout_url");
    let sid = logout.split("sid=").nth(1).unwrap();
    let request = browser.send(
        Request::new("GET", &format!("/bff/logout?sid={sid}"))
            .header("traceparent", PARENT)
            .header("sec-fetch-mode", "navigate"),
    );
    let id = request.header("x-request-id").unwrap().to_owned();
    let head = next(&heads);
    assert!(head.starts_with("post /revoke "), "{head}");
    assert_eq!(header(&head, "x-request-id"), [id]);
    assert!(
        header(&head, "traceparent")[0].starts_with(&format!("00-{TRACE}-")),
        "{head}"
    );
}

#[test]
fn each_request_has_a_line_once_its_answer_is_sent() {
    let (upstream, _heads) = listening();
    let tables = format!(
        "{}[telemetry]\nlog_format = \"json\"\naccess_log = true\n\
         [frontend.shop.route.own]\npath = \"/own/{{sub}}/orders\"\nupstream = \"raw\"\nmethods = [\"GET\"]\n",
        public(&upstream)
    );
    let site = Site::with(ORIGIN, "trusted_proxies = [\"127.0.0.0/8\"]", &tables);
    let server = site.serve();
    let mut browser = site.signed_in(&server);

    let answer = get("/raw/a%20b?secret=1")
        .header("x-forwarded-for", "203.0.113.9")
        .header("traceparent", PARENT)
        .send(server.addr);
    let line = line_about(&server, "/raw/a%20b");
    let id = answer.header("x-request-id").unwrap();
    for (key, value) in [
        ("level", "INFO"),
        ("method", "GET"),
        ("outcome", "2xx"),
        ("client", "203.0.113.9"),
        ("frontend", "shop"),
        ("route", "raw"),
        ("trace", TRACE),
        ("id", id),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    assert_eq!(
        (&line["status"], &line["bytes"]),
        (&Value::from(200), &Value::from(5)),
        "{line}"
    );
    let (whole, upstream) = (
        line["duration_ms"].as_f64().unwrap(),
        line["upstream_ms"].as_f64().unwrap(),
    );
    assert!(0.0 < upstream && upstream <= whole, "{line}");
    assert!(
        line.get("session").is_none() && line.get("subject").is_none(),
        "{line}"
    );
    assert!(!line.to_string().contains("secret"), "{line}");

    // A session is told by eight characters, and a claim by its name: also where it is not the user's own.
    let sub = claim(&mut browser, "sub");
    assert_eq!(
        browser.fetch("GET", &format!("/own/{sub}/orders/7")).status,
        200
    );
    assert_eq!(
        browser.fetch("GET", "/own/somebody-else/orders/7").status,
        403
    );
    let about = "/own/{sub}/orders/7";
    let lines = eventually(about, || {
        Some(lines_about(&server, about)).filter(|lines| lines.len() == 2)
    });
    let sessions: Vec<&str> = lines
        .iter()
        .map(|line| line["session"].as_str().unwrap())
        .collect();
    assert!(
        sessions[0] == sessions[1] && sessions[0].len() == 8,
        "{sessions:?}"
    );
    assert_eq!(lines[1]["outcome"], "forbidden");
    assert!(lines[1].get("upstream_ms").is_none(), "{}", lines[1]);
    // By the same characters as in the audit and in the answers.
    let answer = browser.fetch("GET", &format!("/own/{sub}/orders/9"));
    assert_eq!(answer.header("x-sealgate-session"), Some(sessions[0]));
    let audit = lines_of(&server, "sealgate::audit");
    let login = audit.iter().find(|line| line["msg"] == "login").unwrap();
    assert_eq!(login["session"], sessions[0]);
    // Nor where the method is wrong.
    browser.fetch("PATCH", "/own/a-third/orders/8");
    line_about(&server, "/own/{sub}/orders/8");
    // Alike or not: each of them is written.
    for _ in 0..20 {
        get("/nowhere").send(server.addr);
    }
    eventually("twenty lines", || {
        (lines_about(&server, "/nowhere").len() == 20).then_some(())
    });
    // Nobody's frontend.
    Request::new("GET", "/unknown")
        .header("host", "other.test")
        .send(server.addr);
    let line = line_about(&server, "/unknown");
    assert_eq!(
        (&line["status"], &line["outcome"]),
        (&Value::from(421), &Value::from("unknown-frontend"))
    );
    let log = server.process.stderr.text();
    assert!(
        !log.contains(&sub) && !log.contains("somebody-else") && !log.contains("a-third"),
        "a claim is in the log"
    );
}

#[test]
fn lines_tell_who_is_signed_in_only_as_configured() {
    for (telling, shown) in [("none", None), ("hash", Some(12)), ("plain", Some(0))] {
        let tables = format!(
            "[telemetry]\nlog_format = \"json\"\naccess_log = true\nlog_subject = \"{telling}\"\n"
        );
        let site = Site::with(ORIGIN, "", &tables);
        let server = site.serve();
        let mut browser = site.signed_in(&server);
        let sub = claim(&mut browser, "sub");
        let line = line_about(&server, "/bff/user");
        let log = server.process.stderr.text();
        let audit = log
            .lines()
            .find(|line| line.contains("\"msg\":\"login\""))
            .unwrap();
        let audit: Value = serde_json::from_str(audit).unwrap();
        for line in [line, audit] {
            match (shown, line.get("subject")) {
                (None, None) => {}
                (Some(0), Some(subject)) => assert_eq!(subject, &sub),
                (Some(length), Some(subject)) => {
                    assert_eq!(subject.as_str().unwrap().len(), length);
                }
                other => panic!("{telling}: {other:?}"),
            }
        }
        assert_eq!(log.contains(&sub), telling == "plain", "{telling}");
    }
}

#[test]
fn without_access_log_there_is_no_such_line() {
    let site = Site::with(ORIGIN, "", "[telemetry]\nlog_format = \"json\"\n");
    let server = site.serve();
    let _ = site.signed_in(&server);
    assert!(!server.process.stderr.text().contains("sealgate::access"));
}

#[test]
fn a_start_names_the_files_that_the_environment_names() {
    let site = Site::new();
    let mut command = site.place.sealgate(&[]);
    command
        .env("SEALGATE_CONFIG", "sealgate.toml")
        .env("RUST_LOG", "info");
    let server = Process::spawn(command).serving();
    server.process.wait_for_log("configuration=sealgate.toml");
}

#[test]
fn a_start_says_what_is_served_and_nothing_of_libraries() {
    let site = Site::new();
    let server = site.serve_as(|command| {
        command.env("RUST_LOG", "info");
    });
    let log = eventually("frontend", || {
        let log = server.process.stderr.text();
        log.contains(": frontend ").then_some(log)
    });
    let line = |words: &str| log.lines().find(|line| line.contains(words)).expect(words);
    let version = format!("version={}", env!("CARGO_PKG_VERSION"));
    let first = line(": sealgate ");
    assert!(
        first.contains(&version) && first.contains("configuration=sealgate.toml"),
        "{first}"
    );
    let frontend = line(": frontend ");
    let issuer = format!("issuer={}", site.idp.issuer());
    assert!(
        frontend.contains(&issuer) && frontend.contains(&format!("origin={ORIGIN}")),
        "{frontend}"
    );
    assert!(!log.contains("actix"), "{log}");
}
