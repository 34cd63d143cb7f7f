//! Claims from the ID token, `UserInfo` and the access token, and read again at each refresh.

use std::time::Duration;

use sealgate::demo::idp::{DiscoveryFault, EndpointFault, Fault, Faults, IdTokenFault};
use serde_json::{Value, json};

use crate::support::upstream::RawUpstream;
use crate::support::{Browser, TestBff};

const SECOND: Duration = Duration::from_secs(1);

fn bff(claims: &str, oidc: &str, tables: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.session = format!("claims = {claims}");
        setup.oidc = oidc.to_owned();
        setup.tables = tables.to_owned();
    })
}

/// ID tokens lack these from now on.
fn thin(bff: &TestBff, names: &[&'static str]) {
    for name in names {
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, IdTokenFault::WithoutClaim(name));
    }
}

fn claims(browser: &mut Browser) -> Value {
    let answer = browser.fetch("GET", "/bff/session");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn claim(browser: &mut Browser, name: &str) -> Value {
    let all = claims(browser);
    let all = all.get("claims").unwrap_or(&all);
    all[name].clone()
}

fn userinfo_calls(bff: &TestBff) -> u32 {
    bff.idp.observed().userinfo
}

const FROM_ACCESS_TOKEN: &str = r#"
[frontend.shop.claim.groups]
from = "access_token"
path = "/roles"
[frontend.shop.claim.first-role]
from = "access_token"
path = "/roles/0"
[frontend.shop.route.buyers]
path = "/api/buyers"
upstream = "api"
require_claims = { groups = ["buyer"] }
[frontend.shop.route.own]
path = "/api/own/{first-role}"
upstream = "api"
"#;

#[test]
fn a_claim_under_a_name_of_ours_comes_from_the_access_token() {
    let bff = bff("[\"sub\", \"groups\"]", "", FROM_ACCESS_TOKEN);
    let mut browser = bff.signed_in();
    assert!(claim(&mut browser, "groups").is_array());
    assert_eq!(
        claim(&mut browser, "first-role"),
        Value::Null,
        "kept for a route, shown to nobody"
    );
    assert_eq!(browser.fetch("GET", "/api/buyers").status, 200);
    assert_eq!(browser.fetch("GET", "/api/own/buyer").status, 200);
    assert_eq!(browser.fetch("GET", "/api/own/other").status, 403);
    assert_eq!(userinfo_calls(&bff), 0);
}

#[test]
fn userinfo_is_asked_at_a_login_whose_id_token_lacks_something() {
    // V11
    let full = bff("[\"sub\", \"sid\", \"email\"]", "", "");
    full.signed_in();
    assert_eq!(userinfo_calls(&full), 0);
    let lacking = bff("[\"sub\", \"sid\", \"email\"]", "", "");
    thin(&lacking, &["email"]);
    let mut browser = lacking.signed_in();
    assert_eq!(claim(&mut browser, "email"), "alice@example.com");
    assert_eq!(userinfo_calls(&lacking), 1);
    lacking.clock.advance(SECOND * 301);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    assert_eq!(userinfo_calls(&lacking), 1, "not at a refresh");
    assert_eq!(
        claim(&mut browser, "email"),
        "alice@example.com",
        "and what was there stays"
    );
    let never = bff("[\"sub\", \"email\"]", "userinfo = \"never\"", "");
    thin(&never, &["email"]);
    let mut browser = never.signed_in();
    assert_eq!(
        (claim(&mut browser, "email"), userinfo_calls(&never)),
        (Value::Null, 0)
    );
    let always = bff("[\"sub\"]", "userinfo = \"always\"", "");
    let mut browser = always.signed_in();
    assert_eq!(userinfo_calls(&always), 1);
    always.clock.advance(SECOND * 301);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    assert_eq!(userinfo_calls(&always), 2);
}

const REQUIRED: &str = r#"
[frontend.shop.route.buyers]
path = "/api/buyers"
upstream = "api"
require_claims = { roles = ["buyer"] }
"#;

#[test]
fn what_userinfo_says_of_another_user_is_not_believed() {
    // V11, OpenID Connect Core 1.0 §5.3.2
    for (subject, is_believed) in [("8f2c1d7e-alice", true), ("mallory", false)] {
        for required in ["", REQUIRED] {
            let userinfo = RawUpstream::start(move |mut talk| {
                while talk.head().is_some() {
                    let claims =
                        json!({"sub": subject, "email": "who@example.com", "roles": ["buyer"]});
                    let claims = claims.to_string();
                    talk.say(&format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{claims}",
                        claims.len()
                    ));
                }
            });
            let bff = bff("[\"sub\", \"email\"]", "", required);
            thin(&bff, &["email", "roles"]);
            let at = json!(format!("http://{}/", userinfo.addr));
            bff.idp.faults().inject(
                Faults::ALWAYS,
                DiscoveryFault::With("userinfo_endpoint", at),
            );
            let mut browser = bff.browser();
            bff.log_in(&mut browser, "/bff/login");
            let is_in = browser.fetch("GET", "/bff/user").status == 200;
            assert_eq!(is_in, is_believed || required.is_empty(), "{subject}");
            if is_in {
                assert_eq!(claim(&mut browser, "sub"), "8f2c1d7e-alice");
                let email = claim(&mut browser, "email");
                assert_eq!(email == "who@example.com", is_believed, "{email}");
            }
        }
    }
}

