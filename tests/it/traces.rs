//! Traces: which spans arrive at a collector, what they say, and that no request depends on it.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use sealgate::demo::idp::{DiscoveryFault, EndpointFault, Fault, Faults};

use crate::support::collector::{Collector, Span};
use crate::support::json_api::{Canned, JsonApi};
use crate::support::process::{Server, eventually};
use crate::support::site::SECRET;
use crate::support::upstream::RawUpstream;
use crate::support::{Initiator, ORIGIN, Request, Site};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const ALICE: &str = "8f2c1d7e-alice";

/// Three APIs behind routes of each kind.
struct Scene {
    site: Site,
    json: JsonApi,
    /// The heads that came to the route `raw`.
    heads: mpsc::Receiver<String>,
    _raw: RawUpstream,
}

impl Scene {
    fn new() -> Self {
        let (said, heads) = mpsc::channel();
        let raw = RawUpstream::start(move |mut talk| {
            while let Some(head) = talk.head() {
                let status = if head.starts_with("GET /missing") {
                    "404 Not Found"
                } else {
                    "200 OK"
                };
                talk.say(&format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}"
                ));
                let _ = said.send(head.to_ascii_lowercase());
            }
        });
        let json = JsonApi::start();
        json.at("/refusing", Canned::status(401, "{}").times(1));
        json.at(&format!("/people/{ALICE}"), Canned::ok("{\"id\": 7}"));
        json.at("/basket", Canned::status(500, "{}"));
        let tables = format!(
            r#"{}
[upstream.raw]
url = "http://{}"
[upstream.gone]
url = "http://127.0.0.1:1"
[frontend.shop.route.raw]
path = "/raw"
upstream = "raw"
token = "none"
strip_prefix = true
[frontend.shop.route.gone]
path = "/gone"
upstream = "gone"
token = "none"
[frontend.shop.route.mine]
path = "/users/{{sub}}"
upstream = "raw"
token = "user"
[frontend.shop.route.refusing]
path = "/refusing"
upstream = "json"
token = "user"
strip_prefix = false
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "api"
exchange = {{ audience = "https://orders.internal" }}
[frontend.shop.route.home]
path = "/api/home"
[frontend.shop.route.home.part.me]
upstream = "json"
path = "/people/{{sub}}"
[frontend.shop.route.home.part.basket]
upstream = "json"
path = "/basket"
optional = true
"#,
            json.table("json", ""),
            raw.addr
        );
        Self {
            site: Site::with(ORIGIN, "", &tables),
            json,
            heads,
            _raw: raw,
        }
    }

    fn exporting(&self, to: &Collector) -> Server {
        self.site.serve_as(|command| to.collect(command))
    }

    /// The head of the next call to the route `raw`.
    fn head(&self) -> String {
        let head = self.heads.recv_timeout(Duration::from_secs(10));
        head.expect("a call")
    }
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
        .header("host", "shop.test")
        .header("x-csrf", "1")
}

fn of_caller(request: Request, flags: &str) -> Request {
    request.header("traceparent", &format!("00-{TRACE}-{CALLER}-{flags}"))
}

fn of_route(route: &str) -> impl Fn(&Span) -> bool + '_ {
    move |span| span.get("sealgate.route") == route
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[track_caller]
fn assert_said(span: &Span, attributes: &[(&str, &str)]) {
    for (key, value) in attributes {
        assert_eq!(span.get(key), *value, "{key} of {span:?}");
    }
}

/// The value of a header in a head of lower-case text.
fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|field| field.0 == name).expect(name).1
}

