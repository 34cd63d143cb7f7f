//! Sessions bound to a device (DBSC): what a browser and a thief get, on the wire as Chromium speaks.

use std::time::Duration;

use sealgate::demo::idp::{Faults, TokenFault};
use serde_json::json;

use crate::support::device::{self, COOKIE, Device, challenge_of, offered, registration};
use crate::support::process::eventually;
use crate::support::{Browser, Initiator, ORIGIN, Request, Site, TestBff};

fn bff_with(mode: &str, tables: &str) -> TestBff {
    TestBff::with(|setup| {
        setup.session = format!("device_binding = \"{mode}\"");
        setup.tables = tables.to_owned();
    })
}

fn bff() -> TestBff {
    bff_with("preferred", "")
}

/// Another browser with all cookies of this one.
fn copy(bff: &TestBff, browser: &Browser) -> Browser {
    let mut copy = bff.browser();
    copy.jar.clone_from(&browser.jar);
    copy
}

fn drop_cookie(browser: &mut Browser, name: &str) {
    browser.jar.retain(|cookie| cookie.name != name);
}

fn is_refused(browser: &mut Browser, path: &str) {
    let before = browser.jar.clone();
    let answer = browser.fetch("GET", path);
    assert_eq!(
        (answer.status, &*answer.problem()),
        (401, "device-proof-required"),
        "{path}"
    );
    assert_eq!(answer.json()["login_url"], "/bff/login");
    assert_eq!(browser.jar, before, "nothing is deleted");
    assert!(answer.headers("set-cookie").is_empty(), "{answer:?}");
}

const ASKING: [&str; 4] = ["/api/echo", "/api/maybe", "/bff/user", "/bff/session"];

#[test]
fn a_session_is_bound_and_a_copy_of_it_ends_with_the_proof() {
    let bff = bff();
    let mut browser = bff.signed_in();
    for path in ["/bff/user", "/bff/session"] {
        assert!(offered(&browser.fetch("GET", path)).is_some(), "{path}");
    }
    let mut device = Device::bind(&mut browser);
    for path in ["/bff/user", "/bff/session"] {
        assert_eq!(offered(&browser.fetch("GET", path)), None, "{path}");
    }
    let mut thief = copy(&bff, &browser);
    for path in ASKING {
        assert_eq!(browser.fetch("GET", path).status, 200, "{path}");
        assert_eq!(thief.fetch("GET", path).status, 200, "for some minutes");
    }
    bff.clock.advance(Duration::from_secs(300));
    for path in ASKING {
        is_refused(&mut thief, path);
        is_refused(&mut browser, path);
    }
    // Pages, files and routes without a user paint before the proof.
    assert_eq!(browser.fetch("GET", "/api/public").status, 200);
    let calls = bff.api_calls();
    assert_eq!(device.prove(&mut browser).status, 200);
    for path in ASKING {
        assert_eq!(browser.fetch("GET", path).status, 200, "{path}");
    }
    is_refused(&mut thief, "/api/echo");
    assert_eq!(bff.api_calls(), calls + 2);
}

#[test]
fn the_answer_is_what_chromium_takes() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let mut device = Device::new();
    let answer = device.register(&mut browser, &challenge);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let next = answer.header("secure-session-challenge").unwrap();
    assert!(
        next.ends_with(&format!("\";id=\"{}\"", device.id)),
        "{next}"
    );
    let line = answer.headers("set-cookie");
    let line = line.iter().find(|line| line.starts_with(COOKIE)).unwrap();
    let (_, attributes) = line.split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300"
    );
    let rule = |kind: &str, path: &str| json!({"type": kind, "domain": "*", "path": path});
    assert_eq!(
        answer.json(),
        json!({
            "session_identifier": device.id,
            "refresh_url": "/bff/device/refresh",
            "continue": true,
            "scope": {
                "origin": "https://shop.test",
                "include_site": false,
                "scope_specification": [
                    rule("exclude", "/"), rule("include", "/api/echo"), rule("include", "/api/root"),
                    rule("include", "/api/maybe"), rule("exclude", "/api/public"), rule("exclude", "/bff"),
                    rule("include", "/bff/session"), rule("include", "/bff/user"),
                ],
            },
            "credentials": [
                {"type": "cookie", "name": COOKIE, "attributes": "Path=/; Secure; HttpOnly; SameSite=Strict"},
            ],
            "allowed_refresh_initiators": [],
        })
    );
    let again = device.prove(&mut browser);
    assert_eq!(again.json(), answer.json());
    assert!(challenge_of(&again).is_some_and(|next| Some(next) != challenge_of(&answer)));
}

