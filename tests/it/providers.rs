//! Identity providers as they are: what they leave out, write in their own way, or refuse.

use std::time::Duration;

use sealgate::demo::idp::{
    AuthorizationFault, DiscoveryFault, Fault, Faults, IdTokenFault, Secret, TokenFault,
};
use serde_json::json;

use crate::support::{Browser, Initiator, NOON, Response, TestBff, logs};

const SECOND: Duration = Duration::from_secs(1);

fn call(browser: &mut Browser) -> Response {
    browser.fetch("GET", "/api/echo/x")
}

/// The lines since then that hold this text.
fn lines(since: logs::Mark, text: &str) -> Vec<String> {
    logs::search(since, |lines| {
        let lines = lines.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    })
}

#[test]
fn token_answers_are_read_as_small_providers_write_them() {
    // P05b: at the login and at a refresh
    let answers: [&[Fault]; 5] = [
        &[TokenFault::With("scope", json!(["openid", "profile", "orders"])).into()],
        &[TokenFault::Without("token_type").into()],
        &[TokenFault::ByteOrderMark.into()],
        &[TokenFault::Status(201).into()],
        &[
            TokenFault::With("refresh_token_expires_in", json!("never")).into(),
            TokenFault::With("created_at", json!({"x": []})).into(),
        ],
    ];
    for faults in answers {
        let bff = TestBff::with(|setup| {
            setup.oidc = "scopes = [\"openid\", \"profile\", \"orders\"]".to_owned();
            setup.tables = "[frontend.shop.route.orders]\npath = \"/api/orders\"\n\
                            upstream = \"api\"\nrequire_scopes = [\"orders\"]"
                .to_owned();
        });
        for fault in faults {
            bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        }
        let mut browser = bff.signed_in();
        for refreshes in 0..3 {
            let answer = browser.fetch("GET", "/api/orders");
            assert_eq!(answer.status, 200, "{faults:?}: {}", answer.text());
            assert_eq!(bff.token_calls("refresh_token"), refreshes, "{faults:?}");
            bff.clock.advance(SECOND * 301);
        }
    }
}

#[test]
fn claims_that_nobody_asked_for_may_have_any_form() {
    // P03, casdoor#1184, openidconnect-rs#110: at the login, and in a refreshed ID token
    let begun = logs::install();
    for (name, value) in [
        ("address", json!("1 Main St")),
        ("amr", json!("pwd")),
        ("email_verified", json!("perhaps")),
        ("updated_at", json!({"at": 1})),
        ("locale", json!(["de", 7])),
        ("phone_number", json!(49)),
        ("acr", json!(2)),
        ("sid", json!(5)),
        ("session_expiry", json!("tomorrow")),
    ] {
        let bff = TestBff::spawn();
        let claim = IdTokenFault::Claim(name, value.clone());
        bff.idp.faults().inject(Faults::ALWAYS, claim);
        let mut browser = bff.signed_in();
        bff.clock.advance(SECOND * 301);
        assert_eq!(call(&mut browser).status, 200, "{name}");
        assert_eq!(bff.token_calls("refresh_token"), 1, "{name}");
        // What a session could have used is named, with the provider.
        let issuer = bff.idp.issuer();
        let said = lines(
            begun,
            &format!("{issuer:?}: ID token: {name} is not understood"),
        );
        let is_used = matches!(name, "sid" | "session_expiry");
        assert_eq!(said.len(), if is_used { 2 } else { 0 }, "{name}: {said:?}");
    }
}

#[test]
fn a_login_names_the_claim_that_was_not_understood() {
    // P03
    for (name, value, said) in [
        (
            "exp",
            json!("2099-01-01T00:00:00Z"),
            "exp is not understood",
        ),
        ("sub", json!(4711), "sub is not understood"),
        ("at_hash", json!({}), "at_hash is not understood"),
    ] {
        let begun = logs::install();
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, IdTokenFault::Claim(name, value));
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert_eq!(visit.response.status, 400, "{name}");
        assert!(!lines(begun, said).is_empty(), "{said}");
    }
}

#[test]
fn metadata_is_judged_by_what_is_used_alone() {
    // P31, react-native-app-auth#880
    for fault in [
        DiscoveryFault::Without("response_types_supported"),
        DiscoveryFault::Without("subject_types_supported"),
        DiscoveryFault::Without("id_token_signing_alg_values_supported"),
        DiscoveryFault::With("end_session_endpoint", json!("")),
        DiscoveryFault::With("revocation_endpoint", json!("")),
        DiscoveryFault::With("registration_endpoint", json!("")),
        DiscoveryFault::With("userinfo_endpoint", json!(7)),
        DiscoveryFault::With("scopes_supported", json!("openid profile")),
    ] {
        let bff = TestBff::with(|setup| setup.provider_is_down = true);
        bff.idp.faults().clear();
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        bff.clock.advance(SECOND * 60);
        bff.signed_in();
    }
    let begun = logs::install();
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    bff.idp.faults().clear();
    let odd = DiscoveryFault::With("token_endpoint", json!(["x"]));
    bff.idp.faults().inject(1, odd);
    bff.clock.advance(SECOND * 60);
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 503);
    let said = lines(begun, "discovery: token_endpoint is not understood");
    assert!(said[0].contains(bff.idp.issuer()), "{said:?}");
}

