//! Login, from the link to the session, and every way in which it must fail.

use sealgate::demo::idp::{AuthorizationFault, DiscoveryFault, IdTokenFault, TokenFault};
use serde_json::json;
use url::Url;

use crate::support::{Browser, Initiator, Request, TestBff, Visit};

/// The authorization request that a login begins, without following it.
fn authorization_request(bff: &TestBff, browser: &mut Browser, address: &str) -> Url {
    let request = Request::new("GET", address)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-site", "same-origin");
    let answer = browser.send_bare(request);
    assert_eq!(answer.status, 302, "{}", answer.text());
    let url = Url::parse(answer.header("location").unwrap()).unwrap();
    assert!(url.as_str().starts_with(bff.idp.issuer()));
    url
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The callback of a login that was carried out up to its last redirect, which was not followed.
fn callback_of(bff: &TestBff, browser: &mut Browser) -> Url {
    callback_by_way_of(bff, &mut bff.browser(), browser)
}

/// The same. The person was another browser's at the provider, which keeps the session there.
pub(crate) fn callback_by_way_of(
    bff: &TestBff,
    elsewhere: &mut Browser,
    browser: &mut Browser,
) -> Url {
    let request = authorization_request(bff, browser, "/bff/login?returnUrl=/welcome");
    let page = elsewhere.navigate(request.as_str(), Initiator::CrossSite);
    // The other browser has no login attempt, so its own callback fails and spends no code.
    let visit = bff.fill_in(elsewhere, &page, "alice", "wonderland");
    let callback = visit
        .chain
        .iter()
        .find(|(url, _)| url.path() == "/bff/callback");
    let (callback, answer) = callback.expect("the provider redirects to the callback");
    assert_eq!(answer.status, 400, "a callback in another browser fails");
    callback.clone()
}

/// Brings the browser to a callback as the provider's redirect would.
pub(crate) fn arrive(browser: &mut Browser, callback: &Url) -> Visit {
    browser.navigate(callback.as_str(), Initiator::CrossSite)
}

/// A login whose end is expected to be a page with this code.
#[track_caller]
fn assert_login_fails(bff: &TestBff, browser: &mut Browser, status: u16, code: &str) {
    let visit = bff.log_in(browser, "/bff/login");
    assert_eq!(visit.url.path(), "/bff/callback");
    assert_eq!(visit.response.status, status, "{}", visit.response.text());
    assert!(
        visit
            .response
            .text()
            .contains(&format!("<code>{code}</code>"))
    );
    assert_eq!(visit.response.header("cache-control"), Some("no-store"));
    assert_eq!(
        browser.cookie_names(),
        Vec::<String>::new(),
        "no cookie is left"
    );
    assert_eq!(
        browser.fetch("GET", "/bff/user").problem(),
        "login-required"
    );
}

#[test]
fn a_user_signs_in_calls_an_api_and_signs_out() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    assert_eq!(
        browser.fetch("GET", "/api/echo/1").problem(),
        "login-required"
    );
    assert_eq!(bff.api_calls(), 0);

    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome?a=b%23c");
    assert_eq!(
        (visit.url.path(), visit.url.query()),
        ("/welcome", Some("a=b"))
    );

    let claims = browser.fetch("GET", "/bff/user").json();
    assert!(
        claims
            .as_array()
            .unwrap()
            .contains(&json!({"type": "name", "value": "Alice"}))
            || claims.to_string().contains("lice"),
        "{claims}"
    );

    let echo = browser.fetch("GET", "/api/echo/7?x=%2B+%20&y");
    assert_eq!(echo.status, 200, "{}", echo.text());
    let seen = bff.api.requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/7");
    assert_eq!(seen.query, "x=%2B+%20&y");
    let authorization = seen.header("authorization").unwrap();
    assert!(
        bff.idp
            .minted()
            .iter()
            .any(|token| authorization == format!("Bearer {token}"))
    );
    assert!(seen.header("cookie").is_none());

    let logout_url = browser.fetch("POST", "/bff/logout").json()["logout_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let visit = browser.navigate(&logout_url, Initiator::SameOrigin);
    assert_eq!(visit.url.path(), "/");
    assert_eq!(
        browser.fetch("GET", "/api/echo/1").problem(),
        "login-required"
    );
}

#[test]
fn cookies_bear_the_names_and_attributes_that_browsers_enforce() {
    // A4, A5, A6, C16
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login", Initiator::SameOrigin);
    let visit = bff.fill_in(&mut browser, &page, "alice", "wonderland");
    let lines: Vec<String> = page
        .chain
        .iter()
        .chain(&visit.chain)
        .filter(|(url, _)| url.host_str() == Some("shop.test"))
        .flat_map(|(_, answer)| answer.headers("set-cookie"))
        .map(str::to_owned)
        .collect();
    for line in &lines {
        assert!(
            line.contains("; Secure") && line.contains("; HttpOnly"),
            "{line}"
        );
        assert!(!line.to_ascii_lowercase().contains("domain"), "{line}");
    }
    let line = |name: &str| {
        lines
            .iter()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let session = line("__Host-Http-shop=");
    assert!(
        session.contains("; Path=/;") && session.contains("SameSite=Strict"),
        "{session}"
    );
    assert!(
        !session.contains("Max-Age"),
        "the session cookie is not persistent: {session}"
    );
    let login = line("__Host-Http-shop-login.");
    assert!(
        login.contains("SameSite=Lax") && login.contains("Max-Age=600"),
        "{login}"
    );
    let hint = line("__Http-shop-hint=");
    assert!(hint.contains("Path=/bff/logout"), "{hint}");
    assert_eq!(
        browser.cookie_names(),
        ["__Host-Http-shop", "__Http-shop-hint"]
    );
    assert!(
        !browser.api_cookie_line("/api/echo").contains("hint"),
        "C24"
    );
}

#[test]
fn the_authorization_request_is_code_with_pkce_state_and_nonce() {
    // A2, B1, B2, B3, B5
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let url = authorization_request(&bff, &mut browser, "/bff/login");
    assert_eq!(parameter(&url, "response_type").as_deref(), Some("code"));
    assert_eq!(
        parameter(&url, "code_challenge_method").as_deref(),
        Some("S256")
    );
    assert_eq!(parameter(&url, "client_id").as_deref(), Some("shop"));
    assert_eq!(
        parameter(&url, "redirect_uri").as_deref(),
        Some("https://shop.test/bff/callback")
    );
    assert_eq!(parameter(&url, "scope").as_deref(), Some("openid profile"));
    let other = authorization_request(&bff, &mut browser, "/bff/login");
    for name in ["state", "nonce", "code_challenge"] {
        let random = |url| parameter(url, name).unwrap()[..43].to_owned();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(
            parameter(&url, name).unwrap().chars().all(is_plain),
            "{name}"
        );
        assert_ne!(
            random(&url),
            random(&other),
            "{name} begins with 32 fresh bytes"
        );
    }
}

#[test]
fn a_forged_host_changes_no_redirect_uri() {
    // B5
    let bff = TestBff::spawn();
    let request = |host: &str| {
        Request::new("GET", "/bff/login")
            .header("host", host)
            .header("x-forwarded-host", "evil.test")
            .header("forwarded", "host=evil.test")
            .header("x-forwarded-proto", "http")
            .send(bff.addr)
    };
    let location = request("shop.test").header("location").unwrap().to_owned();
    assert!(
        location.contains("redirect_uri=https%3A%2F%2Fshop.test%2Fbff%2Fcallback"),
        "{location}"
    );
    assert_eq!(request("evil.test").problem(), "unknown-frontend");
}

#[test]
fn only_listed_parameters_reach_the_provider() {
    // B9
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let url = authorization_request(
        &bff,
        &mut browser,
        "/bff/login?prompt=login&acr_values=a&max_age=60&login_hint=al&ui_locales=de&scope=admin&redirect_uri=https://evil.test&x=y&request_uri=z",
    );
    for (name, value) in [
        ("prompt", "login"),
        ("acr_values", "a"),
        ("max_age", "60"),
        ("login_hint", "al"),
        ("ui_locales", "de"),
    ] {
        assert_eq!(parameter(&url, name).as_deref(), Some(value));
    }
    assert_eq!(parameter(&url, "scope").as_deref(), Some("openid profile"));
    assert_eq!(parameter(&url, "x"), None);
    assert_eq!(parameter(&url, "request_uri"), None);
    // D13: line breaks reach no header
    for bad in [
        "max_age=soon",
        "max_age=-1",
        "login_hint=%0d%0aX:y",
        "prompt=a&prompt=b",
    ] {
        let answer = browser.send_bare(
            Request::new("GET", &format!("/bff/login?{bad}")).header("accept", "application/json"),
        );
        assert_eq!(answer.problem(), "bad-request", "{bad}");
    }
}

#[test]
fn a_return_url_never_leaves_the_origin() {
    // B6
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for bad in [
        "//evil.test",
        "/%5Cevil.test",
        "https://evil.test/",
        "%2F%2Fevil.test",
        "javascript:alert(1)",
        "/%09/evil.test",
        "%0d%0aSet-Cookie:x=y",
    ] {
        let visit = bff.log_in(&mut browser, &format!("/bff/login?returnUrl={bad}"));
        assert_eq!(visit.url.as_str(), "https://shop.test/", "{bad}");
    }
}

#[test]
fn login_is_a_navigation_of_the_application_itself() {
    // A22, B7
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for (site, mode, dest, want) in [
        ("same-origin", "cors", "empty", "bad-request"),
        ("same-origin", "no-cors", "image", "bad-request"),
        ("cross-site", "navigate", "document", "cross-site-request"),
        ("same-site", "navigate", "document", "cross-site-request"),
    ] {
        let request = Request::new("GET", "/bff/login")
            .header("accept", "application/json")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest);
        assert_eq!(
            browser.send_bare(request).problem(),
            want,
            "{site} {mode} {dest}"
        );
    }
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    let prefetch = Request::new("GET", "/bff/login").header("sec-purpose", "prefetch");
    assert_eq!(browser.send_bare(prefetch).status, 400);
}

#[test]
fn a_service_worker_may_pass_a_login_on() {
    // B7, altmount PR 534: fetch(event.request) keeps the mode of a navigation, not its destination
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for (path, dest) in [
        ("/bff/login", "empty"),
        ("/bff/login", "document"),
        ("/bff/login", "iframe"),
        ("/bff/silent-login", "empty"),
        ("/bff/silent-login", "frame"),
    ] {
        let request = Request::new("GET", path)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", dest);
        assert_eq!(browser.send_bare(request).status, 302, "{path} {dest}");
    }
}

#[test]
fn logins_in_two_tabs_both_end() {
    // B8
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let first = browser.navigate("/bff/login?returnUrl=/one", Initiator::SameOrigin);
    let second = browser.navigate("/bff/login?returnUrl=/two", Initiator::SameOrigin);
    assert_eq!(browser.cookie_names().len(), 2);
    let second = bff.fill_in(&mut browser, &second, "alice", "wonderland");
    assert_eq!(second.url.path(), "/two");
    let first = bff.fill_in(&mut browser, &first, "alice", "wonderland");
    assert_eq!(first.url.path(), "/one");
    assert_eq!(
        browser.cookie_names(),
        ["__Host-Http-shop", "__Http-shop-hint"]
    );
}

#[test]
fn abandoned_logins_leave_at_most_twenty_cookies() {
    // B8
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for _ in 0..23 {
        browser.navigate("/bff/login", Initiator::SameOrigin);
        bff.clock.advance(std::time::Duration::from_secs(1));
        assert!(browser.cookie_names().len() <= 20);
    }
    assert_eq!(browser.cookie_names().len(), 20);
    assert!(
        browser.api_cookie_line("/api/echo").len() <= 8192,
        "within the budget"
    );
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/new");
    assert_eq!(
        visit.url.path(),
        "/new",
        "the newest attempt is always among them"
    );
}

#[test]
fn a_login_attempt_is_over_after_ten_minutes() {
    // B8
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_of(&bff, &mut browser);
    bff.clock.advance(std::time::Duration::from_secs(601));
    let visit = arrive(&mut browser, &callback);
    assert_eq!(visit.response.status, 400);
    assert_eq!(bff.token_calls("authorization_code"), 0);
}

#[test]
fn state_is_checked_before_anything_else() {
    // B2, B17, B20
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_of(&bff, &mut browser);
    let state = parameter(&callback, "state").unwrap();
    let code = parameter(&callback, "code").unwrap();
    let issuer = bff.idp.issuer();
    for query in [
        format!("code={code}&iss={issuer}"),
        format!("code={code}&iss={issuer}&state=other"),
        format!("code={code}&iss={issuer}&state="),
        format!("code={code}&iss={issuer}&state={}", &state[..20]),
        "error=access_denied&state=other".to_owned(),
    ] {
        let answer = browser.send_bare(
            Request::new("GET", &format!("/bff/callback?{query}"))
                .header("accept", "application/json"),
        );
        assert_eq!(answer.problem(), "login-failed", "{query}");
        assert!(
            answer
                .headers("set-cookie")
                .iter()
                .all(|line| line.contains("Max-Age=0"))
        );
    }
    for query in [
        format!("code={code}&iss={issuer}&state={state}&state={state}"),
        format!("code={code}&code={code}&iss={issuer}&state={state}"),
    ] {
        let answer = browser.send_bare(
            Request::new("GET", &format!("/bff/callback?{query}"))
                .header("accept", "application/json"),
        );
        assert_eq!(answer.problem(), "login-failed", "{query}");
    }
    assert_eq!(bff.token_calls("authorization_code"), 0);
}

#[test]
fn a_callback_works_once() {
    // B20
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_of(&bff, &mut browser);
    let visit = arrive(&mut browser, &callback);
    assert_eq!(visit.url.path(), "/welcome");
    assert_eq!(bff.token_calls("authorization_code"), 1);
    let visit = arrive(&mut browser, &callback);
    assert_eq!(
        visit.response.status, 400,
        "this navigation shows no session"
    );
    assert_eq!(
        bff.token_calls("authorization_code"),
        1,
        "no second token call"
    );
    assert_eq!(
        browser.fetch("GET", "/bff/user").status,
        200,
        "the session stays"
    );
}

#[test]
fn the_callback_answers_with_a_clean_redirect() {
    // B19
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_of(&bff, &mut browser);
    let visit = arrive(&mut browser, &callback);
    let (_, answer) = visit.chain.first().unwrap();
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/welcome"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}

#[test]
fn only_the_configured_response_mode_is_taken() {
    // B21
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let callback = callback_of(&bff, &mut browser);
    let target = format!("/bff/callback?{}", callback.query().unwrap());
    for method in ["POST", "HEAD"] {
        let answer = browser.send_bare(Request::new(method, &target));
        assert_eq!(answer.status, 405, "{method}");
    }
    let prefetch = Request::new("GET", &target).header("sec-purpose", "prefetch");
    assert_eq!(browser.send_bare(prefetch).status, 400);
    assert_eq!(bff.token_calls("authorization_code"), 0);
    let visit = arrive(&mut browser, &callback);
    assert_eq!(
        visit.url.path(),
        "/welcome",
        "none of these spent the attempt"
    );
}

#[test]
fn form_post_is_taken_when_configured() {
    // A9, B21
    let bff = TestBff::with(|setup| {
        setup.oidc = "extra_params = { response_mode = \"form_post\" }".to_owned();
    });
    let mut browser = bff.browser();
    let page = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
    let login = browser
        .jar
        .iter()
        .find(|cookie| cookie.name.contains("-login."))
        .unwrap();
    assert_eq!(login.same_site, "None");
    let form = bff.fill_in(&mut browser, &page, "alice", "wonderland");
    let html = form.response.text();
    assert!(html.contains("/bff/callback"), "{html}");
    let value = |name: &str| {
        let after = html.split(&format!("name=\"{name}\"")).nth(1)?;
        Some(
            after
                .split("value=\"")
                .nth(1)?
                .split('"')
                .next()?
                .to_owned(),
        )
    };
    let fields = [
        ("code", value("code").unwrap()),
        ("state", value("state").unwrap()),
        ("iss", value("iss").unwrap()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let callback = browser.app().join("/bff/callback").unwrap();
    let visit = browser.submit(&callback, &fields, Initiator::CrossSite);
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    let get = browser.send_bare(Request::new("GET", "/bff/callback?state=x"));
    assert_eq!(get.status, 405);
}

#[test]
fn an_answer_of_another_issuer_is_refused_before_any_token_call() {
    // B16
    for fault in [
        AuthorizationFault::With("iss", "https://evil.test".to_owned()),
        AuthorizationFault::With("iss", String::new()),
        AuthorizationFault::NoIss,
    ] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, fault);
        assert_login_fails(&bff, &mut bff.browser(), 400, "login-failed");
        assert_eq!(bff.token_calls("authorization_code"), 0);
    }
    let bff = TestBff::spawn();
    let with_slash = format!("{}/", bff.idp.issuer());
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::With("iss", with_slash));
    assert_login_fails(&bff, &mut bff.browser(), 400, "login-failed");
}

#[test]
fn an_error_response_is_shown_without_the_providers_words() {
    // B18
    let bff = TestBff::spawn();
    let markup =
        AuthorizationFault::With("error_description", "<script>alert(1)</script>".to_owned());
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::Error("invalid_scope"));
    bff.idp.faults().inject(1, markup);
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login");
    assert_eq!(visit.response.status, 400);
    let page = visit.response.text();
    assert!(
        page.contains("<code>login-failed</code>") && !page.contains("script"),
        "{page}"
    );
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    assert_eq!(bff.token_calls("authorization_code"), 0);
}