#[test]
fn the_cookie_lives_as_long_as_the_access_token_within_five_and_ten_minutes() {
    for (token, cookie) in [(60, 300), (480, 480), (3_600, 600)] {
        let bff = TestBff::with(|setup| {
            setup.session = "device_binding = \"preferred\"".to_owned();
            setup.access_token_lifetime = Duration::from_secs(token);
        });
        let mut browser = bff.signed_in();
        let mut device = Device::bind(&mut browser);
        let answer = device.prove(&mut browser);
        let lines = answer.headers("set-cookie");
        let line = lines.iter().find(|line| line.starts_with(COOKIE)).unwrap();
        assert!(line.ends_with(&format!("Max-Age={cookie}")), "{line}");
    }
}

#[test]
fn a_session_takes_one_key() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let unbound = copy(&bff, &browser);
    let mut first = Device::new();
    assert_eq!(first.register(&mut browser, &challenge).status, 200);
    let (id, jar) = (first.id.clone(), browser.jar.clone());
    // The same key once more, by the bound and by the unbound session.
    assert_eq!(first.register(&mut browser, &challenge).status, 200);
    assert_eq!(first.id, id);
    assert_eq!(
        first.register(&mut copy(&bff, &unbound), &challenge).status,
        200
    );
    assert_eq!(first.id, id);
    let refused = Device::new().register(&mut browser, &challenge);
    assert_eq!((refused.status, &*refused.problem()), (400, "bad-request"));
    let names = |jar: &[crate::support::browser::Cookie]| jar.len();
    assert_eq!(names(&browser.jar), names(&jar));
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);

    // A page that asked twice has registered two keys at once. The later one holds; the other's session ends.
    let mut both = unbound;
    let (mut one, mut two) = (Device::new(), Device::new());
    let cookies = both.jar.clone();
    assert_eq!(one.register(&mut both, &challenge).status, 200);
    let mut second = copy(&bff, &both);
    second.jar = cookies;
    assert_eq!(two.register(&mut second, &challenge).status, 200);
    assert_ne!(one.id, two.id);
    let over = device::send(&mut second, one.refresh(Some(&one.proof(&one.challenge))));
    assert_eq!(
        over.json(),
        json!({"session_identifier": one.id, "continue": false})
    );
    assert_eq!(two.prove(&mut second).status, 200);
    assert_eq!(second.fetch("GET", "/api/echo").status, 200);
}

#[test]
fn a_stale_challenge_is_answered_with_a_new_one() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    bff.clock.advance(Duration::from_secs(301));
    let mut device = Device::new();
    let stale = device.register(&mut browser, &challenge);
    assert_eq!(stale.status, 403);
    let fresh = challenge_of(&stale).unwrap();
    assert_eq!(device.register(&mut browser, &fresh).status, 200);

    bff.clock.advance(Duration::from_secs(301));
    let request = device.refresh(Some(&device.proof(&device.challenge)));
    let stale = device::send(&mut browser, request);
    assert_eq!(stale.status, 403);
    let line = stale.header("secure-session-challenge").unwrap();
    assert!(line.ends_with(&format!(";id=\"{}\"", device.id)), "{line}");
    // A browser that has no challenge asks without a proof.
    let none = device::send(&mut browser, device.refresh(None));
    assert_eq!(none.status, 403);
    let fresh = challenge_of(&none).unwrap();
    let request = device.refresh(Some(&device.proof(&fresh)));
    assert_eq!(device::send(&mut browser, request).status, 200);
    // Browsers send again what they have signed.
    let request = device.refresh(Some(&device.proof(&fresh)));
    assert_eq!(device::send(&mut browser, request).status, 200);
}