#[test]
fn a_provider_that_asks_for_what_is_not_made_here_is_named_before_a_login_fails() {
    // V6
    let begun = logs::install();
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    bff.idp.faults().clear();
    let requires = DiscoveryFault::With("require_pushed_authorization_requests", json!(true));
    bff.idp.faults().inject(Faults::ALWAYS, requires);
    bff.clock.advance(SECOND * 60);
    bff.signed_in();
    let said = lines(begun, "requires pushed authorization requests");
    let is_ours = |line: &&String| line.contains(bff.idp.issuer()) && line.starts_with("WARN ");
    assert_eq!(said.iter().filter(is_ours).count(), 1, "{said:?}");
}

#[test]
fn the_log_says_with_which_code_the_authorization_endpoint_refused() {
    // N2, V6. Codes that no other test uses.
    let begun = logs::install();
    for (code, words, said, level) in [
        (
            "registration_not_supported",
            "green giraffes\nFORGED",
            "registration_not_supported",
            "WARN ",
        ),
        (
            "unmet_authentication_requirements",
            "",
            "unmet_authentication_requirements",
            "WARN ",
        ),
        (
            "made_up_by_parrots",
            "grey geese",
            "provider_error=other",
            "WARN ",
        ),
    ] {
        let bff = TestBff::spawn();
        let faults = bff.idp.faults();
        faults.inject(1, AuthorizationFault::Error(code));
        let words = words.to_owned();
        faults.inject(1, AuthorizationFault::With("error_description", words));
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert_eq!(visit.response.status, 400, "{code}");
        assert!(!visit.response.text().contains("giraffes"));
        let lines = lines(begun, said);
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.starts_with(level)),
            "{lines:?}"
        );
        assert!(lines.len() == 1 || said.contains("other"), "{lines:?}");
    }
    assert_eq!(lines(begun, "made_up_by_parrots"), [""; 0]);
    let described = lines(begun, "green giraffes");
    assert_eq!(described.len(), 1, "{described:?}");
    assert!(described[0].starts_with("DEBUG "), "{described:?}");
    assert!(
        described[0].contains("green giraffes\\nFORGED"),
        "{described:?}"
    );
}

#[test]
fn an_answer_that_cannot_be_used_is_refused_and_its_refresh_token_never_sent_again() {
    // P05b: what a provider says once it says every time
    let begun = logs::install();
    for fault in [
        TokenFault::With("access_token", json!(7)),
        TokenFault::Without("access_token"),
        TokenFault::With("token_type", json!("DPoP")),
        TokenFault::With("id_token", json!(["x"])),
        TokenFault::Answer {
            status: 200,
            body: "access_token=x&token_type=bearer".to_owned(),
        },
    ] {
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        bff.clock.advance(SECOND * 301);
        for _ in 0..3 {
            assert_eq!(call(&mut browser).status, 401, "{fault:?}");
        }
        assert_eq!(call(&mut browser).problem(), "login-required", "{fault:?}");
        assert_eq!(bff.token_calls("refresh_token"), 1, "{fault:?}");
    }
    let named = lines(begun, "token response: access_token is not understood");
    assert!(named.len() >= 2, "{named:?}");
}

#[test]
fn a_login_names_the_member_of_the_token_answer_that_was_not_understood() {
    // P03, P05b
    let begun = logs::install();
    for (name, value) in [("token_type", json!([1])), ("access_token", json!({}))] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, TokenFault::With(name, value));
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert_eq!(visit.response.status, 400, "{name}");
        let named = lines(begun, &format!("token response: {name} is not understood"));
        assert!(!named.is_empty(), "{name}");
    }
}

#[test]
fn the_configuration_says_how_long_a_token_lives_where_the_provider_does_not() {
    // P04, envoy#14542
    let unsaid = [
        TokenFault::Without("expires_in"),
        TokenFault::With("expires_in", json!(null)),
        TokenFault::With("expires_in", json!("soon")),
    ];
    for fault in unsaid {
        for (oidc, secs) in [("", 300), ("expires_in = \"2m\"", 120)] {
            let bff = TestBff::with(|setup| setup.oidc = oidc.to_owned());
            bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
            let mut browser = bff.signed_in();
            let session = browser.fetch("GET", "/bff/session").json();
            assert_eq!(session["access_token_expires_at"], NOON + secs, "{fault:?}");
            bff.clock.advance(SECOND * u32::try_from(secs).unwrap());
            assert_eq!(call(&mut browser).status, 200);
            assert_eq!(bff.token_calls("refresh_token"), 1);
        }
    }
}

