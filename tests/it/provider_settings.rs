//! Providers that are not as their metadata says, or not as the specifications have it: `[frontend.<name>.oidc]`.

use sealgate::demo::idp::{DiscoveryFault, Fault, Faults, IdTokenFault};
use serde_json::json;
use url::Url;

use crate::support::{Browser, Initiator, Request, TestBff, logs};

fn bff(oidc: &str) -> TestBff {
    TestBff::with(|setup| setup.oidc = oidc.to_owned())
}

/// Where a navigation to an address of ours is sent.
fn location(browser: &mut Browser, path: &str) -> Url {
    let request = Request::new("GET", path)
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    let answer = browser.send(request);
    let location = answer
        .header("location")
        .unwrap_or_else(|| panic!("{}", answer.text()));
    Url::parse(location).expect("a whole URL")
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(known, _)| known == name);
    let first = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} is there twice in {url}");
    first
}

fn sign_in(bff: &TestBff) -> u16 {
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(
        visit.url.path() == "/welcome",
        browser.fetch("GET", "/bff/user").status == 200
    );
    visit.response.status
}

#[test]
fn further_audiences_are_good_only_if_they_are_trusted() {
    // ZITADEL puts its project and further clients into aud.
    let several = json!(["shop", "259@project"]);
    let with_azp = |bff: &TestBff| {
        for (name, value) in [("aud", several.clone()), ("azp", json!("shop"))] {
            bff.idp
                .faults()
                .inject(Faults::ALWAYS, IdTokenFault::Claim(name, value));
        }
    };
    let strict = bff("");
    with_azp(&strict);
    assert_eq!(sign_in(&strict), 400);
    let trusting = bff("trusted_audiences = [\"259@project\", \"other\"]");
    with_azp(&trusting);
    let mut browser = trusting.signed_in();
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    for (aud, azp) in [
        (json!(["shop", "259@project"]), None),
        (json!(["shop", "259@project"]), Some("259@project")),
        (json!(["259@project"]), Some("shop")),
        (json!("259@project"), Some("shop")),
        (json!(["shop", "stranger"]), Some("shop")),
    ] {
        let bff = bff("trusted_audiences = [\"259@project\"]");
        bff.idp
            .faults()
            .inject(Faults::ALWAYS, IdTokenFault::Claim("aud", aud.clone()));
        if let Some(azp) = azp {
            bff.idp
                .faults()
                .inject(Faults::ALWAYS, IdTokenFault::Claim("azp", json!(azp)));
        }
        assert_eq!(sign_in(&bff), 400, "{aud} {azp:?}");
    }
}

#[test]
fn metadata_may_be_asked_for_elsewhere_and_its_issuer_is_still_compared() {
    let elsewhere = "discovery_url = \"http://localhost:{port}/.well-known/openid-configuration\"";
    let good = bff(elsewhere);
    let mut browser = good.signed_in();
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    let wrong = TestBff::with(|setup| setup.oidc = elsewhere.to_owned());
    wrong.idp.faults().inject(
        Faults::ALWAYS,
        Fault::Discovery(DiscoveryFault::IssuerSlash),
    );
    let answer = wrong
        .browser()
        .navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(answer.response.status, 503, "{}", answer.response.text());
}

#[test]
fn single_endpoints_count_in_place_of_the_metadata() {
    let bff = bff(
        "endpoints = { authorization = \"http://localhost:{port}/elsewhere\", token = \"{issuer}/token\", end_session = \"http://localhost:{port}/bye\" }",
    );
    bff.idp.faults().inject(
        Faults::ALWAYS,
        DiscoveryFault::With("token_endpoint", json!("http://127.0.0.1:1/token")),
    );
    let mut browser = bff.browser();
    let login = location(&mut browser, "/bff/login");
    assert_eq!(
        (login.host_str(), login.path()),
        (Some("localhost"), "/elsewhere")
    );
    assert!(parameter(&login, "code_challenge").is_some());
}

#[test]
fn named_login_parameters_are_passed_on_and_no_others() {
    let bff = bff(
        "login_params = [\"kc_idp_hint\", \"organization\"]\nextra_params = { organization = \"default\" }",
    );
    let mut browser = bff.browser();
    let login = location(
        &mut browser,
        "/bff/login?kc_idp_hint=git%26hub&organization=acme&screen_hint=signup",
    );
    assert_eq!(parameter(&login, "kc_idp_hint").as_deref(), Some("git&hub"));
    assert_eq!(
        parameter(&login, "organization").as_deref(),
        Some("acme"),
        "this login's counts"
    );
    assert_eq!(parameter(&login, "screen_hint"), None);
    let plain = location(&mut browser, "/bff/login");
    assert_eq!(parameter(&plain, "kc_idp_hint"), None);
    assert_eq!(
        parameter(&plain, "organization").as_deref(),
        Some("default")
    );
    for bad in [
        "kc_idp_hint=a&kc_idp_hint=b",
        "kc_idp_hint=%00",
        &format!("kc_idp_hint={}", "x".repeat(600)),
    ] {
        let visit = browser.navigate(&format!("/bff/login?{bad}"), Initiator::SameOrigin);
        assert_eq!(visit.response.status, 400, "{bad}");
    }
}

