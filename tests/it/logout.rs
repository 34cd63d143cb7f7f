//! Logout: gone here, revoked there, ended at the provider, and back where the user wants to be.

use std::time::Duration;

use sealgate::demo::idp::{EndpointFault, Fault, Faults, Secret, TokenFault};
use url::Url;

use crate::support::{Browser, Initiator, Request, TestBff, logs};

const SECOND: Duration = Duration::from_secs(1);

fn logout_url(browser: &mut Browser) -> String {
    let claims = browser.fetch("GET", "/bff/user").json();
    let claim = claims
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == "bff:logout_url")
        .unwrap();
    claim["value"].as_str().unwrap().to_owned()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[test]
fn a_navigation_with_the_sid_ends_everything() {
    // B58, B59, B61
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let address = format!("{}&returnUrl=/bye?x=1", logout_url(&mut browser));
    let visit = browser.navigate(&address, Initiator::SameOrigin);
    let (_, first) = &visit.chain[0];
    assert_eq!(first.status, 302);
    let end_session = Url::parse(first.header("location").unwrap()).unwrap();
    assert!(end_session.as_str().starts_with(bff.idp.issuer()));
    assert!(parameter(&end_session, "id_token_hint").is_some());
    assert_eq!(
        parameter(&end_session, "client_id").as_deref(),
        Some("shop")
    );
    assert_eq!(
        parameter(&end_session, "post_logout_redirect_uri").as_deref(),
        Some("https://shop.test/bff/logged-out")
    );
    assert!(parameter(&end_session, "state").is_some());
    assert_eq!(visit.url.as_str(), "https://shop.test/bye?x=1");
    assert_eq!(
        browser.cookie_names(),
        ["__Host-Http-shop-out"],
        "only the mark is left"
    );
    assert_eq!(
        browser.fetch("GET", "/api/echo").problem(),
        "login-required"
    );
    assert!(
        bff.revoked().len() >= 2,
        "refresh and access token are revoked"
    );
    let page = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert!(
        page.response.text().contains("type=\"password\""),
        "the provider's session is over"
    );
}

/// The hint that a logout by navigation takes to the provider.
fn hint_of_logout(browser: &mut Browser) -> Option<String> {
    let address = logout_url(browser);
    hint_at(browser, &address)
}

fn hint_at(browser: &mut Browser, address: &str) -> Option<String> {
    let visit = browser.navigate(address, Initiator::SameOrigin);
    let (_, first) = &visit.chain[0];
    let end_session = Url::parse(first.header("location").unwrap()).unwrap();
    parameter(&end_session, "id_token_hint")
}

#[test]
fn the_hint_is_the_newest_id_token() {
    // V2: Spring Authorization Server takes no other
    let bff = TestBff::spawn();
    let newest = || bff.idp.minted_of(Secret::IdToken).pop();
    for calls in 1..=2 {
        let mut browser = bff.signed_in();
        let first = newest();
        let mut beside = bff.browser();
        beside.jar.clone_from(&browser.jar);
        bff.clock.advance(SECOND * 301);
        assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
        let refreshed = newest();
        assert_ne!(refreshed, first);
        // Another request of the process made the call, and this one shares its result.
        assert_eq!(beside.fetch("GET", "/api/echo").status, 200);
        assert_eq!(bff.token_calls("refresh_token"), calls);
        let mut last = if calls == 1 { browser } else { beside };
        assert_eq!(hint_of_logout(&mut last), refreshed);
    }

    // One whose answer the browser does not have yet, by navigation and by script.
    for script in [false, true] {
        let mut browser = bff.signed_in();
        let mut elsewhere = bff.browser();
        elsewhere.jar.clone_from(&browser.jar);
        bff.clock.advance(SECOND * 301);
        assert_eq!(elsewhere.fetch("GET", "/api/echo").status, 200);
        let refreshed = newest();
        let address = if script {
            let answer = browser.fetch("POST", "/bff/logout").json();
            answer["logout_url"].as_str().unwrap().to_owned()
        } else {
            logout_url(&mut browser)
        };
        assert_eq!(hint_at(&mut browser, &address), refreshed, "{script}");
    }

    // A refresh without an ID token leaves the last one in place (OpenID Connect Core §12.2).
    let mut browser = bff.signed_in();
    let first = newest();
    bff.idp.faults().inject(1, TokenFault::Without("id_token"));
    bff.clock.advance(SECOND * 301);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    assert_eq!(hint_of_logout(&mut browser), first);
}