#[test]
fn an_id_token_with_a_flaw_begins_no_session() {
    // B3, B25, B26, B27, B29, B32
    for fault in [
        IdTokenFault::Claim("nonce", json!("other")),
        IdTokenFault::WithoutClaim("nonce"),
        IdTokenFault::Claim("iss", json!("https://evil.test")),
        IdTokenFault::WithoutClaim("iss"),
        IdTokenFault::Claim("aud", json!("other")),
        IdTokenFault::Claim("aud", json!(["shop", "other"])),
        IdTokenFault::WithoutClaim("aud"),
        IdTokenFault::WithoutClaim("sub"),
        IdTokenFault::WithoutClaim("exp"),
        IdTokenFault::WithoutClaim("iat"),
        IdTokenFault::Claim("exp", json!(1_000_000_000)),
        IdTokenFault::Claim("iat", json!(crate::support::NOON + 3600)),
        IdTokenFault::Claim("azp", json!("other")),
        IdTokenFault::Claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        IdTokenFault::Claim("events", json!({})),
        IdTokenFault::Header("typ", json!("logout+jwt")),
        IdTokenFault::AlgNone,
        IdTokenFault::HmacWithClientSecret,
        IdTokenFault::BadSignature,
        IdTokenFault::UnknownKid,
    ] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, fault.clone());
        let mut browser = bff.browser();
        let visit = bff.log_in(&mut browser, "/bff/login");
        assert_eq!(visit.response.status, 400, "{fault:?}");
        assert_eq!(browser.cookie_names(), Vec::<String>::new(), "{fault:?}");
    }
}