#[test]
fn a_span_joins_the_trace_of_the_caller_and_the_api_joins_that_of_the_span() {
    let collector = Collector::start();
    let scene = Scene::new();
    let server = scene.exporting(&collector);
    let request = of_caller(get("/raw/a?q=1"), "01").header("tracestate", "vendor=1");
    assert_eq!(request.send(server.addr).status, 200);
    let request = collector.span("request", of_route("raw"));
    assert_eq!(request.trace, TRACE);
    assert_eq!(request.parent, CALLER);
    assert_eq!((request.kind, request.is_error), (2, false));
    assert_said(
        &request,
        &[
            ("http.request.method", "GET"),
            ("http.route", "/raw"),
            ("http.response.status_code", "200"),
            ("server.address", "shop.test"),
            ("url.path", "/raw/a"),
            ("url.scheme", "https"),
            ("sealgate.frontend", "shop"),
            ("sealgate.outcome", "2xx"),
            ("error.type", ""),
        ],
    );
    let children = collector.children(&request, 1);
    assert_eq!(names(&children), ["upstream"]);
    let call = &children[0];
    assert_eq!((call.kind, call.is_error), (3, false));
    assert_said(
        call,
        &[
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("server.address", "127.0.0.1"),
            ("sealgate.upstream", "raw"),
        ],
    );
    let head = scene.head();
    let told = format!("00-{TRACE}-{}-01", call.id);
    assert_eq!(header(&head, "traceparent"), told);
    assert_eq!(header(&head, "tracestate"), "vendor=1");
    // The log names the same trace.
    assert_eq!(get("/raw/b").send(server.addr).status, 200);
    let own = collector.span("request", |span| span.get("url.path") == "/raw/b");
    assert_eq!(own.parent, "", "a trace begins here");
    let log = server.process.stderr.text();
    assert!(log.contains(&format!("trace={}", own.trace)), "{log}");
}

#[test]
fn what_fails_is_an_error_of_its_class() {
    let collector = Collector::start();
    let scene = Scene::new();
    let server = scene.exporting(&collector);
    assert_eq!(get("/gone").send(server.addr).status, 502);
    let request = collector.span("request", of_route("gone"));
    assert!(request.is_error);
    let code = "upstream-unavailable";
    assert_said(
        &request,
        &[("error.type", code), ("sealgate.outcome", code)],
    );
    let call = &collector.children(&request, 1)[0];
    assert!(call.is_error);
    assert_said(call, &[("error.type", code), ("sealgate.upstream", "gone")]);
    // What an API says is an error of the call, and not of the answer that passes it on.
    assert_eq!(get("/raw/missing").send(server.addr).status, 404);
    let request = collector.span("request", of_route("raw"));
    assert!(!request.is_error);
    assert_said(&request, &[("error.type", ""), ("sealgate.outcome", "4xx")]);
    let call = &collector.children(&request, 1)[0];
    assert!(call.is_error);
    assert_said(call, &[("error.type", "404")]);
    // A refusal of ours has a class, and is no fault of the server.
    assert_eq!(get("/api/me").send(server.addr).status, 401);
    let request = collector.span("request", of_route("api"));
    assert!(!request.is_error);
    assert_said(&request, &[("error.type", "login-required")]);
    // A method that a client makes up is none of the attributes.
    let made_up = Request::new("CANARY", "/raw").header("host", "shop.test");
    made_up.send(server.addr);
    collector.span("request", |span| {
        span.get("http.request.method") == "_OTHER"
    });
    // Nobody's host.
    let nobodys = Request::new("GET", "/x").header("host", "elsewhere.test");
    assert_eq!(nobodys.send(server.addr).status, 421);
    let request = collector.span("request", |span| {
        span.get("http.response.status_code") == "421"
    });
    let nothing = ["sealgate.frontend", "http.route", "url.path"];
    assert_said(&request, &nothing.map(|key| (key, "")));
}