#[test]
fn a_newer_hint_that_is_too_large_is_left_out() {
    // V2, C24
    let bff = TestBff::with(|setup| setup.session = "max_bytes = \"16KiB\"".to_owned());
    let mut browser = bff.signed_in();
    let first = bff.idp.minted_of(Secret::IdToken).pop();
    let since = logs::install();
    bff.idp.faults().pad_tokens(4_500);
    bff.clock.advance(SECOND * 301);
    let answer = browser.fetch("GET", "/api/echo");
    assert_eq!(answer.status, 200);
    let written = answer.headers("set-cookie");
    assert!(!written.iter().any(|line| line.contains("-hint=")));
    assert!(logs::search(since, |lines| lines.contains("too large for its cookie")));
    assert_eq!(hint_of_logout(&mut browser), first);
}

#[test]
fn a_logout_ends_at_its_page_however_long_the_address_was() {
    // P13: at the provider as well
    // Without a hint this provider asks the person first, and a long way back leaves no room for one.
    let bff = TestBff::with(|setup| {
        setup.oidc = "logout = { id_token_hint = \"always\" }".to_owned();
    });
    for (return_to, end) in [
        (format!("/bye?x=gr%C3%BCn+{}", "x".repeat(900)), None),
        ("/b%C3%BCe d".to_owned(), Some("/b%C3%BCe%20d")),
        (format!("/bye?x={}", "x".repeat(1100)), Some("/bye")),
        (format!("/{}", "x".repeat(1100)), Some("/")),
        (format!("/bye?{}", "x".repeat(5000)), Some("/")),
    ] {
        let mut browser = bff.signed_in();
        let encoded: String = url::form_urlencoded::byte_serialize(
            return_to
                .replace("%C3%BC", "ü")
                .replace('+', " ")
                .as_bytes(),
        )
        .collect();
        let address = format!("{}&returnUrl={encoded}", logout_url(&mut browser));
        let visit = browser.navigate(&address, Initiator::SameOrigin);
        let at_provider = visit
            .chain
            .iter()
            .any(|(url, _)| url.as_str().starts_with(bff.idp.issuer()));
        assert!(at_provider, "{return_to}");
        let end = end.map_or_else(|| return_to.replace('+', "%20"), str::to_owned);
        assert_eq!(visit.url.as_str(), format!("https://shop.test{end}"));
    }
}

#[test]
fn a_script_ends_the_session_at_once_and_navigates_for_the_rest() {
    // B58, B61, C24
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let answer = browser.fetch("POST", "/bff/logout");
    assert_eq!(answer.status, 200);
    assert_eq!(
        browser.fetch("GET", "/api/echo").problem(),
        "login-required"
    );
    assert!(bff.revoked().len() >= 2);
    let address = answer.json()["logout_url"].as_str().unwrap().to_owned();
    assert!(address.starts_with("/bff/logout?sid="));
    let visit = browser.navigate(&address, Initiator::SameOrigin);
    let location = visit.chain[0].1.header("location").unwrap();
    assert!(
        location.contains("id_token_hint="),
        "the hint cookie is enough"
    );
    assert_eq!(visit.url.as_str(), "https://shop.test/");
    assert_eq!(browser.cookie_names(), ["__Host-Http-shop-out"]);
}

#[test]
fn a_navigation_without_the_right_sid_logs_nobody_out() {
    // B60
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let right = logout_url(&mut browser);
    for address in [
        "/bff/logout",
        "/bff/logout?sid=",
        "/bff/logout?sid=wrong",
        &right[..right.len() - 1],
    ] {
        let visit = browser.navigate(address, Initiator::SameOrigin);
        assert_eq!(visit.response.status, 400, "{address}");
    }
    let bare = browser.send_bare(Request::new("POST", "/bff/logout").body("x"));
    assert_eq!(bare.problem(), "cross-site-request");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    assert!(bff.revoked().is_empty());
}

