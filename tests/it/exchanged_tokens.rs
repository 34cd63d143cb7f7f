//! How long a token that came in exchange is kept, for whom, and what ends it.
//!
//! `SEALGATE_SESSIONS=1000 cargo test --release --test it exchanged_tokens` runs the full size.

use std::time::Duration;

use sealgate::demo::idp::{Fault, TokenFault};
use sealgate::ledger::Revocation;
use serde_json::json;

use crate::crowd;
use crate::support::json_api::{Canned, JsonApi};
use crate::support::process::eventually;
use crate::support::{Browser, Initiator, TestBff};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const ALICE: &str = "8f2c1d7e-alice";

/// sealgate with a route `home` whose parts have these names and further lines, each at the path of its name.
fn home(route: &str, parts: &[(&str, &str)]) -> (TestBff, JsonApi) {
    let api = JsonApi::start();
    let part = |(name, lines): &(&str, &str)| {
        api.at(&format!("/{name}"), Canned::ok("1"));
        format!(
            "[frontend.shop.route.home.part.{name}]\nupstream = \"json\"\npath = \"/{name}\"\n{lines}\n"
        )
    };
    let parts: String = parts.iter().map(part).collect();
    let bff = TestBff::with(|setup| {
        setup.tables = format!(
            "{}\n[frontend.shop.route.home]\npath = \"/api/home\"\n{route}\n{parts}",
            api.table("json", "")
        );
    });
    (bff, api)
}

fn exchange(audience: &str) -> String {
    format!("exchange = {{ audience = \"https://{audience}.internal\" }}")
}

#[test]
fn an_exchange_that_outlasts_the_deadline_serves_the_next_request() {
    let (bff, _api) = home("deadline = \"100ms\"", &[("orders", &exchange("orders"))]);
    let mut browser = bff.signed_in();
    let slow = TokenFault::Delay(Duration::from_millis(900));
    bff.idp.faults().inject(1, Fault::Token(slow));
    let late = browser.fetch("GET", "/api/home");
    assert_eq!((late.status, &*late.problem()), (504, "part-failed"));
    eventually("the answer", || {
        (browser.fetch("GET", "/api/home").status == 200).then_some(())
    });
    assert_eq!(bff.token_calls(EXCHANGE), 1);
    assert_eq!(bff.exchanged_tokens(), 1);
}

#[test]
fn a_part_whose_api_refuses_every_token_costs_the_others_no_renewal() {
    let (bff, api) = home("", &[("bad", "optional = true"), ("good", "")]);
    api.at("/bad", Canned::status(401, "{}"));
    let mut browser = bff.signed_in();
    let partial = json!({
        "bad": null, "good": 1,
        "_errors": {"bad": {"status": 401, "code": "upstream-status"}},
    });
    assert_eq!(browser.fetch("GET", "/api/home").json(), partial);
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(browser.fetch("GET", "/api/home").json(), partial);
    assert_eq!(bff.token_calls("refresh_token"), 1, "it was in vain");
    api.at("/good", Canned::status(401, "1").times(1));
    assert_eq!(browser.fetch("GET", "/api/home").json(), partial);
    assert_eq!(bff.token_calls("refresh_token"), 2, "this one helps");
}

#[test]
fn an_exchange_in_vain_for_one_part_is_not_one_for_the_others() {
    let bad = format!("optional = true\n{}", exchange("bad"));
    let (bff, api) = home("", &[("bad", &bad), ("good", &exchange("good"))]);
    api.at("/bad", Canned::status(401, "{}"));
    let mut browser = bff.signed_in();
    for calls in [3, 3] {
        assert_eq!(browser.fetch("GET", "/api/home").json()["good"], 1);
        assert_eq!(bff.token_calls(EXCHANGE), calls);
    }
    api.at("/good", Canned::status(401, "1").times(1));
    assert_eq!(browser.fetch("GET", "/api/home").json()["good"], 1);
    assert_eq!(bff.token_calls(EXCHANGE), 4);
    assert_eq!(bff.token_calls("refresh_token"), 0);
}

fn bob(bff: &TestBff) -> Browser {
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login", Initiator::SameOrigin);
    bff.fill_in(&mut browser, &page, "bob", "builder");
    browser
}

#[test]
fn tokens_of_sessions_that_were_ended_elsewhere_leave_the_memory() {
    let (bff, _api) = home("", &[("a", &exchange("a")), ("b", &exchange("b"))]);
    let (mut alice, mut again, mut bob) = (bff.signed_in(), bff.signed_in(), bob(&bff));
    for browser in [&mut alice, &mut again, &mut bob] {
        assert_eq!(browser.fetch("GET", "/api/home").status, 200);
    }
    assert_eq!(bff.exchanged_tokens(), 6);
    assert!(again.fetch("POST", "/bff/logout").status < 400);
    assert_eq!(bff.exchanged_tokens(), 4, "at once where it is known");
    bff.revoke(&Revocation::Subject {
        issuer: bff.idp.issuer().to_owned(),
        subject: ALICE.to_owned(),
        not_before: bff.clock.now().plus(Duration::from_secs(1)),
    });
    eventually("alice's tokens to go", || {
        (bff.exchanged_tokens() == 2).then_some(())
    });
    assert_eq!(alice.fetch("GET", "/api/home").status, 401);
    assert_eq!(bob.fetch("GET", "/api/home").status, 200);
    assert_eq!(bff.token_calls(EXCHANGE), 6, "bob's are kept");
}

#[test]
fn many_sessions_and_apis_cost_one_exchange_a_pair_until_it_ends() {
    let sessions = crowd::sessions(40);
    let audiences = ["a", "b", "c", "d"].map(|name| (name, exchange(name)));
    let parts: Vec<_> = audiences
        .iter()
        .map(|(name, line)| (*name, line.as_str()))
        .collect();
    let (bff, _api) = home("", &parts);
    let mut browsers: Vec<_> = (0..sessions).map(|_| bff.signed_in()).collect();
    let round = |browsers: &mut Vec<Browser>| {
        for browser in browsers {
            let answer = browser.fetch("GET", "/api/home");
            assert_eq!(answer.json(), json!({"a": 1, "b": 1, "c": 1, "d": 1}));
        }
        bff.token_calls(EXCHANGE) as usize
    };
    for _ in 0..3 {
        assert_eq!(round(&mut browsers), sessions * 4);
    }
    assert_eq!(bff.exchanged_tokens(), sessions * 4);
    // The user's own token is due for a refresh. What came in exchange for it goes with it.
    bff.clock.advance(Duration::from_secs(280));
    for _ in 0..2 {
        assert_eq!(round(&mut browsers), sessions * 8);
    }
    assert_eq!(bff.exchanged_tokens(), sessions * 4);
}
