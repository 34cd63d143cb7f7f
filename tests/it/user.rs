//! What a frontend may know: claims and times, never a token.

use sealgate::demo::idp::IdTokenFault;
use serde_json::json;

use crate::login::{arrive, callback_by_way_of};
use crate::support::{Browser, NOON, Request, TestBff};

#[test]
fn the_user_endpoint_answers_as_duende_does() {
    // A23, F8
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let answer = browser.fetch("GET", "/bff/user");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let claims = answer.json();
    let claims = claims.as_array().unwrap();
    let value = |name: &str| {
        claims
            .iter()
            .find(|claim| claim["type"] == name)
            .map(|c| &c["value"])
    };
    assert!(value("sub").is_some() && value("sid").is_some());
    assert_eq!(value("bff:session_expires_in"), Some(&json!(8 * 3600)));
    assert!(
        value("bff:logout_url")
            .unwrap()
            .as_str()
            .unwrap()
            .starts_with("/bff/logout?sid=")
    );
    assert!(
        value("roles").is_none(),
        "only configured claims are kept (F18)"
    );
}

#[test]
fn the_state_of_the_provider_s_session_is_told_as_duende_does() {
    // OpenID Connect Session Management §2: it comes beside the code. No login fails because of it.
    let bff = TestBff::spawn();
    let long = "x".repeat(257);
    for (sent, told) in [
        (&["Xr5.tQ9"][..], Some("Xr5.tQ9")),
        (&[], None),
        (&[""], None),
        (&["a", "b"], None),
        (&[long.as_str()], None),
    ] {
        let mut browser = bff.browser();
        let mut callback = callback_by_way_of(&bff, &mut bff.browser(), &mut browser);
        for state in sent {
            callback
                .query_pairs_mut()
                .append_pair("session_state", state);
        }
        arrive(&mut browser, &callback);
        let answer = browser.fetch("GET", "/bff/user");
        assert_eq!(answer.status, 200, "{sent:?}");
        let claims = answer.json();
        let mut all = claims.as_array().unwrap().iter();
        assert!(all.clone().all(|claim| claim["type"] != "session_state"));
        let known = all.find(|claim| claim["type"] == "bff:session_state");
        assert_eq!(
            known.and_then(|claim| claim["value"].as_str()),
            told,
            "{sent:?}"
        );
    }
}

/// Signs in with a `session_state` that the URL of the callback has.
fn signed_in_with_state(bff: &TestBff, state: &str) -> Browser {
    let mut browser = bff.browser();
    let mut callback = callback_by_way_of(bff, &mut bff.browser(), &mut browser);
    let mut query = callback.query_pairs_mut();
    query.append_pair("session_state", state);
    drop(query);
    arrive(&mut browser, &callback);
    browser
}

#[test]
fn no_policy_believes_the_session_state_of_a_url() {
    // Anybody can write it there. The claim of that name is what the ID token says.
    let bff = TestBff::with(|setup| {
        setup.tables = "[frontend.shop.route.a]\npath = \"/api/a\"\nupstream = \"api\"\n\
                        require_claims = { session_state = [\"wanted\"] }\n"
            .to_owned();
    });
    let mut browser = signed_in_with_state(&bff, "wanted");
    assert_eq!(browser.fetch("GET", "/api/a").problem(), "forbidden");
}

#[test]
fn no_login_fails_because_the_session_state_does_not_fit() {
    let bff = TestBff::spawn();
    let login = |padding: usize, state: &str| {
        bff.idp.faults().pad_tokens(padding);
        let mut browser = signed_in_with_state(&bff, state);
        let user = browser.fetch("GET", "/bff/user");
        (user.status, user.text().contains("bff:session_state"))
    };
    // Nothing packs it.
    let state: String = (0..256_u32)
        .map(|at| char::from(b'!' + u8::try_from((at * at * 31 + at * 17 + at / 7) % 90).unwrap()))
        .collect();
    assert_eq!(login(0, &state), (200, true));
    let most = (0..8192)
        .rev()
        .step_by(64)
        .find(|padding| login(*padding, "").0 == 200);
    assert_eq!(login(most.unwrap(), &state), (200, false));
}