#[test]
fn a_challenge_belongs_to_its_session_key_and_use() {
    let bff = bff();
    let (mut browser, mut other) = (bff.signed_in(), bff.signed_in());
    let offer = |browser: &mut Browser| offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let (own, foreign) = (offer(&mut browser), offer(&mut other));
    assert_eq!(Device::new().register(&mut browser, &foreign).status, 403);
    let mut device = Device::new();
    assert_eq!(device.register(&mut browser, &own).status, 200);
    let others = Device::bind(&mut other);
    for challenge in [&*own, &others.challenge, "x", ""] {
        let request = device.refresh(Some(&device.proof(challenge)));
        assert_eq!(
            device::send(&mut browser, request).status,
            403,
            "{challenge}"
        );
    }
}

#[test]
fn a_proof_that_is_not_the_devices_is_refused_and_changes_nothing() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let mut device = Device::new();
    let stranger = Device::new();
    let header = |typ: &str| json!({"alg": "ES256", "jwk": device.jwk(), "typ": typ});
    let jti = json!({"jti": challenge});
    let good = device.registration(&challenge);
    let mut private = header("dbsc+jwt");
    private["jwk"]["d"] = json!("AAAA");
    let mut critical = header("dbsc+jwt");
    critical["crit"] = json!(["exp"]);
    let elsewhere = json!({"jti": challenge, "aud": "https://evil.test/bff/device"});
    for (why, proof) in [
        (
            "another's signature",
            stranger.sign(&header("dbsc+jwt"), &jti),
        ),
        ("another typ", device.sign(&header("jwt"), &jti)),
        ("a private key", device.sign(&private, &jti)),
        ("crit", device.sign(&critical, &jti)),
        ("no key", device.proof(&challenge)),
        ("no challenge", device.sign(&header("dbsc+jwt"), &json!({}))),
        (
            "a challenge that is a list",
            device.sign(&header("dbsc+jwt"), &json!({"jti": [challenge]})),
        ),
        (
            "for elsewhere",
            device.sign(&header("dbsc+jwt"), &elsewhere),
        ),
        ("cut", good[..good.len() - 4].to_owned()),
        ("half quoted", format!("\"{good}")),
        ("nothing", String::new()),
        ("junk", "junk".to_owned()),
    ] {
        let answer = device::send(&mut browser, registration(&proof));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-request"),
            "{why}"
        );
        assert!(answer.headers("set-cookie").is_empty(), "{why}");
    }
    let twice = registration(&good).header("secure-session-response", &good);
    assert_eq!(device::send(&mut browser, twice).status, 400);
    let aud = json!({"jti": challenge, "aud": "https://shop.test/bff/device"});
    let quoted = format!("\"{}\"", device.sign(&header("dbsc+jwt"), &aud));
    assert_eq!(
        device::send(&mut browser, registration(&quoted)).status,
        200
    );
    device.register(&mut browser, &challenge);

    let aud = |url: &str| {
        let header = json!({"alg": "ES256", "typ": "dbsc+jwt"});
        device.sign(&header, &json!({"jti": device.challenge, "aud": url}))
    };
    for proof in [
        stranger.proof(&device.challenge),
        stranger.registration(&device.challenge),
        aud("https://shop.test/bff/device"),
    ] {
        let answer = device::send(&mut browser, device.refresh(Some(&proof)));
        assert_eq!((answer.status, &*answer.problem()), (400, "bad-request"));
    }
    let proof = aud("https://shop.test/bff/device/refresh");
    assert_eq!(
        device::send(&mut browser, device.refresh(Some(&proof))).status,
        200
    );
}

#[test]
fn only_a_browser_of_the_own_origin_registers_and_proves() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let device = Device::bind(&mut browser);
    let requests = [
        registration(&device.registration(&challenge)),
        device.refresh(Some(&device.proof(&device.challenge))),
    ];
    for (origin, site) in [
        (None, Some("same-origin")),
        (Some("https://shop.test"), None),
        (Some("https://evil.test"), Some("cross-site")),
        (Some("https://shop.test"), Some("same-site")),
        (Some("https://shop.test"), Some("none")),
        (Some("null"), Some("same-origin")),
        (Some("https://shop.test:8443"), Some("same-origin")),
    ] {
        for request in &requests {
            let mut request = request.clone().header("x-csrf", "1");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            if let Some(site) = site {
                request = request.header("sec-fetch-site", site);
            }
            let answer = browser.send_bare(request);
            assert_eq!(
                answer.problem(),
                "cross-site-request",
                "{origin:?} {site:?}"
            );
        }
    }
    for path in ["/bff/device", "/bff/device/refresh"] {
        assert_eq!(browser.fetch("GET", path).problem(), "method-not-allowed");
    }
    assert_eq!(
        browser.fetch("POST", "/bff/device/x").problem(),
        "not-found"
    );
}