#[test]
fn harmless_variations_of_the_tokens_are_accepted() {
    // B25, B28, B33
    for fault in [
        IdTokenFault::Claim("aud", json!(["shop"])),
        IdTokenFault::NoKid,
        IdTokenFault::WithoutClaim("at_hash"),
        IdTokenFault::Claim("azp", json!("shop")),
    ] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, fault);
        bff.signed_in();
    }
    for fault in [
        TokenFault::Without("expires_in"),
        TokenFault::With("token_type", json!("bEaReR")),
        TokenFault::EarlyHints,
        TokenFault::With("unknown", json!({"x": [1]})),
    ] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, fault);
        bff.signed_in();
    }
}

#[test]
fn a_token_endpoint_that_fails_ends_the_login_with_a_page() {
    // B33
    for (fault, status) in [
        (
            TokenFault::Answer {
                status: 500,
                body: "oops".to_owned(),
            },
            503,
        ),
        (TokenFault::DropConnection, 503),
        (TokenFault::InvalidGrant, 400),
        (TokenFault::TruncatedJson, 400),
        (TokenFault::Without("access_token"), 400),
        (TokenFault::Without("id_token"), 400),
        (TokenFault::With("token_type", json!("DPoP")), 400),
        (
            TokenFault::Answer {
                status: 200,
                body: "x".repeat(5_000_000),
            },
            400,
        ),
    ] {
        let bff = TestBff::spawn();
        bff.idp.faults().inject(1, fault.clone());
        let mut browser = bff.browser();
        let visit = bff.log_in(&mut browser, "/bff/login");
        let got = visit.response.status;
        assert!(
            got == status || (got == 503 && status == 400),
            "{fault:?}: {got}"
        );
        assert_eq!(browser.cookie_names(), Vec::<String>::new(), "{fault:?}");
        assert_eq!(
            bff.token_calls("authorization_code"),
            1,
            "{fault:?}: no retry"
        );
    }
}