/// Cookies that one of the headers of a sibling host's answer would plant.
fn planted(bff: &TestBff) -> (String, crate::support::browser::Cookie) {
    let mut attacker = bff.signed_in();
    let address = logout_url(&mut attacker);
    (
        address,
        attacker.cookie("__Http-shop-hint").unwrap().clone(),
    )
}

#[test]
fn a_logout_is_begun_by_the_application_itself() {
    // Finding D: a sibling host plants its own hint with `Domain`, then navigates to the address that fits it
    let bff = TestBff::spawn();
    let (address, hint) = planted(&bff);
    for initiator in ["cross-site", "same-site", "SAME-ORIGIN", ""] {
        let mut victim = bff.signed_in();
        victim.jar.retain(|cookie| cookie.name != hint.name);
        victim.jar.push(hint.clone());
        // `SameSite=Strict` keeps the session back, which the planted hint need not care about.
        let session = victim.jar.clone();
        victim.jar.retain(|cookie| cookie.name == hint.name);
        let answer = victim.send_bare(
            Request::new("GET", &address)
                .header("accept", "text/html")
                .header("sec-fetch-site", initiator)
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document"),
        );
        assert_eq!(answer.status, 403, "{initiator}");
        assert!(answer.text().contains("<code>cross-site-request</code>"));
        assert!(answer.headers("set-cookie").is_empty(), "{initiator}");
        victim.jar = session;
        assert_eq!(victim.fetch("GET", "/bff/user").status, 200);
    }
    assert!(bff.revoked().is_empty());
}

#[test]
fn a_hint_alone_ends_no_session() {
    // Finding D: a browser that says nothing of sites
    let bff = TestBff::spawn();
    let (address, hint) = planted(&bff);
    let mut victim = bff.signed_in();
    victim.jar.retain(|cookie| cookie.name != hint.name);
    victim.jar.push(hint.clone());
    let session = victim.jar.clone();
    victim.jar.retain(|cookie| cookie.name == hint.name);
    let answer = victim.send_bare(Request::new("GET", &address));
    assert_eq!(answer.status, 302);
    let names: Vec<_> = answer
        .headers("set-cookie")
        .iter()
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["__Http-shop-hint"]);
    victim.jar = session;
    assert_eq!(victim.fetch("GET", "/bff/user").status, 200);
    // Beside the session it is nobody's.
    let answer = victim.send_bare(Request::new("GET", &address));
    assert_eq!(answer.status, 400);
    assert_eq!(victim.fetch("GET", "/bff/user").status, 200);
}

#[test]
fn a_script_never_sees_the_address_with_the_id_token() {
    // Finding E: where the provider allows CORS, `response.url` would show it
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let address = logout_url(&mut browser);
    for mode in ["cors", "no-cors", "same-origin", "websocket"] {
        let request = Request::new("GET", &address)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", "empty");
        let answer = browser.send_bare(request);
        assert_eq!(answer.problem(), "bad-request", "{mode}");
    }
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    assert_eq!(
        browser.navigate(&address, Initiator::User).url.as_str(),
        "https://shop.test/",
        "an address that is typed works"
    );
}

#[test]
fn a_provider_that_is_down_stops_no_logout() {
    // B58
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.idp
        .faults()
        .inject(Faults::ALWAYS, Fault::Revocation(EndpointFault::Down));
    let address = logout_url(&mut browser);
    let visit = browser.navigate(&address, Initiator::SameOrigin);
    assert_eq!(visit.url.as_str(), "https://shop.test/");
    assert_eq!(
        browser.fetch("GET", "/api/echo").problem(),
        "login-required"
    );
}