#[test]
fn a_session_its_refresh_its_exchange_and_its_parts_are_one_tree_for_each_request() {
    let collector = Collector::start();
    let scene = Scene::new();
    let server = scene.exporting(&collector);
    let mut browser = scene.site.signed_in(&server);
    let below = |span: &Span, number| collector.children(span, number);

    let callback = collector.span("request", of_route("callback"));
    let children = below(&callback, 1);
    let code = children.iter().find(|span| span.name == "oidc.token");
    let code = code.expect("the code was redeemed");
    assert_eq!((code.kind, code.is_error), (3, false));
    assert_said(
        code,
        &[
            ("http.request.method", "POST"),
            ("http.response.status_code", "200"),
            ("sealgate.outcome", "ok"),
            ("server.address", "127.0.0.1"),
        ],
    );

    let me = collector.span("request", of_route("api"));
    let children = below(&me, 2);
    assert_eq!(names(&children), ["session.open", "upstream"]);
    assert_eq!(children[0].kind, 1);
    assert_said(&children[0], &[("sealgate.outcome", "ok")]);

    // An API that does not take the token: a refresh, and a second call.
    assert_eq!(browser.fetch("GET", "/refusing").status, 200);
    let request = collector.span("request", of_route("refusing"));
    let children = below(&request, 4);
    let expect = ["session.open", "upstream", "token.refresh", "upstream"];
    assert_eq!(names(&children), expect);
    assert_said(&children[1], &[("http.response.status_code", "401")]);
    assert_said(&children[2], &[("sealgate.outcome", "ok")]);
    assert_said(&children[3], &[("http.response.status_code", "200")]);
    assert_eq!(names(&below(&children[2], 1)), ["oidc.token"]);
    let heads = scene.json.heads();
    for (head, call) in heads.iter().zip([&children[1], &children[3]]) {
        let told = format!("00-{}-{}-01", call.trace, call.id);
        assert_eq!(header(&head.to_ascii_lowercase(), "traceparent"), told);
    }

    // A token for one API. The second time it is at hand.
    for (number, expect) in [
        (3, &["session.open", "token.exchange", "upstream"][..]),
        (2, &["session.open", "upstream"]),
    ] {
        let path = format!("/api/orders/{number}");
        assert_eq!(browser.fetch("GET", &path).status, 200);
        let request = collector.span("request", |span| span.get("url.path") == path);
        let children = below(&request, number);
        assert_eq!(names(&children), expect);
        for exchange in children.iter().filter(|span| span.name == "token.exchange") {
            assert_said(exchange, &[("sealgate.outcome", "ok")]);
            assert_eq!(names(&below(exchange, 1)), ["oidc.token"]);
        }
    }

    // A composed answer: each part has the call to its API below it.
    assert_eq!(browser.fetch("GET", "/api/home").status, 200);
    let request = collector.span("request", of_route("home"));
    let children = below(&request, 3);
    assert_eq!(children[0].name, "session.open");
    let mut parts = children[1..].to_vec();
    parts.sort_by_key(|part| part.get("sealgate.part").to_owned());
    for (part, (name, outcome, status)) in parts
        .iter()
        .zip([("basket", "upstream-status", "500"), ("me", "ok", "200")])
    {
        assert_eq!(part.name, "part");
        assert_said(
            part,
            &[("sealgate.part", name), ("sealgate.outcome", outcome)],
        );
        let calls = below(part, 1);
        assert_eq!(names(&calls), ["upstream"]);
        assert_said(&calls[0], &[("http.response.status_code", status)]);
    }
}

#[test]
fn a_login_that_has_to_look_for_the_provider_shows_it() {
    let collector = Collector::start();
    let scene = Scene::new();
    let down = Fault::Discovery(DiscoveryFault::Endpoint(EndpointFault::Down));
    scene.site.idp.faults().inject(Faults::ALWAYS, down);
    let server = scene.exporting(&collector);
    server.process.wait_for_log("identity provider not reached");
    scene.site.idp.faults().clear();
    let mut browser = scene.site.browser(&server);
    // After a failure the provider has a pause.
    eventually("a login", || {
        let visit = browser.navigate("/bff/login", Initiator::SameOrigin);
        visit.response.text().contains("password").then_some(())
    });
    let found = collector.span("oidc.discovery", |span| !span.is_error);
    let login = collector.span("request", |span| span.id == found.parent);
    assert_said(
        &login,
        &[("sealgate.route", "login"), ("url.path", "/bff/login")],
    );
    let keys = collector.span("oidc.jwks", |span| !span.is_error);
    assert_eq!(keys.parent, login.id);
}

