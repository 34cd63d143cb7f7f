//! Wherever a login ends, the person is where they wanted to be, or has the way there.

use std::collections::BTreeSet;
use std::time::Duration;

use sealgate::demo::idp::{AuthorizationFault, Fault, IdTokenFault, Secret, TokenFault};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::support::process::eventually;
use crate::support::{Browser, Initiator, Request, Response, TestBff, Visit};

/// Keycloak's answer of a form that has waited too long.
fn expire(bff: &TestBff, times: u32) {
    let words = "authentication_expired".to_owned();
    for fault in [
        AuthorizationFault::Error("temporarily_unavailable"),
        AuthorizationFault::With("error_description", words),
    ] {
        bff.idp.faults().inject(times, fault);
    }
}

/// The callback that a visit went through.
fn callback(visit: &Visit) -> &(Url, Response) {
    visit
        .chain
        .iter()
        .find(|(url, _)| url.path() == "/bff/callback")
        .expect("a callback")
}

/// The provider's answer to a login of this browser, which does not get it yet.
fn answer_of(bff: &TestBff, browser: &mut Browser, login: &str) -> Url {
    let login = browser.send_bare(Request::new("GET", login));
    let mut elsewhere = bff.browser();
    let form = elsewhere.navigate(login.header("location").unwrap(), Initiator::CrossSite);
    let visit = bff.fill_in(&mut elsewhere, &form, "alice", "wonderland");
    callback(&visit).0.clone()
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// Follows what a page goes on to by itself, as a navigation of that page.
fn look_again(browser: &mut Browser, answer: &Response) -> Visit {
    let refresh = answer.header("refresh").expect("the page looks again");
    let address = refresh.strip_prefix("0;url=").expect("at once");
    browser.navigate(address, Initiator::SameOrigin)
}

#[track_caller]
fn assert_page_keeps_the_way(answer: &Response, return_to: &str) {
    let link = format!("/bff/login?returnUrl={}", encoded(return_to));
    let page = answer.text();
    assert!(
        page.contains(&link.replace('&', "&amp;")),
        "{link} in {page}"
    );
}

#[test]
fn ten_tabs_log_in_at_once() {
    // B8, otobo#4393: restored tabs, each with a form of its own
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let forms: Vec<_> = (0..10)
        .map(|n| {
            browser.navigate(
                &format!("/bff/login?returnUrl=/tab/{n}"),
                Initiator::SameOrigin,
            )
        })
        .collect();
    for (n, form) in forms.iter().enumerate() {
        let visit = bff.fill_in(&mut browser, form, "alice", "wonderland");
        assert_eq!(
            visit.url.path(),
            format!("/tab/{n}"),
            "{}",
            visit.response.text()
        );
    }
    assert_eq!(
        browser.cookie_names(),
        ["__Host-Http-shop", "__Http-shop-hint"]
    );
}

#[test]
fn an_attempt_that_was_overtaken_ends_at_its_own_page() {
    // B8: more than there is room for
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let mut forms: Vec<_> = (0..24)
        .map(|n| {
            bff.clock.advance(Duration::from_secs(1));
            browser.navigate(
                &format!("/bff/login?returnUrl=/tab/{n}"),
                Initiator::SameOrigin,
            )
        })
        .collect();
    let newest = forms.pop().unwrap();
    let visit = bff.fill_in(&mut browser, &newest, "alice", "wonderland");
    assert_eq!(visit.url.path(), "/tab/23");
    let calls = bff.token_calls("authorization_code");
    let overtaken = bff.fill_in(&mut browser, &forms[0], "alice", "wonderland");
    let (_, answer) = callback(&overtaken);
    assert_eq!(
        answer.status, 400,
        "no session comes along from another site"
    );
    assert_page_keeps_the_way(answer, "/tab/0");
    let visit = look_again(&mut browser, answer);
    assert_eq!(visit.chain[0].1.status, 303);
    assert_eq!(visit.url.path(), "/tab/0");
    assert_eq!(bff.token_calls("authorization_code"), calls);
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
}

#[test]
fn back_after_the_login_ends_at_the_page_again() {
    // P07, mod_auth_openidc#89: back to the provider's form, and once more through it
    for same_site in ["strict", "lax"] {
        let bff = TestBff::with(|setup| setup.session = format!("same_site = \"{same_site}\""));
        let mut browser = bff.browser();
        let form = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
        let first = bff.fill_in(&mut browser, &form, "alice", "wonderland");
        assert_eq!(first.url.path(), "/welcome");
        let (address, _) = callback(&first);
        let visit = browser.navigate(address.as_str(), Initiator::CrossSite);
        let (_, answer) = callback(&visit);
        let visit = if same_site == "strict" {
            assert_eq!(answer.status, 400);
            look_again(&mut browser, answer)
        } else {
            assert_eq!(answer.header("refresh"), None);
            visit
        };
        assert_eq!(visit.url.path(), "/welcome", "{same_site}");
        // Where the browser shows its session at once, there is nothing to look for.
        let visit = browser.navigate(address.as_str(), Initiator::User);
        assert_eq!(visit.url.path(), "/welcome", "{same_site}");
        assert_eq!(bff.token_calls("authorization_code"), 1);
        assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    }
}

#[test]
fn a_page_looks_again_once_and_only_where_there_is_something_to_see() {
    // No loop where cookies are refused, and no session for an answer of another browser
    let bff = TestBff::with(|setup| setup.frontend = "error_page = \"/oops\"".to_owned());
    let mut browser = bff.browser();
    let form = browser.navigate("/bff/login?returnUrl=/welcome", Initiator::SameOrigin);
    browser
        .jar
        .retain(|cookie| !cookie.name.contains("-login."));
    let visit = bff.fill_in(&mut browser, &form, "alice", "wonderland");
    let (address, answer) = callback(&visit);
    let end = look_again(&mut browser, answer);
    assert_eq!(
        end.url.as_str(),
        "https://shop.test/oops?code=login-failed&returnUrl=%2Fwelcome"
    );
    // A script, or who asks for JSON, is told at once.
    for (mode, accept) in [("cors", "text/html"), ("navigate", "application/json")] {
        let request = Request::new(
            "GET",
            &format!("/bff/callback?{}", address.query().unwrap()),
        )
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", mode)
        .header("accept", accept);
        let answer = browser.send_bare(request);
        assert_eq!(answer.header("refresh"), None);
        assert_eq!(answer.status, 303, "to the error page");
    }
    assert_eq!(bff.token_calls("authorization_code"), 0);
    // A state that is not ours leads nowhere.
    for state in ["x", &"r".repeat(43), &"r".repeat(200)] {
        let visit = browser.navigate(
            &format!("/bff/callback?code=c&state={state}"),
            Initiator::CrossSite,
        );
        assert_eq!(
            visit.url.as_str(),
            "https://shop.test/oops?code=login-failed"
        );
    }
}

#[test]
fn an_address_that_somebody_else_made_leads_to_pages_alone() {
    // A7, A22: the second look is a navigation of our own origin, and brings the session's cookies.
    let bff = TestBff::spawn();
    for (target, ends_at) in [
        ("/api/echo/export?all=1", "/"),
        ("/api/maybe/x", "/"),
        ("/bff/login?prompt=login&login_hint=mallory", "/"),
        ("/bff/logout?sid=x", "/"),
        ("/welcome?x=1", "/welcome?x=1"),
    ] {
        let path = format!("/bff/login?returnUrl={}", encoded(target));
        let begun = bff.browser().send_bare(Request::new("GET", &path));
        let provider = Url::parse(begun.header("location").unwrap()).unwrap();
        let state = provider.query_pairs().find(|(name, _)| name == "state");
        let state = state.unwrap().1.into_owned();
        let mut victim = bff.signed_in();
        let (calls, logins) = (bff.api_calls(), bff.idp.observed().authorize);
        let foreign = format!("/bff/callback?state={}&code=x", encoded(&state));
        let page = victim.navigate(&foreign, Initiator::CrossSite).response;
        let refresh = page.header("refresh").expect("the page looks again");
        let again = victim.app().join(refresh.strip_prefix("0;url=").unwrap());
        let again = again.unwrap();
        let answer = victim.send_bare(
            Request::new("GET", &again[url::Position::BeforePath..])
                .header("accept", "text/html")
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document"),
        );
        assert_eq!(answer.status, 303, "{target}");
        assert_eq!(answer.header("location"), Some(ends_at), "{target}");
        assert_eq!(bff.api_calls(), calls, "{target}");
        assert_eq!(bff.idp.observed().authorize, logins, "{target}");
        assert_eq!(victim.fetch("GET", "/bff/session").json()["active"], true);
    }
}

#[test]
fn a_second_look_is_taken_by_get_whatever_the_response_mode_is() {
    // P07, B21
    let bff = TestBff::with(|setup| {
        setup.oidc = "extra_params = { response_mode = \"form_post\" }".to_owned();
    });
    let mut browser = bff.browser();
    let login = browser.send_bare(Request::new("GET", "/bff/login?returnUrl=/welcome"));
    let request = Url::parse(login.header("location").unwrap()).unwrap();
    let state = request.query_pairs().find(|(name, _)| name == "state");
    let state = state.unwrap().1.into_owned();
    let target = browser.app().join("/bff/callback").unwrap();
    browser.jar.clear();
    let visit = browser.submit(
        &target,
        &[("state", &state), ("code", "c")],
        Initiator::CrossSite,
    );
    assert_eq!(visit.response.status, 400);
    let visit = look_again(&mut browser, &visit.response);
    assert_eq!(visit.response.status, 400);
    assert_eq!(visit.response.header("refresh"), None);
    assert_page_keeps_the_way(&visit.response, "/welcome");
    for query in [format!("state={state}&code=c"), "state=x".to_owned()] {
        let get = browser.send_bare(Request::new("GET", &format!("/bff/callback?{query}")));
        assert_eq!(get.status, 405, "{query}");
    }
}

#[test]
fn a_step_up_whose_attempt_is_lost_is_not_taken_for_done() {
    // RFC 9470: the older session would be sent back for the same step-up, for ever
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    bff.clock.advance(Duration::from_secs(60));
    for (params, path) in [("acr_values=urn:x&", "/bff/callback"), ("", "/welcome")] {
        let login = format!("/bff/login?{params}returnUrl=/welcome");
        let login = browser.send_bare(Request::new("GET", &login));
        let request = Url::parse(login.header("location").unwrap()).unwrap();
        let state = request.query_pairs().find(|(name, _)| name == "state");
        let state = encoded(&state.unwrap().1);
        browser
            .jar
            .retain(|cookie| !cookie.name.contains("-login."));
        let answer = format!("/bff/callback?code=c&state={state}");
        let visit = browser.navigate(&answer, Initiator::User);
        assert_eq!(visit.url.path(), path, "{params}");
    }
}

#[test]
fn a_login_that_has_expired_at_the_provider_is_begun_anew_once() {
    // P06, lua-resty-openidc#549, keycloak#28595
    let bff = TestBff::spawn();
    let return_to = "/orders?page=2&x=ü#end";
    let login = format!("/bff/login?returnUrl={}", encoded(return_to));
    let kept = "/orders?page=2&x=%C3%BC#end";
    let mut browser = bff.browser();
    expire(&bff, 1);
    let visit = bff.log_in(&mut browser, &login);
    let callbacks = visit
        .chain
        .iter()
        .filter(|(url, _)| url.path() == "/bff/callback");
    assert_eq!(callbacks.count(), 2, "by itself");
    assert_eq!(visit.url.as_str(), format!("https://shop.test{kept}"));
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    // Then a page.
    let mut browser = bff.browser();
    expire(&bff, 2);
    let visit = bff.log_in(&mut browser, &login);
    assert_eq!(visit.response.status, 400);
    assert_page_keeps_the_way(&visit.response, kept);
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    // Other temporary errors are no reason.
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::Error("temporarily_unavailable"));
    let calls = bff.idp.observed().authorize;
    let visit = bff.log_in(&mut bff.browser(), &login);
    assert_eq!(visit.response.status, 400);
    assert_eq!(bff.idp.observed().authorize, calls + 1);
}

