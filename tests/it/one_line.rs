//! One line says what failed and why: for each failure a line with the request's id, and never a second one.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use sealgate::demo::idp::{
    AuthorizationFault, DiscoveryFault, EndpointFault, Fault, Faults, IdTokenFault, TokenFault,
};
use serde_json::json;

use crate::login::callback_by_way_of;
use crate::support::browser::Initiator;
use crate::support::process::{Process, eventually};
use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Request, Response, Setup, Site, TestBff, logs};

const SECOND: Duration = Duration::from_secs(1);

/// The lines about a request at INFO and above, but for those that say what was done.
pub fn lines_of(since: logs::Mark, answer: &Response) -> Vec<String> {
    let id = answer.header("x-request-id").expect("an id");
    shown_with(since, &format!(" id={id} "))
}

/// The same of all lines with these words.
pub fn shown_with(since: logs::Mark, words: &str) -> Vec<String> {
    let is_shown = |line: &&str| {
        ["ERROR ", "WARN ", "INFO "]
            .iter()
            .any(|level| line.starts_with(level))
    };
    logs::search(since, |lines| {
        let of_it = lines.lines().filter(|line| line.contains(words));
        of_it
            .filter(is_shown)
            .filter(|line| !is_else(line))
            .map(str::to_owned)
            .collect()
    })
}

/// What was done; that the demo's server has another clock than the test; and what the provider lacks.
fn is_else(line: &str) -> bool {
    line.starts_with("INFO sealgate::audit log")
        || line.starts_with("INFO sealgate::audit an app signed out")
        || line.contains(" sealgate::oidc::drift ")
        || line.starts_with("INFO sealgate::oidc::provider ")
}

/// There is one line, and it has these words.
#[track_caller]
pub fn assert_one(since: logs::Mark, answer: &Response, words: &[&str]) {
    assert_has(&lines_of(since, answer), words);
}

#[track_caller]
pub fn assert_has(lines: &[String], words: &[&str]) {
    assert_eq!(lines.len(), 1, "{words:?} {lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {}", lines[0]);
    }
}

pub fn answering(status: u16) -> Fault {
    let body = String::new();
    TokenFault::Answer { status, body }.into()
}

pub fn log_in(bff: &TestBff) -> Response {
    bff.log_in(&mut bff.browser(), "/bff/login").response
}

#[test]
fn a_login_that_fails() {
    let audience = json!(["other", "another"]);
    for (fault, words) in [
        (
            answering(500),
            &["login failed: ", "unavailable", "500"][..],
        ),
        (answering(429), &["login failed: ", "unavailable", "429"]),
        (TokenFault::DropConnection.into(), &["login failed: "]),
        (
            TokenFault::InvalidGrant.into(),
            &["or has failed: code not redeemed: ", "invalid_grant"],
        ),
        (
            TokenFault::TruncatedJson.into(),
            &["login failed: code not redeemed: "],
        ),
        (
            TokenFault::Without("id_token").into(),
            &["login failed: ", "no ID token", "openid"],
        ),
        (
            IdTokenFault::Claim("aud", audience).into(),
            &[
                "login failed: ID token refused: ",
                "aud is [\"other\", \"another\"], and should be \"shop\" (oidc.client_id)",
                "oidc.trusted_audiences",
            ],
        ),
        (
            IdTokenFault::BadSignature.into(),
            &["login failed: ID token refused: ", "signature"],
        ),
        (
            AuthorizationFault::Error("server_error").into(),
            &["login failed: ", "provider_error=server_error"],
        ),
        (
            AuthorizationFault::With("iss", "https://evil.test".to_owned()).into(),
            &["login failed: ", "iss"],
        ),
    ] {
        let since = logs::install();
        let bff = TestBff::spawn();
        bff.idp.faults().inject(Faults::ALWAYS, fault);
        let answer = log_in(&bff);
        assert!(answer.status >= 400, "{words:?}");
        assert_one(since, &answer, words);
    }
}

#[test]
fn a_login_whose_keys_cannot_be_had() {
    for (fault, words) in [
        (EndpointFault::Down, "unavailable"),
        (EndpointFault::Truncated, "nothing newer came"),
    ] {
        let since = logs::install();
        let bff = TestBff::spawn();
        bff.signed_in();
        let faults = bff.idp.faults();
        faults.inject(Faults::ALWAYS, IdTokenFault::UnknownKid);
        faults.inject(Faults::ALWAYS, Fault::Jwks(fault));
        assert_one(since, &log_in(&bff), &["login failed: ", words]);
        // The next one, for which nothing is fetched.
        assert_one(since, &log_in(&bff), &["login failed: "]);
    }
}