#[test]
fn the_sampler_decides_and_the_api_is_told() {
    for (sampler, arg, expect) in [
        // Without a word of the caller, with 00, with 01.
        ("", "", ["01", "00", "01"]),
        ("always_off", "", ["00", "00", "00"]),
        ("always_on", "", ["01", "01", "01"]),
        ("parentbased_always_off", "", ["00", "00", "01"]),
        ("parentbased_traceidratio", "0", ["00", "00", "01"]),
        ("traceidratio", "1", ["01", "01", "01"]),
    ] {
        let collector = Collector::start();
        let scene = Scene::new();
        let mut server = scene.site.serve_as(|command| {
            collector.collect(command);
            command
                .env("OTEL_TRACES_SAMPLER", sampler)
                .env("OTEL_TRACES_SAMPLER_ARG", arg);
        });
        let requests = [
            get("/raw/0"),
            of_caller(get("/raw/1"), "00"),
            of_caller(get("/raw/2"), "01"),
        ];
        for (request, flags) in requests.iter().zip(expect) {
            assert_eq!(request.send(server.addr).status, 200);
            let head = scene.head();
            let told = header(&head, "traceparent");
            assert!(told.ends_with(&format!("-{flags}")), "{sampler}: {told}");
        }
        // The end of the process sends what is left, so what is not there by then never comes.
        server.process.signal("TERM");
        assert_eq!(server.process.outcome().code, Some(0));
        let spans = collector.spans();
        for (path, flags) in ["/raw/0", "/raw/1", "/raw/2"].iter().zip(expect) {
            let mut of_path = spans.iter().filter(|span| span.get("url.path") == *path);
            assert_eq!(of_path.next().is_some(), flags == "01", "{sampler} {path}");
        }
    }
}

/// Whether the process has the thread that batches spans.
fn has_a_thread_for_traces(server: &Server) -> bool {
    let tasks = format!("/proc/{}/task", server.process.id());
    std::fs::read_dir(tasks).unwrap().flatten().any(|task| {
        let name = std::fs::read_to_string(task.path().join("comm"));
        // The kernel keeps fifteen bytes of a name.
        name.is_ok_and(|name| name.starts_with("OpenTelemetry"))
    })
}

#[test]
fn without_the_variable_nothing_is_started() {
    let collector = Collector::start();
    let scene = Scene::new();
    let url = collector.url();
    for (expect, variables) in [
        (true, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &*url)][..]),
        (true, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url)]),
        (
            false,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
                ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
                ("OTEL_TRACES_SAMPLER", "always_on"),
                ("OTEL_SERVICE_NAME", "x"),
            ],
        ),
        (
            false,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
                ("OTEL_SDK_DISABLED", "true"),
            ],
        ),
        (
            false,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
                ("OTEL_TRACES_EXPORTER", "none"),
            ],
        ),
    ] {
        let before = collector.connections();
        let mut server = scene.site.serve_as(|command| {
            command.envs(variables.iter().copied());
        });
        assert_eq!(of_caller(get("/raw"), "01").send(server.addr).status, 200);
        let told = scene.head();
        let told = header(&told, "traceparent");
        assert!(told.starts_with(&format!("00-{TRACE}-")), "{told}");
        assert!(told.ends_with("-01"), "the caller's word goes on: {told}");
        assert_eq!(has_a_thread_for_traces(&server), expect, "{variables:?}");
        server.process.signal("TERM");
        assert_eq!(server.process.outcome().code, Some(0));
        let has_come = collector.connections() > before;
        assert_eq!(has_come, expect, "{variables:?}");
    }
}

