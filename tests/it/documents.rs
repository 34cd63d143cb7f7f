//! Pages of an upstream: links and the address bar lead to them, and a login begins where a user is needed.

use std::time::Duration;

use sealgate::demo::idp::{AuthorizationFault, TokenFault};
use url::form_urlencoded::byte_serialize;

use crate::support::json_api::{Canned, JsonApi};
use crate::support::upstream::RawUpstream;
use crate::support::{Browser, Initiator, ORIGIN, Request, Response, TestBff, Visit};

/// Routes of which `/` needs a user and begins logins, `/open` is for anybody, and `/plain` refuses who is not signed in.
const ROUTES: &str = r#"
[frontend.shop.route.site]
path = "/"
upstream = "web"
documents = true
login = "redirect"
[frontend.shop.route.open]
path = "/open"
upstream = "web"
token = "user_or_none"
documents = true
login = "redirect"
strip_prefix = false
[frontend.shop.route.plain]
path = "/plain"
upstream = "web"
documents = true
strip_prefix = false
"#;

fn html() -> Canned {
    Canned::ok("<!doctype html><h1>The page</h1>").header("content-type", "text/html")
}

/// sealgate in front of a renderer.
fn site_with(more: impl FnOnce(&mut crate::support::Setup)) -> (TestBff, JsonApi) {
    let web = JsonApi::start();
    for path in ["/", "/orders?page=2", "/open", "/plain", "/app.js"] {
        web.at(path, html());
    }
    let bff = TestBff::with(|setup| {
        setup.tables = web.table("web", "") + ROUTES;
        more(setup);
    });
    (bff, web)
}

fn site() -> (TestBff, JsonApi) {
    site_with(|_| {})
}

/// A navigation that stops at the first answer.
fn visit(browser: &mut Browser, path: &str, site: &str) -> Response {
    browser.send_bare(navigation(path, site))
}

fn navigation(path: &str, site: &str) -> Request {
    Request::new("GET", path)
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("sec-fetch-site", site)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
}

/// Follows a page that goes on by itself, as a navigation of that page.
#[track_caller]
fn goes_on(browser: &mut Browser, answer: &Response) -> Visit {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("content-security-policy").is_some());
    let refresh = answer.header("refresh").expect("it goes on by itself");
    let address = refresh.strip_prefix("0;url=").expect("at once");
    browser.navigate(address, Initiator::SameOrigin)
}

/// Signs in at the provider's form, and goes on from the callback.
#[track_caller]
fn sign_in(browser: &mut Browser, form: &Visit) -> Visit {
    let visit = browser.fill_in(form, "alice", "wonderland");
    assert_eq!(visit.url.path(), "/bff/callback");
    goes_on(browser, &visit.response)
}

#[track_caller]
fn assert_is_the_page(answer: &Response) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("The page"), "{}", answer.text());
}

fn to_provider(bff: &TestBff, answer: &Response) -> bool {
    let location = answer.header("location").unwrap_or_default();
    answer.status == 303 && location.starts_with(bff.idp.issuer())
}

#[test]
fn a_page_begins_the_login_and_is_where_it_ends() {
    let (bff, web) = site();
    let mut browser = bff.browser();
    let form = browser.navigate("/orders?page=2", Initiator::User);
    assert!(
        to_provider(&bff, &form.chain[0].1),
        "303, not by way of /bff/login"
    );
    assert!(web.asked().is_empty());
    let page = sign_in(&mut browser, &form);
    assert_eq!(page.url.as_str(), "https://shop.test/orders?page=2");
    assert_is_the_page(&page.response);
    let heads = web.heads().concat().to_ascii_lowercase();
    assert!(heads.contains("authorization: bearer "), "{heads}");
    // From then on the address bar is enough.
    assert_is_the_page(&visit(&mut browser, "/", "none"));
}