#[test]
fn every_failed_login_keeps_the_way() {
    // P06
    let bff = TestBff::spawn();
    let login = "/bff/login?returnUrl=/orders?page=2";
    for fault in [
        AuthorizationFault::Error("server_error").into(),
        AuthorizationFault::NoIss.into(),
        AuthorizationFault::With("code", "wrong".to_owned()).into(),
        Fault::from(TokenFault::InvalidGrant),
        TokenFault::TruncatedJson.into(),
        TokenFault::DropConnection.into(),
        TokenFault::Without("id_token").into(),
    ] {
        bff.idp.faults().inject(1, fault.clone());
        let visit = bff.log_in(&mut bff.browser(), login);
        assert_eq!(visit.url.path(), "/bff/callback", "{fault:?}");
        assert!(matches!(visit.response.status, 400 | 503), "{fault:?}");
        assert_page_keeps_the_way(&visit.response, "/orders?page=2");
    }
    // Too late, so without its cookie.
    let mut browser = bff.browser();
    let address = answer_of(&bff, &mut browser, login);
    bff.clock.advance(Duration::from_secs(601));
    let visit = browser.navigate(address.as_str(), Initiator::CrossSite);
    assert_page_keeps_the_way(&visit.response, "/orders?page=2");
    // Not even begun.
    let bff = TestBff::with(|setup| setup.provider_is_down = true);
    let visit = bff.browser().navigate(login, Initiator::SameOrigin);
    assert_eq!(visit.response.status, 503);
    assert_page_keeps_the_way(&visit.response, "/orders?page=2");
}