#[test]
fn the_end_of_the_process_sends_what_waits() {
    let collector = Collector::start();
    let scene = Scene::new();
    let mut server = scene.site.serve_as(|command| {
        collector.collect(command);
        command
            .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .env("OTEL_SERVICE_NAME", "edge")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=lab",
            )
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b");
    });
    assert_eq!(get("/raw").send(server.addr).status, 200);
    server.process.signal("TERM");
    let outcome = server.process.outcome();
    assert_eq!(outcome.code, Some(0));
    assert!(
        !outcome.stderr.contains("not exported"),
        "{}",
        outcome.stderr
    );
    let spans = collector.spans();
    assert_eq!(names(&spans), ["upstream", "request"]);
    let resource = &spans[0].resource;
    assert_eq!(resource["service.name"], "edge");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "lab");
    let head = &collector.exports()[0].head;
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert_eq!(header(head, "content-type"), "application/x-protobuf");
    assert_eq!(header(head, "content-encoding"), "gzip");
    assert_eq!(header(head, "x-tenant"), "a b");
}

#[test]
fn a_service_without_a_name_is_called_sealgate() {
    let collector = Collector::start();
    let scene = Scene::new();
    let server = scene.exporting(&collector);
    assert_eq!(get("/raw").send(server.addr).status, 200);
    let request = collector.span("request", |_| true);
    assert_eq!(request.resource["service.name"], "sealgate");
}

#[test]
fn a_collector_that_fails_delays_no_request_and_no_end() {
    const HEADERS: &str = "authorization=Bearer%20canary-of-the-collector-91ab";
    let silent = Collector::answering("");
    let failing = Collector::answering("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n");
    let busy =
        Collector::answering("HTTP/1.1 503 X\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n");
    let limited =
        Collector::answering("HTTP/1.1 429 X\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n");
    let endless = Collector::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhell");
    let nonsense = Collector::answering("220 mail.example ESMTP\r\n\r\n");
    let nobody = "http://127.0.0.1:1".to_owned();
    for (what, url) in [
        ("silent", silent.url()),
        ("500", failing.url()),
        ("503", busy.url()),
        ("429", limited.url()),
        ("endless", endless.url()),
        ("nonsense", nonsense.url()),
        ("nobody", nobody),
    ] {
        let scene = Scene::new();
        let mut server = scene.site.serve_as(|command| {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
                .env("OTEL_EXPORTER_OTLP_HEADERS", HEADERS)
                .env("OTEL_BSP_SCHEDULE_DELAY", "20")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "8")
                .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
        });
        for _ in 0..50 {
            assert_eq!(get("/raw").send(server.addr).status, 200, "{what}");
        }
        server.process.signal("TERM");
        let outcome = server.process.outcome();
        assert_eq!(outcome.code, Some(0), "{what}");
        let log = outcome.stderr;
        let lines = log.matches("spans were not exported").count();
        // One while it runs, as often as it fails, and one at the end.
        assert!((1..=2).contains(&lines), "{what}:\n{log}");
        let lost = log.lines().filter_map(|line| line.split_once(" lost="));
        let lost: u64 = lost.map(|(_, number)| number.parse::<u64>().unwrap()).sum();
        assert_eq!(lost, 100, "{what}: each span is counted:\n{log}");
        assert!(!log.contains("canary-of"), "{what}: {log}");
    }
}

