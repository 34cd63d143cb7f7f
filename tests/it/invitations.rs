//! Who beside the app's own pages reaches it: further hosts, links of other sites to the login, logins that others initiate.

use url::Url;
use url::form_urlencoded::Serializer;

use crate::support::{Initiator, Request, Response, TestBff};

fn with(lines: &str) -> TestBff {
    TestBff::with(|setup| setup.frontend = lines.to_owned())
}

/// A link on another site's page.
fn linked(path: &str, referer: Option<&str>, site: &str) -> Request {
    let request = Request::new("GET", path)
        .header("accept", "text/html")
        .header("sec-fetch-site", site)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    match referer {
        Some(referer) => request.header("referer", referer),
        None => request,
    }
}

fn begins(bff: &TestBff, answer: &Response) -> bool {
    let location = answer.header("location").unwrap_or_default();
    answer.status == 302 && location.starts_with(bff.idp.issuer())
}

fn asked(answer: &Response, name: &str) -> Option<String> {
    let url = Url::parse(answer.header("location")?).ok()?;
    let found = url.query_pairs().find(|(key, _)| key == name)?;
    Some(found.1.into_owned())
}

fn query(params: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(params);
    query.finish()
}

#[test]
fn a_frontend_has_further_hosts_and_one_origin() {
    let bff = with("hosts = [\"shop.internal:8080\", \"Probe.test\"]");
    for (host, status) in [
        ("shop.test", 200),
        // An empty port is the default one (RFC 3986 §3.2.3).
        ("shop.test:", 200),
        ("probe.test:", 200),
        ("shop.internal:8080:", 421),
        // Browsers keep the cookies of such a host apart.
        ("shop.test.", 421),
        ("shop.internal:8080", 200),
        ("SHOP.internal:8080", 200),
        ("shop.internal", 421),
        ("probe.test", 200),
        ("probe.test:443", 200),
        ("probe.test:8080", 421),
    ] {
        let session = Request::new("GET", "/bff/session")
            .header("host", host)
            .header("x-csrf", "1")
            .send(bff.addr);
        assert_eq!(session.status, status, "{host}");
    }
    // What leaves goes by the origin.
    let login = Request::new("GET", "/bff/login")
        .header("host", "shop.internal:8080")
        .send(bff.addr);
    let callback = asked(&login, "redirect_uri");
    assert_eq!(callback.as_deref(), Some("https://shop.test/bff/callback"));
    let post = |origin: &str| {
        Request::new("POST", "/api/public/x")
            .header("host", "shop.internal:8080")
            .header("origin", origin)
            .header("x-csrf", "1")
            .send(bff.addr)
    };
    assert_eq!(post("https://shop.test").status, 200);
    assert_eq!(post("https://shop.internal:8080").status, 403);
    let last = bff.api.requests().pop().unwrap();
    let told = last
        .headers
        .iter()
        .find(|(name, _)| name == "x-forwarded-host");
    assert_eq!(told.map(|(_, value)| value.as_str()), Some("shop.test"));
}

#[test]
fn hsts_is_as_it_was_written() {
    // N5
    for (lines, expected) in [
        ("", Some("max-age=31536000; includeSubDomains")),
        ("hsts = \"max-age=600\"", Some("max-age=600")),
        ("hsts = \"\"", None),
    ] {
        let bff = with(lines);
        let answer = bff.browser().fetch("GET", "/bff/session");
        assert_eq!(answer.header("strict-transport-security"), expected);
    }
}