#[test]
fn a_login_without_userinfo_that_is_needed() {
    let since = logs::install();
    let bff = TestBff::with(|setup| {
        setup.oidc = "userinfo = \"always\"".to_owned();
        setup.tables = "[frontend.shop.route.staff]\npath = \"/api/staff\"\nupstream = \"api\"\n\
                        require_claims = { shoe_size = [\"44\"] }\n"
            .to_owned();
    });
    let down = Fault::Userinfo(EndpointFault::Down);
    bff.idp.faults().inject(Faults::ALWAYS, down);
    assert_one(since, &log_in(&bff), &["login failed: UserInfo", "503"]);
}

#[test]
fn a_login_that_cannot_begin() {
    let since = logs::install();
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    for _ in 0..2 {
        let answer = bff.browser().fetch("GET", "/bff/login");
        let answer = match answer.status {
            503 => answer,
            // Only a navigation begins one.
            _ => log_in(&bff),
        };
        assert_one(since, &answer, &["login not begun: ", "503"]);
    }
}

#[test]
fn a_session_that_is_too_large() {
    let since = logs::install();
    let bff = TestBff::spawn();
    bff.idp.faults().pad_tokens(12_000);
    let words = ["login failed: ", "max_bytes"];
    assert_one(since, &log_in(&bff), &words);
}

#[test]
fn a_refresh_that_fails() {
    for (fault, status, words) in [
        (answering(500), 503, "refresh failed: "),
        (
            TokenFault::InvalidGrant.into(),
            401,
            "session ended at its refresh: ",
        ),
        (
            IdTokenFault::Claim("sub", json!("mallory")).into(),
            401,
            "session ended: ",
        ),
    ] {
        let since = logs::install();
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        bff.idp.faults().inject(Faults::ALWAYS, fault);
        bff.clock.advance(SECOND * 301);
        let answer = browser.fetch("GET", "/api/echo/x");
        assert_eq!(answer.status, status, "{words}");
        assert_one(since, &answer, &[words, "route="]);
    }
}

#[test]
fn a_refresh_that_fails_while_the_old_token_serves() {
    let since = logs::install();
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    bff.clock.advance(SECOND * 290);
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(answer.status, 200);
    assert_one(
        since,
        &answer,
        &["the old access token still serves", "500"],
    );
    // What goes on as before, without a call, is no failure.
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(lines_of(since, &answer), Vec::<String>::new());
}

#[test]
fn a_logout_that_the_provider_does_not_hear_of() {
    let since = logs::install();
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let down = Fault::Revocation(EndpointFault::Down);
    bff.idp.faults().inject(Faults::ALWAYS, down);
    let answer = browser.fetch("POST", "/bff/logout");
    assert_eq!(answer.status, 200);
    let words = [
        "signed out here",
        "refresh token not revoked, access token not revoked: ",
        "503",
    ];
    assert_one(since, &answer, &words);
}

const OTHERS: &str = r#"
[upstream.gone]
url = "http://127.0.0.1:1"
[frontend.shop.route.gone]
path = "/api/gone"
upstream = "gone"
token = "none"
[frontend.shop.route.client]
path = "/api/client"
upstream = "api"
token = "client"
[frontend.shop.route.exchanged]
path = "/api/exchanged"
upstream = "api"
exchange = { audience = "https://orders.internal" }
[frontend.shop.route.composed]
path = "/api/composed"
token = "none"
[frontend.shop.route.composed.part.gone]
upstream = "gone"
path = "/x"
"#;

fn with_others(setup: &mut Setup) {
    setup.tables = OTHERS.to_owned();
}

#[test]
fn an_api_that_is_not_there() {
    let since = logs::install();
    let bff = TestBff::with(with_others);
    let mut browser = bff.browser();
    for path in ["/api/gone", "/api/composed"] {
        let answer = browser.fetch("GET", path);
        assert_eq!(answer.status, 502, "{path}");
        assert_one(since, &answer, &["upstream gone: ", "refused"]);
    }
}