#[test]
fn coming_back_without_our_state_leads_home() {
    // B62
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    for address in [
        "/bff/logged-out",
        "/bff/logged-out?state=x",
        "/bff/logged-out?state=//evil.test",
        "/bff/logged-out?state=a&state=b",
    ] {
        let answer = browser.send_bare(Request::new("GET", address));
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{address}"
        );
    }
}

#[test]
fn a_late_answer_cannot_bring_an_ended_session_back() {
    // G10
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let session = browser.cookie("__Host-Http-shop").unwrap().clone();
    browser.fetch("POST", "/bff/logout");
    assert!(browser.cookie("__Host-Http-shop").is_none());
    // The browser stores a Set-Cookie that was on its way.
    browser.jar.push(session);
    assert_eq!(
        browser.fetch("GET", "/api/echo").problem(),
        "login-required"
    );
    assert!(
        browser.cookie("__Host-Http-shop").is_none(),
        "and it is cleared again"
    );
    bff.log_in(&mut browser, "/bff/login");
    assert_eq!(
        browser.fetch("GET", "/api/echo").status,
        200,
        "a new session is not touched by it"
    );
}

#[test]
fn while_tokens_may_live_on_no_late_answer_brings_the_session_back() {
    // G10: the provider could not be told, so a refresh token in a late answer would work for hours
    for is_down in [true, false] {
        let bff = TestBff::spawn();
        let mut browser = bff.signed_in();
        bff.clock.advance(std::time::Duration::from_secs(301));
        let mut late = bff.browser();
        late.jar = browser.jar.clone();
        assert_eq!(late.fetch("GET", "/api/echo").status, 200);
        let session = late.cookie("__Host-Http-shop").unwrap().clone();
        if is_down {
            bff.idp
                .faults()
                .inject(Faults::ALWAYS, Fault::Revocation(EndpointFault::Down));
        }
        let answer = browser.fetch("POST", "/bff/logout");
        let lines = answer.headers("set-cookie");
        let mark = lines.iter().find(|line| line.contains("-out=")).unwrap();
        let max_age: u64 = mark.split("Max-Age=").nth(1).unwrap().parse().unwrap();
        if is_down {
            assert!(max_age >= 1_800, "it would be idle before: {max_age}");
        } else {
            assert_eq!(max_age, 300, "as long as an access token lives");
        }
        browser.jar.retain(|cookie| cookie.name != session.name);
        browser.jar.push(session);
        bff.clock.advance(std::time::Duration::from_secs(1_000));
        if !is_down {
            // A browser drops the mark by its Max-Age.
            browser.jar.retain(|cookie| !cookie.name.ends_with("-out"));
        }
        let back = browser.fetch("GET", "/api/echo");
        assert_eq!(back.status, 401, "{is_down}: {}", back.text());
    }
}

#[test]
fn logging_out_nobody_is_no_error_for_a_script() {
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let answer = browser.fetch("POST", "/bff/logout");
    assert_eq!(answer.status, 200);
    let address = answer.json()["logout_url"].as_str().unwrap().to_owned();
    assert_eq!(
        browser
            .navigate(&address, Initiator::SameOrigin)
            .url
            .as_str(),
        "https://shop.test/"
    );
}