#[test]
fn only_invited_pages_link_to_the_login() {
    // P23, mod_auth_openidc#137
    let www = "https://www.shop.test/news";
    for (lines, referer, site, expected) in [
        ("", Some(www), "same-site", false),
        (
            "logins_from = [\"https://www.shop.test\"]",
            Some(www),
            "same-site",
            true,
        ),
        (
            "logins_from = [\"https://www.shop.test\"]",
            Some("https://okta.test/"),
            "cross-site",
            false,
        ),
        (
            "logins_from = [\"https://www.shop.test\"]",
            None,
            "cross-site",
            false,
        ),
        (
            "logins_from = [\"*\"]",
            Some("https://okta.test/"),
            "cross-site",
            true,
        ),
        ("logins_from = [\"*\"]", None, "cross-site", true),
    ] {
        let bff = with(lines);
        let mut browser = bff.browser();
        let answer = browser.send_bare(linked("/bff/login?returnUrl=/x", referer, site));
        assert_eq!(begins(&bff, &answer), expected, "{lines} {referer:?}");
        assert_eq!(answer.status == 403, !expected);
        // Neither a frame nor a script, and nothing but the login.
        for (mode, dest, path) in [
            ("navigate", "iframe", "/bff/login"),
            ("no-cors", "image", "/bff/login"),
            ("navigate", "document", "/bff/silent-login"),
            ("navigate", "document", "/bff/logout?sid=x"),
        ] {
            let mut request = Request::new("GET", path)
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-mode", mode)
                .header("sec-fetch-dest", dest);
            if let Some(referer) = referer {
                request = request.header("referer", referer);
            }
            let answer = browser.send_bare(request);
            assert_eq!(answer.status, 403, "{lines} {mode} {dest} {path}");
        }
    }
}

#[test]
fn a_third_party_initiates_a_login() {
    // OpenID Connect Core §4
    let bff = with("initiate_login = true");
    let iss = bff.idp.issuer().to_owned();
    for (target, ends_at) in [
        (Some("https://shop.test/orders?page=2"), "/orders"),
        (Some("/orders"), "/orders"),
        (Some("https://evil.test/"), "/"),
        (Some("//evil.test/"), "/"),
        (None, "/"),
    ] {
        let mut params = vec![("iss", iss.as_str()), ("login_hint", "alice")];
        params.extend(target.map(|target| ("target_link_uri", target)));
        let mut browser = bff.browser();
        let path = format!("/bff/login?{}", query(&params));
        let form = browser.navigate(&path, Initiator::CrossSite);
        let hint = asked(&form.chain[0].1, "login_hint");
        assert_eq!(hint.as_deref(), Some("alice"));
        let visit = bff.fill_in(&mut browser, &form, "alice", "wonderland");
        assert_eq!(visit.url.path(), ends_at, "{target:?}");
        assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
        // The same by a form.
        let login = browser.app().join("/bff/login").unwrap();
        let visit = browser.submit(&login, &params, Initiator::CrossSite);
        assert_eq!(visit.chain[0].1.status, 302, "{target:?}");
    }
}

#[test]
fn nobody_initiates_a_login_at_another_provider_or_unasked() {
    let bff = with("initiate_login = true");
    let iss = bff.idp.issuer().to_owned();
    let mut browser = bff.browser();
    let mut ask = |params: &[(&str, &str)]| {
        let path = format!("/bff/login?{}", query(params));
        browser.send_bare(linked(&path, Some("https://okta.test/"), "cross-site"))
    };
    assert_eq!(ask(&[("iss", "https://evil.test")]).status, 400);
    assert_eq!(ask(&[("iss", &format!("{iss}/"))]).status, 400);
    assert_eq!(ask(&[("iss", &iss), ("iss", &iss)]).status, 400);
    assert_eq!(ask(&[("target_link_uri", "/orders")]).status, 403);
    let post = Request::new("POST", "/bff/login")
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://okta.test")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .body("login_hint=alice");
    assert_eq!(browser.send_bare(post.clone()).status, 400);
    assert_eq!(bff.idp.observed().authorize, 0);
    // Without the key, `iss` means nothing, and there is no form.
    let bff = TestBff::spawn();
    let path = format!("/bff/login?{}", query(&[("iss", &iss)]));
    let mut browser = bff.browser();
    let answer = browser.send_bare(linked(&path, None, "cross-site"));
    assert_eq!(answer.status, 403);
    assert!(begins(
        &bff,
        &browser.send_bare(linked(&path, None, "same-origin"))
    ));
    let own = Request::new("POST", "/bff/login").header("sec-fetch-site", "same-origin");
    let answer = browser.send_bare(own);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}