#[test]
fn logout_ends_the_device_session_and_a_left_over_one_ends_by_itself() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let mut device = Device::bind(&mut browser);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert!(browser.cookie(COOKIE).is_none());
    let over = json!({"session_identifier": device.id, "continue": false});
    let answer = device.prove(&mut browser);
    assert_eq!((answer.status, answer.json()), (200, over.clone()));
    assert!(browser.cookie(COOKIE).is_none());
    // Somebody signs in again. The browser has not noticed yet.
    bff.log_in(&mut browser, "/bff/login");
    let answer = device.prove(&mut browser);
    assert_eq!((answer.status, answer.json()), (200, over));
    let mut next = Device::bind(&mut browser);
    let old = device::send(&mut browser, device.refresh(Some("x")));
    assert_eq!(old.json()["continue"], false);
    assert_eq!(next.prove(&mut browser).status, 200);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    for bad in ["", "a b", "\"a\\\"b\"", &"x".repeat(65)] {
        let request = Request::new("POST", "/bff/device/refresh")
            .header("sec-secure-session-id", bad)
            .header("secure-session-response", "x");
        assert_eq!(
            device::send(&mut browser, request).problem(),
            "bad-request",
            "{bad:?}"
        );
    }
}

#[test]
fn a_proof_brings_new_tokens_before_anything_waits_for_them() {
    let bff = bff();
    let mut browser = bff.signed_in();
    let mut device = Device::bind(&mut browser);
    assert_eq!(bff.token_calls("refresh_token"), 0);
    for round in 1..=3 {
        bff.clock.advance(Duration::from_secs(301));
        assert_eq!(device.prove(&mut browser).status, 200);
        for _ in 0..3 {
            assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
        }
        assert_eq!(bff.token_calls("refresh_token"), round);
    }
}

#[test]
fn a_proof_is_good_while_the_provider_is_down() {
    let down = TokenFault::Answer {
        status: 503,
        body: "{}".to_owned(),
    };
    let bff = bff();
    let mut browser = bff.signed_in();
    let mut device = Device::bind(&mut browser);
    bff.clock.advance(Duration::from_secs(200));
    bff.idp.faults().inject(Faults::ALWAYS, down);
    let answer = device.prove(&mut browser);
    assert_eq!(
        (answer.status, &answer.json()["continue"]),
        (200, &json!(true))
    );
    assert_eq!(
        browser.fetch("GET", "/api/echo").status,
        200,
        "with the tokens as they are"
    );
    bff.clock.advance(Duration::from_secs(120));
    assert_eq!(device.prove(&mut browser).status, 200);
    let answer = browser.fetch("GET", "/api/echo");
    assert_eq!(answer.problem(), "identity-provider-unavailable");
    bff.idp.faults().clear();
    assert_eq!(device.prove(&mut browser).status, 200);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}

#[test]
fn a_session_that_must_be_bound_is_of_no_use_after_two_minutes() {
    let bff = bff_with("required", "");
    let (mut browser, mut late) = (bff.signed_in(), bff.signed_in());
    bff.clock.advance(Duration::from_secs(120));
    assert_eq!(late.fetch("GET", "/api/echo").status, 200);
    Device::bind(&mut browser);
    bff.clock.advance(Duration::from_secs(1));
    for path in ASKING {
        is_refused(&mut late, path);
        assert_eq!(browser.fetch("GET", path).status, 200, "{path}");
    }
    assert_eq!(late.fetch("GET", "/api/public").status, 200);
    let nobody = bff.browser().fetch("GET", "/bff/session");
    assert_eq!(nobody.json(), json!({"active": false}));
}

