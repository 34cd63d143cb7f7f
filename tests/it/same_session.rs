//! A page knows which session it talks with, and nothing of one person stays behind for the next.

use crate::support::{Browser, Initiator, Request, TestBff};

const HEADER: &str = "x-sealgate-session";

fn call(browser: &mut Browser, meant: Option<&str>) -> crate::support::Response {
    let mut request = Request::new("GET", "/api/echo/x").header("x-csrf", "1");
    if let Some(meant) = meant {
        request = request.header(HEADER, meant);
    }
    browser.send(request)
}

#[test]
fn a_page_is_told_when_somebody_else_has_signed_in() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let answer = call(&mut browser, None);
    let alices = answer.header(HEADER).unwrap().to_owned();
    assert_eq!(alices.len(), 8);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    assert!(alices.bytes().all(is_plain), "{alices}");
    // It is a hash: nothing of the session's own id.
    let logout_url = browser.fetch("GET", "/bff/user").text();
    assert!(!logout_url.contains(&alices));
    assert_eq!(call(&mut browser, Some(&alices)).status, 200);
    let sent = bff.api.requests().pop().unwrap();
    assert!(sent.headers.iter().all(|(name, _)| name != HEADER));
    // A refresh changes nothing.
    bff.clock.advance(std::time::Duration::from_secs(301));
    let answer = call(&mut browser, Some(&alices));
    assert_eq!(
        (answer.status, answer.header(HEADER)),
        (200, Some(&*alices))
    );
    // Bob signs in in another tab.
    let form = browser.navigate("/bff/login?prompt=login", Initiator::SameOrigin);
    bff.fill_in(&mut browser, &form, "bob", "builder");
    let calls = bff.api_calls();
    let answer = call(&mut browser, Some(&alices));
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (409, "session-changed")
    );
    let bobs = answer.header(HEADER).unwrap().to_owned();
    assert_ne!(bobs, alices);
    for meant in ["x", &bobs[..7]] {
        assert_eq!(call(&mut browser, Some(meant)).status, 409, "{meant}");
    }
    assert_eq!(bff.api_calls(), calls);
    assert_eq!(call(&mut browser, Some(&bobs)).status, 200);
    // A page that has not learnt of a session names none.
    assert_eq!(call(&mut browser, Some("")).status, 200);
    // Nobody is signed in: the route says what becomes of it.
    let mut nobody = bff.browser();
    let answer = call(&mut nobody, Some(&bobs));
    assert_eq!((answer.status, answer.header(HEADER)), (401, None));
}

#[test]
fn a_logout_empties_the_cache_where_that_is_wanted() {
    for (lines, expected) in [
        ("", None),
        ("clear_cache_on_logout = true", Some("\"cache\"")),
    ] {
        let bff = TestBff::with(|setup| setup.frontend = lines.to_owned());
        let mut browser = bff.signed_in();
        assert_eq!(
            browser.fetch("GET", "/bff/user").header("clear-site-data"),
            None
        );
        let answer = browser.fetch("POST", "/bff/logout");
        assert_eq!(answer.header("clear-site-data"), expected);
        let url = answer.json()["logout_url"].as_str().unwrap().to_owned();
        let visit = browser.navigate(&url, Initiator::SameOrigin);
        let (_, answer) = &visit.chain[0];
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header("clear-site-data"), expected);
    }
}