#[test]
fn who_declines_is_back_in_the_application() {
    // N2: to the returnUrl, or the page that the application has for it
    let bff = TestBff::spawn();
    bff.idp.faults().inject(1, AuthorizationFault::AccessDenied);
    let mut browser = bff.browser();
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/orders?page=2");
    assert_eq!(visit.url.as_str(), "https://shop.test/orders?page=2");
    assert_eq!(browser.cookie_names(), Vec::<String>::new());
    assert_eq!(bff.token_calls("authorization_code"), 0);
    let failed = "sealgate_logins_total{frontend=\"shop\",result=\"failed\",reason=\"denied\"}";
    assert_eq!(bff.metric(failed), 1);
    let bff = TestBff::with(|setup| setup.frontend = "error_page = \"/oops\"".to_owned());
    bff.idp.faults().inject(1, AuthorizationFault::AccessDenied);
    let visit = bff.log_in(&mut bff.browser(), "/bff/login?returnUrl=/orders");
    assert_eq!(
        visit.url.as_str(),
        "https://shop.test/oops?code=login-failed&returnUrl=%2Forders"
    );
}

#[test]
fn a_login_without_prompt_that_fails_goes_back() {
    // Nobody was to be asked, so nobody is shown a page
    for error_page in ["", "error_page = \"/oops\""] {
        let bff = TestBff::with(|setup| setup.frontend = error_page.to_owned());
        let mut browser = bff.browser();
        let login = "/bff/login?prompt=none&returnUrl=/orders?page=2";
        let visit = browser.navigate(login, Initiator::SameOrigin);
        assert_eq!(visit.url.as_str(), "https://shop.test/orders?page=2");
        bff.log_in(&mut browser, "/bff/login");
        let visit = browser.navigate(login, Initiator::SameOrigin);
        assert_eq!(visit.url.as_str(), "https://shop.test/orders?page=2");
        assert_eq!(bff.token_calls("authorization_code"), 2);
    }
}