#[test]
fn a_new_login_is_a_new_session() {
    // B24
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let sid = |browser: &mut Browser| {
        let claims = browser.fetch("GET", "/bff/user").json();
        claims
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["type"] == "bff:logout_url")
            .unwrap()["value"]
            .clone()
    };
    let before = (
        sid(&mut browser),
        browser.cookie("__Host-Http-shop").unwrap().value.clone(),
    );
    bff.log_in(&mut browser, "/bff/login");
    let after = (
        sid(&mut browser),
        browser.cookie("__Host-Http-shop").unwrap().value.clone(),
    );
    assert_ne!(before.0, after.0);
    assert_ne!(before.1, after.1);
}

#[test]
fn a_failed_login_goes_to_the_error_page_if_there_is_one() {
    let bff = TestBff::with(|setup| {
        setup.frontend = "error_page = \"/signin-error?from=bff\"".to_owned();
    });
    bff.idp.faults().inject(1, AuthorizationFault::AccessDenied);
    // P06: and the way back goes along
    let login = "/bff/login?returnUrl=/a?b=1%26c%23d";
    let visit = bff.log_in(&mut bff.browser(), login);
    assert_eq!(
        visit.url.as_str(),
        "https://shop.test/signin-error?from=bff&code=login-failed&returnUrl=%2Fa%3Fb%3D1%26c%23d"
    );
    assert_eq!(visit.chain[visit.chain.len() - 2].1.status, 303);
}