#[test]
fn a_token_that_does_not_come() {
    let since = logs::install();
    let bff = TestBff::with(with_others);
    let mut browser = bff.signed_in();
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    for (path, words) in [
        ("/api/client", "no token for the client itself: "),
        ("/api/exchanged", "no token in exchange: "),
    ] {
        // The second finds that the provider was asked a moment ago.
        for _ in 0..2 {
            let answer = browser.fetch("GET", path);
            assert_eq!(answer.status, 503, "{path}");
            assert_one(since, &answer, &[words, "500"]);
        }
    }
}

#[test]
fn a_client_that_the_provider_does_not_know() {
    let since = logs::install();
    let bff = TestBff::with(with_others);
    let body = json!({"error": "invalid_client"}).to_string();
    let refusal = TokenFault::Answer { status: 401, body };
    bff.idp.faults().inject(Faults::ALWAYS, refusal);
    let answer = bff.browser().fetch("GET", "/api/client");
    assert_eq!(answer.status, 500);
    let words = "refused: invalid_client (see oidc.client_id";
    assert_one(since, &answer, &["no token for the client itself: ", words]);
    let answer = log_in(&bff);
    assert_one(since, &answer, &["code not redeemed: ", words]);
}

#[test]
fn an_api_that_does_not_answer_or_not_in_http() {
    let silent = RawUpstream::start(|mut talk| {
        talk.head();
        // Until the other side gives up.
        talk.hear();
    });
    let odd = RawUpstream::start(|mut talk| {
        talk.head();
        talk.say("SSH-2.0-OpenSSH_9.2\r\n");
    });
    for (upstream, status, words) in [
        (&silent, 504, "no answer in time (timeout of upstream.raw"),
        (&odd, 502, "upstream raw: "),
    ] {
        let since = logs::install();
        let bff = TestBff::with(|setup| {
            setup.tables = upstream.route("timeout = \"100ms\"");
        });
        let answer = bff.signed_in().fetch("GET", "/raw");
        assert_eq!(answer.status, status);
        assert_one(since, &answer, &[words]);
    }
}

/// Sends a request, hangs up once the provider has been asked, and gives the line about it. The provider takes longer.
fn line_after_hanging_up(bff: &TestBff, grant: &str, trace: u32, request: &str) -> String {
    let since = logs::install();
    let (trace, calls) = (format!("{trace:032x}"), bff.token_calls(grant));
    let mut stream = TcpStream::connect(bff.addr).unwrap();
    write!(
        stream,
        "{request}host: shop.test\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-00\r\n\r\n"
    )
    .unwrap();
    eventually("the provider is asked", || {
        (bff.token_calls(grant) > calls).then_some(())
    });
    drop(stream);
    let of_it = format!(" trace={trace} ");
    let lines = eventually("a line about it", || {
        let lines = shown_with(since, &of_it);
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

#[test]
fn a_refresh_that_fails_after_all_have_hung_up() {
    let mallory = || IdTokenFault::Claim("sub", json!("mallory"));
    for (fault, trace, result, words) in [
        (
            answering(500),
            0xa001,
            "unavailable",
            &["WARN ", "refresh failed", "500"][..],
        ),
        (
            mallory().into(),
            0xa002,
            "ended",
            &[
                "WARN sealgate::audit ",
                "session ended: the refreshed ID token does not belong to it",
            ],
        ),
    ] {
        let bff = TestBff::spawn();
        let browser = bff.signed_in();
        bff.idp.faults().inject(1, TokenFault::Delay(SECOND));
        bff.idp.faults().inject(Faults::ALWAYS, fault);
        bff.clock.advance(SECOND * 301);
        let cookies = browser.api_cookie_line("/api/echo");
        let request = format!("GET /api/echo HTTP/1.1\r\nx-csrf: 1\r\ncookie: {cookies}\r\n");
        let line = line_after_hanging_up(&bff, "refresh_token", trace, &request);
        for word in words {
            assert!(line.contains(word), "no {word:?} in {line}");
        }
        let metric = format!("sealgate_refresh_total{{result=\"{result}\"}}");
        assert_eq!(bff.metric(&metric), 1, "{metric}");
    }
}

#[test]
fn a_login_that_fails_after_the_browser_has_hung_up() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_by_way_of(&bff, &mut bff.browser(), &mut browser);
    let cookies = browser.cookie_line(&callback, "GET", Initiator::CrossSite, true);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND));
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    let (path, query) = (callback.path(), callback.query().unwrap_or_default());
    let request = format!("GET {path}?{query} HTTP/1.1\r\ncookie: {cookies}\r\n");
    let line = line_after_hanging_up(&bff, "authorization_code", 0xa003, &request);
    for word in ["WARN sealgate::audit ", "code not redeemed: ", "500"] {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
    let labels = "frontend=\"shop\",result=\"failed\",reason=\"provider\"";
    let metric = format!("sealgate_logins_total{{{labels}}}");
    assert_eq!(bff.metric(&metric), 1, "{metric}");
}

#[test]
fn an_exchange_that_fails_after_the_client_has_hung_up() {
    let bff = TestBff::with(with_others);
    let browser = bff.signed_in();
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND));
    bff.idp.faults().inject(Faults::ALWAYS, answering(500));
    let cookies = browser.api_cookie_line("/api/exchanged");
    let request = format!("GET /api/exchanged HTTP/1.1\r\nx-csrf: 1\r\ncookie: {cookies}\r\n");
    let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    let line = line_after_hanging_up(&bff, grant, 0xa004, &request);
    assert!(line.contains("no token in exchange: "), "{line}");
}

