//! Routes with parts: several calls, one JSON answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::json_api::{Canned, JsonApi};
use crate::support::{Request, Response, TestBff};

const ALICE: &str = "8f2c1d7e-alice";

/// sealgate with an API and a route `home` at `/api/home`; the text is what stands below `[frontend.shop.route.home]`.
struct Home {
    bff: TestBff,
    api: JsonApi,
}

impl Home {
    fn new(route: &str) -> Self {
        Self::with(route, "")
    }

    fn with(route: &str, upstream: &str) -> Self {
        let api = JsonApi::start();
        let bff = TestBff::with(|setup| {
            setup.session = "claims = [\"name\", \"email\", \"roles\"]".to_owned();
            let parts = route.replace("[part.", "[frontend.shop.route.home.part.");
            setup.tables = format!(
                "{}\n[frontend.shop.route.home]\npath = \"/api/home\"\n{parts}",
                api.table("json", upstream)
            );
        });
        Self { bff, api }
    }

    fn get(&self, path: &str) -> Response {
        self.bff.signed_in().fetch("GET", path)
    }
}

fn text(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.text()
}

const TWO: &str = r#"
[part.me]
upstream = "json"
path = "/users/{sub}"
pick = { id = "/id", name = "/profile/displayName" }
[part.orders]
upstream = "json"
path = "/orders?customer={me:/id}&limit={query:limit}"
items = "/data"
pick = { id = "/id", total = "/amount/total" }
max_items = 2
"#;

fn two() -> Home {
    let home = Home::new(TWO);
    home.api.at(
        &format!("/users/{ALICE}"),
        Canned::ok(r#"{"id": "c/1", "profile": {"displayName": "Alic\u00e9", "x": 1}}"#),
    );
    let orders =
        r#"{"data": [{"id": 1, "amount": {"total": 1.50}}, {"id": 2, "amount": {}}, {"id": 3}]}"#;
    home.api
        .at("/orders?customer=c%2F1&limit=5", Canned::ok(orders));
    home.api.at("/orders?customer=c%2F1", Canned::ok(orders));
    home
}

#[test]
fn parts_are_merged_in_the_order_of_their_names_with_numbers_as_sent() {
    let home = two();
    let answer = home.get("/api/home?limit=5");
    assert_eq!(
        text(&answer),
        r#"{"me":{"id":"c/1","name":"Alic\u00e9"},"orders":[{"id":1,"total":1.50},{"id":2}]}"#
    );
    assert_eq!(answer.header("sealgate-partial"), None);
    assert_eq!(
        home.api.asked(),
        [
            &*format!("/users/{ALICE}"),
            "/orders?customer=c%2F1&limit=5"
        ]
    );
}

#[test]
fn a_missing_query_parameter_is_left_out_and_a_repeated_one_refused() {
    let home = two();
    assert!(home.get("/api/home").status == 200);
    assert_eq!(home.api.asked()[1], "/orders?customer=c%2F1");
    let twice = home.get("/api/home?limit=1&limit=2");
    assert_eq!((twice.status, &*twice.problem()), (400, "bad-request"));
    assert_eq!(home.api.asked().len(), 2, "nothing is called for it");
}

#[test]
fn plus_is_a_space_and_values_stay_in_their_parameter() {
    let home = Home::new("[part.a]\nupstream = \"json\"\npath = \"/a?q={query:q}\"\n");
    home.api.at("/a?q=x%20y%26admin%3D1%23%2B", Canned::ok("1"));
    assert_eq!(
        text(&home.get("/api/home?q=x+y%26admin%3D1%23%2B")),
        r#"{"a":1}"#
    );
}

#[test]
fn only_the_exact_path_and_reading_methods_are_served() {
    let home = two();
    let mut browser = home.bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/home/x").status, 404);
    let post = browser.fetch("POST", "/api/home");
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let head = browser.fetch("HEAD", "/api/home?limit=5");
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(home.api.asked().len(), 2, "HEAD costs the same calls");
    let get = browser.fetch("GET", "/api/home?limit=5");
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(head.header("etag"), get.header("etag"));
}

#[test]
fn a_session_is_needed_and_the_token_goes_along_with_every_part() {
    let home = two();
    let anonymous = home.bff.browser().fetch("GET", "/api/home");
    assert_eq!(
        (anonymous.status, &*anonymous.problem()),
        (401, "login-required")
    );
    let mut browser = home.bff.signed_in();
    let without = Request::new("GET", "/api/home")
        .header("host", "shop.test")
        .header("cookie", &browser.api_cookie_line("/api/home"));
    assert_eq!(without.send(home.bff.addr).problem(), "cross-site-request");
    assert!(home.api.asked().is_empty());
    let request = Request::new("GET", "/api/home?limit=5")
        .header("x-csrf", "1")
        .header("accept-language", "de")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("x-other", "no")
        .header("if-none-match", "\"x\"")
        .header("range", "bytes=0-1");
    assert_eq!(browser.send(request).status, 200);
    let heads = home.api.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let lower = head.to_ascii_lowercase();
        assert!(head.starts_with("GET "), "{head}");
        assert!(lower.contains("\r\nauthorization: bearer "), "{head}");
        assert!(lower.contains("\r\naccept-language: de\r\n"), "{head}");
        assert!(
            lower.contains("\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"),
            "{head}"
        );
        assert!(lower.contains("\r\nforwarded: "), "{head}");
        for absent in [
            "x-other",
            "x-csrf",
            "if-none-match",
            "range:",
            "\r\ncookie:",
            "accept-encoding: ",
        ] {
            assert!(!lower.contains(absent), "{absent} in {head}");
        }
    }
}