#[test]
fn a_return_url_arrives_as_it_was_asked_for() {
    // P13, vouch-proxy#348, next-auth#12499
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let mut noise = String::from("/");
    let mut seed = 7_u32;
    while noise.len() < 4096 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend(
            char::from_digit(seed >> 28, 36)
                .into_iter()
                .chain(char::from_digit(seed >> 27, 36)),
        );
    }
    noise.truncate(4096);
    for (asked, want) in [
        (
            "/straße/grün x?q=a b&r=ü#ende",
            "/stra%C3%9Fe/gr%C3%BCn%20x?q=a%20b&r=%C3%BC#ende",
        ),
        (
            &format!("/orders?filter={}", "x".repeat(1100)),
            &format!("/orders?filter={}", "x".repeat(1100)),
        ),
        (
            &format!("/?q={}", "ü".repeat(600)),
            &format!("/?q={}", "%C3%BC".repeat(600)),
        ),
        (&noise, &noise),
    ] {
        let visit = bff.log_in(
            &mut browser,
            &format!("/bff/login?returnUrl={}", encoded(asked)),
        );
        let (_, answer) = callback(&visit);
        assert_eq!(answer.header("location"), Some(want));
    }
    // Beside a session that leaves no room for cookies.
    bff.idp.faults().pad_tokens(5000);
    let mut browser = bff.browser();
    bff.log_in(&mut browser, "/bff/login");
    let len = browser.api_cookie_line("/api/echo").len();
    assert!(len > 5500, "{len}");
    let long = &noise[..2000];
    let visit = bff.log_in(&mut browser, &format!("/bff/login?returnUrl={long}"));
    assert_eq!(callback(&visit).1.header("location"), Some(long));
    // What does not fit is said, before anything begins.
    for long in [
        format!("/{}", "x".repeat(4096)),
        format!("/{}", "ü".repeat(683)),
    ] {
        let calls = bff.idp.observed().authorize;
        let visit = browser.navigate(
            &format!("/bff/login?returnUrl={}", encoded(&long)),
            Initiator::SameOrigin,
        );
        assert_eq!(visit.response.status, 400);
        assert!(visit.response.text().contains("<code>bad-request</code>"));
        assert_eq!(bff.idp.observed().authorize, calls);
    }
}

