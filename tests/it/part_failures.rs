//! The table of what follows when a part fails: each failure, where the part is optional, where it is required, and where
//! another part depends on it.

use std::collections::HashSet;
use std::time::Duration;

use sealgate::compose::FailureCode;
use serde_json::{Value, json};

use crate::support::json_api::{Canned, JsonApi};
use crate::support::{Browser, TestBff};

/// One way to fail: the part's lines, what its API answers, and the entry in `_errors`.
pub struct Failure {
    pub name: &'static str,
    part: &'static str,
    answer: Canned,
    entry: Value,
}

impl Failure {
    fn new(name: &'static str, part: &'static str, answer: Canned, entry: Value) -> Self {
        Self {
            name,
            part,
            answer,
            entry,
        }
    }

    /// The lines of a route whose part `x` fails so.
    fn route(&self, kind: &str, is_optional: bool, more: &str) -> String {
        let Self { name, part, .. } = self;
        // What follows is another part.
        let own = part.split("[part.").next().unwrap();
        let unless = |key: &str, line: String| {
            if own.contains(key) {
                String::new()
            } else {
                line
            }
        };
        let lines = unless("upstream", "upstream = \"json\"\n".to_owned())
            + &unless("path", format!("path = \"/{name}\"\n"));
        let deadline = if *name == "deadline" {
            "deadline = \"200ms\"\n"
        } else {
            ""
        };
        let route = format!("[frontend.shop.route.{kind}-{name}");
        format!(
            "{route}]\npath = \"/api/{kind}/{name}\"\n{deadline}\
             {route}.part.z]\nupstream = \"json\"\npath = \"/z\"\n\
             {route}.part.x]\n{lines}optional = {is_optional}\n{part}\n{more}"
        )
        .replace("[part.", &format!("{route}.part."))
    }
}

pub fn failures() -> Vec<Failure> {
    let never = Canned::ok("1");
    let late = || Canned::ok("1").late(Duration::from_millis(900));
    let status = |status: u16| json!({"status": status, "code": "upstream-status"});
    let code = |code: &str| json!({ "code": code });
    let step_up = Canned::status(401, "{}").header(
        "www-authenticate",
        "Bearer error=\"insufficient_user_authentication\", max_age=5",
    );
    vec![
        Failure::new("status", "", Canned::status(500, "{}"), status(500)),
        Failure::new("not-found", "", Canned::status(404, "{}"), status(404)),
        Failure::new("refused", "", Canned::status(401, "{}"), status(401)),
        Failure::new(
            "timeout",
            "timeout = \"100ms\"",
            late(),
            json!({"status": 504, "code": "upstream-timeout"}),
        ),
        Failure::new(
            "unavailable",
            "upstream = \"gone\"",
            never.clone(),
            json!({"status": 502, "code": "upstream-unavailable"}),
        ),
        Failure::new("not-json", "", Canned::ok("{"), code("not-json")),
        Failure::new(
            "large",
            "max_bytes = \"1KiB\"",
            Canned::ok(format!("\"{}\"", "x".repeat(2000))),
            code("too-large"),
        ),
        Failure::new(
            "no-array",
            "items = \"/data\"",
            Canned::ok("{}"),
            code("bad-value"),
        ),
        Failure::new(
            "bad-value",
            "path = \"/bad/{query:v}\"",
            never.clone(),
            code("bad-value"),
        ),
        Failure::new(
            "dependency",
            "path = \"/x/{w:/id}\"\n[part.w]\nupstream = \"json\"\npath = \"/nothing\"\noptional = true",
            never.clone(),
            code("dependency"),
        ),
        Failure::new(
            "deadline",
            "",
            late(),
            json!({"status": 504, "code": "deadline"}),
        ),
        Failure::new(
            "scope",
            "exchange = { audience = \"unknown\" }",
            never,
            json!({"status": 403, "code": "insufficient-scope"}),
        ),
        Failure::new(
            "step-up",
            "",
            step_up,
            json!({"status": 401, "code": "step-up-required"}),
        ),
    ]
}

/// A route for each failure and each of the four kinds.
pub fn start(failures: &[Failure]) -> (TestBff, JsonApi) {
    let api = JsonApi::start();
    api.at("/z", Canned::ok("1"));
    let mut tables = api.table("json", "") + "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\n";
    for failure in failures {
        api.at(&format!("/{}", failure.name), failure.answer.clone());
        let needs = |is_optional: bool| {
            format!(
                "[part.y]\nupstream = \"json\"\npath = \"/y/{{x:/id}}\"\noptional = {is_optional}\n"
            )
        };
        tables += &failure.route("optional", true, "");
        tables += &failure.route("required", false, "");
        tables += &failure.route("needed", true, &needs(true));
        tables += &failure.route("needed-by-required", true, &needs(false));
    }
    (TestBff::with(|setup| setup.tables = tables), api)
}