#[test]
fn an_upgrade_asked_of_the_callback_is_no_failed_login() {
    // D8: 400 and closed, whether there is an error page or not
    let bff = TestBff::with(|setup| setup.frontend = "error_page = \"/signin-error\"".to_owned());
    bff.signed_in();
    let request = "GET /bff/callback?code=x&state=y HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\ncontent-length: 5\r\n\r\nhello\
                   GET /api/public HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n";
    let answer = crate::support::http::raw(bff.addr, request.as_bytes());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(bff.api_calls(), 0);
}

#[test]
fn a_failed_login_is_json_for_who_prefers_it() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let request = Request::new("GET", "/bff/callback?state=x&code=y")
        .header("accept", "application/problem+json");
    assert_eq!(browser.send_bare(request).problem(), "login-failed");
}

#[test]
fn a_session_that_does_not_fit_fails_the_login_and_names_its_parts() {
    // C2
    let bff = TestBff::spawn();
    bff.idp.faults().pad_tokens(40 * 1024);
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login");
    assert_eq!(visit.response.status, 500);
    let page = visit.response.text();
    assert!(
        page.contains("session-too-large") && page.contains("access_token"),
        "{page}"
    );
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
}

#[test]
fn a_provider_that_is_down_at_the_start_is_a_clear_page_until_it_is_up() {
    // B40
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    let mut browser = bff.browser();
    let visit = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(visit.response.status, 503);
    assert!(
        visit
            .response
            .text()
            .contains("<code>identity-provider-unavailable</code>")
    );
    let ready = Request::new("GET", "/readyz")
        .header("host", "localhost")
        .send(bff.admin);
    assert_eq!(ready.status, 200, "the process itself is ready");
    assert!(
        ready.text().contains("shop: not reached yet"),
        "{}",
        ready.text()
    );
    bff.idp.faults().clear();
    bff.clock.advance(std::time::Duration::from_secs(60));
    bff.log_in(&mut browser, "/bff/login");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
}

