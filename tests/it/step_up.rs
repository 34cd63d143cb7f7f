//! An API asks for a stronger or fresher login (RFC 9470), and the frontend learns where to get one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealgate::demo::idp::{Faults, IdTokenFault};

use crate::support::upstream::RawUpstream;
use crate::support::{Initiator, NOON, TestBff};

const STEP_UP: &str = "urn:demo:step-up";

/// An API whose every answer is a 401 with this challenge, or 200 where there is none.
struct Demanding {
    upstream: RawUpstream,
    challenge: Arc<Mutex<Option<String>>>,
}

fn demanding() -> Demanding {
    let challenge = Arc::new(Mutex::new(None::<String>));
    let shared = Arc::clone(&challenge);
    let upstream = RawUpstream::start(move |mut talk| {
        while talk.head().is_some() {
            let challenge = shared.lock().unwrap().clone();
            talk.say(&match challenge {
                None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
                Some(challenge) => format!(
                    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
                ),
            });
        }
    });
    Demanding {
        upstream,
        challenge,
    }
}

impl Demanding {
    fn bff(&self) -> TestBff {
        TestBff::with(|setup| setup.tables = self.upstream.route(""))
    }

    fn demand(&self, params: &str) {
        *self.challenge.lock().unwrap() = Some(format!(
            "Bearer realm=\"api\", error=\"insufficient_user_authentication\"{params}"
        ));
    }

    fn relent(&self) {
        *self.challenge.lock().unwrap() = None;
    }
}

#[test]
fn a_challenge_becomes_a_problem_with_a_login_that_answers_it() {
    // B56
    let api = demanding();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.demand(&format!(
        ", acr_values=\"{STEP_UP} urn:x:+?&=%\", max_age=\"600\""
    ));
    for method in ["GET", "POST"] {
        let answer = browser.fetch(method, "/raw");
        assert_eq!(
            (answer.status, &*answer.problem()),
            (401, "step-up-required")
        );
        assert_eq!(
            answer.json()["login_url"],
            "/bff/login?acr_values=urn%3Ademo%3Astep-up%20urn%3Ax%3A%2B%3F%26%3D%25&max_age=600"
        );
        assert_eq!(answer.header("www-authenticate"), None, "B57");
    }
    assert_eq!(bff.token_calls("refresh_token"), 0, "a refresh cannot help");

    let login_url = browser.fetch("GET", "/raw").json()["login_url"].clone();
    let login_url = format!("{}&returnUrl=/after", login_url.as_str().unwrap());
    let page = browser.navigate(&login_url, Initiator::SameOrigin);
    let asked: std::collections::HashMap<_, _> = page.chain[1].0.query_pairs().collect();
    assert_eq!(asked["acr_values"], format!("{STEP_UP} urn:x:+?&=%"));
    assert_eq!(asked["max_age"], "600");
    let visit = bff.fill_in(&mut browser, &page, "alice", "wonderland");
    assert_eq!(visit.url.path(), "/after");
    api.relent();
    assert_eq!(browser.fetch("GET", "/raw").status, 200);
}

#[test]
fn what_one_more_login_cannot_change_is_no_reason_for_one() {
    // B56: the loop guard
    let api = demanding();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.demand(&format!(", acr_values=\"{STEP_UP}\""));
    let login_url = browser.fetch("GET", "/raw").json()["login_url"].clone();
    let page = browser.navigate(login_url.as_str().unwrap(), Initiator::SameOrigin);
    bff.fill_in(&mut browser, &page, "alice", "wonderland");
    let answer = browser.fetch("GET", "/raw");
    assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
    let shown = browser.fetch("GET", "/bff/session").text();
    assert!(!shown.contains(STEP_UP), "acr is not listed in claims");
    // Another class is another wish.
    api.demand(", acr_values=\"urn:x:more\"");
    assert_eq!(browser.fetch("GET", "/raw").problem(), "step-up-required");
}

#[test]
fn a_login_that_is_just_over_is_as_fresh_as_they_come() {
    let api = demanding();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.demand(", max_age=300");
    let answer = browser.fetch("GET", "/raw");
    assert_eq!(answer.problem(), "forbidden");
    bff.clock.advance(Duration::from_secs(61));
    let answer = browser.fetch("GET", "/raw");
    assert_eq!(answer.problem(), "step-up-required");
    assert_eq!(answer.json()["login_url"], "/bff/login?max_age=300");
}

#[test]
fn a_provider_that_cannot_satisfy_fails_the_login_and_ends_it_there() {
    // B56, B27
    let api = demanding();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.demand(", acr_values=\"urn:x:unheard-of\"");
    let login_url = browser.fetch("GET", "/raw").json()["login_url"].clone();
    let visit = bff.log_in(&mut browser, login_url.as_str().unwrap());
    assert_eq!(visit.url.path(), "/bff/callback");
    assert!(visit.response.text().contains("login-failed"));
    assert_eq!(
        browser.fetch("GET", "/api/echo").status,
        200,
        "the session there was is untouched"
    );
}

#[test]
fn a_time_with_a_fraction_is_no_reason_for_one_login_after_the_other() {
    // F1: `auth_time` with a fraction is legal (RFC 7519 §2)
    let api = demanding();
    let bff = api.bff();
    #[expect(clippy::cast_precision_loss, reason = "seconds are exact in an f64")]
    let fraction = NOON as f64 + 0.25;
    let auth_time = IdTokenFault::Claim("auth_time", serde_json::json!(fraction));
    bff.idp.faults().inject(Faults::ALWAYS, auth_time);
    let mut browser = bff.signed_in();
    api.demand(", max_age=300");
    let answer = browser.fetch("GET", "/raw");
    assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
    let visit = bff.log_in(&mut browser, "/bff/login?max_age=300&returnUrl=/after");
    assert_eq!(visit.url.path(), "/after");
    assert_eq!(browser.fetch("GET", "/raw").problem(), "forbidden");
    // And the refreshed ID token is about the same login.
    api.relent();
    bff.clock.advance(Duration::from_secs(301));
    assert_eq!(browser.fetch("GET", "/raw").status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn a_challenge_that_cannot_be_passed_on_is_an_ordinary_401() {
    let api = demanding();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    for params in [", max_age=-1", ", max_age=99999999999", ", acr_values=\"\""] {
        api.demand(params);
        let answer = browser.fetch("GET", "/raw");
        assert_eq!((answer.status, &*answer.text()), (401, ""), "{params}");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert_eq!(bff.token_calls("refresh_token"), 0);
    api.demand("");
    assert_eq!(
        browser.fetch("GET", "/raw").problem(),
        "forbidden",
        "B56: a login that has just been is all there is to be had"
    );
    bff.clock.advance(Duration::from_secs(61));
    let answer = browser.fetch("GET", "/raw");
    assert_eq!(answer.json()["login_url"], "/bff/login?prompt=login");
}