#[test]
fn spans_that_a_collector_takes_and_rejects_are_told() {
    // `partial_success`: `rejected_spans` is 1, `error_message` is "canary".
    const PARTIAL: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\x0a\x0a\x08\x01\x12\x06canary";
    let collector = Collector::answering(PARTIAL);
    let scene = Scene::new();
    let mut server = scene.site.serve_as(|command| {
        collector.collect(command);
        command
            .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .env("RUST_LOG", "info");
    });
    assert_eq!(get("/raw").send(server.addr).status, 200);
    server.process.signal("TERM");
    let log = server.process.outcome().stderr;
    assert_eq!(collector.spans().len(), 2, "in one batch:\n{log}");
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("spans were not exported"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line:\n{log}");
    };
    assert!(
        line.contains(" lost=1") && line.contains("rejected"),
        "{line}"
    );
    assert!(!log.contains("canary"), "it may quote a span:\n{log}");
}

#[test]
fn nothing_that_is_secret_or_personal_is_exported() {
    const CANARY: &str = "canary-of-the-request-2b7e";
    let collector = Collector::start();
    let scene = Scene::new();
    let mut server = scene.exporting(&collector);
    let mut browser = scene.site.signed_in(&server);
    for path in [
        "/refusing",
        "/api/orders",
        "/api/home",
        "/bff/user",
        "/bff/session",
        &format!("/users/{ALICE}"),
        &format!("/users/{ALICE}/orders?q={CANARY}"),
        &format!("/raw?token={CANARY}"),
    ] {
        assert_eq!(browser.fetch("GET", path).status, 200, "{path}");
    }
    // With a wrong method, too.
    browser.fetch("QUERY", &format!("/users/{ALICE}"));
    // In a path that cannot be read, too.
    let unreadable = browser.fetch("GET", &format!("/users/{ALICE}//orders"));
    assert_eq!(unreadable.status, 400);
    // No more than the beginning of a long path.
    let long = get(&format!("/raw/{}", "x".repeat(8000)));
    assert_eq!(long.send(server.addr).status, 200);
    let told = get("/raw")
        .header("authorization", &format!("Bearer {CANARY}"))
        .header("cookie", &format!("a={CANARY}"))
        .header("user-agent", CANARY)
        .header("baggage", &format!("a={CANARY}"))
        .header("tracestate", &format!("a={CANARY}"));
    assert_eq!(told.send(server.addr).status, 200);
    let cookies: Vec<String> = browser
        .cookie_names()
        .iter()
        .map(|name| browser.cookie(name).expect("set").value.clone())
        .collect();
    server.process.signal("TERM");
    assert_eq!(server.process.outcome().code, Some(0));
    let said: Vec<u8> = collector
        .exports()
        .into_iter()
        .flat_map(|export| [export.head.into_bytes(), export.body].concat())
        .collect();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("/users/{sub}/orders"), "it is exported");
    assert!(said.contains(&"x".repeat(1000)), "its beginning");
    assert!(!said.contains(&"x".repeat(1024)), "no more of it");
    let mut secrets = scene.site.idp.minted();
    assert!(secrets.len() > 5 && !cookies.is_empty());
    secrets.extend(cookies);
    let others = [CANARY, ALICE, SECRET, "wonderland", "alice@", "Alice"];
    secrets.extend(others.map(str::to_owned));
    for secret in secrets {
        assert!(!said.contains(&secret), "exported: {secret}");
    }
}

#[test]
fn a_mistake_in_the_environment_is_told_with_a_remedy() {
    let scene = Scene::new();
    let run = |arguments: &[&str], change: &dyn Fn(&mut Command)| {
        let mut command = scene.site.sealgate(arguments);
        change(&mut command);
        crate::support::process::Process::spawn(command).outcome()
    };
    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for arguments in [&[][..], &["--check"]] {
        let outcome = run(arguments, &|command| {
            command.env(variable, "canary-host:4317");
        });
        outcome.assert_refused(78, &[variable, "→"]);
        assert!(!outcome.stderr.contains("canary"), "{}", outcome.stderr);
    }
    let outcome = run(&["--check"], &|command| {
        command
            .env(variable, "http://127.0.0.1:1")
            .env("OTEL_TRACES_SAMPLER", "sometimes");
    });
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warning = "warning: OTEL_TRACES_SAMPLER: an unknown sampler";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}