#[test]
fn a_token_that_is_said_to_live_no_time_is_not_replaced_by_every_request() {
    // Q
    for lifetime in [json!(0), json!(-1), json!("-3600")] {
        let bff = TestBff::spawn();
        let at_once = TokenFault::With("expires_in", lifetime.clone());
        bff.idp.faults().inject(Faults::ALWAYS, at_once);
        let mut browser = bff.signed_in();
        for _ in 0..20 {
            assert_eq!(call(&mut browser).status, 200, "{lifetime}");
        }
        assert_eq!(bff.token_calls("refresh_token"), 0, "{lifetime}");
        let session = browser.fetch("GET", "/bff/session").json();
        assert_eq!(session["access_token_expires_at"], NOON + 5);
        bff.clock.advance(SECOND * 5);
        for _ in 0..20 {
            assert_eq!(call(&mut browser).status, 200, "{lifetime}");
        }
        assert_eq!(bff.token_calls("refresh_token"), 1, "{lifetime}");
    }
}

#[test]
fn the_log_says_with_which_code_the_token_endpoint_refused() {
    // N2, V6. The code is one that no other test uses.
    let begun = logs::install();
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let refuse = |code: &str, words: &str| {
        let body = json!({"error": code, "error_description": words}).to_string();
        let refusal = TokenFault::Answer { status: 400, body };
        bff.idp.faults().inject(1, refusal);
    };
    let refresh_token = bff.idp.minted_of(Secret::RefreshToken).pop().unwrap();
    let words = format!("purple elephants\r\nFORGED about {refresh_token}");
    refuse("request_uri_not_supported", &words);
    bff.clock.advance(SECOND * 280);
    call(&mut browser);
    let said = lines(begun, "request_uri_not_supported");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("WARN "), "{said:?}");
    let described = lines(begun, "purple elephants");
    assert_eq!(described.len(), 1, "{described:?}");
    assert!(described[0].starts_with("DEBUG "), "{described:?}");
    assert!(
        described[0].contains("\\r\\nFORGED about … "),
        "{described:?}"
    );

    let mut browser = bff.browser();
    refuse("made_up_by_canaries", "");
    let visit = bff.log_in(&mut browser, "/bff/login");
    assert_eq!(visit.response.status, 400);
    assert_eq!(lines(begun, "made_up_by_canaries"), [""; 0]);
    assert!(!lines(begun, "refused: other").is_empty());
}

#[test]
fn the_configuration_says_how_long_a_login_may_take() {
    // P04
    for (oidc, secs, is_taken) in [
        ("", 600, true),
        ("", 601, false),
        ("login_timeout = \"1h\"", 3_500, true),
        ("login_timeout = \"30s\"", 31, false),
    ] {
        let bff = TestBff::with(|setup| setup.oidc = oidc.to_owned());
        let mut browser = bff.signed_in();
        let begun = browser.navigate("/bff/login?prompt=login", Initiator::SameOrigin);
        let login = browser
            .jar
            .iter()
            .find(|cookie| cookie.name.contains("-login."));
        assert!(login.is_some());
        bff.clock.advance(SECOND * secs);
        bff.fill_in(&mut browser, &begun, "bob", "builder");
        let user = browser.fetch("GET", "/bff/user").text();
        assert_eq!(user.contains("bob"), is_taken, "{oidc} {secs}: {user}");
    }
}

#[test]
fn a_claim_that_routes_require_and_no_login_brings_is_named_once_an_hour() {
    // P16, mod_auth_openidc#392
    let begun = logs::install();
    let route = |name: &str, more: &str| {
        format!("[frontend.shop.route.{name}]\nupstream = \"api\"\n{more}\n")
    };
    let bff = TestBff::with(|setup| {
        let tables = [
            route(
                "a",
                "path = \"/api/a\"\nrequire_claims = { purple_dept = [\"x\"], email = [\"y\"] }",
            ),
            route("b", "path = \"/api/b/{orange_team}/{sub}\""),
        ];
        setup.tables = tables.concat();
    });
    let said = || lines(begun, "purple_dept");
    let mut browser = bff.signed_in();
    let line = said().pop().unwrap();
    assert!(
        line.starts_with("WARN ") && line.contains("frontend=shop"),
        "{line}"
    );
    assert!(line.contains("claim orange_team, purple_dept,"), "{line}");
    assert_eq!(browser.fetch("GET", "/api/a").status, 403);
    drop(bff.signed_in());
    assert_eq!(said().len(), 1);
    bff.clock.advance(SECOND * 3_601);
    drop(bff.signed_in());
    assert_eq!(said().len(), 2);
    bff.clock.advance(SECOND * 3_601);
    for name in ["purple_dept", "orange_team"] {
        let claim = IdTokenFault::Claim(name, json!(["x"]));
        bff.idp.faults().inject(Faults::ALWAYS, claim);
    }
    drop(bff.signed_in());
    assert_eq!(said().len(), 2, "it is there");
}
