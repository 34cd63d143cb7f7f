//! More of what `one_line` asks: a line about something else hides no failure, and each endpoint and kind of answer has its one
//! line.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sealgate::demo::idp::{
    AuthorizationFault, EndpointFault, Fault, Faults, IdTokenFault, PushedFault, PushedRequests,
    Secret, TokenFault,
};
use serde_json::json;

use crate::one_line::{answering, assert_has, assert_one, lines_of, log_in, shown_with};
use crate::part_failures;
use crate::support::device::{self, Device, registration};
use crate::support::json_api::{Canned, JsonApi};
use crate::support::native::{App, NATIVE, form, oauth_error};
use crate::support::upstream::RawUpstream;
use crate::support::{Initiator, Request, Response, TestBff, logs};
use crate::websocket::raw_handshake;

const SECOND: Duration = Duration::from_secs(1);

const GONE: &str = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\n";

#[test]
fn a_warning_about_something_else_hides_no_refusal() {
    let since = logs::install();
    let bff = TestBff::with(|setup| {
        setup.tables = "[frontend.shop.route.scoped]\npath = \"/api/scoped\"\nupstream = \"api\"\n\
                        require_scopes = [\"orders.read\"]\n"
            .to_owned();
    });
    let mut browser = bff.signed_in();
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    bff.clock.advance(SECOND * 290);
    let answer = browser.fetch("GET", "/api/scoped");
    assert_eq!(answer.problem(), "insufficient-scope");
    let lines = lines_of(since, &answer);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("the old access token still serves"));
    let words = ["INFO ", "orders.read", "code=insufficient-scope"];
    assert_has(&lines[1..], &words);
}

#[test]
fn a_warning_about_an_optional_part_hides_no_failure_of_another() {
    let since = logs::install();
    let api = JsonApi::start();
    api.at("/c", Canned::ok("{}").late(Duration::from_millis(100)));
    let bff = TestBff::with(|setup| {
        let route = "[frontend.shop.route.both";
        setup.tables = format!(
            "{GONE}{}{route}]\npath = \"/api/both\"\n\
             {route}.part.a]\nupstream = \"gone\"\npath = \"/a\"\noptional = true\n\
             {route}.part.c]\nupstream = \"json\"\npath = \"/c\"\n\
             {route}.part.b]\nupstream = \"json\"\npath = \"/b/{{c:/missing}}\"\n",
            api.table("json", "")
        );
    });
    let answer = bff.signed_in().fetch("GET", "/api/both");
    assert_eq!(answer.problem(), "part-failed");
    let lines = lines_of(since, &answer);
    let of_answer: Vec<_> = lines
        .into_iter()
        .filter(|line| !line.contains("upstream gone"))
        .collect();
    assert_has(
        &of_answer,
        &["the part b failed", "code=bad-value", "route=both"],
    );
}

#[test]
fn a_required_part() {
    let failures = part_failures::failures();
    let since = logs::install();
    let (bff, _api) = part_failures::start(&failures);
    let mut browser = bff.signed_in();
    // The login is older than a step-up challenge wants it.
    bff.clock.advance(SECOND * 120);
    for failure in &failures {
        let name = failure.name;
        let answer = browser.fetch("GET", &format!("/api/required/{name}?v=.."));
        assert!(answer.status >= 400, "{name}");
        let route = format!("route=required-{name}");
        assert_one(since, &answer, &["code=", "frontend=shop", &route]);
        // Another part needs the one that fails.
        let answer = browser.fetch("GET", &format!("/api/needed-by-required/{name}?v=.."));
        assert_eq!(answer.problem(), "part-failed", "{name}");
        let route = format!("route=needed-by-required-{name}");
        assert_one(since, &answer, &["code=", "frontend=shop", &route]);
    }
}