#[test]
fn a_session_that_must_be_bound_takes_no_key_when_its_time_is_over() {
    let bff = bff_with("required", "");
    let (mut slow, mut bound, mut late) = (bff.signed_in(), bff.signed_in(), bff.signed_in());
    let offer = |browser: &mut Browser| offered(&browser.fetch("GET", "/bff/session")).unwrap();
    bff.clock.advance(Duration::from_secs(120));
    let in_time = offer(&mut slow);
    let challenge = offer(&mut bound);
    let mut known = Device::new();
    assert_eq!(known.register(&mut bound, &challenge).status, 200);
    let copied = offer(&mut late);
    bff.clock.advance(Duration::from_secs(30));
    let mut device = Device::new();
    assert_eq!(device.register(&mut slow, &in_time).status, 200);
    assert_eq!(slow.fetch("GET", "/api/echo").status, 200);

    bff.clock.advance(Duration::from_secs(1));
    // A copy of the cookies that were never bound, with a key of whoever made it.
    let before = late.jar.clone();
    let mut stranger = Device::new();
    let proof = stranger.registration(&copied);
    for request in [
        registration(&proof),
        Request::new("POST", "/bff/device"),
        registration("junk"),
    ] {
        let refused = device::send(&mut late, request);
        assert_eq!(
            (refused.status, &*refused.problem()),
            (401, "device-proof-required")
        );
        assert_eq!(challenge_of(&refused), None);
        assert_eq!(late.jar, before, "nothing is deleted");
    }
    assert_eq!(stranger.register(&mut late, &copied).status, 401);
    is_refused(&mut late, "/api/echo");
    // Who repeats a registration that was taken does no harm.
    assert_eq!(known.register(&mut bound, &challenge).status, 200);
    assert_eq!(bound.fetch("GET", "/api/echo").status, 200);
}

const FRESH: &str = "[frontend.shop.route.pay]\npath = \"/api/pay\"\nupstream = \"api\"\nrequire_fresh_device = true\n";

#[test]
fn a_route_may_ask_for_a_proof_of_the_last_minute() {
    let bff = bff_with("preferred", FRESH);
    let mut browser = bff.signed_in();
    is_refused(&mut browser, "/api/pay");
    let mut device = Device::bind(&mut browser);
    bff.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.fetch("GET", "/api/pay").status, 200);
    bff.clock.advance(Duration::from_secs(1));
    let calls = bff.api_calls();
    for method in ["GET", "POST"] {
        let mut again = copy(&bff, &browser);
        let answer = again.fetch(method, "/api/pay/7?x=1");
        assert_eq!(
            (answer.status, answer.header("location")),
            (307, Some("/api/pay/7?x=1"))
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(again.cookie(COOKIE).is_none(), "so that the browser proves");
        is_refused(&mut again, "/api/pay/7?x=1");
    }
    assert_eq!(bff.api_calls(), calls);
    assert_eq!(
        browser.fetch("GET", "/api/echo").status,
        200,
        "other routes do not mind"
    );
    assert_eq!(device.prove(&mut browser).status, 200);
    assert_eq!(browser.fetch("POST", "/api/pay").status, 200);
    assert_eq!(
        bff.browser().fetch("GET", "/api/pay").problem(),
        "login-required"
    );
}

#[test]
fn a_lost_key_means_a_new_login_and_a_forged_excuse_excuses_nobody() {
    let bff = bff();
    let mut browser = bff.signed_in();
    Device::bind(&mut browser);
    drop_cookie(&mut browser, COOKIE);
    let excused = Request::new("GET", "/api/echo")
        .header("x-csrf", "1")
        .header("secure-session-skipped", "quota_exceeded");
    assert_eq!(browser.send(excused).problem(), "device-proof-required");
    assert_eq!(offered(&browser.fetch("GET", "/bff/session")), None);
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.url.path(), "/welcome");
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    Device::bind(&mut browser);
}

#[test]
fn a_proof_of_one_session_does_nothing_for_another() {
    let bff = bff();
    let (mut one, mut two) = (bff.signed_in(), bff.signed_in());
    Device::bind(&mut one);
    Device::bind(&mut two);
    let foreign = two.cookie(COOKIE).unwrap().clone();
    drop_cookie(&mut one, COOKIE);
    one.jar.push(foreign);
    is_refused(&mut one, "/api/echo");
    // Nor does it without a session, nor as a session.
    let proof = two.cookie(COOKIE).unwrap().value.clone();
    let mut nobody = bff.browser();
    nobody.jar.push(two.cookie(COOKIE).unwrap().clone());
    assert_eq!(nobody.fetch("GET", "/api/echo").problem(), "login-required");
    let renamed = Request::new("GET", "/api/echo")
        .header("x-csrf", "1")
        .header("cookie", &format!("__Host-Http-shop={proof}"));
    assert_eq!(bff.browser().send(renamed).problem(), "login-required");
    // It never goes to an API.
    let echo = two.fetch("GET", "/api/echo").text();
    assert!(!echo.contains(&proof) && !echo.contains(COOKIE));
}