#[test]
fn tokens_of_a_refresh_that_the_browser_has_not_seen_are_revoked_too() {
    // G10, B59
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(std::time::Duration::from_secs(301));
    // Its answer, with the new session, is still under way when the logout is sent.
    let late = Request::new("GET", "/api/echo")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/api/echo"))
        .send(bff.addr);
    assert_eq!(late.status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    for kind in [
        sealgate::demo::idp::Secret::AccessToken,
        sealgate::demo::idp::Secret::RefreshToken,
    ] {
        for token in bff.idp.minted_of(kind) {
            assert!(
                bff.revoked().contains(&token),
                "a token that no browser has is revoked"
            );
        }
    }
}

#[test]
fn a_revocation_that_fails_does_not_spare_the_other_token() {
    // B59
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.idp
        .faults()
        .inject(1, Fault::Revocation(EndpointFault::Down));
    browser.fetch("POST", "/bff/logout");
    assert_eq!(bff.revoked().len(), 1, "the second one is revoked");
}

/// A request with cookies that somebody copied.
fn with_copied(bff: &TestBff, cookies: &str) -> crate::support::Response {
    Request::new("GET", "/api/echo")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", cookies)
        .send(bff.addr)
}

#[test]
fn a_copied_cookie_is_dead_in_the_process_that_ended_its_session() {
    // F5
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let mut other = bff.signed_in();
    let copied = browser.api_cookie_line("/api/echo");
    assert_eq!(with_copied(&bff, &copied).status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    let ended = "sealgate_session_open_total{result=\"ended\"}";
    let before = bff.metric(ended);
    let answer = with_copied(&bff, &copied);
    assert_eq!(answer.problem(), "login-required");
    assert!(
        answer
            .headers("set-cookie")
            .iter()
            .any(|line| line.starts_with("__Host-Http-shop=;")),
        "{:?}",
        answer.headers("set-cookie")
    );
    assert_eq!(bff.metric(ended), before + 1);
    bff.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(with_copied(&bff, &copied).problem(), "login-required");
    assert_eq!(bff.token_calls("refresh_token"), 0, "nor is it refreshed");
    assert_eq!(
        other.fetch("GET", "/api/echo").status,
        200,
        "another session of the same user goes on"
    );
}

#[test]
fn nobody_adopts_a_refresh_that_lands_after_the_logout() {
    // G10
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(std::time::Duration::from_secs(301));
    let second = std::time::Duration::from_secs(1);
    bff.idp
        .faults()
        .inject(1, sealgate::demo::idp::TokenFault::Delay(second * 2));
    let cookies = browser.api_cookie_line("/api/echo");
    let addr = bff.addr;
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let cookies = cookies.clone();
            std::thread::spawn(move || {
                Request::new("GET", "/api/echo")
                    .header("host", "shop.test")
                    .header("x-csrf", "1")
                    .header("cookie", &cookies)
                    .send(addr)
            })
        })
        .collect();
    while bff.token_calls("refresh_token") == 0 {
        std::thread::sleep(second / 100);
    }
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    for thread in waiting {
        let answer = thread.join().unwrap();
        assert_eq!(answer.problem(), "login-required");
        assert!(
            !answer
                .headers("set-cookie")
                .iter()
                .any(|line| line.starts_with("__Host-Http-shop=")
                    && !line.starts_with("__Host-Http-shop=;")),
            "no answer brings the session back"
        );
    }
    assert_eq!(bff.api_calls(), 0, "nothing reached the API");
}

#[test]
fn sessions_begun_before_a_configured_time_are_over() {
    // G16, F6
    let bff = TestBff::with(|setup| {
        setup.session = "not_before = \"2026-11-21T12:00:30Z\"".to_owned();
    });
    let mut early = bff.browser();
    bff.log_in(&mut early, "/bff/login");
    let answer = early.fetch("GET", "/api/echo");
    assert_eq!(answer.problem(), "login-required");
    assert!(early.cookie("__Host-Http-shop").is_none());
    bff.clock.advance(std::time::Duration::from_secs(30));
    let mut late = bff.signed_in();
    assert_eq!(late.fetch("GET", "/api/echo").status, 200);
}

#[test]
fn a_revocation_outlives_every_copy_of_the_cookie() {
    // F5: the newest cookie's end was brought nearer by the provider; a copy of the first names the old one
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let mut copy = bff.browser();
    copy.jar = browser.jar.clone();
    let second = std::time::Duration::from_secs(1);
    bff.clock.advance(second * 310);
    bff.idp.faults().inject(
        1,
        TokenFault::With("authorization_expires_in", serde_json::json!(100)),
    );
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    bff.clock.advance(second * 101);
    // So many that what is over is forgotten.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut browser = bff.signed_in();
                for _ in 0..300 {
                    browser.log_in("/bff/login");
                }
            });
        }
    });
    for path in ["/bff/user", "/api/echo"] {
        assert_eq!(copy.fetch("GET", path).problem(), "login-required");
    }
}