#[test]
fn userinfo_that_fails_fails_a_login_only_for_want_of_what_a_route_requires() {
    for required in [false, true] {
        let bff = bff(
            "[\"sub\", \"email\"]",
            "",
            if required { REQUIRED } else { "" },
        );
        thin(&bff, &["email", "roles"]);
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, Fault::Userinfo(EndpointFault::Down));
        let mut browser = bff.browser();
        let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
        let is_in = browser.fetch("GET", "/bff/user").status == 200;
        assert_eq!(is_in, !required, "{}", visit.response.text());
        if required {
            assert_eq!(visit.response.status, 503);
        }
    }
}

#[test]
fn a_role_that_was_taken_away_counts_from_the_next_refresh() {
    // V5: from the ID token
    let bff = bff("[\"sub\"]", "", REQUIRED);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/buyers").status, 200);
    bff.idp.faults().inject(
        Faults::ALWAYS,
        IdTokenFault::Claim("roles", json!(["guest"])),
    );
    assert_eq!(
        browser.fetch("GET", "/api/buyers").status,
        200,
        "until then it is what it was"
    );
    bff.clock.advance(SECOND * 301);
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    let refused = browser.fetch("GET", "/api/buyers");
    assert_eq!((refused.status, &*refused.problem()), (403, "forbidden"));
}

#[test]
fn the_request_that_refreshes_is_judged_by_the_claims_that_the_refresh_brings() {
    // Seen at Keycloak: a role that was taken away counted once more.
    let bff = bff("[\"sub\"]", "", REQUIRED);
    let mut browser = bff.signed_in();
    assert_eq!(browser.fetch("GET", "/api/buyers").status, 200);
    let calls = bff.api_calls();
    bff.idp.faults().inject(
        Faults::ALWAYS,
        IdTokenFault::Claim("roles", json!(["guest"])),
    );
    bff.clock.advance(SECOND * 301);
    let refused = browser.fetch("GET", "/api/buyers");
    assert_eq!((refused.status, &*refused.problem()), (403, "forbidden"));
    assert_eq!(bff.api_calls(), calls, "nothing was sent");
    assert_eq!(bff.token_calls("refresh_token"), 1);
    // Granted again: the app may call nothing but this route.
    bff.idp.faults().clear();
    assert_eq!(
        browser.fetch("GET", "/api/buyers").status,
        403,
        "until then"
    );
    bff.clock.advance(SECOND * 301);
    assert_eq!(browser.fetch("GET", "/api/buyers").status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 2);
}

#[test]
fn an_absent_claim_and_a_wrong_one_are_told_apart() {
    // V4
    let tables = "[frontend.shop.route.a]\npath = \"/api/a\"\nupstream = \"api\"\nrequire_claims = { roles = [\"root\"] }\n\
                  [frontend.shop.route.b]\npath = \"/api/b\"\nupstream = \"api\"\nrequire_claims = { department = [\"sales\"] }\n";
    let bff = bff("[\"sub\"]", "", tables);
    let mut browser = bff.signed_in();
    let detail = |browser: &mut Browser, path: &str| {
        browser.fetch("GET", path).json()["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(detail(&mut browser, "/api/a").contains("no value that is allowed"));
    assert!(detail(&mut browser, "/api/b").contains("has no claim \"department\""));
}