#[test]
fn a_part_whose_token_does_not_come() {
    let since = logs::install();
    let route = "[frontend.shop.route.composed";
    let bff = TestBff::with(|setup| {
        setup.tables = format!(
            "{route}]\npath = \"/api/composed\"\n{route}.part.a]\nupstream = \"api\"\npath = \"/a\"\n\
             exchange = {{ audience = \"https://orders.internal\" }}\n"
        );
    });
    let mut browser = bff.signed_in();
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    let answer = browser.fetch("GET", "/api/composed");
    assert_eq!(answer.problem(), "identity-provider-unavailable");
    let words = ["WARN ", "no token in exchange: ", "500", "route=composed"];
    assert_one(since, &answer, &words);
}

/// The last answer of ours on the way to the app.
fn of_ours(chain: &[(url::Url, Response)]) -> &Response {
    let mut all = chain.iter().rev();
    let found = all.find(|(url, _)| url.host_str() == Some("shop.test"));
    &found.expect("one of ours").1
}

#[test]
fn an_apps_login_that_cannot_begin() {
    let since = logs::install();
    let bff = TestBff::with(|setup| {
        setup.provider_is_down = true;
        setup.tables = NATIVE.to_owned();
    });
    let visit = App::authorize(&mut bff.browser(), &[]);
    let answer = of_ours(&visit.chain);
    assert_eq!(answer.status, 303, "{}", answer.text());
    let words = [
        "login not begun: ",
        "503",
        "frontend=shop",
        "route=native/authorize",
    ];
    assert_one(since, answer, &words);
}

#[test]
fn an_apps_login_that_fails() {
    let since = logs::install();
    let bff = TestBff::with_apps("");
    let wrong = AuthorizationFault::With("iss", "https://evil.test".to_owned());
    for (fault, words) in [
        (
            AuthorizationFault::Error("server_error"),
            "provider_error=server_error",
        ),
        (wrong, "iss"),
    ] {
        bff.idp.faults().inject(1, Fault::Authorization(fault));
        let visit = App::authorize(&mut bff.browser(), &[]);
        let answer = of_ours(&visit.chain);
        let words = ["an app's login failed: ", words, "route=callback"];
        assert_one(since, answer, &words);
    }
}

#[test]
fn tokens_that_an_app_does_not_get() {
    let since = logs::install();
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let route = "route=native/token";
    bff.idp.faults().inject(1, answering(500));
    let answer = app.redeem(&App::code(&bff, &[]));
    assert_eq!(oauth_error(&answer).0, 503);
    assert_one(since, &answer, &["an app's login failed: ", "500", route]);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let answer = app.redeem(&App::code(&bff, &[]));
    assert_eq!(oauth_error(&answer).0, 400);
    let words = ["an app's login failed: ", "invalid_grant", route];
    assert_one(since, &answer, &words);

    let tokens = app.sign_in(&bff);
    bff.idp.faults().inject(1, answering(500));
    let answer = app.refresh(&tokens.refresh);
    assert_eq!(oauth_error(&answer).0, 503);
    assert_one(since, &answer, &["an app's refresh failed: ", "500", route]);
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    let answer = app.refresh(&tokens.refresh);
    assert_eq!(oauth_error(&answer).0, 400);
    let words = [
        "an app's session ended at its refresh: ",
        "invalid_grant",
        route,
    ];
    assert_one(since, &answer, &words);
    // What is the app's own doing.
    let answer = app.refresh("junk");
    assert_eq!(oauth_error(&answer).0, 400);
    assert_eq!(lines_of(since, &answer), Vec::<String>::new());
}

#[test]
fn a_logout_of_an_app_that_the_provider_does_not_hear_of() {
    let since = logs::install();
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let down = Fault::Revocation(EndpointFault::Down);
    bff.idp.faults().inject(Faults::ALWAYS, down);
    let answer = app.post("revoke", &form(&[("token", &tokens.refresh)]));
    assert_eq!(oauth_error(&answer).0, 503);
    let words = [
        "not revoked at the identity provider",
        "503",
        "route=native/revoke",
    ];
    assert_one(since, &answer, &words);
}