#[test]
fn a_filter_that_hides_the_cause_leaves_the_answers_own_line() {
    for (filter, expected) in [
        ("info", " sealgate::proxy::"),
        ("info,sealgate::proxy=error", " sealgate::server::"),
    ] {
        let gone = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\n\
                    [frontend.shop.route.gone]\npath = \"/api/gone\"\nupstream = \"gone\"\n\
                    token = \"none\"\n";
        let site = Site::with(ORIGIN, "", gone);
        let server = site.serve_as(|command| {
            command.env("RUST_LOG", filter);
        });
        let answer = site.browser(&server).fetch("GET", "/api/gone");
        assert_eq!(answer.status, 502, "{filter}");
        let id = answer.header("x-request-id").expect("an id");
        let lines = eventually("a line about it", || {
            let log = server.process.stderr.text();
            let lines = log.lines().filter(|line| line.contains(id));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (!lines.is_empty()).then_some(lines)
        });
        assert_eq!(lines.len(), 1, "{filter} {lines:#?}");
        assert!(lines[0].contains(expected), "{filter} {lines:#?}");
    }
}

/// The lines of a process that warn.
fn warnings(process: &Process) -> Vec<String> {
    let log = process.stderr.text();
    let is_warning = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    // Not what the configuration is warned about.
    let is_of_start = |line: &&str| !line.contains(" sealgate::mode: ");
    let lines = log.lines().filter(is_warning).filter(is_of_start);
    lines.map(str::to_owned).collect()
}

#[test]
fn neighbours_that_are_not_there_at_the_start_have_a_line_each() {
    // Nobody listens on the port for TCP port multiplexing.
    let store = "[coordination]\nurl = { file = \"store.url\" }\non_failure = \"closed\"\n";
    let site = Site::with(ORIGIN, "", store);
    site.place.write("store.url", "redis://127.0.0.1:1/");
    let down = DiscoveryFault::Endpoint(EndpointFault::Down);
    site.idp.faults().inject(Faults::ALWAYS, down);
    // Not `serve`: it is not ready without its store.
    let mut command = site.sealgate(&[]);
    command.env("RUST_LOG", "info");
    let mut process = Process::spawn(command);
    process.wait_for_log("identity provider not reached");
    process.wait_for_log("the store for coordination is not reached");
    process.signal("TERM");
    process.outcome();
    let lines = warnings(&process);
    let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count(site.idp.issuer()), 1, "{lines:#?}");
    assert_eq!(count("store"), 1, "{lines:#?}");
    assert_eq!(count("no session is served"), 1, "{lines:#?}");
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

#[test]
fn a_proof_of_the_id_on_every_answer() {
    // What the tests above look for: a client that is told an id finds its line.
    let since = logs::install();
    let bff = TestBff::with(with_others);
    let request = Request::new("GET", "/api/gone").header("host", "shop.test");
    let answer = request.header("x-csrf", "1").send(bff.addr);
    let instance = answer.json()["instance"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-request-id"), Some(&*instance));
    assert_one(since, &answer, &["upstream gone: "]);
}