/// Where the logout of somebody signed in leads to.
fn logout(bff: &TestBff) -> Url {
    let mut browser = bff.signed_in();
    let sid = browser.fetch("GET", "/bff/user").text();
    let address = serde_json::from_str::<serde_json::Value>(&sid).expect("JSON");
    let claims = address.as_array().expect("a list");
    let logout = claims
        .iter()
        .find(|claim| claim["type"] == "bff:logout_url")
        .expect("its URL");
    location(&mut browser, logout["value"].as_str().expect("a text"))
}

#[test]
fn a_provider_may_want_another_logout() {
    // Cognito knows no end_session_endpoint, and calls the way back logout_uri.
    let bff = bff(
        "logout = { url = \"http://localhost:{port}/logout\", params = { logout_uri = \"{post_logout_redirect_uri}\", post_logout_redirect_uri = \"\", mark = \"{client_id}-{state}\" }, id_token_hint = \"never\" }",
    );
    bff.idp.faults().inject(
        Faults::ALWAYS,
        DiscoveryFault::Without("end_session_endpoint"),
    );
    let url = logout(&bff);
    assert_eq!((url.host_str(), url.path()), (Some("localhost"), "/logout"));
    assert_eq!(
        parameter(&url, "logout_uri").as_deref(),
        Some("https://shop.test/bff/logged-out")
    );
    assert_eq!(parameter(&url, "post_logout_redirect_uri"), None);
    assert_eq!(parameter(&url, "client_id").as_deref(), Some("shop"));
    assert_eq!(parameter(&url, "id_token_hint"), None);
    let state = parameter(&url, "state").expect("a state");
    assert_eq!(parameter(&url, "mark"), Some(format!("shop-{state}")));
}

#[test]
fn a_hint_that_makes_the_address_too_long_is_left_out() {
    for (policy, padding, expect) in [
        ("auto", 0, true),
        ("auto", 2000, false),
        ("always", 2000, true),
        ("never", 0, false),
    ] {
        let bff = bff(&format!("logout = {{ id_token_hint = \"{policy}\" }}"));
        bff.idp.faults().pad_tokens(padding);
        let url = logout(&bff);
        assert_eq!(
            parameter(&url, "id_token_hint").is_some(),
            expect,
            "{policy} {padding}"
        );
        assert!(parameter(&url, "state").is_some());
    }
}

#[test]
fn the_log_says_once_what_the_provider_lacks() {
    let lines_of = |begun, issuer: &str| -> Vec<String> {
        logs::search(begun, |lines| {
            let about = format!("{issuer:?}: ");
            let is_gap = |line: &&str| line.contains(&about) && line.contains("back-channel");
            lines.lines().filter(is_gap).map(str::to_owned).collect()
        })
    };
    let begun = logs::install();
    let full = bff("");
    drop(full.signed_in());
    full.clock.advance(std::time::Duration::from_secs(7_200));
    drop(full.signed_in());
    let said = lines_of(begun, full.idp.issuer());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        !said[0].contains("revocation") && !said[0].contains("RFC 9207"),
        "{said:?}"
    );

    let begun = logs::install();
    let lacking = TestBff::with(|setup| setup.provider_is_down = true);
    let faults = lacking.idp.faults();
    faults.clear();
    for name in [
        "revocation_endpoint",
        "end_session_endpoint",
        "authorization_response_iss_parameter_supported",
    ] {
        faults.inject(Faults::ALWAYS, DiscoveryFault::Without(name));
    }
    let required = DiscoveryFault::With("require_pushed_authorization_requests", json!(true));
    faults.inject(Faults::ALWAYS, required);
    lacking.clock.advance(std::time::Duration::from_secs(60));
    lacking
        .browser()
        .navigate("/bff/login", Initiator::SameOrigin);
    let said = lines_of(begun, lacking.idp.issuer());
    assert_eq!(said.len(), 1, "{said:?}");
    for gap in ["revocation", "end of session", "RFC 9207", "RFC 9126"] {
        assert!(said[0].contains(gap), "{said:?}");
    }
}

#[test]
fn persistent_cookies_last_as_long_as_the_session_may() {
    let bff = TestBff::with(|setup| {
        setup.session = "persistent = true\nabsolute_timeout = \"8h\"".to_owned();
    });
    let mut browser = bff.signed_in();
    bff.clock.advance(std::time::Duration::from_secs(400));
    let answer = browser.fetch("GET", "/api/echo/x");
    let lines = answer.headers("set-cookie");
    let session = lines
        .iter()
        .find(|line| line.starts_with("__Host-Http-shop="))
        .expect("refreshed");
    let seconds: u64 = session
        .split("Max-Age=")
        .nth(1)
        .expect("a Max-Age")
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((28_000..=28_400).contains(&seconds), "{session}");
    let plain = TestBff::spawn();
    let mut browser = plain.signed_in();
    plain.clock.advance(std::time::Duration::from_secs(400));
    let answer = browser.fetch("GET", "/api/echo/x");
    let lines = answer.headers("set-cookie");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("__Host-Http-shop=") && !line.contains("Max-Age")),
        "{lines:?}"
    );
}