#[test]
fn a_script_a_form_a_prefetch_and_a_foreign_frame_begin_no_login() {
    let (bff, web) = site();
    let mut browser = bff.browser();
    let fetch = browser.fetch("GET", "/orders?page=2");
    assert_eq!(
        (fetch.status, fetch.problem().as_str()),
        (401, "login-required")
    );
    assert_eq!(fetch.json()["login_url"], "/bff/login");
    let form = Request::new("POST", "/orders?page=2")
        .header("accept", "text/html")
        .header("origin", ORIGIN)
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate");
    assert_eq!(browser.send_bare(form).status, 401);
    let prefetch = navigation("/", "same-origin").header("sec-purpose", "prefetch");
    assert_eq!(browser.send_bare(prefetch).status, 401);
    for site in ["cross-site", "same-site"] {
        let frame = Request::new("GET", "/")
            .header("accept", "text/html")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "iframe");
        let frame = browser.send_bare(frame);
        assert_eq!(frame.status, 401, "{site}");
        assert_eq!(frame.header("refresh"), None, "{site}");
    }
    assert_eq!(bff.idp.observed().authorize, 0);
    assert!(browser.cookie_names().is_empty());
    assert!(web.asked().is_empty());
    // A service worker that passes a navigation on changes its destination.
    let passed_on = Request::new("GET", "/")
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "empty");
    assert!(to_provider(&bff, &browser.send_bare(passed_on)));
    // An old browser says nothing but what it accepts.
    let old = Request::new("GET", "/").header("accept", "text/html");
    assert!(to_provider(&bff, &browser.send_bare(old)));
}

#[test]
fn a_link_of_another_site_finds_the_session() {
    // RFC 6265bis §5.2: the first navigation comes without Strict cookies.
    let (bff, web) = site();
    let mut browser = bff.browser();
    let form = browser.navigate("/", Initiator::User);
    sign_in(&mut browser, &form);
    let logins = bff.idp.observed().authorize;
    for path in ["/orders?page=2", "/plain"] {
        let first = browser.navigate(path, Initiator::CrossSite);
        assert_eq!(first.chain.len(), 1, "{path}");
        let asked = web.asked().len();
        let page = goes_on(&mut browser, &first.response);
        assert_is_the_page(&page.response);
        assert_eq!(web.asked().len(), asked + 1, "{path}");
    }
    assert_eq!(bff.idp.observed().authorize, logins);
    // Nobody is signed in: one look, then the login, or the refusal.
    let mut other = bff.browser();
    let first = other.navigate("/orders?page=2", Initiator::CrossSite);
    let form = goes_on(&mut other, &first.response);
    assert!(to_provider(&bff, &form.chain[0].1));
    assert_is_the_page(&sign_in(&mut other, &form).response);
    let mut nobody = bff.browser();
    let first = nobody.navigate("/plain", Initiator::CrossSite);
    let refused = goes_on(&mut nobody, &first.response);
    assert_eq!(refused.response.status, 401);
    // What is for anybody is shown at once.
    assert_is_the_page(&visit(&mut nobody, "/open", "cross-site"));
}

#[test]
fn with_lax_cookies_no_page_lies_between() {
    let (bff, _web) = site_with(|setup| setup.session = "same_site = \"lax\"".to_owned());
    let mut browser = bff.browser();
    let form = browser.navigate("/orders?page=2", Initiator::CrossSite);
    assert!(to_provider(&bff, &form.chain[0].1));
    let page = browser.fill_in(&form, "alice", "wonderland");
    assert_eq!(page.url.path(), "/orders");
    assert_is_the_page(&page.response);
    let page = browser.navigate("/", Initiator::CrossSite);
    assert_is_the_page(&page.response);
}

#[test]
fn a_page_that_refuses_names_the_login_that_leads_back() {
    let (bff, _web) = site();
    let answer = visit(&mut bff.browser(), "/plain", "none");
    assert_eq!(answer.status, 401);
    let link = "/bff/login?returnUrl=%2Fplain";
    assert!(answer.text().contains(link), "{}", answer.text());
    assert_eq!(answer.header("location"), None);
}