#[test]
fn an_answer_that_comes_twice_while_the_code_is_redeemed_is_one_session() {
    // P27, auth0/lock#1979: the browser gives the first one up
    let bff = TestBff::spawn();
    let mut browser = bff.browser();
    let address = answer_of(&bff, &mut browser, "/bff/login?returnUrl=/welcome");
    bff.idp
        .faults()
        .inject(1, TokenFault::Delay(Duration::from_secs(1)));
    let cookies = browser.cookie_line(&address, "GET", Initiator::CrossSite, true);
    let request = Request::new(
        "GET",
        &format!("/bff/callback?{}", address.query().unwrap()),
    )
    .header("host", "shop.test")
    .header("accept", "text/html")
    .header("sec-fetch-site", "cross-site")
    .header("sec-fetch-mode", "navigate")
    .header("cookie", &cookies);
    let given_up = request.begin(bff.addr);
    eventually("the code is on its way", || {
        (bff.token_calls("authorization_code") > 0).then_some(())
    });
    drop(given_up);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| request.send(bff.addr)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let sids: BTreeSet<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(
                (answer.status, answer.header("location")),
                (303, Some("/welcome"))
            );
            browser.take(answer);
            let claims = browser.fetch("GET", "/bff/user").json();
            let claims = claims.as_array().unwrap();
            let logout = claims
                .iter()
                .find(|claim| claim["type"] == "bff:logout_url");
            logout.unwrap()["value"].to_string()
        })
        .collect();
    assert_eq!(sids.len(), 1, "one session");
    assert_eq!(
        bff.token_calls("authorization_code"),
        1,
        "the code is spent once"
    );
    let logins = "sealgate_logins_total{frontend=\"shop\",result=\"ok\"}";
    assert_eq!(bff.metric(logins), 1);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    browser.fetch("POST", "/bff/logout");
    // After the logout, a copy of the attempt brings nobody back.
    let late = request.send(bff.addr);
    assert_eq!(late.status, 400);
    assert!(
        late.headers("set-cookie")
            .iter()
            .all(|line| line.contains("Max-Age=0"))
    );
}

#[test]
fn tokens_that_become_no_session_are_revoked() {
    // P27: nothing is left behind
    for fault in [Some(IdTokenFault::BadSignature), None] {
        let bff = TestBff::spawn();
        match fault {
            Some(fault) => bff.idp.faults().inject(1, fault),
            None => bff.idp.faults().pad_tokens(40 * 1024),
        }
        let visit = bff.log_in(&mut bff.browser(), "/bff/login");
        assert!(matches!(visit.response.status, 400 | 500));
        for kind in [Secret::AccessToken, Secret::RefreshToken] {
            for token in bff.idp.minted_of(kind) {
                eventually("it is revoked", || {
                    bff.revoked().contains(&token).then_some(())
                });
            }
        }
    }
}