/// Nobody listens on the port for TCP port multiplexing.
fn without_store(on_failure: &'static str) -> TestBff {
    TestBff::with(|setup| {
        setup
            .files
            .push(("store.url", "redis://127.0.0.1:1/".to_owned()));
        let section = "[coordination]\nurl = { file = \"store.url\" }\n";
        setup.tables = format!("{NATIVE}{section}on_failure = \"{on_failure}\"\n");
    })
}

#[test]
fn a_proof_that_cannot_be_told_from_one_that_came_before() {
    let since = logs::install();
    let bff = without_store("closed");
    let code = App::code(&bff, &[]);
    let answer = bff.app().redeem(&code);
    assert_eq!(oauth_error(&answer).0, 503);
    let description = answer.json()["error_description"].to_string();
    assert!(
        description.contains("store for coordination"),
        "{description}"
    );
    let words = ["WARN ", "store for coordination", "route=native/token"];
    assert_one(since, &answer, &words);
}

fn backchannel(bff: &TestBff, body: &str) -> Response {
    Request::new("POST", "/bff/backchannel")
        .header("host", "shop.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send(bff.addr)
}

#[test]
fn a_back_channel_logout_that_fails() {
    let since = logs::install();
    let bff = without_store("open");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let faults = bff.idp.faults();
    faults.inject(1, IdTokenFault::WithoutClaim("nonce"));
    faults.inject(1, IdTokenFault::Claim("jti", json!("of-the-token")));
    faults.inject(1, IdTokenFault::Claim("events", json!({ event: {} })));
    log_in(&bff);
    let tokens = bff.idp.minted_of(Secret::IdToken);
    let good = format!("logout_token={}", tokens.last().expect("one"));
    for (body, words) in [
        (&*good, "failed: the store for coordination does not answer"),
        (
            "logout_token=a.b.c",
            "refused: the logout token breaks a rule: ",
        ),
        ("", "refused: "),
    ] {
        let answer = backchannel(&bff, body);
        assert_eq!(answer.status, 400);
        let words = [
            words,
            "back-channel logout",
            "frontend=shop",
            "route=backchannel",
        ];
        assert_one(since, &answer, &words);
    }
}

#[test]
fn a_pushed_request_that_is_not_taken() {
    let body = json!({"error": "invalid_request"}).to_string();
    for (fault, status, words) in [
        (PushedFault::Endpoint(EndpointFault::Down), 503, "503"),
        (
            PushedFault::Answer { status: 400, body },
            400,
            "invalid_request",
        ),
        (
            PushedFault::Endpoint(EndpointFault::Truncated),
            400,
            "pushed",
        ),
    ] {
        let since = logs::install();
        let bff = TestBff::with(|setup| {
            setup.provider = |options| options.pushed = PushedRequests::Required;
        });
        bff.signed_in();
        bff.idp.faults().inject(1, Fault::Pushed(fault));
        let answer = log_in(&bff);
        assert_eq!(answer.status, status, "{words}");
        assert_one(since, &answer, &["login not begun: ", words, "route=login"]);
    }
}

#[test]
fn a_signed_answer_that_is_not_believed() {
    for (fault, words) in [
        (IdTokenFault::BadSignature, "signature"),
        (IdTokenFault::Claim("aud", json!("other")), "aud"),
    ] {
        let since = logs::install();
        let bff = TestBff::with(|setup| setup.oidc = "response_mode = \"jwt\"".to_owned());
        bff.signed_in();
        bff.idp.faults().inject(1, Fault::SignedResponse(fault));
        let answer = log_in(&bff);
        assert_eq!(answer.status, 400, "{words}");
        assert_one(since, &answer, &["login failed: ", words, "route=callback"]);
    }
}

/// The status of a handshake, and the lines about it.
fn handshake(bff: &TestBff, path: &str, trace: u32, since: logs::Mark) -> (String, Vec<String>) {
    let trace = format!("{trace:032x}");
    let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-00\r\n\r\n");
    let head = raw_handshake(path, &bff.signed_in().api_cookie_line(path));
    let head = head.strip_suffix("\r\n").expect("its end");
    let mut stream = TcpStream::connect(bff.addr).unwrap();
    write!(stream, "{head}{parent}").unwrap();
    // `must_close`: a refused handshake ends the connection.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    (status, shown_with(since, &format!(" trace={trace} ")))
}

#[test]
fn a_websocket_that_does_not_open() {
    let odd = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n",
        );
    });
    let silent = RawUpstream::start(|mut talk| {
        talk.head();
        talk.hear();
    });
    let lines = "websocket = true\n";
    let gone =
        format!("{GONE}[frontend.shop.route.raw]\npath = \"/raw\"\nupstream = \"gone\"\n{lines}");
    for (number, (tables, status, words)) in [
        (gone, "502", "refused"),
        (odd.route(lines), "502", "does not fit the request"),
        (
            silent.route(&format!("{lines}timeout = \"100ms\"")),
            "504",
            "no answer in time",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let since = logs::install();
        let bff = TestBff::with(|setup| setup.tables = tables);
        let trace = 0xb001 + u32::try_from(number).unwrap();
        let (answered, lines) = handshake(&bff, "/raw", trace, since);
        assert_eq!(answered, status, "{words}");
        assert_has(&lines, &["WARN ", words, "frontend=shop", "route=raw"]);
    }
}