const OPTIONAL: &str = r#"
[part.fine]
upstream = "json"
path = "/fine"
[part.late]
upstream = "json"
path = "/late"
optional = true
timeout = "100ms"
[part.needs]
upstream = "json"
path = "/needs/{late:/id}"
optional = true
"#;

#[test]
fn an_optional_part_that_fails_is_null_and_named() {
    let home = Home::new(OPTIONAL);
    home.api.at(
        "/fine",
        Canned::ok("true").header("cache-control", "max-age=60"),
    );
    home.api.at(
        "/late",
        Canned::ok(r#"{"id":1}"#).late(Duration::from_millis(800)),
    );
    let answer = home.get("/api/home");
    assert_eq!(
        answer.json(),
        json!({
            "fine": true, "late": null, "needs": null,
            "_errors": {
                "late": {"status": 504, "code": "upstream-timeout"},
                "needs": {"code": "dependency"},
            }
        })
    );
    assert_eq!(answer.header("sealgate-partial"), Some("late, needs"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// What an API can do wrong, and the code that says so.
fn wrongs() -> Vec<(Canned, Value)> {
    let deep = "[".repeat(129) + &"]".repeat(129);
    vec![
        (
            Canned::status(500, "{}"),
            json!({"status": 500, "code": "upstream-status"}),
        ),
        (
            Canned::status(404, "{}"),
            json!({"status": 404, "code": "upstream-status"}),
        ),
        (
            Canned::status(302, "{}").header("location", "/fine"),
            json!({"status": 302, "code": "upstream-status"}),
        ),
        (Canned::ok("<html>"), json!({"code": "not-json"})),
        (Canned::ok(""), json!({"code": "not-json"})),
        (Canned::ok(r#"{"a":1,"a":2}"#), json!({"code": "not-json"})),
        (Canned::ok(r#""\ud800""#), json!({"code": "not-json"})),
        (Canned::ok(deep), json!({"code": "not-json"})),
        (
            Canned::ok(format!("\"{}\"", "x".repeat(5000))),
            json!({"code": "too-large"}),
        ),
    ]
}

const ONE: &str = "[part.x]\nupstream = \"json\"\npath = \"/x\"\nmax_bytes = \"4KiB\"\n";

#[test]
fn every_failure_of_an_optional_part_has_a_code() {
    let home = Home::new(&format!("{ONE}optional = true\n"));
    let mut browser = home.bff.signed_in();
    for (answer, expect) in wrongs() {
        home.api.at("/x", answer);
        let got = browser.fetch("GET", "/api/home");
        assert_eq!(got.json(), json!({"x": null, "_errors": {"x": expect}}));
    }
    home.api
        .at("/x", Canned::ok(format!("\"{}\"", "x".repeat(4094))));
    assert_eq!(text(&browser.fetch("GET", "/api/home")).len(), 4096 + 6);
}

#[test]
fn every_failure_of_a_required_part_is_the_answer() {
    let home = Home::new(&format!(
        "{ONE}[part.y]\nupstream = \"json\"\npath = \"/y/{{x:/id}}\"\n"
    ));
    let mut browser = home.bff.signed_in();
    for (answer, expect) in wrongs() {
        home.api.at("/x", answer);
        let got = browser.fetch("GET", "/api/home");
        let status = expect["status"].as_u64();
        let of_answer = if status == Some(404) { 404 } else { 502 };
        let problem = got.json();
        assert_eq!(
            (u64::from(got.status), &*got.problem()),
            (of_answer, "part-failed"),
            "{problem}"
        );
        assert_eq!(problem["part"], "x");
        assert_eq!(problem["part_status"].as_u64(), status, "{problem}");
        assert_eq!(problem["status"], of_answer);
    }
    assert!(
        home.api.asked().iter().all(|target| target == "/x"),
        "y is never asked"
    );
}

#[test]
fn the_status_of_a_required_part_is_told_where_it_means_something() {
    let home = Home::new(ONE);
    let mut browser = home.bff.signed_in();
    for (status, expect) in [
        (403, 403),
        (409, 409),
        (410, 410),
        (429, 429),
        (400, 502),
        (418, 502),
        (503, 502),
    ] {
        home.api.at("/x", Canned::status(status, "{}"));
        let got = browser.fetch("GET", "/api/home");
        assert_eq!((got.status, &*got.problem()), (expect, "part-failed"));
        assert_eq!(got.json()["part_status"], status);
    }
}

#[test]
fn an_api_that_is_not_there_is_unavailable() {
    let tables = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\n";
    let part = "[part.x]\nupstream = \"gone\"\npath = \"/x\"\n";
    let home = Home::new(&format!("{part}optional = true\n{tables}"));
    assert_eq!(
        home.get("/api/home").json()["_errors"]["x"]["code"],
        "upstream-unavailable"
    );
    let home = Home::new(&format!("{part}{tables}"));
    let got = home.get("/api/home");
    assert_eq!(
        (got.status, &*got.problem(), &got.json()["part"]),
        (502, "part-failed", &json!("x"))
    );
}

#[test]
fn values_that_cannot_stand_in_a_url_fail_the_part_that_needs_them() {
    let home = Home::new(
        "[part.a]\nupstream = \"json\"\npath = \"/a\"\n\
         [part.b]\nupstream = \"json\"\npath = \"/b/{a:/v}/c\"\noptional = true\n",
    );
    let mut browser = home.bff.signed_in();
    for value in ["null", "{}", "[1]", "\"\"", "\".\"", "\"..\""] {
        home.api.at("/a", Canned::ok(format!("{{\"v\":{value}}}")));
        let got = browser.fetch("GET", "/api/home").json();
        assert_eq!(
            got["_errors"],
            json!({"b": {"code": "bad-value"}}),
            "{value}"
        );
    }
    home.api.at("/a", Canned::ok("{}"));
    assert_eq!(
        browser.fetch("GET", "/api/home").json()["_errors"]["b"]["code"],
        "bad-value"
    );
    for (value, segment) in [
        ("1.50", "1.50"),
        ("true", "true"),
        ("\"x/y?y#z\"", "x%2Fy%3Fy%23z"),
        ("\"%2e%2e\"", "%252e%252e"),
    ] {
        home.api.at("/a", Canned::ok(format!("{{\"v\":{value}}}")));
        home.api
            .at(&format!("/b/{segment}/c"), Canned::ok("\"got\""));
        assert_eq!(
            browser.fetch("GET", "/api/home").json()["b"],
            "got",
            "{value}"
        );
    }
}

const EACH: &str = r#"
[part.orders]
upstream = "json"
path = "/orders"
items = "/data"
max_items = 4
pick = { id = "/id" }
[part.prices]
upstream = "json"
path = "/prices/{item:/line/sku}"
each = "orders"
pick = { p = "/price" }
"#;

fn orders(skus: &[&str]) -> Canned {
    let lines = skus
        .iter()
        .enumerate()
        .map(|(id, sku)| format!("{{\"id\":{id},\"line\":{{\"sku\":{sku}}}}}"));
    Canned::ok(format!(
        "{{\"data\":[{}]}}",
        lines.collect::<Vec<_>>().join(",")
    ))
}

#[test]
fn each_element_gets_a_call_and_results_keep_its_order() {
    let home = Home::new(EACH);
    home.api.at(
        "/orders",
        orders(&["\"slow\"", "2", "\"c d\"", "\"d\"", "\"cut\""]),
    );
    home.api.at(
        "/prices/slow",
        Canned::ok(r#"{"price":1,"x":0}"#).late(Duration::from_millis(200)),
    );
    home.api.at("/prices/2", Canned::ok(r#"{"price":2}"#));
    home.api.at("/prices/c%20d", Canned::ok("{}"));
    home.api.at("/prices/d", Canned::status(204, ""));
    let expect =
        r#"{"orders":[{"id":0},{"id":1},{"id":2},{"id":3}],"prices":[{"p":1},{"p":2},{},null]}"#;
    assert_eq!(text(&home.get("/api/home")), expect);
    assert_eq!(
        home.api.asked().len(),
        5,
        "max_items is what each goes over"
    );
}

#[test]
fn an_element_that_fails_is_null_or_fails_the_part() {
    let optional = Home::new(&format!("{EACH}optional = true\n"));
    optional
        .api
        .at("/orders", orders(&["\"a\"", "null", "\"c\""]));
    optional.api.at("/prices/a", Canned::ok("{\"price\":1}"));
    let got = optional.get("/api/home");
    assert_eq!(got.json()["prices"], json!([{"p": 1}, null, null]));
    assert_eq!(
        got.json()["_errors"],
        json!({"prices": {"failed": [{"index": 1, "code": "bad-value"}, {"index": 2, "status": 404, "code": "upstream-status"}]}})
    );
    assert_eq!(got.header("sealgate-partial"), Some("prices"));
    let required = Home::new(EACH);
    required.api.at("/orders", orders(&["\"a\"", "\"c\""]));
    required.api.at("/prices/a", Canned::ok("{\"price\":1}"));
    let got = required.get("/api/home");
    assert_eq!(
        (got.status, &*got.problem(), &got.json()["part"]),
        (404, "part-failed", &json!("prices"))
    );
}

#[test]
fn no_more_calls_at_once_than_parallel_says() {
    let home = Home::with(&EACH.replace("max_items = 4", ""), "max_connections = 64");
    let skus: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    home.api.at(
        "/orders",
        orders(&skus.iter().map(String::as_str).collect::<Vec<_>>()),
    );
    for sku in &skus {
        home.api.at(
            &format!("/prices/{sku}"),
            Canned::ok("{}").late(Duration::from_millis(50)),
        );
    }
    let answer = home.get("/api/home");
    assert_eq!(answer.json()["prices"].as_array().map(Vec::len), Some(12));
    assert!(home.api.most_at_once() <= 4, "{}", home.api.most_at_once());
    assert!(home.api.most_at_once() >= 2, "calls do run side by side");
}

#[test]
fn an_inline_part_is_the_answer_itself() {
    let home = Home::new(
        "[part.list]\nupstream = \"json\"\npath = \"/list\"\nitems = \"\"\npick = { id = \"/id\" }\ninline = true\noptional = true\n",
    );
    let mut browser = home.bff.signed_in();
    home.api
        .at("/list", Canned::ok(r#"[{"id":1,"big":"x"},{"id":2}]"#));
    assert_eq!(
        text(&browser.fetch("GET", "/api/home")),
        r#"[{"id":1},{"id":2}]"#
    );
    home.api.at("/list", Canned::status(500, ""));
    let failed = browser.fetch("GET", "/api/home");
    assert_eq!(
        (text(&failed).as_str(), failed.header("sealgate-partial")),
        ("null", Some("list"))
    );
}

#[test]
fn the_etag_is_strong_and_answers_304() {
    let home = Home::new(ONE);
    let mut browser = home.bff.signed_in();
    home.api
        .at("/x", Canned::ok("1").header("cache-control", "max-age=60"));
    let answer = browser.fetch("GET", "/api/home");
    let etag = answer.header("etag").expect("an ETag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let again = |tag: &str| {
        Request::new("GET", "/api/home")
            .header("x-csrf", "1")
            .header("if-none-match", tag)
    };
    for tag in [
        etag.clone(),
        format!("\"x\", {etag}"),
        "*".to_owned(),
        format!("W/{etag}"),
    ] {
        let same = browser.send(again(&tag));
        assert_eq!(
            (same.status, same.text().as_str(), same.header("etag")),
            (304, "", Some(&*etag)),
            "{tag}"
        );
    }
    assert_eq!(browser.send(again("\"x\"")).status, 200);
    home.api.at("/x", Canned::ok("2"));
    let other = browser.send(again(&etag));
    assert_eq!((other.status, other.text().as_str()), (200, r#"{"x":2}"#));
}

#[test]
fn the_answer_may_be_kept_as_long_as_its_shortest_part() {
    let home = Home::new(
        "[part.a]\nupstream = \"json\"\npath = \"/a\"\n[part.b]\nupstream = \"json\"\npath = \"/b\"\n",
    );
    let mut browser = home.bff.signed_in();
    for (a, b, expect) in [
        (
            Some("max-age=60"),
            Some("max-age=20, public"),
            "private, max-age=20",
        ),
        (Some("max-age=60"), None, "no-store"),
        (Some("max-age=60"), Some("no-store"), "no-store"),
        (Some("max-age=60"), Some("no-cache"), "no-store"),
        (Some("max-age=60"), Some("s-maxage=5"), "no-store"),
        (
            Some("max-age=60, s-maxage=5"),
            Some("MAX-AGE=\"30\""),
            "private, max-age=30",
        ),
        (Some("max-age=0"), Some("max-age=1"), "private, max-age=0"),
        (Some("max-age=x"), Some("max-age=1"), "no-store"),
    ] {
        for (path, line) in [("/a", a), ("/b", b)] {
            let answer = Canned::ok("1");
            home.api.at(
                path,
                line.map_or(answer.clone(), |line| answer.header("cache-control", line)),
            );
        }
        let answer = browser.fetch("GET", "/api/home");
        assert_eq!(answer.header("cache-control"), Some(expect), "{a:?} {b:?}");
    }
    let aged = |max_age: &str, age: &str| {
        Canned::ok("1")
            .header("cache-control", max_age)
            .header("age", age)
    };
    home.api.at("/a", aged("max-age=60", "50"));
    home.api.at("/b", aged("max-age=60", "0"));
    assert_eq!(
        browser.fetch("GET", "/api/home").header("cache-control"),
        Some("private, max-age=10")
    );
    home.api.at("/a", aged("max-age=60", "90"));
    assert_eq!(
        browser.fetch("GET", "/api/home").header("cache-control"),
        Some("private, max-age=0")
    );
}

#[test]
fn what_is_late_at_the_deadline_fails() {
    let parts = "deadline = \"300ms\"\n[part.a]\nupstream = \"json\"\npath = \"/a\"\n[part.b]\nupstream = \"json\"\npath = \"/b\"\n";
    let late = Canned::ok("2").late(Duration::from_secs(2));
    let home = Home::new(&format!("{parts}optional = true\n"));
    home.api.at("/a", Canned::ok("1"));
    home.api.at("/b", late.clone());
    assert_eq!(
        home.get("/api/home").json(),
        json!({"a": 1, "b": null, "_errors": {"b": {"status": 504, "code": "deadline"}}})
    );
    let home = Home::new(parts);
    home.api.at("/a", Canned::ok("1"));
    home.api.at("/b", late);
    let got = home.get("/api/home");
    assert_eq!(
        (got.status, &*got.problem(), &got.json()["part"]),
        (504, "part-failed", &json!("b"))
    );
}

#[test]
fn a_parts_401_is_renewed_once_and_the_others_are_not_asked_again() {
    let home = Home::new(
        "[part.a]\nupstream = \"json\"\npath = \"/a\"\n[part.b]\nupstream = \"json\"\npath = \"/b\"\n[part.c]\nupstream = \"json\"\npath = \"/c\"\n",
    );
    home.api.at("/a", Canned::ok("1"));
    home.api.at("/b", Canned::status(401, "2").times(1));
    home.api.at("/c", Canned::status(401, "3").times(1));
    let refreshes = home.bff.token_calls("refresh_token");
    assert_eq!(text(&home.get("/api/home")), r#"{"a":1,"b":2,"c":3}"#);
    let asked = home.api.asked();
    let count = |target: &str| asked.iter().filter(|asked| *asked == target).count();
    assert_eq!((count("/a"), count("/b"), count("/c")), (1, 2, 2));
    assert_eq!(
        home.bff.token_calls("refresh_token"),
        refreshes + 1,
        "one refresh for all parts"
    );
}

#[test]
fn a_part_that_stays_401_says_so() {
    let home = Home::new(ONE);
    home.api.at("/x", Canned::status(401, "{}"));
    let got = home.get("/api/home");
    assert_eq!(
        (got.status, &*got.problem(), &got.json()["part_status"]),
        (401, "part-failed", &json!(401))
    );
    assert_eq!(home.api.asked().len(), 2);
}

#[test]
fn a_step_up_challenge_becomes_one() {
    let challenge = "Bearer error=\"insufficient_user_authentication\", max_age=\"5\"";
    let answer = Canned::status(401, "{}").header("www-authenticate", challenge);
    let home = Home::new(ONE);
    home.api.at("/x", answer.clone());
    let mut browser = home.bff.signed_in();
    home.bff.clock.advance(Duration::from_secs(120));
    let got = browser.fetch("GET", "/api/home");
    assert_eq!((got.status, &*got.problem()), (401, "step-up-required"));
    assert_eq!(got.json()["login_url"], "/bff/login?max_age=5");
    let home = Home::new(&format!("{ONE}optional = true\n"));
    home.api.at("/x", answer);
    let mut browser = home.bff.signed_in();
    home.bff.clock.advance(Duration::from_secs(120));
    assert_eq!(
        browser.fetch("GET", "/api/home").json()["_errors"]["x"],
        json!({"status": 401, "code": "step-up-required", "login_url": "/bff/login?max_age=5"})
    );
}

#[test]
fn an_expired_token_is_refreshed_once_for_all_parts() {
    let home = two();
    let mut browser = home.bff.signed_in();
    home.bff.clock.advance(Duration::from_secs(400));
    let before = home.bff.token_calls("refresh_token");
    assert_eq!(browser.fetch("GET", "/api/home?limit=5").status, 200);
    assert_eq!(home.bff.token_calls("refresh_token"), before + 1);
}

#[test]
fn claims_and_named_segments_fill_parts() {
    let api = JsonApi::start();
    let bff = TestBff::with(|setup| {
        setup.session = "claims = [\"name\", \"roles\"]".to_owned();
        setup.tables = format!(
            "{}[frontend.shop.route.one]\npath = \"/api/u/{{path:user}}/one\"\n\
             [frontend.shop.route.one.part.a]\nupstream = \"json\"\npath = \"/a/{{path:user}}/{{name}}?q={{query:must}}\"\n\
             [frontend.shop.route.two]\npath = \"/api/two\"\n\
             [frontend.shop.route.two.part.a]\nupstream = \"json\"\npath = \"/a/{{query:must}}\"\n\
             [frontend.shop.route.three]\npath = \"/api/three\"\n\
             [frontend.shop.route.three.part.a]\nupstream = \"json\"\npath = \"/a/{{roles}}\"\n",
            api.table("json", "")
        );
    });
    let mut browser = bff.signed_in();
    api.at("/a/x%20y%25/Alice%20Liddell", Canned::ok("1"));
    assert_eq!(
        browser.fetch("GET", "/api/u/x%20y%25/one").text(),
        r#"{"a":1}"#,
        "{:?}",
        api.asked()
    );
    let missing = browser.fetch("GET", "/api/two");
    assert_eq!((missing.status, &*missing.problem()), (400, "bad-request"));
    let empty = browser.fetch("GET", "/api/two?must=");
    assert_eq!(
        (empty.status, &*empty.problem(), &empty.json()["part"]),
        (502, "part-failed", &json!("a"))
    );
    let list = browser.fetch("GET", "/api/three");
    assert_eq!(
        (list.status, &*list.problem()),
        (502, "part-failed"),
        "a list is no segment"
    );
}

#[test]
fn parts_have_metrics() {
    let home = Home::new(&format!("{ONE}optional = true\n"));
    home.api.at("/x", Canned::status(500, ""));
    assert_eq!(home.get("/api/home").status, 200);
    let labels = "frontend=\"shop\",route=\"home\",part=\"x\"";
    assert_eq!(
        home.bff
            .metric(&format!("sealgate_part_seconds_count{{{labels}}}")),
        1
    );
    let total = format!("sealgate_part_total{{{labels},outcome=\"upstream-status\"}}");
    assert_eq!(home.bff.metric(&total), 1);
    let upstream = "sealgate_upstream_seconds_count{upstream=\"json\"}";
    assert_eq!(home.bff.metric(upstream), 1, "its head has come");
}

#[test]
fn a_part_without_a_token_and_with_cookies_of_its_route() {
    let home = Home::new(
        "cookies = [\"theme\"]\n[part.a]\nupstream = \"json\"\npath = \"/a\"\ntoken = \"none\"\n[part.b]\nupstream = \"json\"\npath = \"/b\"\n",
    );
    home.api.at("/a", Canned::ok("1"));
    home.api.at("/b", Canned::ok("2"));
    let browser = home.bff.signed_in();
    let cookies = format!(
        "{}; theme=dark; other=1",
        browser.api_cookie_line("/api/home")
    );
    let request = Request::new("GET", "/api/home")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &cookies);
    assert_eq!(request.send(home.bff.addr).status, 200);
    for head in home.api.heads() {
        let lower = head.to_ascii_lowercase();
        assert_eq!(
            lower.contains("authorization:"),
            head.starts_with("GET /b"),
            "{head}"
        );
        assert!(lower.contains("\r\ncookie: theme=dark\r\n"), "{head}");
    }
}

#[test]
fn a_part_that_needs_one_without_a_token_fails_with_it() {
    // The client's token lacks the scope; nothing else is under way that could wake the rest.
    let home = Home::new(
        "require_scopes = [\"openid\"]\n[part.a]\nupstream = \"json\"\npath = \"/a\"\ntoken = \"client\"\noptional = true\n\
         [part.b]\nupstream = \"json\"\npath = \"/b/{a:/id}\"\n",
    );
    home.bff.idp.faults().inject(
        8,
        sealgate::demo::idp::TokenFault::With("scope", "other".into()),
    );
    let mut browser = home.bff.browser();
    home.bff.log_in(&mut browser, "/bff/login");
    let got = browser.fetch("GET", "/api/home");
    assert_eq!(got.json()["part"], "b", "{}", got.text());
    assert_eq!((got.status, &*got.problem()), (502, "part-failed"));
}

#[test]
fn a_provider_that_is_slower_than_the_deadline_costs_no_more_than_it() {
    let home = Home::new(
        "deadline = \"300ms\"\ntoken = \"none\"\n[part.a]\nupstream = \"json\"\npath = \"/a\"\ntoken = \"client\"\noptional = true\n\
         [part.b]\nupstream = \"json\"\npath = \"/b\"\ntoken = \"none\"\noptional = true\n",
    );
    home.api.at("/b", Canned::ok("2"));
    home.bff.idp.faults().inject(
        1,
        sealgate::demo::idp::TokenFault::Delay(Duration::from_secs(3)),
    );
    let request = Request::new("GET", "/api/home")
        .header("host", "shop.test")
        .header("x-csrf", "1");
    let got = request.send(home.bff.addr);
    assert_eq!(
        got.json()["_errors"]["a"]["code"],
        "deadline",
        "{}",
        got.text()
    );
    assert_eq!(got.status, 200);
}

#[test]
fn an_optional_part_without_a_token_leaves_the_others_alone() {
    let home = Home::new(
        "token = \"none\"\n[part.open]\nupstream = \"json\"\npath = \"/open\"\n\
         [part.mine]\nupstream = \"json\"\npath = \"/mine\"\ntoken = \"user\"\noptional = true\n",
    );
    home.api.at("/open", Canned::ok("1"));
    let request = Request::new("GET", "/api/home")
        .header("host", "shop.test")
        .header("x-csrf", "1");
    let got = request.send(home.bff.addr);
    assert_eq!(
        got.json(),
        json!({"open": 1, "mine": null, "_errors": {"mine": {"status": 401, "code": "upstream-status", "login_url": "/bff/login"}}})
    );
}

#[test]
fn more_elements_than_anybody_shows_are_too_many_calls() {
    let home = Home::new(&format!(
        "{}optional = true\n",
        EACH.replace("max_items = 4\n", "")
    ));
    let skus = vec!["\"x\""; 1001];
    home.api.at("/orders", orders(&skus));
    let got = home.get("/api/home");
    assert_eq!(
        got.json()["_errors"],
        json!({"prices": {"code": "too-large"}})
    );
    assert_eq!(home.api.asked().len(), 1);
}

#[test]
fn a_value_cannot_climb_behind_an_encoded_slash() {
    let home = Home::new("[part.a]\nupstream = \"json\"\npath = \"/users/{query:id}\"\n");
    let mut browser = home.bff.signed_in();
    for id in ["..%2F..%2Fadmin", "a%2F..", "%2E%2E%5Cx", "a%0Ab"] {
        let got = browser.fetch("GET", &format!("/api/home?id={id}"));
        assert_eq!((got.status, &*got.problem()), (502, "part-failed"), "{id}");
    }
    assert!(home.api.asked().is_empty());
    home.api.at("/users/a%2Fb", Canned::ok("1"));
    assert_eq!(
        text(&browser.fetch("GET", "/api/home?id=a%2Fb")),
        r#"{"a":1}"#
    );
}