#[test]
fn metadata_of_another_issuer_is_refused() {
    // B39
    for fault in [DiscoveryFault::IssuerCase, DiscoveryFault::IssuerSlash] {
        let bff = TestBff::with(|setup| setup.provider_is_down = true);
        bff.idp.faults().clear();
        bff.idp
            .faults()
            .inject(sealgate::demo::idp::Faults::ALWAYS, fault);
        bff.clock.advance(std::time::Duration::from_secs(60));
        let visit = bff.browser().navigate("/bff/login", Initiator::SameOrigin);
        assert_eq!(visit.url.path(), "/bff/login", "no login begins");
        assert_eq!(visit.response.status, 503);
    }
}

#[test]
fn a_silent_login_tells_its_parent_how_it_went() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let iframe = |browser: &mut Browser| {
        // The frame's top-level site is the application's own, so Lax cookies go along.
        let visit = browser.navigate("/bff/silent-login", Initiator::SameOrigin);
        assert_eq!(visit.url.path(), "/bff/callback");
        assert_eq!(visit.response.status, 200);
        let policy = visit
            .response
            .header("content-security-policy")
            .unwrap()
            .to_owned();
        assert!(policy.contains("frame-ancestors 'self'") && policy.contains("'sha256-"));
        visit.response.text()
    };
    let page = iframe(&mut browser);
    assert!(
        page.contains("isLoggedIn:false") && page.contains("\"https://shop.test\""),
        "{page}"
    );
    bff.log_in(&mut browser, "/bff/login");
    let page = iframe(&mut browser);
    assert!(
        page.contains("source:\"bff-silent-login\",isLoggedIn:true"),
        "{page}"
    );
}