#[test]
fn a_claim_with_several_values_is_several_claims() {
    let bff = TestBff::with(|setup| setup.session = "claims = [\"sub\", \"roles\"]".to_owned());
    let mut browser = bff.signed_in();
    let claims = browser.fetch("GET", "/bff/user").json();
    let roles: Vec<_> = claims
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["type"] == "roles")
        .collect();
    assert!(
        !roles.is_empty() && roles.iter().all(|role| role["value"].is_string()),
        "{claims}"
    );
}

#[test]
fn claims_are_texts_at_user_and_keep_their_types_at_session() {
    // B10, Duende foss PR 62
    let claims = json!({
        "org": {"place": "Ulm", "lines": [1, 2]},
        "level": 7,
        "email_verified": true,
        "groups": ["staff", 2, {"x": null}],
        "nothing": null,
    });
    let names = ["org", "level", "email_verified", "groups", "nothing"];
    let bff = TestBff::with(|setup| setup.session = format!("claims = {names:?}"));
    for name in names {
        let fault = IdTokenFault::Claim(name, claims[name].clone());
        bff.idp.faults().inject(1, fault);
    }
    let mut browser = bff.signed_in();
    let user = browser.fetch("GET", "/bff/user").json();
    let values = |name: &str| -> Vec<serde_json::Value> {
        let claims = user.as_array().unwrap().iter();
        claims
            .filter(|claim| claim["type"] == name)
            .map(|claim| claim["value"].clone())
            .collect()
    };
    assert_eq!(values("org"), [r#"{"lines":[1,2],"place":"Ulm"}"#]);
    assert_eq!(values("level"), ["7"]);
    assert_eq!(values("email_verified"), ["true"]);
    assert_eq!(values("groups"), ["staff", "2", r#"{"x":null}"#]);
    assert_eq!(values("nothing"), [""]);
    assert_eq!(
        values("bff:session_expires_in"),
        [8 * 3600],
        "a number there too"
    );
    let session = browser.fetch("GET", "/bff/session").json();
    for (name, value) in claims.as_object().unwrap() {
        assert_eq!(&session["claims"][name], value);
    }
}

#[test]
fn nobody_is_401_at_user_and_inactive_at_session() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let user = browser.fetch("GET", "/bff/user");
    assert_eq!(
        (user.status, user.problem().as_str()),
        (401, "login-required")
    );
    assert_eq!(user.json()["login_url"], "/bff/login");
    let session = browser.fetch("GET", "/bff/session");
    assert_eq!(
        (session.status, session.json()),
        (200, json!({"active": false}))
    );
}

#[test]
fn the_session_endpoint_gives_times_in_unix_seconds() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(std::time::Duration::from_secs(100));
    let answer = browser.fetch("GET", "/bff/session");
    assert!(answer.headers("set-cookie").is_empty(), "it never slides");
    let session = answer.json();
    assert_eq!(session["active"], true);
    assert_eq!(session["server_now"], NOON + 100);
    assert_eq!(session["session_ends_at"], NOON + 8 * 3600);
    assert_eq!(session["idle_ends_at"], NOON + 1800);
    assert_eq!(session["access_token_expires_at"], NOON + 300);
    assert_eq!(session["refresh_possible"], true);
    assert!(session["claims"]["sub"].is_string());
}

#[test]
fn endpoints_refuse_other_methods_and_unknown_names() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for (method, path, code) in [
        ("DELETE", "/bff/user", "method-not-allowed"),
        ("POST", "/bff/session", "method-not-allowed"),
        ("PUT", "/bff/logout", "method-not-allowed"),
        ("GET", "/bff/nothing", "not-found"),
        ("GET", "/bff", "not-found"),
        ("GET", "/bff/user/x", "not-found"),
        ("POST", "/bff/backchannel", "not-found"),
    ] {
        let answer = browser.send(Request::new(method, path).header("x-csrf", "1"));
        assert_eq!(answer.problem(), code, "{method} {path}");
        if code == "method-not-allowed" {
            assert!(answer.header("allow").is_some());
        }
    }
}