#[test]
fn an_own_form_needs_no_header_and_a_foreign_one_changes_nothing() {
    // A11–A15
    let (bff, web) = site();
    web.at("/save", Canned::ok("saved"));
    let mut browser = bff.browser();
    let form = browser.navigate("/", Initiator::User);
    sign_in(&mut browser, &form);
    for (origin, site, header, status) in [
        (Some(ORIGIN), Some("same-origin"), false, 200),
        (Some(ORIGIN), None, false, 403),
        (None, Some("same-origin"), false, 403),
        (None, None, false, 403),
        (Some("null"), Some("same-origin"), false, 403),
        (Some("https://evil.test"), Some("cross-site"), false, 403),
        (Some("https://evil.test"), Some("same-origin"), false, 403),
        (Some(ORIGIN), Some("cross-site"), false, 403),
        (Some(ORIGIN), Some("same-site"), true, 403),
        (Some(ORIGIN), Some("none"), false, 403),
        (None, None, true, 200),
    ] {
        for mode in ["navigate", "cors"] {
            let mut request = Request::new("POST", "/save")
                .header("accept", "text/html")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-mode", mode)
                .body("a=1");
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            if header {
                request = request.header("x-csrf", "1");
            }
            let asked = web.asked().len();
            let answer = browser.send_bare(request);
            assert_eq!(answer.status, status, "{origin:?} {site:?} {header} {mode}");
            assert_eq!(web.asked().len() - asked, usize::from(status == 200));
        }
    }
}

#[test]
fn only_navigations_come_from_elsewhere() {
    // A13: neither scripts nor images nor data of a page are another site's.
    let (bff, web) = site();
    let mut browser = bff.browser();
    let form = browser.navigate("/", Initiator::User);
    sign_in(&mut browser, &form);
    for (site, mode, dest, status) in [
        ("same-origin", "no-cors", "script", 200),
        ("same-origin", "same-origin", "serviceworker", 200),
        ("same-origin", "no-cors", "style", 200),
        ("same-origin", "navigate", "iframe", 200),
        ("cross-site", "no-cors", "script", 403),
        ("same-site", "no-cors", "image", 403),
        ("cross-site", "cors", "empty", 403),
    ] {
        let request = Request::new("GET", "/app.js")
            .header("accept", "*/*")
            .header("service-worker", "script")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest);
        let answer = browser.send_bare(request);
        assert_eq!(answer.status, status, "{site} {mode} {dest}");
    }
    // The API beside it is as it was: no address bar, no scripts.
    assert_eq!(visit(&mut browser, "/api/echo/x", "none").status, 403);
    let calls = web.asked().len();
    assert_eq!(visit(&mut browser, "/api/echo/x", "cross-site").status, 403);
    assert_eq!(web.asked().len(), calls);
}

#[test]
fn what_a_page_says_of_itself_passes_and_what_is_sealgates_does_not() {
    let (bff, web) = site();
    let said = [
        ("content-security-policy", "script-src 'nonce-x'"),
        ("permissions-policy", "camera=()"),
        ("refresh", "30"),
        ("service-worker-allowed", "/"),
        ("speculation-rules", "\"/rules.json\""),
        ("x-frame-options", "DENY"),
    ];
    let stays = [
        ("access-control-allow-origin", "*"),
        ("clear-site-data", "\"*\""),
        ("set-cookie", "__Host-Http-shop=x; Path=/; Secure"),
        ("www-authenticate", "Basic"),
        ("x-powered-by", "Next.js"),
    ];
    let mut page = html();
    for (name, value) in said.iter().chain(&stays) {
        page = page.header(name, value);
    }
    web.at("/open", page);
    let answer = visit(&mut bff.browser(), "/open", "none");
    for (name, value) in said {
        assert_eq!(answer.headers(name), [value], "{name}");
    }
    for (name, _) in stays {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn redirects_of_the_upstream_lead_to_pages_here() {
    let (bff, web) = site();
    for (location, seen) in [
        ("/open/2", "/open/2"),
        ("{own}/open/2?x=1", "/open/2?x=1"),
        ("https://shop.test/open/2", "https://shop.test/open/2"),
        ("https://elsewhere.test/x", "https://elsewhere.test/x"),
    ] {
        let table = web.table("web", "");
        let own = table.split('"').nth(1).unwrap();
        let location = location.replace("{own}", own);
        web.at(
            "/open",
            Canned::status(307, "").header("location", &location),
        );
        let answer = visit(&mut bff.browser(), "/open", "none");
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), Some(seen));
    }
}