/// The answer, without the address of a stronger login, which is another one each time.
fn get(browser: &mut Browser, kind: &str, failure: &Failure) -> (u16, Value, Option<String>) {
    let answer = browser.fetch("GET", &format!("/api/{kind}/{}?v=..", failure.name));
    let mut body = answer.json();
    let entry = body.pointer_mut("/_errors/x");
    if let Some(login_url) = entry.and_then(|entry| entry.as_object_mut()?.remove("login_url")) {
        assert_eq!(failure.name, "step-up");
        assert!(login_url.as_str().unwrap().starts_with("/bff/login?"));
    }
    let partial = answer.header("sealgate-partial").map(str::to_owned);
    (answer.status, body, partial)
}

#[test]
fn each_failure_of_an_optional_part_leaves_the_rest_and_fails_who_needs_it() {
    let failures = failures();
    let (bff, api) = start(&failures);
    let mut browser = bff.signed_in();
    // The login is older than a step-up challenge wants it.
    bff.clock.advance(Duration::from_secs(120));
    for failure in &failures {
        // The part `w` is what `x` depends on, in the row about that.
        let through = failure.name == "dependency";
        let missing = json!({"status": 404, "code": "upstream-status"});
        let mut expect = json!({"x": null, "z": 1, "_errors": {"x": failure.entry}});
        if through {
            expect["w"] = Value::Null;
            expect["_errors"]["w"] = missing;
        }
        let (status, body, partial) = get(&mut browser, "optional", failure);
        assert_eq!((status, &body), (200, &expect), "{}", failure.name);
        let names = |all: &str| {
            if through {
                format!("w, {all}")
            } else {
                all.to_owned()
            }
        };
        assert_eq!(partial, Some(names("x")), "{}", failure.name);

        let waits = json!({"code": "dependency"});
        let late = failure.name == "deadline";
        expect["y"] = Value::Null;
        expect["_errors"]["y"] = if late { failure.entry.clone() } else { waits };
        let (status, body, partial) = get(&mut browser, "needed", failure);
        assert_eq!((status, &body), (200, &expect), "{}", failure.name);
        assert_eq!(partial, Some(names("x, y")), "{}", failure.name);

        let (status, body, _) = get(&mut browser, "needed-by-required", failure);
        let of_answer = if late { 504 } else { 502 };
        assert_eq!(
            (status, &body["code"], &body["part"]),
            (of_answer, &json!("part-failed"), &json!("y")),
            "{}: {body}",
            failure.name
        );
        let part_status = if late { json!(504) } else { Value::Null };
        assert_eq!(body["part_status"], part_status, "{}", failure.name);
    }
    let asked = api.asked();
    assert!(asked.iter().all(|target| !target.starts_with("/y")));
}

#[test]
fn each_failure_of_a_required_part_is_the_answer() {
    let failures = failures();
    let (bff, _api) = start(&failures);
    let mut browser = bff.signed_in();
    // The login is older than a step-up challenge wants it.
    bff.clock.advance(Duration::from_secs(120));
    for failure in &failures {
        let (status, body, partial) = get(&mut browser, "required", failure);
        let (of_answer, code) = match failure.name {
            "scope" => (403, "insufficient-scope"),
            "step-up" => (401, "step-up-required"),
            "not-found" => (404, "part-failed"),
            "refused" => (401, "part-failed"),
            "timeout" | "deadline" => (504, "part-failed"),
            _ => (502, "part-failed"),
        };
        assert_eq!(
            (status, &body["code"], &body["status"]),
            (of_answer, &json!(code), &json!(of_answer)),
            "{}: {body}",
            failure.name
        );
        assert_eq!(partial, None);
        if code == "part-failed" {
            let part_status = failure.entry.get("status").unwrap_or(&Value::Null);
            assert_eq!(
                (&body["part"], &body["part_status"]),
                (&json!("x"), part_status),
                "{}",
                failure.name
            );
        }
    }
}

#[test]
fn the_table_has_every_code() {
    let failures = failures();
    let codes: HashSet<_> = failures
        .iter()
        .map(|failure| failure.entry["code"].as_str().unwrap())
        .collect();
    let all = [
        FailureCode::BadValue,
        FailureCode::Deadline,
        FailureCode::Dependency,
        FailureCode::InsufficientScope,
        FailureCode::NotJson,
        FailureCode::StepUpRequired,
        FailureCode::TooLarge,
        FailureCode::UpstreamStatus,
        FailureCode::UpstreamTimeout,
        FailureCode::UpstreamUnavailable,
    ];
    assert_eq!(codes, all.map(FailureCode::as_str).into_iter().collect());
}