#[test]
fn a_silent_login_of_nobody_is_no_failure_in_the_log() {
    // Apps ask at every visit.
    let site = crate::support::Site::new();
    let server = site.serve();
    let mut browser = site.browser(&server);
    browser.navigate("/bff/silent-login", Initiator::SameOrigin);
    let line = crate::support::process::eventually("the end of the login", || {
        let log = server.process.stderr.text();
        let mut lines = log.lines().filter(|line| line.contains("sealgate::audit"));
        lines.find(|line| line.contains("login")).map(str::to_owned)
    });
    assert!(
        line.contains(" INFO ") && line.contains("provider_error=login_required"),
        "{line}"
    );
}

#[test]
fn a_login_without_prompt_in_a_frame_is_a_silent_login() {
    // Duende BFF v4
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for (is_signed_in, dest) in [(false, "iframe"), (true, "iframe"), (true, "frame")] {
        if is_signed_in {
            bff.log_in(&mut browser, "/bff/login");
        }
        let request = Request::new("GET", "/bff/login?prompt=none&returnUrl=/elsewhere")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", dest);
        let answer = browser.send_bare(request);
        let visit = browser.navigate(answer.header("location").unwrap(), Initiator::SameOrigin);
        assert_eq!(
            (visit.url.path(), visit.response.status),
            ("/bff/callback", 200)
        );
        let said = format!("source:\"bff-silent-login\",isLoggedIn:{is_signed_in}");
        assert!(
            visit.response.text().contains(&said),
            "{}",
            visit.response.text()
        );
    }
}

#[test]
fn a_late_answer_of_the_old_session_does_not_put_its_user_back() {
    // B24, G10
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let of_alice = browser.cookie("__Host-Http-shop").unwrap().clone();
    let page = browser.navigate("/bff/login?prompt=login", Initiator::SameOrigin);
    bff.fill_in(&mut browser, &page, "bob", "builder");
    let is_bob = browser.fetch("GET", "/bff/user").text();
    assert!(is_bob.contains("bob"), "{is_bob}");
    // The browser stores a Set-Cookie that was on its way.
    browser.jar.retain(|cookie| cookie.name != of_alice.name);
    browser.jar.push(of_alice);
    assert_eq!(
        browser.fetch("GET", "/bff/user").problem(),
        "login-required"
    );
}