#[test]
fn a_page_streams_as_it_is_rendered() {
    // The second part is sent once the first has been read by the client.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = RawUpstream::start(move |mut talk| {
        while talk.head().is_some() {
            talk.say(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n",
            );
            talk.say("5\r\n<h1>a\r\n");
            wait.lock().unwrap().recv().unwrap();
            talk.say("5\r\n</h1>\r\n0\r\n\r\n");
        }
    });
    let bff = TestBff::with(|setup| {
        setup.tables = format!(
            "[upstream.web]\nurl = \"http://{}\"\n[frontend.shop.route.site]\npath = \"/\"\nupstream = \"web\"\n\
             token = \"none\"\ndocuments = true\n",
            web.addr
        );
    });
    let request = navigation("/", "none").header("host", "shop.test");
    let mut stream = request.begin(bff.addr);
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("<h1>a") {
        let read = std::io::Read::read(&mut stream, &mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..read]);
    }
    go_on.send(()).unwrap();
    std::io::Read::read_to_end(&mut stream, &mut seen).unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("</h1>"));
}

#[test]
fn a_login_that_was_declined_does_not_begin_again() {
    let (bff, _web) = site();
    let mut browser = bff.browser();
    bff.idp
        .faults()
        .inject(1, AuthorizationFault::Error("access_denied"));
    let form = browser.navigate("/orders?page=2", Initiator::User);
    let logins = bff.idp.observed().authorize;
    let end = browser.fill_in(&form, "alice", "wonderland");
    assert_eq!(end.url.path(), "/bff/callback");
    assert_eq!(end.response.status, 400);
    assert_eq!(bff.idp.observed().authorize, logins);
    let back: String = byte_serialize(b"/orders?page=2").collect();
    let link = format!("/bff/login?returnUrl={back}");
    assert!(end.response.text().contains(&link));
}

#[test]
fn a_session_that_ends_as_soon_as_it_is_used_begins_no_login_by_itself() {
    // The provider takes no refresh token: a login that follows by itself would end like this one, without end.
    for (age, begins) in [(20, false), (120, true)] {
        let (bff, _web) = site_with(|setup| {
            setup.access_token_lifetime = Duration::from_secs(10);
        });
        let mut browser = bff.browser();
        let form = browser.navigate("/", Initiator::User);
        sign_in(&mut browser, &form);
        bff.clock.advance(Duration::from_secs(age));
        bff.idp.faults().inject(9, TokenFault::InvalidGrant);
        let replica = bff.replica();
        browser.resolve("shop.test", replica.addr);
        let first = visit(&mut browser, "/", "none");
        assert_eq!(first.status, 401);
        // The cookies of the other replica may be on their way: the page looks once more by itself.
        assert_eq!(first.header("refresh"), Some("0;url=/"));
        let second = visit(&mut browser, "/", "same-origin");
        assert_eq!(second.header("refresh"), None);
        assert_eq!(to_provider(&bff, &second), begins, "{}", second.text());
        assert_eq!(second.status == 401, !begins);
    }
}

#[test]
fn a_page_counts_its_logins_against_the_limit() {
    let limit = "login_rate_limit = { per_second = 0.001, burst = 2 }";
    let (bff, _web) = site_with(|setup| setup.frontend = limit.to_owned());
    let mut browser = bff.browser();
    for _ in 0..2 {
        assert!(to_provider(&bff, &visit(&mut browser, "/", "none")));
    }
    let answer = visit(&mut browser, "/", "none");
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn a_provider_that_is_down_is_said_on_the_page() {
    let (bff, _web) = site_with(|setup| setup.provider_is_down = true);
    let answer = visit(&mut bff.browser(), "/orders?page=2", "none");
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("/orders?page=2"),
        "{}",
        answer.text()
    );
}