#[test]
fn a_device_whose_tokens_stay_old() {
    let since = logs::install();
    let bff = TestBff::with(|setup| setup.session = "device_binding = \"preferred\"".to_owned());
    let mut browser = bff.signed_in();
    let mut device = Device::bind(&mut browser);
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    bff.clock.advance(SECOND * 301);
    let answer = device.prove(&mut browser);
    assert_eq!(answer.status, 200);
    assert_one(
        since,
        &answer,
        &["refresh failed", "500", "route=device/refresh"],
    );
    // What is the browser's own doing.
    for request in [
        registration(&device.registration("of another")),
        device.refresh(Some("junk")),
    ] {
        let answer = device::send(&mut browser, request);
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert_eq!(lines_of(since, &answer), Vec::<String>::new());
    }
}

#[test]
fn a_device_of_a_session_that_another_replica_has_sealed() {
    let since = logs::install();
    let with =
        || TestBff::with(|setup| setup.session = "device_binding = \"preferred\"".to_owned());
    let (bff, stranger) = (with(), with());
    let mut browser = bff.signed_in();
    let device = Device::bind(&mut browser);
    stranger.signed_in();
    let mut elsewhere = stranger.browser();
    elsewhere.jar.clone_from(&browser.jar);
    let answer = device::send(&mut elsewhere, device.refresh(None));
    // Chromium keeps its session at a 503.
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let said = answer.json();
    let says = |member: &str, words: &str| said[member].as_str().unwrap().contains(words);
    assert!(says("title", "session cannot be checked"), "{said}");
    assert!(says("detail", "sealed with a key"), "{said}");
    assert!(answer.headers("set-cookie").is_empty(), "cookies are kept");
    let words = ["INFO ", "keys.dir", "frontend=shop", "route=device/refresh"];
    assert_one(since, &answer, &words);
}

#[test]
fn a_page_that_anybody_asks_for_wrongly_has_no_line() {
    let since = logs::install();
    let bff = TestBff::spawn();
    for path in ["/bff/callback?code=x", "/nothing/here.js", "/bff/user"] {
        let answer = bff.browser().navigate(path, Initiator::User).response;
        let lines = lines_of(since, &answer);
        let warnings = lines.iter().filter(|line| !line.starts_with("INFO "));
        // The callback tells who looks for a login that somebody says has failed.
        let most = usize::from(path.starts_with("/bff/callback"));
        assert_eq!(warnings.count(), most, "{path} {lines:#?}");
    }
    bff.signed_in();
}