#[test]
fn any_replica_takes_the_proof() {
    let bff = bff();
    let other = bff.replica();
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    browser.resolve("shop.test", other.addr);
    let mut device = Device::new();
    assert_eq!(device.register(&mut browser, &challenge).status, 200);
    browser.resolve("shop.test", bff.addr);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    assert_eq!(device.prove(&mut browser).status, 200);
    browser.resolve("shop.test", other.addr);
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
    assert_eq!(device.prove(&mut browser).status, 200);
}

#[test]
fn a_replica_that_has_not_read_the_newest_key_takes_its_proof() {
    let site = Site::with(
        ORIGIN,
        "",
        "[frontend.shop.session]\ndevice_binding = \"preferred\"\n",
    );
    let (ahead, behind) = (site.serve(), site.serve());
    let mut browser = site.signed_in(&ahead);
    let mut device = Device::bind(&mut browser);
    site.place.rotate(&["--now"]);
    ahead.reload("ok");
    let proof = |browser: &Browser| browser.cookie(COOKIE).unwrap().value.clone();
    let before = proof(&browser);
    assert_eq!(device.prove(&mut browser).status, 200);
    assert_ne!(proof(&browser), before);
    browser.resolve("shop.test", behind.addr);
    eventually("a look at the directory", || {
        (browser.fetch("GET", "/api/x").status == 200).then_some(())
    });
}

#[test]
fn the_scope_is_the_paths_that_ask() {
    let route = |name: &str, path: &str, token: &str| {
        format!(
            "[frontend.shop.route.{name}]\npath = \"{path}\"\nupstream = \"api\"\ntoken = \"{token}\"\n"
        )
    };
    let tables = [
        route("all", "/api", "none"),
        route("own", "/api/u/{sub}/box", "user"),
        route("open", "/api/u/{sub}", "none"),
        route("deep", "/api/public/deep", "user_or_none"),
    ];
    let bff = bff_with("preferred", &tables.concat());
    let mut browser = bff.signed_in();
    let mut device = Device::bind(&mut browser);
    let config = device.prove(&mut browser).json();
    let rules = config["scope"]["scope_specification"].as_array().unwrap();
    // The last rule that a path is below decides.
    let in_scope = |path: &str| {
        let fits = |rule: &&serde_json::Value| {
            let front = rule["path"].as_str().unwrap();
            let rest = path.strip_prefix(front);
            front == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rule = rules.iter().rev().find(fits).unwrap();
        rule["type"] == "include"
    };
    for (path, asks) in [
        ("/", false),
        ("/index.html", false),
        ("/api/echo", true),
        ("/api/echo/7", true),
        ("/api/echoes", false),
        ("/api/public", false),
        ("/api/public/deep", true),
        ("/api/other", false),
        ("/api/u/ada/box", true),
        ("/bff/user", true),
        ("/bff/session", true),
        ("/bff/login", false),
        ("/bff/callback", false),
        ("/bff/logout", false),
        ("/bff/device", false),
        ("/bff/device/refresh", false),
    ] {
        assert_eq!(in_scope(path), asks, "{path}");
    }
}

#[test]
fn without_binding_nothing_is_offered_and_nothing_asked_for() {
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    for path in ["/bff/user", "/bff/session"] {
        assert_eq!(offered(&browser.fetch("GET", path)), None);
    }
    let device = Device::new();
    for request in [
        registration(&device.registration("x")),
        Request::new("POST", "/bff/device/refresh").header("sec-secure-session-id", "x"),
    ] {
        assert_eq!(device::send(&mut browser, request).problem(), "not-found");
    }
}

#[test]
fn nobody_registers_without_a_session() {
    let bff = bff();
    let mut browser = bff.browser();
    let answer = device::send(&mut browser, registration(&Device::new().registration("x")));
    assert_eq!(answer.problem(), "login-required");
    let visit = browser.navigate("/bff/device", Initiator::User);
    assert_eq!(visit.response.status, 405);
}
